//! An adapter that a repository brings: run only after a person's word, and found again from everywhere after that.

use std::fs;
use std::path::PathBuf;

use crate::installation::{CLEAN_WITHIN, Deadline, Process, eventually};
use crate::site::{Site, adapter};

/// A site whose repository brings its adapter by a relative path; the user has configured nothing.
fn brought() -> Site {
    let site = Site::new();
    fs::copy(adapter("machines.py"), site.installation.tree().join("adapter.py")).unwrap();
    write(&site, "");
    site
}

fn write(site: &Site, more: &str) {
    let lines = site.settings("./adapter.py".as_ref());
    // What a repository may never say is left out.
    let is_own = |it: &str| {
        let it = it.trim_start();
        it.starts_with("settle") || it.starts_with("landing")
    };
    let lines: Vec<_> = lines.lines().filter(|it| !is_own(it)).collect();
    let lines = lines.join("\n") + "\n";
    let text = format!("provider: external\nproviders:\n  external:\n{lines}{more}");
    fs::write(site.installation.tree().join("lease.yaml"), text).unwrap();
    let own = "providers:\n  external:\n    settle: 100ms\n    landing: 300ms\n";
    fs::create_dir_all(site.at("home/.config/lease")).unwrap();
    fs::write(site.at("home/.config/lease/config.yaml"), own).unwrap();
}

/// Changes the adapter so that whoever runs it leaves a file, whose path this is.
fn tamper(site: &Site) -> PathBuf {
    let (program, proof) = (site.installation.tree().join("adapter.py"), site.at("proof"));
    let text = fs::read_to_string(&program).unwrap();
    let line = format!("\nopen({:?}, 'w')\n", proof.display().to_string());
    fs::write(&program, text.replacen('\n', &line, 1)).unwrap();
    proof
}

