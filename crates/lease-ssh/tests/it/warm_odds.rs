//! Many runs on one box, whatever happens to the tree, the client and the box's shells in between, and whatever the box has.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lease_ssh::{Drift, SshError};

use crate::fixture::{Box, LEASE, sh, text, tool};
use crate::syncing::Case;
use crate::warm::shown;

/// Numbers that look like chance and can be had again.
struct Chance {
    seed: u64,
    state: u64,
}

impl Chance {
    fn new() -> Self {
        let now = tempfile::tempfile().unwrap().metadata().unwrap().modified().unwrap();
        let seed = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
        let seed = u64::try_from(seed).unwrap() | 1;
        Self { seed, state: seed }
    }

    fn below(&mut self, end: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        usize::try_from(self.state >> 33).unwrap() % end
    }
}

fn clear_way(path: &Path) {
    for above in path.ancestors().collect::<Vec<_>>().iter().rev().skip(1) {
        if above.is_symlink() || above.is_file() {
            fs::remove_file(above).unwrap();
        }
    }
    if path.is_dir() {
        fs::remove_dir_all(path).unwrap();
    }
}

/// One change to the tree. Its names are few, so that changes meet.
fn change(tree: &Path, chance: &mut Chance) {
    let names: [&[u8]; 8] =
        [b"a", b"B", b"-n", b"x y", b"\xff'", b"new\nline", b"back\\slash", b"$(id)"];
    let mut path = tree.to_owned();
    for _ in 0..=chance.below(3) {
        path.push(OsString::from_vec(names[chance.below(names.len())].to_vec()));
    }
    let content = |chance: &mut Chance| -> Vec<u8> {
        (0..chance.below(300)).map(|_| u8::try_from(chance.below(256)).unwrap()).collect()
    };
    match chance.below(8) {
        0..=2 => {
            clear_way(&path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let bytes = content(chance);
            fs::write(&path, bytes).unwrap();
        }
        3 => {
            clear_way(&path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            symlink(["a", "..", "/etc/passwd", "x y"][chance.below(4)], &path).unwrap();
        }
        4 if path.is_file() && !path.is_symlink() => {
            // As many bytes as before, and the time of before.
            let before = fs::metadata(&path).unwrap().modified().unwrap();
            let bytes =
                fs::read(&path).unwrap().iter().map(|it| it.wrapping_add(1)).collect::<Vec<_>>();
            fs::write(&path, bytes).unwrap();
            fs::File::options().write(true).open(&path).unwrap().set_modified(before).unwrap();
        }
        5 if path.is_file() && !path.is_symlink() => {
            let mode = [0o644, 0o755, 0o600, 0o444][chance.below(4)];
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        6 if path.is_symlink() || path.is_file() => fs::remove_file(&path).unwrap(),
        6 if path.is_dir() => fs::remove_dir_all(&path).unwrap(),
        7 if chance.below(6) == 0 => {
            for index in 0..150 {
                let path = tree.join(format!("many/{index}"));
                clear_way(&path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, vec![b'm'; 1_000 + chance.below(9)]).unwrap();
            }
        }
        _ => {}
    }
}

#[tokio::test]
async fn after_each_of_many_runs_the_box_holds_the_tree() {
    let case = Case::new().await;
    let mut chance = Chance::new();
    for step in 0..16 {
        for _ in 0..=chance.below(12) {
            change(&case.tree, &mut chance);
        }
        let (report, ran) = case.run(&format!("run-{step}"), "exit 5").await;
        assert_eq!(
            (ran.code(), report.drifted),
            (5, Vec::<PathBuf>::new()),
            "seed {}, step {step}",
            chance.seed
        );
        assert_eq!(shown(&case.it.work()), shown(&case.tree), "seed {}, step {step}", chance.seed);
    }
    case.it.end().await;
}

/// Kills the box's shells, known by the directory that only this test has.
fn kill_shells(it: &Box) {
    let ours = it.root.as_str().as_bytes().to_vec();
    for entry in fs::read_dir("/proc").unwrap().filter_map(Result::ok) {
        let Some(pid) = entry.file_name().to_str().and_then(|it| it.parse::<i32>().ok()) else {
            continue;
        };
        let Ok(line) = fs::read(entry.path().join("cmdline")) else { continue };
        let is_shell = line.starts_with(b"/bin/sh\0-c\0") || line.starts_with(b"sh\0-c\0");
        if is_shell
            && line.windows(ours.len()).any(|it| it == ours)
            && !line.windows(5).any(|it| it == b"sshd\0")
        {
            let pid = rustix::process::Pid::from_raw(pid).unwrap();
            let killed = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            assert!(matches!(killed, Ok(()) | Err(rustix::io::Errno::SRCH)), "{killed:?}");
        }
    }
}

#[tokio::test]
async fn whoever_is_killed_in_between_the_next_run_is_right() {
    let case = Case::new().await;
    let mut chance = Chance::new();
    case.put("a", "one");
    case.run("first", "true").await;
    for step in 0..6 {
        for _ in 0..8 {
            change(&case.tree, &mut chance);
        }
        if step % 3 == 2 {
            fs::write(case.tree.join("large"), vec![u8::try_from(step).unwrap(); 3_000_000])
                .unwrap();
        }
        let within = Duration::from_millis(u64::try_from(chance.below(400)).unwrap());
        let name = format!("cut-{step}");
        let command = sh("true");
        let cut = case.try_run(&name, &command, (Drift::Overwrite, b""));
        // A client that is killed is a future that is dropped.
        let went = tokio::time::timeout(within, cut).await;
        match chance.below(3) {
            0 => kill_shells(&case.it),
            1 => case.session.clone().close().await.unwrap(),
            _ => {}
        }
        drop(went);
        case.session.reconnect().await.unwrap();
        let (report, ran) = case.run(&format!("next-{step}"), "exit 6").await;
        assert_eq!(ran.code(), 6, "seed {}, step {step}, {report:?}", chance.seed);
        assert_eq!(shown(&case.it.work()), shown(&case.tree), "seed {}, step {step}", chance.seed);
    }
    case.it.end().await;
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Programs {
    OfTheSystem,
    /// Neither flock nor rsync, git or zstd is among them in a form that anything here uses.
    OfBusybox,
}

/// A box whose `/bin/sh` is another shell, and whose programs are those of busybox if asked for.
async fn box_of(shell: &str, programs: Programs) -> Box {
    let it = Box::with("", "ForceCommand placeholder").await;
    let bin = it.at("bin");
    fs::create_dir(&bin).unwrap();
    if programs == Programs::OfBusybox {
        let applets = text(&tool("busybox", &["--list"]).await.stdout);
        for name in applets.lines().filter(|it| *it != "busybox") {
            symlink("/usr/bin/busybox", bin.join(name)).unwrap();
        }
    }
    let path = match programs {
        Programs::OfTheSystem => "/usr/bin:/bin".to_owned(),
        Programs::OfBusybox => bin.display().to_string(),
    };
    let force = it.at("force");
    let script = format!(
        "#!/bin/sh\nPATH={path}; export PATH\neval \"exec {shell} ${{SSH_ORIGINAL_COMMAND#exec /bin/sh}}\"\n"
    );
    fs::write(&force, script).unwrap();
    fs::set_permissions(&force, fs::Permissions::from_mode(0o755)).unwrap();
    let config = fs::read_to_string(it.at("sshd_config")).unwrap();
    let config = config.replace("placeholder", &force.display().to_string());
    fs::write(it.at("sshd_config"), config).unwrap();
    it
}

async fn works_on(it: Box) {
    let case = Case::on(it).await;
    let mut chance = Chance::new();
    case.put("a", "one");
    case.put("d/b", "two");
    for step in 0..5 {
        for _ in 0..6 {
            change(&case.tree, &mut chance);
        }
        let (report, ran) = case.run(&format!("run-{step}"), "exit 7").await;
        assert_eq!(
            (ran.code(), report.drifted),
            (7, Vec::<PathBuf>::new()),
            "seed {}, step {step}",
            chance.seed
        );
        assert_eq!(shown(&case.it.work()), shown(&case.tree), "seed {}, step {step}", chance.seed);
    }
    clear_way(&case.tree.join("a"));
    case.put("a", "one");
    case.run("changes", "echo more >>a").await;
    let (report, ran) = case.run("after", "cat a").await;
    assert_eq!((report.drifted, text(&ran.stdout)), (vec![PathBuf::from("a")], "one".to_owned()));
    let (failed, _) = case.try_run("last", &sh("true"), (Drift::Fail, b"")).await;
    assert!(!matches!(failed, Err(SshError::Drifted { .. })), "{failed:?}");
    assert!(case.it.at("keys").join(LEASE).join("mirror").exists());
    case.it.end().await;
}

#[tokio::test]
async fn bash_may_be_the_boxs_shell() {
    std::boxed::Box::pin(works_on(box_of("/bin/bash --posix", Programs::OfTheSystem).await)).await;
}

#[tokio::test]
async fn a_box_may_have_nothing_but_busybox() {
    std::boxed::Box::pin(works_on(box_of("/usr/bin/busybox sh", Programs::OfBusybox).await)).await;
}
