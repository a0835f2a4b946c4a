//! Ending everything that bears a mark, however it tried to get away, and nobody else.

use std::collections::BTreeSet;
use std::time::Duration;

use lease_process::{
    EndPolicy, EndReport, Input, Liveness, Pid, ProcessIdentity, ProcessTable, Program, Signal,
    Stream, Why, end_all, liveness, spawn,
};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use crate::support::{Mark, PATIENCE};

const POLICY: EndPolicy =
    EndPolicy { term_grace: Duration::from_millis(300), kill_deadline: PATIENCE };

/// Three that stay, each of which tells its pid: one that leaves group and session, the same from a grandchild whose
/// parent is gone at once, and one that does nothing of the kind.
const RUNAWAYS: &str = r#"
    perl -e 'use POSIX; POSIX::setsid(); syswrite STDOUT, "$$\n"; sleep 1000' &
    perl -e 'use POSIX; fork && exit; POSIX::setsid(); fork && exit; syswrite STDOUT, "$$\n"; sleep 1000' &
    sh -c 'echo $$; exec sleep 1000' &
    wait"#;

/// Starts them below a shell, on their own from then on.
async fn run_away(mark: &Mark) -> Vec<ProcessIdentity> {
    let mut shell = spawn(&mark.shell(RUNAWAYS)).unwrap();
    let mut lines = BufReader::new(shell.take_stdout().unwrap()).lines();
    let mut pids = vec![shell.detach()];
    while pids.len() < 4 {
        let line = lines.next_line().await.unwrap().unwrap();
        pids.extend(Pid::new(line.parse().unwrap()));
    }
    pids.into_iter().map(|pid| ProcessIdentity::of(pid).unwrap().unwrap()).collect()
}

async fn end(mark: &Mark) -> EndReport {
    end_all(|table| mark.bearers_in(table), POLICY).await.unwrap()
}

#[tokio::test]
async fn whoever_left_the_group_is_found_and_a_look_alike_is_not() {
    let (mark, foreign) = (Mark::new(), Mark::new());
    let (ours, look_alikes) = (run_away(&mark).await, run_away(&foreign).await);
    let all =
        |processes: &[ProcessIdentity], expect| processes.iter().all(|one| liveness(one) == expect);
    assert!(all(&ours, Liveness::Alive) && all(&look_alikes, Liveness::Alive));

    let report = end(&mark).await;
    assert_eq!(report.survivors, []);
    assert!(ours.iter().all(|one| report.ended.contains(&one.pid)), "{ours:?} {report:?}");
    assert!(all(&ours, Liveness::Dead));
    assert_eq!(mark.bearers(), BTreeSet::new());

    assert!(all(&look_alikes, Liveness::Alive), "somebody foreign was ended");
    end(&foreign).await;
    assert!(all(&look_alikes, Liveness::Dead));
}

#[tokio::test]
async fn neither_ignoring_nor_sleeping_helps() {
    let mark = Mark::new();
    let script = "trap '' TERM HUP INT; echo ready; while :; do sleep 0.05; done";
    let mut stubborn = spawn(&mark.shell(script)).unwrap();
    stubborn.take_stdout().unwrap().read_exact(&mut [0; 6]).await.unwrap();
    let halted = spawn(&mark.put_on(Program::new("sleep").arg("1000"))).unwrap();
    halted.signal(Signal::Stop).unwrap();
    let report = end(&mark).await;
    assert_eq!(report.survivors, []);
    assert!(report.ended.contains(&stubborn.pid()) && report.ended.contains(&halted.pid()));
    assert_eq!(halted.wait().await.unwrap().shell_code(), 143, "it was asked before it was killed");
}

#[tokio::test]
async fn whoever_keeps_changing_its_pid_is_caught() {
    let mark = Mark::new();
    // Bounded, so that a failing test ends, too.
    let hop =
        "$SIG{TERM} = 'IGNORE'; for (1..1000) { exit if fork; select undef, undef, undef, 0.05 }";
    let hopper = mark
        .put_on(Program::new("perl").arg("-e").arg(hop))
        .stdout(Stream::Null)
        .stderr(Stream::Null);
    let first = spawn(&hopper).unwrap().detach();
    let report = end(&mark).await;
    assert_eq!(report.survivors, []);
    assert!(!report.ended.is_empty(), "not even {first} was found");
    mark.wait_for(0).await;
}

