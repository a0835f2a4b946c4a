//! Children that are streamed with: their streams, their groups, their identities.

use std::time::Duration;

use lease_process::{
    Exit, Input, Liveness, ProcessIdentity, ProcessState, ProcessTable, Program, Signal, liveness,
    spawn, wait,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{Mark, PATIENCE};

#[tokio::test]
async fn streams_carry_both_ways() {
    let mut child = spawn(&Program::new("cat").stdin(Input::Pipe)).unwrap();
    let (mut stdin, mut stdout) = (child.take_stdin().unwrap(), child.take_stdout().unwrap());
    assert!(child.take_stdin().is_none());
    let mut echoed = [0; 4];
    stdin.write_all(b"ping").await.unwrap();
    stdout.read_exact(&mut echoed).await.unwrap();
    assert_eq!(&echoed, b"ping");
    assert_eq!(child.try_wait().unwrap(), None);
    drop(stdin);
    assert_eq!(child.wait().await.unwrap(), Exit::Code(0));
    assert_eq!(child.wait().await.unwrap(), Exit::Code(0), "asking twice gives the same answer");
    assert_eq!(child.try_wait().unwrap(), Some(Exit::Code(0)));
}

#[tokio::test]
async fn a_zombie_is_dead_and_so_is_a_gone_process() {
    let mut child = spawn(&Program::new("cat").stdin(Input::Pipe)).unwrap();
    let pid = child.pid();
    let identity = ProcessIdentity::of(pid).unwrap().unwrap();
    assert_eq!(liveness(&identity), Liveness::Alive);
    child.signal(Signal::Stop).unwrap();
    let stopped = || {
        let table = ProcessTable::read().unwrap();
        table.get(pid).is_some_and(|process| process.state == ProcessState::Stopped)
    };
    assert!(wait::until(PATIENCE, Duration::from_millis(5), stopped).await);
    assert_eq!(liveness(&identity), Liveness::Alive, "a stopped process is not dead");
    child.signal(Signal::Continue).unwrap();
    drop(child.take_stdin());
    child.wait().await.unwrap();
    let table = ProcessTable::read().unwrap();
    assert_eq!(table.get(pid).map(|process| process.state), Some(ProcessState::Zombie));
    assert_eq!(liveness(&identity), Liveness::Dead);
    assert_eq!(ProcessIdentity::of(pid).unwrap(), None);
    drop(child);
    let reaped = || {
        ProcessTable::read().unwrap().get(pid).is_none_or(|process| process.start != identity.start)
    };
    assert!(wait::until(PATIENCE, Duration::from_millis(5), reaped).await);
    assert_eq!(liveness(&identity), Liveness::Dead);
}

#[tokio::test]
async fn a_signal_reaches_the_grandchildren() {
    let mark = Mark::new();
    let child = spawn(&mark.shell("sleep 1000 & sleep 1000 & wait")).unwrap();
    mark.wait_for(3).await;
    child.signal(Signal::Terminate).unwrap();
    assert_eq!(child.wait().await.unwrap(), Exit::Signal(Signal::Terminate.number()));
    mark.wait_for(0).await;
    child.signal(Signal::Terminate).unwrap();
}

#[tokio::test]
async fn dropping_ends_the_group_also_when_the_leader_has_ended() {
    let mark = Mark::new();
    let child = spawn(&mark.shell("sleep 1000 & sleep 1000 & wait")).unwrap();
    mark.wait_for(3).await;
    drop(child);
    mark.wait_for(0).await;

    let child = spawn(&mark.shell("sleep 1000 & exit 3")).unwrap();
    assert_eq!(child.wait().await.unwrap(), Exit::Code(3));
    mark.wait_for(1).await;
    drop(child);
    mark.wait_for(0).await;
}

#[tokio::test]
async fn stopping_asks_first_and_kills_then() {
    let mark = Mark::new();
    let polite = "trap 'exit 5' TERM; echo ready; while :; do sleep 0.01; done";
    let stubborn = "trap '' TERM; echo ready; while :; do sleep 0.01; done";
    for (script, grace, expect) in [
        (polite, PATIENCE, Exit::Code(5)),
        (stubborn, Duration::from_millis(50), Exit::Signal(Signal::Kill.number())),
    ] {
        let mut child = spawn(&mark.shell(script)).unwrap();
        let mut ready = [0; 6];
        child.take_stdout().unwrap().read_exact(&mut ready).await.unwrap();
        assert_eq!(child.stop(grace).await.unwrap(), expect);
        mark.wait_for(0).await;
    }
}

#[tokio::test]
async fn a_child_in_our_group_is_killed_alone() {
    let mark = Mark::new();
    let child = spawn(&mark.put_on(Program::new("sleep").arg("1000")).in_our_group()).unwrap();
    mark.wait_for(1).await;
    let table = ProcessTable::read().unwrap();
    let own = table.get(lease_process::Pid::current()).unwrap();
    assert_eq!(table.get(child.pid()).unwrap().pgid, own.pgid);
    drop(child);
    mark.wait_for(0).await;
}
