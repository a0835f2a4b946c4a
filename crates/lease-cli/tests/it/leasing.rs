//! Real boxes on this machine: acquired, kept, cleaned up and released through the command line.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::home::{Ended, Home, json, names};
use crate::schemas::{check, fits};
use crate::wait::{Deadline, eventually};

/// Nothing is left of any lease, and nobody watches any more.
#[track_caller]
fn assert_nothing_is_left(home: &Home) {
    assert!(names(&home.path("state/leases")).is_empty());
    assert!(names(&home.path("state/keys")).is_empty());
    let boxes: Vec<_> =
        names(&home.path("state/boxes")).into_iter().filter(|it| it.starts_with("lse-")).collect();
    assert!(boxes.is_empty(), "{boxes:?}");
    home.wait_for_the_reaper();
}

#[track_caller]
fn outcome(ended: &Ended, number: usize) -> String {
    json(&ended.stdout)["leases"][number]["outcome"].as_str().unwrap().to_owned()
}

#[test]
fn a_lease_from_acquire_to_release() {
    let home = Home::new();
    check(&home, "acquire --slug calm-otter --max-age 1h", "lease.lease/1");
    let listed = json(&home.lease("list --json").good());
    assert_eq!(listed["leases"][0]["slug"], "calm-otter");
    assert_eq!(listed["leases"][0]["phase"], "ready");
    check(&home, "show calm-otter", "lease.show/1");
    fs::write(home.path("repo/file"), "x").unwrap();
    check(&home, "sync calm-otter --dry-run", "lease.sync/1");
    check(&home, "sync calm-otter", "lease.sync/1");
    let ended = home.lease("--json -q run --timings --id calm-otter -- true");
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    fits(&home, &ended.stderr, "lease.timings/1");
    check(&home, "history", "lease.history/1");
    check(&home, "touch calm-otter --idle-timeout none", "lease.lease/1");
    assert!(
        home.lease("touch calm-otter --max-age 2h").good().starts_with("calm-otter ends in 2h")
    );
    assert!(home.lease("keep calm-otter --why exam").good().contains("is kept until"));
    let plan = json(&home.lease("cleanup --dry-run --json").good());
    assert_eq!(
        (&plan["steps"][0]["action"], &plan["steps"][0]["why"]),
        (&"leave".into(), &"exam".into())
    );
    check(&home, "cleanup", "lease.cleanup/1");
    assert_eq!(json(&home.lease("list --json").good())["leases"][0]["phase"], "kept");
    // A person who names it ends the keep.
    let id = listed["leases"][0]["id"].as_str().unwrap();
    assert_eq!(outcome(&home.lease("release calm-otter --json"), 0), "released");
    // Releasing what is released already is success.
    assert_eq!(outcome(&home.lease(&format!("release {id} --json")), 0), "released");
    assert!(home.lease(&format!("show {id}")).good().contains("state       released"));
    assert_nothing_is_left(&home);
}

/// The file whose lock the reaper of this home holds, and what is written in it.
fn post(home: &Home) -> Option<(PathBuf, String)> {
    let path = home.posts("state").pop()?;
    let told = fs::read_to_string(&path).unwrap();
    Some((path, told))
}

#[test]
fn a_reaper_whose_lock_is_deleted_takes_it_anew_and_ends_where_there_is_no_state_any_more() {
    let home = Home::new();
    assert_eq!(home.lease("-q acquire --slug calm-otter").code, 0);
    let soon = || Deadline::after(Duration::from_secs(30));
    let mut seen = None;
    // It is emptied for a moment when the account is known.
    let is_told = || {
        seen = post(&home).filter(|(_, told)| !told.is_empty());
        seen.is_some()
    };
    eventually(soon(), is_told).expect("nobody watches");
    let (path, told) = seen.unwrap();
    let pid = told.lines().next().unwrap();
    fs::remove_file(&path).unwrap();
    let is_back = || post(&home).is_some_and(|(_, told)| told.lines().next() == Some(pid));
    eventually(soon(), is_back).expect("nobody watches any more");
    let file = fs::File::open(&path).unwrap();
    // As after `rm -r`, but it can be undone, so that the box is given back.
    fs::rename(home.path("state"), home.path("aside")).unwrap();
    fs::remove_file(home.posts("aside").pop().unwrap()).unwrap();
    file.lock().unwrap();
    let is_over = || fs::read_link(format!("/proc/{pid}/exe")).is_err();
    eventually(soon(), is_over).expect("the reaper goes on without a state directory");
    assert!(!home.path("state").exists(), "the reaper made it again");
    fs::rename(home.path("aside"), home.path("state")).unwrap();
    assert_eq!(home.lease("-q release calm-otter").good(), "calm-otter is released\n");
    assert_nothing_is_left(&home);
}

