//! Runs in the tree as it is now: one request where the box holds what is known, and never a wrong tree.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use lease_ssh::{Command, Compare, Drift, Extent, Order, Outcome, Sinks, SshError, SyncReport};

use crate::fixture::{Box, LEASE, Ran, scan, sh, text, tree_at};
use crate::jobs::until;
use crate::syncing::Case;

/// What a tree holds: of each path its permission bits and its content, or a link's target.
type Shown = BTreeMap<PathBuf, (u32, Vec<u8>)>;

pub(crate) fn shown(root: &Path) -> Shown {
    let mut shown = Shown::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let name = path.strip_prefix(root).unwrap().to_owned();
            if meta.is_symlink() {
                let target = fs::read_link(&path).unwrap();
                shown.insert(name, (0, target.as_os_str().as_bytes().to_vec()));
            } else if meta.is_file() {
                let mode = meta.permissions().mode() & 0o777;
                shown.insert(name, (mode, fs::read(&path).unwrap()));
            } else if !path.ends_with(".git") {
                open.push(path);
            }
        }
    }
    shown
}

impl Case {
    pub(crate) async fn try_run(
        &self,
        run: &str,
        command: &Command,
        (drift, stdin): (Drift, &[u8]),
    ) -> (Result<SyncReport, SshError>, Ran) {
        self.run_from(&self.it.client.clone(), run, command, (drift, stdin)).await
    }

    /// With the knowledge of another client.
    pub(crate) async fn run_from(
        &self,
        client: &lease_ssh::Client,
        run: &str,
        command: &Command,
        (drift, stdin): (Drift, &[u8]),
    ) -> (Result<SyncReport, SshError>, Ran) {
        let tree = tree_at(&self.tree);
        let mut mirror = client.mirror(LEASE, &self.it.root, &tree).unwrap();
        let scan = scan(&tree, mirror.manifest()).await.unwrap();
        let order = Order {
            mirror: &mut mirror,
            scan: &scan,
            drift,
            compare: Compare::Stamps,
            extent: Extent::Difference,
            progress: None,
            seeding: None,
        };
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let mut sinks = Sinks::new(&mut stdout, &mut stderr);
        let place = (&self.it.root, run);
        match self.session.start_synced(place, order, command).await {
            Ok(it) => {
                let report = it.report().clone();
                let carried = std::boxed::Box::pin(it.carry(stdin, &mut sinks)).await;
                let outcome = carried.map_err(|it| it.to_string());
                (Ok(report), Ran { outcome, stdout, stderr })
            }
            Err(error) => {
                let outcome = Err(error.to_string());
                (Err(error), Ran { outcome, stdout, stderr })
            }
        }
    }

    pub(crate) async fn run(&self, run: &str, script: &str) -> (SyncReport, Ran) {
        let (report, ran) = self.try_run(run, &sh(script), (Drift::Overwrite, b"")).await;
        (report.unwrap(), ran)
    }

    /// How many channels were opened so far.
    pub(crate) fn channels(&self) -> usize {
        let log = fs::read_to_string(self.it.at("sshd.log")).unwrap();
        log.matches("server_input_channel_open: confirm session").count()
    }

    /// Takes the box away below its client. What is done there beside an answer may just be writing.
    pub(crate) async fn vanished(&self) {
        let place = self.it.at("box");
        until(|| fs::remove_dir_all(&place).is_ok() || !place.exists()).await;
    }

    /// Waits until every look at what commands left has ended.
    pub(crate) async fn looked(&self) {
        let sync = self.it.at("box/.lease/sync");
        let open = || {
            fs::read_dir(&sync)
                .unwrap()
                .any(|it| it.unwrap().file_name().as_bytes().starts_with(b"open."))
        };
        let within = std::time::Duration::from_secs(30);
        let every = std::time::Duration::from_millis(5);
        assert!(lease_process::wait::until(within, every, || !open()).await);
    }

    #[track_caller]
    pub(crate) fn is_there(&self) {
        assert_eq!(shown(&self.it.work()), shown(&self.tree));
    }
}

