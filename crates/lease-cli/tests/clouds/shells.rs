//! Several shells with several credentials on one state directory: each lease is watched by who can give it back.

use lease_emulator::fal::{FalCloud, KeyScope, Workspace};
use rustix::process::Signal;

use crate::installation::process::send;
use crate::installation::{CLEAN_WITHIN, Deadline, SILENT_WITHIN, eventually};
use crate::site::{KEY, Site, WORKSPACE};

const OTHER_WORKSPACE: &str = "workspace-two";
const OTHER_KEY: &str = "key-two:planted-secret-two";

fn two_workspaces() -> Site<FalCloud> {
    let site = Site::fal();
    site.cloud.inner().add_workspace(Workspace::new(OTHER_WORKSPACE), OTHER_KEY);
    site
}

/// The accounts that are watched, once that many reapers know theirs.
#[track_caller]
fn accounts(site: &Site<FalCloud>, count: usize) -> Vec<String> {
    let mut found = Vec::new();
    let known = || {
        let status = site.json(&["reaper", "status"]);
        let watchers = status["watchers"].as_array().unwrap().iter();
        found = watchers
            .filter(|it| it["provider"] == "fal")
            .filter_map(|it| Some(it["account"].as_str()?.to_owned()))
            .collect();
        found.len() == count
    };
    eventually(Deadline::after(CLEAN_WITHIN), known).unwrap();
    found.sort();
    found
}

#[track_caller]
fn assert_nobody_watches(site: &Site<FalCloud>) {
    let silent = || site.reapers() == 0;
    eventually(Deadline::after(SILENT_WITHIN), silent).unwrap();
}

#[test]
fn two_shells_with_different_credentials_have_two_reapers_and_each_ends_its_own() {
    let site = two_workspaces();
    assert_eq!(site.lease(&["-q", "acquire", "--slug", "one-oak"]).code, 0);
    assert_eq!(site.lease_with(OTHER_KEY, &["-q", "acquire", "--slug", "two-oak"]).code, 0);
    let watched = accounts(&site, 2);
    assert_ne!(watched[0], watched[1]);
    assert_eq!(site.reapers(), 2);
    for slug in ["one-oak", "two-oak"] {
        // Only the reapers end them; this shell has no credential at all.
        let touched = site.installation.lease(["touch", slug, "--max-age", "1ms"]);
        assert_eq!(touched.code, 0, "{}", touched.stderr);
    }
    site.assert_clean();
    let log = std::fs::read_to_string(site.installation.state().join("reaper.log")).unwrap();
    assert!(!log.contains("another account") && !log.contains("WARN"), "{log}");
    assert!(!log.contains("planted-secret"), "{log}");
    assert_nobody_watches(&site);
}

#[test]
fn a_lease_that_lost_its_reaper_is_named_and_keeps_no_other_reaper_awake() {
    let site = two_workspaces();
    assert_eq!(site.lease(&["-q", "acquire", "--slug", "one-oak"]).code, 0);
    accounts(&site, 1);
    let status = site.json(&["reaper", "status"]);
    assert_eq!(status["unwatched"], serde_json::json!([]));
    send(u32::try_from(status["pid"].as_u64().unwrap()).unwrap(), Signal::KILL);
    assert_nobody_watches(&site);
    let status = site.json(&["reaper", "status"]);
    assert_eq!(status["unwatched"][0]["slug"], "one-oak");
    assert_eq!(
        status["unwatched"][0]["credentials"],
        serde_json::json!(["LEASE_FAL_KEY", "FAL_KEY"])
    );
    let text = String::from_utf8(site.lease(&["reaper"]).stdout).unwrap();
    assert!(text.contains("nobody watches one-oak (fal); run `lease cleanup` where"), "{text}");
    let doctor = String::from_utf8(site.lease(&["doctor"]).stdout).unwrap();
    assert!(
        doctor.contains("nobody watches 1 of the live leases; the first is one-oak"),
        "{doctor}"
    );
    // The other shell's reaper comes, ends its own lease, and leaves although one-oak is still there.
    assert_eq!(site.lease_with(OTHER_KEY, &["-q", "run", "--", "true"]).code, 0);
    assert_nobody_watches(&site);
    assert_eq!(site.ours().len(), 1);
    let log = std::fs::read_to_string(site.installation.state().join("reaper.log")).unwrap();
    assert!(!log.contains("one-oak"), "it was not touched: {log}");
    assert_eq!(site.lease(&["-q", "release", "one-oak"]).code, 0);
    site.assert_clean();
}