#[test]
fn a_slug_is_given_once() {
    let home = Home::new();
    assert_eq!(home.lease("-q acquire --slug calm-otter").code, 0);
    let said = home.lease("-q acquire --slug calm-otter").bad();
    assert!(said.contains("calm-otter") && said.contains("nothing was created"), "{said}");
    assert_eq!(json(&home.lease("list --json").good())["leases"].as_array().unwrap().len(), 1);
    assert_eq!(home.lease("-q release calm-otter").good(), "calm-otter is released\n");
    // Once more is no failure, by the name that people know too.
    let again = home.lease("-q release calm-otter").good();
    assert_eq!(again, "calm-otter is released: it was already released\n");
    assert_nothing_is_left(&home);
}

#[test]
fn each_line_of_several_releases_names_its_lease() {
    let home = Home::new();
    for slug in ["one-oak", "two-oak"] {
        assert_eq!(home.lease(&format!("-q acquire --slug {slug}")).code, 0);
    }
    let ended = home.lease("release --all");
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let is_named = |it: &str| it.contains("one-oak: ") || it.contains("two-oak: ");
    assert!(ended.stderr.lines().all(is_named), "{}", ended.stderr);
    assert_nothing_is_left(&home);
}

#[test]
fn a_tree_without_files_is_told_before_anything_is_leased() {
    let home = Home::new();
    let ended = home.lease("run -- true");
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let first = ended.stderr.lines().next().unwrap();
    assert_eq!(first, "lease: there is no file in HOME/repo that is synced");
    assert!(!home.lease("run --no-sync -- true").stderr.contains("there is no file"));
    assert_nothing_is_left(&home);
}

#[test]
fn one_failure_does_not_stop_the_other_releases() {
    let home = Home::new();
    assert_eq!(home.lease("-q acquire --slug one-oak").code, 0);
    assert_eq!(home.lease("-q acquire --slug two-oak --keep").code, 0);
    let ended = home.lease("-q release nobody one-oak one-oak");
    assert_eq!((ended.code, ended.stdout.as_str()), (125, "one-oak is released\n"));
    assert!(
        ended.stderr.contains("1 of 2 leases are not released; the first is nobody"),
        "{}",
        ended.stderr
    );
    // What is kept is not among all.
    let all = home.lease("release --all");
    assert!(
        all.code == 0 && all.stderr.contains("nothing is leased that could be released"),
        "{}",
        all.stderr
    );
    assert_eq!(
        home.lease("-q release two-oak --keep").good().trim_end(),
        "two-oak is kept: asked for when it was opened"
    );
    assert_eq!(home.lease("-q release two-oak").good(), "two-oak is released\n");
    assert_nothing_is_left(&home);
}

#[test]
fn an_option_that_the_provider_does_not_know_makes_nothing() {
    let home = Home::new();
    let said = home.lease("-q acquire --option colour=red").bad();
    assert!(said.contains("colour"), "{said}");
    assert_nothing_is_left(&home);
}

#[test]
fn a_box_is_released_also_from_a_repository_that_is_not_trusted() {
    let home = Home::new();
    assert_eq!(home.lease("-q acquire --slug calm-otter").code, 0);
    home.repository("providers:\n  local:\n    sshd: bin/evil\n");
    assert_eq!(home.lease("-q release calm-otter").good(), "calm-otter is released\n");
    assert_nothing_is_left(&home);
}