#[tokio::test]
async fn a_warm_run_is_one_channel() {
    let case = Case::on(Box::with("", "LogLevel DEBUG1").await).await;
    case.put("a", "one");
    case.put("d/b", "two");
    case.run("first", "true").await;
    for (run, change) in [("same", None), ("small", Some("three")), ("same-again", None)] {
        case.looked().await;
        if let Some(content) = change {
            case.put("d/b", content);
            fs::remove_file(case.tree.join("a")).unwrap();
            case.put("new/c", "'\\\0 0\n");
        }
        let before = case.channels();
        let (report, ran) = case.run(run, "cat d/b; echo err >&2; exit 3").await;
        assert_eq!(case.channels() - before, 1, "{run}");
        assert_eq!(report.sent_files, if change.is_some() { 2 } else { 0 });
        assert_eq!((ran.code(), text(&ran.stderr)), (3, "err".to_owned()));
        assert_eq!(ran.stdout, fs::read(case.tree.join("d/b")).unwrap());
        case.is_there();
    }
    case.it.end().await;
}

#[tokio::test]
async fn standard_input_is_the_commands_alone_also_when_the_box_refuses_first() {
    let case = Case::new().await;
    case.put("a", "one");
    case.run("first", "true").await;
    let input: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    for (run, spoil) in [("well", false), ("refused", true)] {
        case.put("a", run);
        if spoil {
            fs::write(case.it.at("box/.lease/sync/generation"), "other -\n").unwrap();
        }
        let (report, ran) =
            case.try_run(run, &sh("cat; cat a >&2"), (Drift::Overwrite, &input)).await;
        report.unwrap();
        assert_eq!((ran.code(), ran.stderr.as_slice()), (0, run.as_bytes()));
        assert!(ran.stdout == input, "{run}: {} bytes", ran.stdout.len());
    }
    case.it.end().await;
}

#[tokio::test]
async fn what_a_command_changes_is_noticed_and_undone() {
    let case = Case::new().await;
    for path in ["edited", "deleted", "mode", "linked", "replaced", "d/x", "d/y", "e/z", "same"] {
        case.put(path, path);
    }
    case.run("first", "true").await;
    let outside = case.it.at("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("z"), "outside").unwrap();
    let script = format!(
        "echo more >>edited; rm deleted; chmod 600 mode; rm linked; ln -s '{out}/z' linked; \
         echo other >r2; mv r2 replaced; rm -r d; rm -r e; ln -s '{out}' e; mkdir built; echo o >built/o; echo o >d.o",
        out = outside.display()
    );
    let (report, _) = case.run("changes", &script).await;
    assert_eq!(report.drifted, Vec::<PathBuf>::new());
    let (report, ran) = case.run("next", "cat edited; ls built").await;
    let drifted: Vec<_> = report.drifted.iter().map(|it| it.to_str().unwrap()).collect();
    let mut sorted = drifted.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, ["d/x", "d/y", "deleted", "e/z", "edited", "linked", "mode", "replaced"]);
    assert_eq!(text(&ran.stdout), "editedo");
    fs::remove_dir_all(case.on_box("built")).unwrap();
    fs::remove_file(case.on_box("d.o")).unwrap();
    case.is_there();
    assert_eq!(fs::read_to_string(outside.join("z")).unwrap(), "outside");
    assert_eq!(case.run("last", "true").await.0.drifted, Vec::<PathBuf>::new());
    case.it.end().await;
}

#[tokio::test]
async fn drift_can_be_kept_or_refused() {
    let case = Case::new().await;
    case.put("a", "mine");
    case.put("b", "mine");
    case.run("first", "echo theirs >a").await;
    let (refused, _) = case.try_run("fail", &sh("touch started"), (Drift::Fail, b"")).await;
    let Err(SshError::Drifted { paths }) = refused else { panic!("{refused:?}") };
    assert_eq!(paths, [PathBuf::from("a")]);
    case.lacks("started");
    let (kept, ran) = case.try_run("keep", &sh("cat a"), (Drift::Keep, b"")).await;
    assert_eq!((kept.unwrap().drifted, text(&ran.stdout)), (paths, "theirs".to_owned()));
    let (report, ran) = case.run("still", "cat a").await;
    assert_eq!((report.drifted, text(&ran.stdout)), (Vec::new(), "theirs".to_owned()));
    case.put("a", "mine again");
    assert_eq!(text(&case.run("newer", "cat a").await.1.stdout), "mine again");
    case.it.end().await;
}

