//! The client is killed: at system calls, before and after their effect, and at moments that the outside can see. After
//! each kill nothing of that installation may be left, and nothing of anybody else may be touched.
//!
//! The summary is printed, and written to the file that `LEASE_KILL_REPORT` names.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is the test"
)]

mod attempt;
mod call;
#[path = "../installation/mod.rs"]
#[expect(dead_code, reason = "each target uses a part of it")]
mod installation;
mod moment;
mod neighbour;
mod report;
mod trial;

use std::sync::Mutex;
use std::time::Duration;

use attempt::Attempt;
use installation::{Deadline, Installation};
use neighbour::{Neighbour, Planted};
use report::Report;
use trial::Trial;

/// How many clients are killed at once.
const WORKERS: usize = 3;

#[test]
fn a_killed_client_leaves_nothing_and_touches_nothing_foreign() {
    let neighbour = Neighbour::move_in();
    let attempts = Attempt::all();
    let kills = attempts.len();
    let report = run_all(attempts, &neighbour);
    println!("{report}");
    report.write_where_asked();
    neighbour.assert_untouched();

    let killed = kills - report.missed();
    assert!(killed >= 250, "only {killed} clients were killed");
    for phase in ["acquire", "sync", "run", "release"] {
        assert!(report.killed_during(phase) >= 10, "too few clients were killed during {phase}");
    }
    // The calls of two runs are not numbered alike to the last one, so a few kills come too late; on a busy machine
    // more of those in the thread that removes the box.
    assert!(report.missed() * 10 < kills, "too many kills did not happen: {}", report.missed());
    assert!(report.problems().is_empty(), "{}", report.problems().join("\n"));
}

#[test]
fn what_is_touched_or_left_is_seen() {
    let neighbour = Neighbour::move_in();
    for touch in [Planted::write, Planted::end_process] {
        let mut installation = Installation::new();
        let mut planted = neighbour.plant(&mut installation);
        assert_eq!((planted.check(), installation.residue()), (Ok(()), Vec::new()));
        touch(&mut planted);
        planted.check().unwrap_err();
    }
    let installation = Installation::new();
    let mut stray = installation.process("sleep").arg("60").spawn().unwrap();
    let left = installation.await_clean(Deadline::after(Duration::ZERO)).unwrap_err();
    assert!(left.contains("sleep 60"), "{left}");
    stray.kill().unwrap();
    stray.wait().unwrap();
    installation.assert_clean();
    neighbour.assert_untouched();
}

/// Makes all attempts, a few at a time, and waits for the last reapers.
fn run_all(attempts: Vec<Attempt>, neighbour: &Neighbour) -> Report {
    let attempts = Mutex::new(attempts.into_iter());
    let lingering: Mutex<Vec<Trial<'_>>> = Mutex::new(Vec::new());
    let report = Mutex::new(Report::default());
    let work = || loop {
        let next = attempts.lock().unwrap().next();
        let Some(attempt) = next else { return };
        let mut trial = Trial::begin(neighbour);
        let verdict = trial.conduct(&attempt);
        report.lock().unwrap().add(verdict);
        lingering.lock().unwrap().push(trial);
        dismiss(&lingering, &report);
    };
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(work);
        }
    });
    let mut last = lingering.into_inner().unwrap();
    while let Some(trial) = last.pop() {
        let silent = trial.await_silence();
        report.lock().unwrap().add_silence(trial.label(), silent);
    }
    report.into_inner().unwrap()
}

/// Ends the trials whose reaper is gone, or should be.
fn dismiss(lingering: &Mutex<Vec<Trial<'_>>>, report: &Mutex<Report>) {
    let all = std::mem::take(&mut *lingering.lock().unwrap());
    for trial in all {
        if trial.is_silent() {
            continue;
        }
        if trial.is_overdue() {
            report.lock().unwrap().add_silence(trial.label(), trial.await_silence());
        } else {
            lingering.lock().unwrap().push(trial);
        }
    }
}
