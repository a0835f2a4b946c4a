//! The client is killed while it works at an emulated cloud: at every request, on both sides of its effect, and at system
//! calls all over the run. After each kill nothing of ours may be left there or here, nobody may have had two machines,
//! and what is somebody else's may not have been touched. Where the records are lost as well, the cloud's own marks lead
//! a person to everything that is left.
//!
//! The summary is printed, and written to the file that `LEASE_KILL_REPORT` names.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is the test")]

mod attempt;
mod honest;
#[path = "../installation/mod.rs"]
#[expect(dead_code, reason = "each target uses a part of it")]
mod installation;
mod lost;
mod place;
mod report;
#[path = "../clouds/site.rs"]
#[expect(dead_code, reason = "each target uses a part of it")]
mod site;
mod strike;
mod trial;

use std::sync::Mutex;

use lease_emulator::Cloud as _;
use lease_emulator::fal::FalCloud;
use lease_emulator::hetzner::Hetzner;

use attempt::{Attempt, Life, Records};
use honest::Honest;
use place::Place;
use report::{Report, Verdict};
use trial::Trial;

/// How many clients are killed at once. Most of a trial is waiting.
const WORKERS: usize = 5;
/// At how many system calls of a run at each cloud the client is killed.
const CALLS: usize = 110;
/// How many reapers may need more than ten seconds.
const LATE_MAX: usize = 10;

#[test]
fn a_client_that_is_killed_at_a_cloud_leaves_nothing_and_touches_nothing_foreign() {
    let (hetzner, fal) = (Honest::<Hetzner>::watch(), Honest::<FalCloud>::watch());
    let attempts: Vec<_> = hetzner.attempts().into_iter().chain(fal.attempts()).collect();
    let report = run_all(attempts);
    println!("{report}");
    report.write_where_asked();
    for provider in [Hetzner::NAME, FalCloud::NAME] {
        let (points, killed) = report.kills_at(provider);
        let traced = report.kills_at(&format!("{provider} run, at a system call")).1;
        assert!(traced >= 100, "{provider}: only {traced} clients were killed at system calls");
        // Runs differ by a few requests and calls, so some kills come too late.
        assert!((points - killed) * 10 < points, "{provider}: killed {killed} of {points}");
    }
    // A machine that stands still for seconds, because others use it, is no fault of the reaper.
    assert!(report.late() <= LATE_MAX, "{} reapers needed more than ten seconds", report.late());
    assert!(report.problems().is_empty(), "{}", report.problems().join("\n"));
}

#[test]
fn what_is_left_or_touched_or_doubled_is_seen() {
    let check = |spoil: &dyn Fn(&Trial<FalCloud>), expected: [bool; 3]| {
        let trial = Trial::<FalCloud>::begin();
        trial.prepare(Life::Release);
        spoil(&trial);
        let found = [trial.look().is_err(), trial.foreign().is_err(), trial.second().is_err()];
        assert_eq!(found, expected);
    };
    let release = |trial: &Trial<FalCloud>, slug: &str| {
        assert_eq!(trial.site.lease(&["-q", "release", slug]).code, 0);
    };
    check(&|trial| release(trial, "one-oak"), [false; 3]);
    check(&|_| {}, [true, false, false]);
    let touch = |trial: &Trial<FalCloud>| {
        release(trial, "one-oak");
        let theirs = trial.site.cloud.ledger().into_iter().find(|it| it.foreign).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(trial.site.cloud.inner().end(&theirs.id));
    };
    check(&touch, [false, true, false]);
    let double = |trial: &Trial<FalCloud>| {
        assert_eq!(trial.site.lease(&["-q", "acquire", "--slug", "two-oak"]).code, 0);
        release(trial, "one-oak");
        release(trial, "two-oak");
    };
    check(&double, [false, false, true]);
}

/// Makes all attempts, a few at a time.
fn run_all(attempts: Vec<Attempt>) -> Report {
    let attempts = Mutex::new(attempts.into_iter());
    let report = Mutex::new(Report::default());
    let work = || loop {
        let next = attempts.lock().unwrap().next();
        let Some(attempt) = next else { return };
        let verdict = match attempt.provider {
            Hetzner::NAME => conduct::<Hetzner>(&attempt),
            _ => conduct::<FalCloud>(&attempt),
        };
        report.lock().unwrap().add(verdict);
    };
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(work);
        }
    });
    report.into_inner().unwrap()
}

fn conduct<C: Place>(attempt: &Attempt) -> Verdict {
    let trial = Trial::<C>::begin();
    match attempt.records {
        Records::Stay => trial.conduct(attempt),
        Records::AreLost => lost::conduct(&trial, attempt),
    }
}