#[track_caller]
fn refused(site: &Site, what: &str) {
    for words in [&["run", "--", "true"][..], &["acquire"], &["provider", "sizes", "external"]] {
        let ended = site.lease(words);
        assert_eq!((ended.code, ended.stdout.as_slice()), (125, &b""[..]), "{}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
        assert!(ended.failure().contains(what), "{}", ended.stderr);
        assert!(ended.failure().contains("; run: lease trust /"), "{}", ended.stderr);
    }
    assert_eq!(site.log(), Vec::<String>::new(), "nothing of the repository was run");
}

#[test]
fn a_repositorys_adapter_is_run_after_trust_and_a_changed_file_asks_again() {
    let site = brought();
    refused(&site, "sets providers.external.command in line 4, which a repository could abuse");
    assert_eq!(site.lease(&["trust"]).code, 0);
    site.check_run();
    fs::remove_file(site.at("adapter/log")).unwrap();
    write(&site, "    account: other\n");
    refused(&site, "has changed since it was trusted");
    assert_eq!(site.lease(&["trust"]).code, 0);
    site.check_run();
}

#[test]
fn an_adapter_whose_text_changed_asks_again() {
    let site = brought();
    assert_eq!(site.lease(&["trust"]).code, 0);
    let program = site.installation.tree().join("adapter.py");
    let text = fs::read_to_string(&program).unwrap();
    fs::write(&program, text + "# changed\n").unwrap();
    refused(&site, "has changed since it was trusted");
}

#[test]
fn what_a_trusted_repository_leased_is_given_back_from_everywhere() {
    let site = brought();
    assert_eq!(site.lease(&["trust"]).code, 0);
    let acquired = site.lease(&["acquire", "--slug", "calm-otter"]);
    assert_eq!(acquired.code, 0, "{}", acquired.stderr);
    // The file is gone, and so is the directory that one stood in.
    fs::remove_file(site.installation.tree().join("lease.yaml")).unwrap();
    let ended = site.lease(&["exec", "calm-otter", "--", "echo", "here"]);
    assert_eq!((ended.code, ended.stdout.as_slice()), (0, &b"here\n"[..]), "{}", ended.stderr);
    let elsewhere = |words: &[&str]| {
        let output = site.command(words).current_dir(site.at("home")).output().unwrap();
        crate::installation::Ended::of(&output)
    };
    assert_eq!(elsewhere(&["touch", "calm-otter", "--max-age", "1h"]).code, 0);
    let planned = elsewhere(&["cleanup"]);
    assert_eq!(planned.code, 0, "{}", planned.stderr);
    assert_eq!(site.left().len(), 1, "it is not over yet");
    let released = elsewhere(&["release", "calm-otter"]);
    assert_eq!(released.code, 0, "{}", released.stderr);
    site.assert_clean();
}

#[test]
fn what_changed_after_trust_is_not_run_for_a_lease_that_was_made_before() {
    let site = brought();
    assert_eq!(site.lease(&["trust"]).code, 0);
    assert_eq!(site.lease(&["acquire", "--slug", "calm-otter"]).code, 0);
    let proof = tamper(&site);
    let elsewhere = |words: &[&str]| {
        let output = site.command(words).current_dir(site.at("home")).output().unwrap();
        crate::installation::Ended::of(&output)
    };
    let touched = elsewhere(&["touch", "calm-otter", "--max-age", "1h"]);
    assert_eq!(touched.code, 0, "the record is ours to write: {}", touched.stderr);
    let refused = elsewhere(&["release", "calm-otter"]);
    assert_eq!(refused.code, 125, "{}", refused.stderr);
    assert!(refused.stderr.contains("adapter.py has changed since"), "{}", refused.stderr);
    assert!(refused.stderr.contains("then `lease trust /"), "{}", refused.stderr);
    assert!(!proof.exists(), "what nobody trusted was run");
    assert_eq!(site.left().len(), 1);
    // A person who has read it trusts it as it is now.
    assert_eq!(site.lease(&["trust"]).code, 0);
    let released = elsewhere(&["release", "calm-otter"]);
    assert_eq!(released.code, 0, "{}", released.stderr);
    assert!(proof.exists());
    site.assert_clean();
}

#[test]
fn a_reaper_that_was_started_before_runs_nothing_that_changed_since() {
    let site = brought();
    assert_eq!(site.lease(&["trust"]).code, 0);
    assert_eq!(site.lease(&["acquire", "--slug", "calm-otter"]).code, 0);
    let proof = tamper(&site);
    assert_eq!(site.lease(&["touch", "calm-otter", "--max-age", "1ms"]).code, 0);
    let needs_a_person =
        || site.installation.json(&["list"])["leases"][0]["phase"] == "needs_attention";
    eventually(Deadline::after(CLEAN_WITHIN), needs_a_person).unwrap();
    let listed = site.installation.json(&["list"]);
    let obstacle = listed["leases"][0]["obstacle"].as_str().unwrap();
    assert!(obstacle.contains("then `lease trust /"), "{obstacle}");
    assert!(!proof.exists(), "what nobody trusted was run");
    assert_eq!(site.lease(&["trust"]).code, 0);
    assert_eq!(site.lease(&["release", "calm-otter"]).code, 0);
    site.assert_clean();
}

#[test]
fn the_reaper_and_cleanup_end_what_a_trusted_repository_leased() {
    let site = brought();
    assert_eq!(site.lease(&["trust"]).code, 0);
    for slug in ["one-oak", "two-oak"] {
        assert_eq!(site.lease(&["acquire", "--slug", slug]).code, 0);
    }
    fs::remove_file(site.installation.tree().join("lease.yaml")).unwrap();
    assert_eq!(site.lease(&["touch", "one-oak", "--max-age", "1ms"]).code, 0);
    eventually(Deadline::after(CLEAN_WITHIN), || site.left().len() == 1).unwrap();
    // Without a reaper, for instance after a reboot, the next one that is started starts the others.
    for reaper in site.installation.processes().iter().filter(|it| it.is_reaper()) {
        reaper.kill();
    }
    let none = || !site.installation.processes().iter().any(Process::is_reaper);
    eventually(Deadline::after(CLEAN_WITHIN), none).unwrap();
    assert_eq!(site.lease(&["reaper", "run"]).code, 0);
    assert!(
        eventually(Deadline::after(CLEAN_WITHIN), || {
            let status = site.installation.json(&["reaper", "status"]);
            status["unwatched"].as_array().is_some_and(Vec::is_empty)
        })
        .is_ok()
    );
    assert_eq!(site.lease(&["release", "--all"]).code, 0);
    site.assert_clean();
}
