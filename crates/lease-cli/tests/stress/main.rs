//! Several actors on one state directory: five hundred commands of eight processes at once, and the four meetings that
//! must have one winner each.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is the test")]

mod actor;
mod chance;
#[path = "../installation/mod.rs"]
#[expect(dead_code, reason = "each target uses a part of it")]
mod installation;
mod meeting;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use actor::Tally;
use chance::Chance;
use installation::{ANSWER_WITHIN, Deadline, Installation, eventually};

const ACTORS: u64 = 8;
const COMMANDS: usize = 500;
const SEED: u64 = 0x6c65_6173_6531;

#[test]
fn eight_processes_and_five_hundred_commands_corrupt_nothing() {
    println!("seed {SEED:#x}");
    let installation = Installation::new();
    let left = AtomicUsize::new(COMMANDS);
    let problems = Mutex::new(Vec::new());
    let tally = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for actor in 0..ACTORS {
            let (installation, left, problems, tally) = (&installation, &left, &problems, &tally);
            scope.spawn(move || {
                let mut chance = Chance::new(SEED + actor);
                while take(left) {
                    let done = actor::act(installation, &mut chance);
                    tally.lock().unwrap().count(&done);
                    problems.lock().unwrap().extend(done.problem);
                }
            });
        }
    });
    println!("{}", tally.lock().unwrap());
    let problems = problems.into_inner().unwrap();
    assert!(problems.is_empty(), "seed {SEED:#x}:\n{}", problems.join("\n"));
    tally.into_inner().unwrap().assert_varied();

    give_everything_back(&installation);
    installation.assert_clean();
    assert_eq!(installation.json(&["cleanup", "--dry-run"])["steps"], serde_json::json!([]));
}

fn take(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |it| it.checked_sub(1)).is_ok()
}

/// Releases all that is not kept, and then what is kept, by name. The reaper may be at some of them at that moment.
fn give_everything_back(installation: &Installation) {
    let given = eventually(Deadline::after(ANSWER_WITHIN), || {
        let all = installation.lease(["release", "--all"]);
        assert!(matches!(all.code, 0 | 125), "{}", all.stderr);
        for lease in installation.leases() {
            let slug = lease["slug"].as_str().unwrap();
            let one = installation.lease(["release", slug]);
            assert!(matches!(one.code, 0 | 125), "{}", one.stderr);
        }
        installation.leases().is_empty()
    });
    given.unwrap_or_else(|()| panic!("still leased: {:?}", installation.leases()));
}