#[tokio::test]
async fn a_rebuilt_box_is_noticed() {
    let case = Case::new().await;
    case.put("a", "one");
    case.put("d/b", "two");
    case.run("first", "true").await;
    case.looked().await;
    case.vanished().await;
    let (report, ran) = case.run("second", "cat a d/b").await;
    assert_eq!((report.sent_files, text(&ran.stdout)), (2, "onetwo".to_owned()));
    case.is_there();
    fs::remove_dir_all(case.it.work()).unwrap();
    case.run("third", "true").await;
    case.is_there();
    case.it.end().await;
}

#[tokio::test]
async fn two_clients_take_turns_and_each_command_sees_its_own_tree() {
    let case = Case::new().await;
    let other = case.it.at("other");
    let mut settings = case.it.client.settings().clone();
    fs::create_dir(&other).unwrap();
    settings.keys = other.join("keys");
    let client = lease_ssh::Client::new(settings);
    client.prepare(LEASE).unwrap();
    for round in 0..4 {
        for (name, client) in [("one", &case.it.client), ("two", &client)] {
            case.put("who", name);
            case.put(&format!("only-{name}"), name);
            let run = format!("{name}-{round}");
            let (report, ran) =
                case.run_from(client, &run, &sh("cat who; ls"), (Drift::Overwrite, b"")).await;
            report.unwrap();
            assert_eq!(text(&ran.stdout), format!("{name}only-{name}\nwho"));
            case.is_there();
            case.remove(&format!("only-{name}"));
        }
    }
    case.it.end().await;
}

#[tokio::test]
async fn a_change_that_was_cut_off_is_repaired() {
    let case = Case::new().await;
    case.put("a", "one");
    case.put("b", "two");
    case.run("first", "true").await;
    case.looked().await;
    // What a shell leaves that was killed in the middle of a change.
    let sync = case.it.at("box/.lease/sync");
    fs::write(sync.join("generation"), "dirty abcdefghijklmnop\n").unwrap();
    fs::write(case.on_box("a"), "half").unwrap();
    fs::remove_file(case.on_box("b")).unwrap();
    fs::write(case.on_box("half"), "new").unwrap();
    let log = fs::File::options().append(true).create(true).open(sync.join("log"));
    std::io::Write::write_all(&mut log.unwrap(), b"- 0 0 - half\0").unwrap();
    fs::write(sync.join("lock.9999"), "1 1 of-another-start\n").unwrap();
    let (report, _) = case.run("second", "true").await;
    assert!(report.repaired);
    case.is_there();
    case.it.end().await;
}

#[tokio::test]
async fn a_change_too_large_for_a_request_arrives() {
    let case = Case::new().await;
    case.put("a", "one");
    case.run("first", "true").await;
    for index in 0..300 {
        case.put(&format!("many/d{}/f{index}", index % 7), &"x".repeat(1_000));
    }
    let (report, ran) = case.run("many", "cat a").await;
    assert_eq!((report.sent_files, text(&ran.stdout)), (300, "one".to_owned()));
    case.is_there();
    case.remove("many");
    assert_eq!(case.run("none", "true").await.0.removed, 300);
    case.is_there();
    case.it.end().await;
}

#[tokio::test]
async fn kinds_may_change_in_small_changes() {
    let case = Case::new().await;
    case.put("x", "file");
    case.put("y/z", "inner");
    case.put("l", "file");
    case.run("first", "true").await;
    case.remove("x");
    case.remove("y");
    case.remove("l");
    case.put("x/z", "inner");
    case.put("y", "file");
    symlink("/etc/passwd", case.tree.join("l")).unwrap();
    case.run("second", "true").await;
    case.is_there();
    case.remove("l");
    case.put("l", "file again");
    fs::set_permissions(case.tree.join("y"), fs::Permissions::from_mode(0o755)).unwrap();
    case.run("third", "true").await;
    case.is_there();
    assert!(matches!(case.run("last", "true").await.1.outcome, Ok(Outcome::Finished(0))));
    case.it.end().await;
}
