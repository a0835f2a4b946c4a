//! Many runs on one box, whoever is killed in between, and whatever the box has for a shell and for programs.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::time::Duration;

use lease_ssh::{Drift, SshError};

use crate::edits::{Chance, differences};
use crate::fixture::{Box, LEASE, sh, text, tool};
use crate::jobs;
use crate::syncing::Case;

/// The processes of the machine, each with its words.
fn processes() -> Vec<(i32, Vec<u8>)> {
    let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let pids = entries.filter_map(|it| it.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|it| Some((it, fs::read(format!("/proc/{it}/cmdline")).ok()?))).collect()
}

fn end(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    let killed = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    assert!(matches!(killed, Ok(()) | Err(rustix::io::Errno::SRCH)), "{killed:?}");
}

/// Kills the box's shells, known by the directory that only this test has.
fn kill_shells(it: &Box) {
    let ours = it.root.as_str().as_bytes();
    let names = |line: &[u8], what: &[u8]| line.windows(what.len()).any(|it| it == what);
    for (pid, line) in processes() {
        let is_shell = line.starts_with(b"/bin/sh\0-c\0") || line.starts_with(b"sh\0-c\0");
        if is_shell && names(&line, ours) && !names(&line, b"sshd\0") {
            end(pid);
        }
    }
}

/// Kills the box's end of the connection, known by the log that it writes.
fn kill_server(it: &Box) {
    let log = it.at("sshd.log");
    for (pid, line) in processes() {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let mut files = open.filter_map(|it| fs::read_link(it.path()).ok());
        if line.starts_with(b"sshd") && files.any(|it| it == log) {
            end(pid);
        }
    }
}

/// Who dies at a random moment of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    /// A client that is killed is a future that is dropped; `lease-cli` has a test that kills the real one.
    Client,
    Shells,
    /// The client's shells on the box as well, which would have gone on.
    ClientAndShells,
    /// The local process that holds the connection.
    Connection,
    /// The box's end of it.
    Server,
}

const VICTIMS: [Victim; 5] =
    [Victim::Client, Victim::Shells, Victim::ClientAndShells, Victim::Connection, Victim::Server];

#[tokio::test]
async fn whoever_is_killed_in_between_the_next_run_is_right() {
    let case = Case::new().await;
    let mut chance = Chance::new(11);
    case.put("a", "one");
    case.run("first", "true").await;
    let mut failed = 0;
    for step in 0..20 {
        chance.edit(&case.tree, 8);
        if step % 3 == 2 {
            drop(fs::remove_dir_all(case.tree.join("large")));
            case.put("large", &"large".repeat(200_000 + step));
        }
        let victim = VICTIMS[step % VICTIMS.len()];
        let within = Duration::from_millis(chance.below(120).try_into().unwrap());
        let (name, command) = (format!("cut-{step}"), sh("true"));
        if step % 2 == 1 {
            case.far();
        }
        let run = case.try_run(&name, &command, (Drift::Overwrite, b""));
        let mut run = std::boxed::Box::pin(run);
        let went = tokio::time::timeout(within, &mut run).await;
        match victim {
            Victim::Client => {}
            Victim::Shells | Victim::ClientAndShells => kill_shells(&case.it),
            Victim::Connection => drop(jobs::kill(&case.it, &name, jobs::Victim::Master).await),
            Victim::Server => kill_server(&case.it),
        }
        let is_alone = matches!(victim, Victim::Client | Victim::ClientAndShells);
        let ended = match went {
            Ok(it) => Some(it),
            Err(_) if is_alone => None,
            Err(_) => Some(run.as_mut().await),
        };
        failed += usize::from(ended.is_none_or(|it| it.0.is_err() || it.1.outcome.is_err()));
        // The local end hears of the other one's death in a moment, and a run in that moment would be lost as well.
        if victim == Victim::Server {
            drop(case.session.clone().close().await);
        }
        case.session.reconnect().await.unwrap();
        let (report, ran) = case.run(&format!("next-{step}"), "exit 6").await;
        assert_eq!(ran.code(), 6, "step {step}, {victim:?}, {report:?}");
        let wrong = differences(&case.tree, &case.it.work());
        assert!(wrong.is_empty(), "step {step}, {victim:?}, {report:?}: {wrong:#?}");
    }
    assert!(failed > 3, "nobody was killed in time: {failed}");
    case.it.end().await;
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Programs {
    OfTheSystem,
    Without(&'static [&'static str]),
    OfBusybox,
}

