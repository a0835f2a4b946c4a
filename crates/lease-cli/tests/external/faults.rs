//! Clients that die and answers that make no sense: what was acquired is given back all the same.

use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;

use rustix::process::Signal;

use crate::installation::process::send;
use crate::installation::{ANSWER_WITHIN, CLEAN_WITHIN, Deadline, eventually};
use crate::site::Site;

/// How many moments of a run a client is killed at, at the least.
const KILLS_MIN: usize = 10;

#[test]
fn a_client_that_is_killed_anywhere_in_an_acquire_leaves_nothing() {
    let honest = Site::machines();
    assert_eq!(honest.lease(&["run", "--no-sync", "--", "true"]).code, 0);
    let log = honest.log();
    honest.assert_clean();
    // The command runs after the last look at the machine; what is before it belongs to the acquire.
    let release = log.iter().position(|it| it == "release").unwrap();
    assert!(release >= KILLS_MIN, "{log:?}");
    let mut struck = BTreeSet::new();
    // From the end, where a machine exists, back towards the beginning.
    for moment in (1..=release).rev().take(KILLS_MIN + 4) {
        let site = Site::machines();
        fs::write(site.at("adapter/strike"), moment.to_string()).unwrap();
        let ended = site.lease(&["run", "--no-sync", "--", "true"]);
        // A run that asks less often than the honest one did, or ends a question early, may be over before its moment.
        if ended.code == 128 + Signal::KILL.as_raw() {
            struck.insert(moment);
        } else {
            assert_eq!(ended.code, 0, "{moment}: {}", ended.stderr);
        }
        // Half of them are left to the reaper alone.
        if moment % 2 == 0 {
            let cleaned = site.lease(&["cleanup"]);
            assert!(matches!(cleaned.code, 0 | 125), "{}", cleaned.stderr);
        }
        site.assert_clean();
    }
    assert!(struck.len() >= KILLS_MIN, "{struck:?} of {log:?}");
}

#[test]
fn an_answer_that_cannot_be_used_loses_no_lease() {
    for deaf in [false, true] {
        let site = Site::machines();
        fs::write(site.at("adapter/garble"), "").unwrap();
        if deaf {
            fs::write(site.at("adapter/deaf"), "").unwrap();
        }
        let ended = site.lease(&["run", "--no-sync", "--", "echo", "ran"]);
        assert!(!site.at("adapter/garble").exists());
        let log = site.log();
        let after: Vec<_> = log.iter().skip_while(|it| *it != "acquire done").collect();
        assert!(after.iter().any(|it| *it == "release"), "{log:?}");
        assert!(after.iter().any(|it| *it == "list"), "{log:?}");
        // What was given back at once cannot be run on; what could not be is found by the list and is.
        assert!(matches!(ended.code, 0 | 125), "{}", ended.stderr);
        if ended.code == 125 {
            assert!(ended.failure().contains("acquire"), "{}", ended.stderr);
        }
        site.assert_clean();
    }
}

#[test]
fn the_reaper_gives_back_what_a_killed_client_ran_on() {
    let site = Site::machines();
    let mut command =
        site.command(&["run", "--no-sync", "--", "sh", "-c", "echo up; exec sleep 600"]);
    let mut client = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    eventually(Deadline::after(ANSWER_WITHIN), || {
        site.installation.leases().iter().any(|it| it["phase"] == "ready")
    })
    .unwrap();
    assert_eq!(site.left().len(), 1);
    send(client.id(), Signal::KILL);
    assert!(!client.wait().unwrap().success());
    site.assert_clean();
}

#[test]
fn the_reaper_gives_back_what_is_over() {
    let site = Site::machines();
    let acquired = site.lease(&["acquire", "--slug", "calm-otter", "--max-age", "1h"]);
    assert_eq!(acquired.code, 0, "{}", acquired.stderr);
    assert_eq!(site.lease(&["touch", "calm-otter", "--max-age", "1ms"]).code, 0);
    eventually(Deadline::after(CLEAN_WITHIN), || site.left().is_empty()).unwrap();
    site.assert_clean();
}
