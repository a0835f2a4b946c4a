//! The process that keeps a session waiting for the next run: it saves a round trip, and is never in anybody's way.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use rustix::process::Signal;

use crate::installation::process::{contains, send};
use crate::installation::{
    ANSWER_WITHIN, CLEAN_WITHIN, Deadline, Ended, Installation, Process, entries, eventually,
    processes,
};
use crate::site::Site;

/// Every guard of a run on the boxes of the site.
fn guards(site: &Site) -> BTreeSet<PathBuf> {
    let jobs = entries(&site.at("work")).flat_map(|it| entries(&it.join(".lease/jobs")));
    jobs.map(|it| it.join("start")).filter(|it| it.exists()).collect()
}

/// The process on the box that a guard names.
fn named_by(guard: &PathBuf) -> Option<u32> {
    fs::read_to_string(guard).ok()?.split(' ').nth(1)?.parse().ok()
}

/// The processes on this machine whose script waits, or has waited, for the parameters of a run.
fn shells() -> BTreeSet<u32> {
    let waits = |it: &Process| contains(&it.command_line, b"lease-spare $2");
    processes().iter().filter(|it| waits(it)).map(|it| it.pid).collect()
}

fn keeper(site: &Site) -> Option<Process> {
    let found = site.installation.processes();
    found.into_iter().find(|it| contains(&it.command_line, b"\0keeper\0"))
}

/// Whether that process has said that it is the keeper of a lease; until then it holds nothing that could be in a way.
fn is_posted(site: &Site, pid: u32) -> bool {
    let says =
        |it: PathBuf| fs::read_to_string(it).is_ok_and(|text| text.starts_with(&format!("{pid} ")));
    let mut posts = entries(&site.installation.runtime());
    posts.any(|it| it.extension().is_some_and(|it| it == "keeper") && says(it))
}

/// Waits for another keeper than that one.
#[track_caller]
fn keeper_beside(site: &Site, old: Option<u32>) -> Process {
    let mut found = None;
    let within = Deadline::after(ANSWER_WITHIN);
    let came = eventually(within, || {
        found = keeper(site).filter(|it| Some(it.pid) != old && is_posted(site, it.pid));
        found.is_some()
    });
    assert!(came.is_ok(), "no keeper came");
    found.unwrap()
}

/// A lease that a first run has synced.
fn warm() -> Site {
    let site = Site::machines();
    let acquired = site.lease(&["acquire", "--slug", "calm-otter"]);
    assert_eq!(acquired.code, 0, "{}", acquired.stderr);
    let mut first = site.command(&["run", "--id", "calm-otter", "--", "cat", "a.txt"]);
    let first = Ended::of(&first.env("HCLOUD_TOKEN", "planted-7d").output().unwrap());
    assert_eq!((first.code, first.stdout.as_slice()), (0, &b"a\n"[..]), "{}", first.stderr);
    site
}

/// Runs a script until a run took a session that had waited, and says which process that was.
fn over_a_waiting_session(site: &Site, script: &str) -> u32 {
    let mut took = None;
    let within = Deadline::after(ANSWER_WITHIN);
    let found = eventually(within, || {
        let (waiting, before) = (shells(), guards(site));
        let ended = site.lease(&["run", "--id", "calm-otter", "--", "sh", "-c", script]);
        assert_eq!(ended.code, 5, "{}", ended.stderr);
        let new: Vec<_> = guards(site).difference(&before).cloned().collect();
        assert_eq!(new.len(), 1, "{new:?}");
        took = named_by(&new[0]).filter(|it| waiting.contains(it));
        took.is_some()
    });
    assert!(found.is_ok(), "no run took a session that waited");
    took.unwrap()
}

#[test]
fn a_run_finds_the_session_that_an_earlier_one_left_waiting_and_a_release_ends_it() {
    let site = warm();
    let keeper = keeper_beside(&site, None);
    let shown = fs::read(format!("/proc/{}/environ", keeper.pid)).unwrap();
    assert!(!contains(&shown, b"planted") && !contains(&keeper.command_line, b"planted"));
    let took = over_a_waiting_session(&site, "exit 5");
    fs::write(site.installation.tree().join("a.txt"), "changed\n").unwrap();
    let next = over_a_waiting_session(&site, "[ \"$(cat a.txt)\" = changed ] && exit 5");
    assert_ne!(took, next, "a session serves one run");
    let released = site.lease(&["release", "calm-otter"]);
    assert_eq!(released.code, 0, "{}", released.stderr);
    site.assert_clean();
}

