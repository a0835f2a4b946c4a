//! Commands that are started to go on alone.

use std::fs;

use crate::installation::{ANSWER_WITHIN, Deadline, Ended, eventually};
use crate::place::{Place, errors, expected, numbered};

#[test]
fn a_detached_run_is_attached_logged_and_remembered() {
    let place = Place::new(&[]);
    let (out, err) = expected();
    let script = format!("while [ ! -e go ]; do sleep 0.05; done; {}", numbered(100));
    let arguments = ["run", "--detach", "--id", "named", "--", "sh", "-c", &script];
    let ended = place.installation.lease(arguments);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let run = String::from_utf8(ended.stdout).unwrap().trim_end().to_owned();
    assert_eq!(place.last()["id"], run.as_str());
    assert_eq!(place.last()["exit"], serde_json::Value::Null);
    assert_eq!(place.installation.lease(["logs", &run]).stdout, b"", "it has printed nothing yet");
    let attached = place.installation.command(["attach", "named"]).spawn().unwrap();
    let logging = place.installation.command(["logs", "--follow", &run]).spawn().unwrap();
    fs::write(place.work().join("go"), "").unwrap();
    let (attached, logged) = (Ended::wait(attached), Ended::wait(logging));
    assert_eq!((attached.code, logged.code), (7, 0), "{} {}", attached.stderr, logged.stderr);
    assert!(attached.stdout == out && logged.stdout == out);
    assert_eq!((errors(&attached), errors(&logged)), (err.clone(), err));
    assert_eq!(place.last()["exit"], 7);
    assert!(place.installation.lease(["logs", &run]).stdout == out);
    assert_eq!(place.starts(), "x\n");
    place.end();
}

#[test]
fn the_logs_of_a_run_whose_client_died_are_fetched_from_the_box() {
    let place = Place::new(&[]);
    let script = "echo x >>started; echo first; while [ ! -e go ]; do sleep 0.05; done; echo last";
    let mut client = place.client(script);
    let run = place.begun();
    client.kill().unwrap();
    client.wait().unwrap();
    let logs = || place.installation.lease(["logs", &run]).stdout;
    assert_eq!(logs(), b"first\n");
    fs::write(place.work().join("go"), "").unwrap();
    let is_complete = || logs() == b"first\nlast\n";
    eventually(Deadline::after(ANSWER_WITHIN), is_complete).unwrap();
    let is_known = || {
        drop(logs());
        place.last()["exit"] == 0
    };
    eventually(Deadline::after(ANSWER_WITHIN), is_known).unwrap();
    assert_eq!(logs(), b"first\nlast\n", "it is recorded here as a whole");
    place.end();
}

#[test]
fn a_detached_run_is_no_idle_lease_until_its_end_is_known() {
    let place = Place::new(&["--idle-timeout", "1s"]);
    let script =
        "echo x >>started; i=0; while [ $i -lt 40 ]; do i=$((i+1)); sleep 0.1; done; exit 3";
    let arguments = ["run", "--detach", "--no-sync", "--id", "named", "--", "sh", "-c", script];
    assert_eq!(place.installation.lease(arguments).code, 0);
    let show = place.installation.json(&["show", "named"]);
    assert_eq!(show["details"]["idle_ms"], serde_json::Value::Null, "{show}");
    assert_ne!(show["lease"]["ends_at"], serde_json::Value::Null, "nothing would ever end it");
    let run = &show["details"]["runs"][0];
    assert_eq!((&run["command"][0], &run["client"]), (&"sh".into(), &"dead".into()), "{show}");
    // It runs for four idle limits, and is still there when it ends.
    let ended = place.installation.lease(["attach"]);
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    place.installation.assert_clean();
}

#[test]
fn a_detached_run_needs_a_box_that_stays() {
    let place = Place::new(&[]);
    let ended = place.installation.lease(["run", "--detach", "--", "true"]);
    assert_eq!(ended.code, 125, "{}", ended.stderr);
    assert!(ended.failure().contains("--id or --keep"), "{}", ended.stderr);
    place.end();
}

#[test]
fn the_limits_of_a_lease_come_back_as_they_were() {
    for options in [["none", "none"], ["7m", "none"], ["7m", "3h"]] {
        let [idle, age] = options;
        let place = Place::new(&["--idle-timeout", idle, "--max-age", age]);
        let before = limits(&place);
        let script = "while [ ! -e go ]; do sleep 0.05; done; exit 3";
        let run = || {
            let words = ["run", "--detach", "--no-sync", "--id", "named", "--", "sh", "-c", script];
            let ended = place.installation.lease(words);
            assert_eq!(ended.code, 0, "{}", ended.stderr);
            String::from_utf8(ended.stdout).unwrap().trim_end().to_owned()
        };
        let (first, second) = (run(), run());
        let during = limits(&place);
        assert_eq!(during.0, serde_json::Value::Null, "{options:?}");
        let is_bounded = during.1 != serde_json::Value::Null;
        assert_eq!(is_bounded, options != ["none", "none"], "{options:?}");
        fs::write(place.work().join("go"), "").unwrap();
        assert_eq!(place.installation.lease(["attach", &first]).code, 3);
        assert_eq!(limits(&place).0, serde_json::Value::Null, "{options:?}: another goes on");
        assert_eq!(place.installation.lease(["attach", &second]).code, 3);
        assert_eq!(limits(&place), before, "{options:?}");
        place.end();
    }
}

#[test]
fn what_a_person_says_of_the_limits_meanwhile_counts() {
    let place = Place::new(&["--idle-timeout", "7m"]);
    let script = "while [ ! -e go ]; do sleep 0.05; done; exit 3";
    let words = ["run", "--detach", "--no-sync", "--id", "named", "--", "sh", "-c", script];
    assert_eq!(place.installation.lease(words).code, 0);
    assert_eq!(place.installation.lease(["touch", "named", "--idle-timeout", "none"]).code, 0);
    let said = limits(&place);
    fs::write(place.work().join("go"), "").unwrap();
    assert_eq!(place.installation.lease(["attach"]).code, 3);
    assert_eq!(limits(&place), said);
    place.end();
}

#[test]
fn a_detached_start_that_fails_leaves_the_limits_as_they_were() {
    let place = Place::new(&["--idle-timeout", "7m", "--max-age", "none"]);
    let before = limits(&place);
    // Where the tree would be there is something else; where the records would be, too.
    let words = ["run", "--detach", "--no-sync", "--id", "named", "--", "true"];
    drop(fs::remove_dir_all(place.work()));
    fs::write(place.work(), "").unwrap();
    let refused = place.installation.lease(words);
    let jobs = place.work().with_file_name(".lease").join("jobs");
    fs::remove_dir_all(&jobs).unwrap();
    fs::write(&jobs, "").unwrap();
    for ended in [refused, place.installation.lease(words)] {
        assert_eq!(ended.code, 125, "{}", ended.stderr);
        assert!(ended.failure().contains("the command was not started"), "{}", ended.stderr);
        assert_eq!(limits(&place), before);
    }
    place.end();
}

/// The idle limit and the end of the lease.
fn limits(place: &Place) -> (serde_json::Value, serde_json::Value) {
    let show = place.installation.json(&["show", "named"]);
    (show["details"]["idle_ms"].clone(), show["details"]["expires_at"].clone())
}
