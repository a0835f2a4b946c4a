//! A process that is to outlive us. The test starts itself once more to play the others.

use std::fs;
use std::path::Path;
use std::time::Duration;

use lease_process::{
    EndPolicy, Limits, Pid, ProcessTable, Program, become_daemon, end_all, spawn_detached, wait,
};

use crate::support::{Mark, PATIENCE};

/// Says which part a process of these tests plays, and where its log is.
const ROLE: &str = "LEASE_TEST_ROLE";
const LOG: &str = "LEASE_TEST_LOG";
const SAID: &str = "the daemon is itself";

#[test]
fn a_detached_process_opens_its_own_session() {
    if variable(ROLE).is_some() { daemon() } else { in_this_session() }
}

/// In a container the session and the group of whoever started us may lie outside and have no number.
#[test]
fn a_starter_whose_session_has_no_number_gets_its_daemon() {
    match variable(ROLE).as_deref() {
        Some("starter") => start_and_look(Path::new(&variable(LOG).unwrap())),
        _ => in_a_namespace(),
    }
}

fn daemon() {
    become_daemon().unwrap();
    become_daemon().unwrap(); // A second call changes nothing.
    #[expect(clippy::print_stdout, reason = "the child reports through its log")]
    {
        println!("{SAID}");
    }
    // Ended by whoever started it, or by itself if that one failed.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(wait::until(2 * PATIENCE, Duration::from_secs(1), || false));
}

#[tokio::main(flavor = "current_thread")]
async fn in_this_session() {
    let (mark, directory) = (Mark::new(), tempfile::tempdir().unwrap());
    let log = directory.path().join("log");
    fs::write(&log, "kept\n").unwrap();
    let pid = start_daemon(&mark, &log).await;
    assert!(fs::read_to_string(&log).unwrap().starts_with("kept\n"), "the log was not appended to");

    let table = ProcessTable::read().unwrap();
    let daemon = table.get(pid).unwrap();
    assert_eq!((daemon.sid, daemon.pgid), (Some(pid), Some(pid)));
    assert_ne!(daemon.sid, table.get(Pid::current()).unwrap().sid);

    let report = end_all(|table| mark.bearers_in(table), EndPolicy::default()).await.unwrap();
    assert_eq!((report.ended, report.survivors), (vec![pid], vec![]));
    let reaped = || ProcessTable::read().unwrap().get(pid).is_none();
    assert!(
        wait::until(PATIENCE, Duration::from_millis(10), reaped).await,
        "the daemon stayed a zombie"
    );
}

#[tokio::main(flavor = "current_thread")]
async fn in_a_namespace() {
    let directory = tempfile::tempdir().unwrap();
    let mut unshare = vec!["--pid", "--fork", "--mount-proc", "--kill-child"];
    if !rustix::process::getuid().is_root() {
        unshare.extend(["--user", "--map-root-user"]);
    }
    let program = Program::new("unshare")
        .args(unshare)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "daemon::a_starter_whose_session_has_no_number_gets_its_daemon"])
        .arg("--nocapture")
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env(ROLE, "starter")
        .env(LOG, directory.path().join("log"));
    let limits = Limits { deadline: PATIENCE, ..Limits::default() };
    let output = lease_process::output(&program, limits).await.unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[tokio::main(flavor = "current_thread")]
async fn start_and_look(log: &Path) {
    let mark = Mark::new();
    let own = ProcessTable::read().unwrap();
    assert_eq!(own.get(Pid::current()).unwrap().sid, None, "the session should be outside");
    let pid = start_daemon(&mark, log).await;
    let table = ProcessTable::read().unwrap();
    assert_eq!(table.get(pid).unwrap().sid, Some(pid));
}

/// Returns when the daemon has left the session.
async fn start_daemon(mark: &Mark, log: &Path) -> Pid {
    let program = Program::new(std::env::current_exe().unwrap())
        .args(["--exact", "daemon::a_detached_process_opens_its_own_session", "--nocapture"])
        .env(ROLE, "daemon");
    let pid = spawn_detached(&mark.put_on(program), Some(log)).unwrap();
    let said = || fs::read_to_string(log).unwrap().contains(SAID);
    assert!(
        wait::until(PATIENCE, Duration::from_millis(10), said).await,
        "{}",
        fs::read_to_string(log).unwrap()
    );
    pid
}

fn variable(name: &str) -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the child must learn its role without the harness"
    )]
    std::env::var(name).ok()
}