#[tokio::test]
async fn a_descendant_stays_selected_when_its_parent_is_gone() {
    let (mark, foreign) = (Mark::new(), Mark::new());
    // The grandchild drops the mark and ignores the polite signal; its parent does not.
    let grandchild =
        "exec env -u LEASE_TEST_MARK OTHER=1 sh -c 'trap \"\" TERM; while :; do sleep 0.05; done'";
    let script = format!("sh -c '{}' & wait", grandchild.replace('\'', "'\\''"));
    let parent = spawn(&mark.shell(&script)).unwrap();
    let unmarked = |table: &ProcessTable| {
        let family = table.with_descendants(BTreeSet::from([parent.pid()]));
        table.select(|process| family.contains(&process.pid) && process.has_env("OTHER=1"))
    };
    let there = || !unmarked(&ProcessTable::read().unwrap()).is_empty();
    assert!(lease_process::wait::until(PATIENCE, Duration::from_millis(10), there).await);
    let hidden = unmarked(&ProcessTable::read().unwrap());

    let report =
        end_all(|table| table.with_descendants(mark.bearers_in(table)), POLICY).await.unwrap();
    assert_eq!(report.survivors, []);
    assert!(hidden.iter().any(|pid| report.ended.contains(pid)), "{hidden:?} not in {report:?}");
    assert_eq!(foreign.bearers(), BTreeSet::new());
}

#[tokio::test]
async fn we_and_our_ancestors_are_never_touched() {
    let line = |table: &ProcessTable| table.with_ancestors(Pid::current());
    let before = line(&ProcessTable::read().unwrap());
    assert!(before.contains(&Pid::current()));
    let everybody_above = |table: &ProcessTable| {
        let mut line = line(table);
        line.extend(Pid::new(1));
        line
    };
    let report = end_all(everybody_above, POLICY).await.unwrap();
    assert_eq!(report, EndReport::default());
    assert_eq!(line(&ProcessTable::read().unwrap()), before);
}

#[tokio::test]
async fn an_empty_selection_is_done_at_once() {
    let report = end_all(|_table| BTreeSet::new(), EndPolicy::default()).await.unwrap();
    assert_eq!(report, EndReport::default());
}

#[tokio::test]
async fn a_table_shows_what_a_process_is() {
    let (mark, directory) = (Mark::new(), tempfile::tempdir().unwrap());
    let mut child =
        spawn(&mark.put_on(Program::new("cat")).arg("-").cwd(directory.path()).stdin(Input::Pipe))
            .unwrap();
    let table = ProcessTable::read().unwrap();
    let (cat, own) = (table.get(child.pid()).unwrap(), table.get(Pid::current()).unwrap());
    assert_eq!(cat.argv(), ["cat", "-"]);
    assert_eq!((cat.ppid, cat.pgid, cat.sid), (Some(own.pid), Some(cat.pid), own.sid));
    assert_eq!(cat.uid(), own.uid());
    assert!(cat.uid().is_some());
    if cfg!(target_os = "linux") {
        assert_eq!(cat.cwd(), Some(directory.path().canonicalize().unwrap()));
        assert_eq!(cat.pid_namespace(), own.pid_namespace());
        assert!(cat.pid_namespace().is_some());
    }
    assert!(!cat.has_env("LEASE_TEST_MARK="));
    drop(child.take_stdin());
    child.wait().await.unwrap();
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn whom_we_may_not_signal_survives_and_is_reported() {
    let child = spawn(&Program::new("sleep").arg("1000")).unwrap();
    let is_root = rustix::process::getuid().is_root();
    let target = if is_root { Some(child.pid()) } else { somebody_of_root() };
    // A plain user alone on a machine has nobody whom it may not signal.
    let Some(target) = target else { return };

    // A thread may give up its rights alone; the other tests keep theirs.
    let ended = std::thread::spawn(move || {
        let nobody = rustix::process::Uid::from_raw(65534);
        if is_root {
            rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(end_all(|_table| BTreeSet::from([target]), POLICY)).unwrap()
    });
    let report = ended.join().unwrap();
    assert_eq!(report.ended, []);
    let survivors: Vec<_> =
        report.survivors.iter().map(|survivor| (survivor.pid, survivor.why)).collect();
    assert_eq!(survivors, [(target, Why::NotPermitted)]);
    assert_eq!(child.try_wait().unwrap(), None);
}

/// A process that a plain user cannot harm.
#[cfg(target_os = "linux")]
fn somebody_of_root() -> Option<Pid> {
    let table = ProcessTable::read().unwrap();
    let line = table.with_ancestors(Pid::current());
    table.select(|process| process.uid() == Some(0) && !line.contains(&process.pid)).pop_last()
}