#[test]
fn an_account_that_changes_under_a_lease_is_refused_and_nothing_is_lost() {
    let site = two_workspaces();
    assert_eq!(site.lease(&["-q", "acquire", "--slug", "one-oak"]).code, 0);
    accounts(&site, 1);
    site.cloud.inner().set_key(KEY, OTHER_WORKSPACE, KeyScope::Admin);
    let ended = site.lease(&["-q", "release", "one-oak"]);
    assert_eq!(ended.code, 125, "{}", ended.stderr);
    assert!(ended.failure().contains("; run: lease show one-oak"), "{}", ended.stderr);
    assert_eq!(site.ours().len(), 1, "nothing was deleted");
    // The reaper with that key cannot serve it any more, so it does not stay for it.
    assert_nobody_watches(&site);
    assert_eq!(site.json(&["reaper", "status"])["unwatched"][0]["slug"], "one-oak");
    site.cloud.inner().set_key(KEY, WORKSPACE, KeyScope::Admin);
    assert_eq!(site.lease(&["-q", "release", "one-oak"]).code, 0);
    site.assert_clean();
}

#[test]
fn without_a_credential_a_provider_is_listed_and_every_use_says_what_to_set() {
    let site = Site::fal();
    let listed = site.installation.lease(["providers"]);
    assert!(String::from_utf8_lossy(&listed.stdout).contains("\nfal "), "{listed:?}");
    for arguments in [
        ["acquire", "--provider", "fal"].as_slice(),
        &["cleanup", "--provider", "fal"],
        &["adopt", "fal", "inst_1"],
    ] {
        let ended = site.installation.lease(["-q"].iter().chain(arguments));
        let said = format!("{}{}", String::from_utf8_lossy(&ended.stdout), ended.stderr);
        assert!(said.contains("FAL_KEY"), "{arguments:?}: {said}");
    }
    let ended = site.installation.lease(["cleanup", "--dry-run"]);
    assert_eq!((ended.code, ended.stdout.as_slice()), (0, &b"nothing to clean up\n"[..]));
    // Who uses another provider has no problem.
    let doctor = site.installation.lease(["doctor", "--json"]);
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("FAL_KEY"), "{doctor:?}");
}

#[test]
fn a_credential_in_a_file_is_refused_without_being_shown() {
    let site = Site::fal();
    site.configure("/v1", "    key: planted-in-a-file\n");
    let ended = site.lease(&["-q", "acquire"]);
    assert_eq!(ended.code, 125);
    assert!(
        ended.stderr.contains("providers.fal.key cannot be set in a file")
            && ended.stderr.contains("LEASE_FAL_KEY or FAL_KEY"),
        "{}",
        ended.stderr
    );
    assert!(!ended.stderr.contains("planted"), "{}", ended.stderr);
}

#[test]
fn a_touch_with_another_credential_does_not_call_an_unwatched_lease_watched() {
    let site = two_workspaces();
    assert_eq!(site.lease(&["-q", "acquire", "--slug", "one-oak"]).code, 0);
    accounts(&site, 1);
    let status = site.json(&["reaper", "status"]);
    send(u32::try_from(status["pid"].as_u64().unwrap()).unwrap(), Signal::KILL);
    assert_nobody_watches(&site);
    let touched = site.lease_with(OTHER_KEY, &["touch", "one-oak", "--max-age", "1s"]);
    assert_eq!(touched.code, 125, "nobody watches it: {}", touched.stderr);
    assert_eq!(site.lease(&["-q", "release", "one-oak"]).code, 0);
}