#[test]
fn a_keeper_that_is_killed_or_stopped_holds_neither_a_run_nor_a_release_up() {
    let site = warm();
    let first = keeper_beside(&site, None);
    over_a_waiting_session(&site, "exit 5");
    send(first.pid, Signal::KILL);
    let ended = site.lease(&["run", "--id", "calm-otter", "--", "cat", "src/b.txt"]);
    assert_eq!((ended.code, ended.stdout.as_slice()), (0, &b"b\n"[..]), "{}", ended.stderr);
    let second = keeper_beside(&site, Some(first.pid));
    send(second.pid, Signal::STOP);
    let ended = site.lease(&["run", "--id", "calm-otter", "--", "cat", "src/b.txt"]);
    assert_eq!((ended.code, ended.stdout.as_slice()), (0, &b"b\n"[..]), "{}", ended.stderr);
    let released = site.lease(&["release", "calm-otter"]);
    assert_eq!(released.code, 0, "{}", released.stderr);
    site.assert_clean();
}

/// Starts a command that goes on until it is let, over a session that waited if one does, and waits until it runs.
fn begun(site: &Site) -> Child {
    let script =
        "echo begun; touch ../begun; while [ ! -e ../go ]; do sleep 0.05; done; echo done; exit 9";
    let mut client = site.command(&["run", "--id", "calm-otter", "--", "sh", "-c", script]);
    let client = client.stdin(Stdio::null()).spawn().unwrap();
    let is_there = || entries(&site.at("work")).any(|it| it.join("begun").exists());
    assert!(eventually(Deadline::after(ANSWER_WITHIN), is_there).is_ok());
    client
}

fn let_go(site: &Site) {
    for root in entries(&site.at("work")) {
        fs::write(root.join("go"), "").unwrap();
    }
}

#[test]
fn a_command_over_a_waiting_session_outlives_its_keeper_and_its_client() {
    let site = warm();
    let first = keeper_beside(&site, None);
    over_a_waiting_session(&site, "exit 5");
    let client = begun(&site);
    send(first.pid, Signal::KILL);
    let_go(&site);
    let ended = Ended::wait(client);
    assert_eq!(
        (ended.code, ended.stdout.as_slice()),
        (9, &b"begun\ndone\n"[..]),
        "{}",
        ended.stderr
    );
    for root in entries(&site.at("work")) {
        for name in ["begun", "go"] {
            fs::remove_file(root.join(name)).unwrap();
        }
    }
    keeper_beside(&site, Some(first.pid));
    over_a_waiting_session(&site, "exit 5");
    let mut client = begun(&site);
    client.kill().unwrap();
    client.wait().unwrap();
    let mut next = site.command(&["attach", "calm-otter"]);
    let next = next.spawn().unwrap();
    let_go(&site);
    let ended = Ended::wait(next);
    assert_eq!(
        (ended.code, ended.stdout.as_slice()),
        (9, &b"begun\ndone\n"[..]),
        "{}",
        ended.stderr
    );
    let released = site.lease(&["release", "calm-otter"]);
    assert_eq!(released.code, 0, "{}", released.stderr);
    site.assert_clean();
}

#[test]
fn no_session_waits_where_the_setting_says_so_or_the_box_is_here() {
    let site = Site::machines();
    assert_eq!(site.lease(&["acquire", "--slug", "calm-otter"]).code, 0);
    let mut run = site.command(&["run", "--id", "calm-otter", "--", "true"]);
    let run = Ended::of(&run.env("LEASE_RUN_SPARE", "none").output().unwrap());
    assert_eq!((run.code, keeper(&site).is_none()), (0, true), "{}", run.stderr);
    assert_eq!(site.lease(&["release", "calm-otter"]).code, 0);
    site.assert_clean();
    let here = Installation::new();
    assert_eq!(here.lease(["acquire", "--slug", "calm-otter"]).code, 0);
    assert_eq!(here.lease(["run", "--id", "calm-otter", "--", "true"]).code, 0);
    let keeps = |it: &Process| contains(&it.command_line, b"\0keeper\0");
    assert!(!here.processes().iter().any(keeps));
    assert_eq!(here.lease(["release", "calm-otter"]).code, 0);
    here.await_clean(Deadline::after(CLEAN_WITHIN)).unwrap();
}