/// What a small machine may lack.
const MISSING: [&str; 4] = ["flock", "zstd", "rsync", "git"];

/// A box whose `/bin/sh` is another shell, and that has these programs.
async fn box_of(shell: &str, programs: Programs) -> Box {
    let it = Box::with("", "ForceCommand placeholder").await;
    let bin = it.at("bin");
    fs::create_dir(&bin).unwrap();
    match programs {
        Programs::OfTheSystem => {}
        Programs::OfBusybox => {
            let applets = text(&tool("busybox", &["--list"]).await.stdout);
            for name in applets.lines().filter(|it| *it != "busybox") {
                symlink("/usr/bin/busybox", bin.join(name)).unwrap();
            }
        }
        Programs::Without(missing) => {
            for entry in ["/usr/bin", "/bin"].into_iter().flat_map(|it| fs::read_dir(it).unwrap()) {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap();
                let is_missing = missing.iter().any(|it| *it == name);
                if !is_missing && bin.join(name).symlink_metadata().is_err() {
                    symlink(&path, bin.join(name)).unwrap();
                }
            }
        }
    }
    let path = match programs {
        Programs::OfTheSystem => "/usr/bin:/bin".to_owned(),
        Programs::Without(_) | Programs::OfBusybox => bin.display().to_string(),
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

/// Plays on such a box. `proof` is what a command there prints when the box is the one that was meant.
async fn works_on(it: Box, proof: (&str, &str)) {
    let case = Case::on(it).await;
    let mut chance = Chance::new(7);
    case.put("one", "one");
    case.put("d/b", "two");
    for step in 0..5 {
        chance.edit(&case.tree, 6);
        // Too much for one request now and then, also at first.
        for index in 0..if step % 4 == 0 { 200 } else { 0 } {
            case.put(&format!("z{step}/{index}"), &"x".repeat(900));
        }
        let (report, ran) = case.run(&format!("run-{step}"), "exit 7").await;
        assert_eq!((ran.code(), report.drifted), (7, Vec::<PathBuf>::new()), "step {step}");
        let wrong = differences(&case.tree, &case.it.work());
        assert!(wrong.is_empty(), "step {step}: {wrong:#?}");
    }
    case.put("one", "one");
    case.run("changes", "echo more >>one").await;
    let (report, ran) = case.run("after", "cat one").await;
    let drifted = vec![PathBuf::from("one")];
    assert_eq!((report.drifted, text(&ran.stdout)), (drifted, "one".to_owned()));
    let (failed, _) = case.try_run("last", &sh("true"), (Drift::Fail, b"")).await;
    assert!(!matches!(failed, Err(SshError::Drifted { .. })), "{failed:?}");
    assert!(case.it.at("keys").join(LEASE).join("mirror").exists());
    assert_eq!(text(&case.run("proof", proof.0).await.1.stdout), proof.1);
    case.it.end().await;
}

#[tokio::test]
async fn bash_may_be_the_boxs_shell() {
    let it = box_of("/bin/bash --posix", Programs::OfTheSystem).await;
    std::boxed::Box::pin(works_on(it, ("true", ""))).await;
}

#[tokio::test]
async fn dash_may_be_the_boxs_shell() {
    let it = box_of("/bin/dash", Programs::OfTheSystem).await;
    std::boxed::Box::pin(works_on(it, ("true", ""))).await;
}

#[tokio::test]
async fn a_box_may_have_nothing_but_busybox() {
    let it = box_of("/usr/bin/busybox sh", Programs::OfBusybox).await;
    std::boxed::Box::pin(works_on(it, ("readlink \"$(command -v tar)\"", "/usr/bin/busybox")))
        .await;
}

#[tokio::test]
async fn a_box_may_lack_flock_zstd_rsync_and_git() {
    let it = box_of("/bin/sh", Programs::Without(&MISSING)).await;
    let script =
        format!("for it in {}; do ! command -v $it || exit 1; done; echo none", MISSING.join(" "));
    std::boxed::Box::pin(works_on(it, (&script, "none"))).await;
}
