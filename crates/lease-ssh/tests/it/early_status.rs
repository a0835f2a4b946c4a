//! A command's status travels ahead of its output: a connection that is lost in between has told the status and half of the
//! output, which must not pass for all of it.

use std::fs;

use lease_ssh::{Command, JobState, Outcome, Relays, Sinks, Streams};
use tokio::io::AsyncReadExt as _;

use crate::fixture::{Box, LEASE, sh};
use crate::jobs::{Victim, kill, quiet_box, until};

/// More than a pipe holds, and no more than the connection's process takes while nobody reads: it has the status then, and
/// a part of the output.
const BYTES: usize = 1_800_000;
/// More than is on this side of the connection's process.
const FIRST_BYTES_MAX: usize = 1_400_000;

fn command() -> Command {
    sh(&format!("echo x >>started; head -c {BYTES} /dev/zero >&2; exit 7"))
}

/// Kills the connection's process when it must have the status of what ran.
async fn kill_late(it: &Box, run: &str) {
    let status = it.at("box/.lease/jobs").join(run).join("exit");
    until(|| fs::read(&status).is_ok_and(|it| it.starts_with(b"=7\n"))).await;
    // Its answers to these are behind the status.
    for _ in 0..5 {
        it.client.resume(LEASE).await.unwrap().unwrap().check().await.unwrap();
    }
    assert!(kill(it, run, Victim::Master).await);
}

#[tokio::test]
async fn half_an_output_is_told_from_all_of_it() {
    let it = quiet_box().await;
    let session = it.ready().await;
    let mut running = session.start(&it.root, "r", &command(), Streams::default()).await.unwrap();
    let mut stderr = running.take_stderr().unwrap();
    kill_late(&it, "r").await;
    let mut seen = Vec::new();
    let (read, outcome) = tokio::join!(stderr.read_to_end(&mut seen), running.wait());
    read.unwrap();
    assert!(seen.len() < BYTES, "all of it had arrived before the cut");
    let Outcome::TransportLost { job, .. } = outcome.unwrap() else { panic!("a loss is an end") };
    assert_eq!(job, Some(JobState::Finished(7)));
    it.end().await;
}

#[tokio::test]
async fn the_other_half_is_fetched_whatever_carried_the_first_i15() {
    let it = quiet_box().await;
    let session = it.ready().await;
    let (near, mut far) = tokio::io::duplex(64);
    let mut sinks = Sinks::new(tokio::io::sink(), near);
    let run = async {
        let none = tokio::io::empty();
        let place = (&it.root, "r");
        let lost = session.run_into(place, &command(), none, &mut sinks).await.unwrap();
        assert!(matches!(lost, Outcome::TransportLost { job: None, .. }), "{lost:?}");
        let ended = session.take_up(place, Relays::End, &mut sinks).await.unwrap();
        drop(sinks);
        ended
    };
    let mut seen = Vec::new();
    let read = async {
        // First what carries the new command is cut, then what follows its log.
        kill_late(&it, "r").await;
        let mut some = vec![0; FIRST_BYTES_MAX];
        far.read_exact(&mut some).await.unwrap();
        kill_late(&it, "r").await;
        seen.extend(some);
        far.read_to_end(&mut seen).await.unwrap();
    };
    let (outcome, ()) = tokio::join!(run, read);
    assert_eq!((outcome, seen.len()), (Outcome::Finished(7), BYTES));
    assert_eq!(fs::read_to_string(it.work().join("started")).unwrap(), "x\n");
    it.end().await;
}
