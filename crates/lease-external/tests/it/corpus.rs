//! Every recorded answer, replayed: one clear error, no lost lease, nothing that ssh could read as an option.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::Duration;

use lease_core::descriptor::Ownership;
use lease_core::engine::{Left, Outcome};
use lease_core::journal::{Change, Event};
use lease_core::proof::may_renew;
use lease_core::provider::Verdict;
use lease_core::{
    Error, HostKey, Provider as _, Reach, ResourceId, Sighting, Status, VerifiedScope,
};
use lease_external::Identity;
use serde::Deserialize;
use serde_json::Value;

use crate::bench::{Bench, SHOWN, path, root};

/// How many entries there are at the least; a smaller corpus has lost something.
const ENTRIES_MIN: usize = 130;
const INVALID_MIN: usize = 106;

/// How long an adapter of an entry that hangs is waited for.
const HANG_DEADLINE: Duration = Duration::from_secs(1);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    operation: String,
    why: String,
    source: String,
    date: String,
    verdict: String,
    #[serde(default)]
    stdout: String,
    #[serde(default)]
    stdout_hex: Option<String>,
    #[serde(default)]
    repeat: Option<Repeat>,
    #[serde(default)]
    stderr: String,
    #[serde(default)]
    exit: i32,
    #[serde(default)]
    script: Option<String>,
    #[serde(default)]
    script_after: Option<String>,
    #[serde(default)]
    settings: Vec<String>,
    expect: Expect,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Repeat {
    before: String,
    text: String,
    times: usize,
    after: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Expect {
    kind: String,
    effect: String,
    says: String,
    sees: String,
    items: Option<usize>,
    host_key: String,
    proxy: String,
}

impl Entry {
    fn is_valid(&self) -> bool {
        self.verdict == "valid"
    }

    fn stdout(&self) -> Vec<u8> {
        if let Some(hex) = &self.stdout_hex {
            let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            return (0..hex.len()).step_by(2).map(byte).collect();
        }
        if let Some(Repeat { before, text, times, after }) = &self.repeat {
            return format!("{before}{}{after}", text.repeat(*times)).into_bytes();
        }
        self.stdout.clone().into_bytes()
    }

    fn hangs(&self) -> bool {
        let scripts = [&self.script, &self.script_after];
        scripts.into_iter().flatten().any(|it| it.contains("exec sleep"))
    }

    fn bench(&self) -> Bench {
        let bench = Bench::with(|config| {
            config.idempotent_lease_id = self.settings.iter().any(|it| it == "fixed-ids");
            config.trust_provider_output = !self.settings.iter().any(|it| it == "distrust");
            if self.settings.iter().any(|it| it == "answered") {
                config.identity = Identity::Answered;
            }
            if self.hangs() {
                config.call_deadline = HANG_DEADLINE * 5;
                match self.operation.as_str() {
                    "acquire" => config.acquire_deadline = HANG_DEADLINE,
                    "release" => config.release_deadline = HANG_DEADLINE,
                    _ => config.call_deadline = HANG_DEADLINE,
                }
            }
        });
        if !self.settings.is_empty() && self.settings[0] == "distrust" {
            bench.put(
                "listed",
                SHOWN.replace(r#"{"host":"192.0.2.7","user":"ann","port":"22"}"#, "{}"),
            );
        }
        bench
    }

    /// Has the adapter answer as the entry says from now on.
    fn install(&self, bench: &Bench) {
        let mut stdout = self.stdout();
        if let Ok(text) = std::str::from_utf8(&stdout) {
            stdout = with_keys(bench, text).into_bytes();
        }
        bench.misbehave(&self.operation, stdout);
        bench.put(&format!("{}.stderr", self.operation), &self.stderr);
        bench.put(&format!("{}.exit", self.operation), self.exit.to_string());
        for (name, script) in [("script", &self.script), ("script_after", &self.script_after)] {
            if let Some(script) = script {
                bench.put(&format!("{}.{name}", self.operation), format!("{script}\n"));
            }
        }
    }

    #[track_caller]
    fn check_error(&self, error: &Error) {
        let effect = serde_json::to_value(error.effect()).unwrap();
        let is = (error.kind().name(), effect.as_str().unwrap_or_default());
        assert_eq!(
            is,
            (self.expect.kind.as_str(), self.expect.effect.as_str()),
            "{}: {error}",
            self.name
        );
        self.check_words(&error.to_string());
    }

    #[track_caller]
    fn check_words(&self, said: &str) {
        let Self { name, expect, .. } = self;
        assert!(said.contains(&expect.says), "{name}: {said:?} does not say {:?}", expect.says);
        assert!(!said.chars().any(char::is_control), "{name}: {said:?}");
    }
}

/// Fills in key files of several modes.
fn with_keys(bench: &Bench, text: &str) -> String {
    if !text.contains("@KEY") {
        return text.to_owned();
    }
    let file = |name: &str, mode: u32| {
        let path = bench.directory.path().join(name);
        fs::write(&path, "a private key").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    };
    let (open, private) = (file("key-0644", 0o644), file("key-0600", 0o600));
    let link = bench.directory.path().join("key-link");
    symlink(&private, &link).unwrap();
    text.replace("@KEY0644@", &path(&open))
        .replace("@KEY0600@", &path(&private))
        .replace("@KEYLINK@", &path(&link))
}

fn corpus() -> Vec<Entry> {
    let text = fs::read_to_string(root().join("testdata/external/answers.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// What reaches ssh is made of letters that no version of ssh reads as anything else.
#[track_caller]
fn assert_harmless(name: &str, reach: &Reach) {
    let Reach { host, port, user, proxy, host_key, root, ready_file, identity_file, .. } = reach;
    let plain = |it: &str| {
        let known = |it: char| it.is_ascii_alphanumeric() || "._-+@:".contains(it);
        !it.is_empty() && !it.starts_with('-') && it.chars().all(known)
    };
    assert!(plain(host) && plain(user) && *port > 0, "{name}: {reach:?}");
    assert!(proxy.iter().all(|it| !it.chars().any(char::is_control)), "{name}: {proxy:?}");
    assert!(proxy.is_empty() || proxy[..2] == ["/bin/sh", "-c"], "{name}: {proxy:?}");
    assert!(root.starts_with('/') && !root.contains(".."), "{name}: {root}");
    assert_eq!(*ready_file, None);
    assert!(identity_file.as_deref().is_none_or(|it| it.starts_with('/')), "{name}: {reach:?}");
    if let HostKey::Pinned(key) = host_key {
        assert_eq!(key.split(' ').count(), 2, "{name}: {key}");
    }
}

#[test]
fn every_entry_says_what_it_is_and_none_is_lost() {
    let corpus = corpus();
    for Entry { name, operation, why, source, date, verdict, expect, .. } in &corpus {
        let texts = [name, operation, why, source];
        assert!(texts.iter().all(|it| !it.trim().is_empty()), "{name} lacks metadata");
        let is_digit_or_dash = |it: char| it.is_ascii_digit() || it == '-';
        assert!(date.len() == 10 && date.chars().all(is_digit_or_dash), "{name}: {date:?}");
        assert!(matches!(verdict.as_str(), "valid" | "invalid"), "{name}: {verdict:?}");
        assert!(verdict == "valid" || !expect.says.is_empty(), "{name} expects no words");
    }
    let mut names: Vec<_> = corpus.iter().map(|it| &it.name).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), corpus.len(), "a name is used twice");
    let invalid = corpus.iter().filter(|it| !it.is_valid()).count();
    assert!(corpus.len() >= ENTRIES_MIN && invalid >= INVALID_MIN, "{} {invalid}", corpus.len());
    for operation in ["acquire", "list", "resolve", "release", "touch", "doctor"] {
        assert!(corpus.iter().any(|it| it.operation == operation), "{operation} is not covered");
    }
}

#[tokio::test]
async fn every_answer_to_an_acquire_gives_one_clear_error_and_no_lost_lease() {
    for entry in corpus().iter().filter(|it| it.operation == "acquire") {
        let bench = entry.bench();
        entry.install(&bench);
        if entry.is_valid() {
            check_valid_acquire(entry, &bench).await;
        } else {
            let failure = bench.acquire().await.expect_err(&entry.name);
            entry.check_error(&failure.error);
            assert_eq!(failure.left, Left::Released, "{}", entry.name);
        }
        assert!(!bench.has("exists"), "{} left its machine", entry.name);
        assert_eq!(bench.live().await, 0, "{} left its record", entry.name);
        bench.doors.asked().iter().for_each(|it| assert_harmless(&entry.name, it));
        assert!(entry.is_valid() || bench.doors.asked().is_empty(), "{}", entry.name);
    }
}

async fn check_valid_acquire(entry: &Entry, bench: &Bench) {
    let answer: Value = serde_json::from_slice(&entry.stdout()).unwrap();
    let mut lease = answer["lease"].clone();
    if lease["status"] != "pending" {
        lease["leaseId"] = "@LEASE@".into();
        let listed = fs::read_to_string(bench.directory.path().join("acquire.stdout")).unwrap();
        let listed: Value = serde_json::from_str(&listed).unwrap();
        lease["ssh"] = listed["lease"]["ssh"].clone();
        bench.put("listed", lease.to_string());
        bench.put("shown", lease.to_string());
    }
    let claim = bench.acquire().await.unwrap_or_else(|it| panic!("{}: {:?}", entry.name, it.error));
    let reach = claim.usable().unwrap().clone();
    assert_harmless(&entry.name, &reach);
    let asked = bench.doors.asked().pop().unwrap();
    let pinned = matches!(asked.host_key, HostKey::Pinned(_));
    assert_eq!(pinned, entry.expect.host_key == "pinned", "{}", entry.name);
    let proxy = asked.proxy.last().map_or("", String::as_str);
    assert_eq!(proxy, entry.expect.proxy, "{}", entry.name);
    assert!(matches!(bench.release(claim.lease()).await, Outcome::Released), "{}", entry.name);
}

#[tokio::test]
async fn every_answer_to_a_list_is_complete_or_an_error() {
    for entry in corpus().iter().filter(|it| it.operation == "list") {
        let bench = entry.bench();
        let mut writer = bench.intend().await;
        let (intent, created) = bench.create(&mut writer).await;
        created.unwrap();
        entry.install(&bench);
        let listed = bench.provider.list().await;
        let found = bench.provider.find(&intent).await.unwrap();
        match listed {
            Ok(inventory) => {
                assert!(entry.is_valid(), "{} was taken for complete", entry.name);
                assert_eq!(Some(inventory.items.len()), entry.expect.items, "{}", entry.name);
                let there = matches!(found, Sighting::Found(_));
                assert_eq!(there, entry.expect.items == Some(1), "{}: {found:?}", entry.name);
            }
            Err(error) => {
                assert!(!entry.is_valid(), "{}: {error}", entry.name);
                entry.check_error(&error);
                assert!(matches!(found, Sighting::Unclear(_)), "{}: {found:?}", entry.name);
            }
        }
    }
}

#[tokio::test]
async fn every_answer_to_a_resolve_is_seen_for_what_it_is() {
    for entry in corpus().iter().filter(|it| it.operation == "resolve") {
        let bench = entry.bench();
        let listed = SHOWN.replace(r#"{"host":"192.0.2.7","user":"ann","port":"22"}"#, "{}");
        bench.put("listed", listed);
        let mut writer = bench.intend().await;
        bench.create(&mut writer).await.1.unwrap();
        let id: ResourceId =
            fs::read_to_string(bench.directory.path().join("leaseId")).unwrap().parse().unwrap();
        entry.install(&bench);
        let sighting = bench.provider.inspect(&id).await.unwrap();
        let (sees, said) = match sighting {
            Sighting::Unclear(error) => ("unclear", error.to_string()),
            Sighting::Found(found) => {
                found.reach.iter().for_each(|it| assert_harmless(&entry.name, it));
                match found.status {
                    Status::Starting { waiting_for } => ("starting", waiting_for.unwrap()),
                    Status::Failed { why } => ("failed", why),
                    Status::Running if found.reach.is_some() => ("running", String::new()),
                    other @ (Status::Running | Status::Stopping) => {
                        panic!("{}: {other:?}", entry.name)
                    }
                }
            }
            other @ (Sighting::Absent | Sighting::Suspects(_)) => {
                panic!("{}: {other:?}", entry.name)
            }
        };
        assert_eq!(sees, entry.expect.sees, "{}: {said}", entry.name);
        entry.check_words(&said);
    }
}

#[tokio::test]
async fn a_release_that_is_not_answered_well_keeps_its_record() {
    for entry in corpus().iter().filter(|it| it.operation == "release") {
        let bench = entry.bench();
        let mut writer = bench.intend().await;
        bench.create(&mut writer).await.1.unwrap();
        let id: ResourceId =
            fs::read_to_string(bench.directory.path().join("leaseId")).unwrap().parse().unwrap();
        let change = Change::Created { id: id.clone() };
        let releasing = Event::Releasing { why: "test".to_owned(), ends_keep: false };
        writer.append(&[Event::Resource { index: 0, change }, releasing]).await.unwrap();
        let provider: &dyn lease_core::Provider = bench.provider.as_ref();
        let scope = VerifiedScope::verify(provider, writer.claim().scope()).await.unwrap();
        let Sighting::Found(found) = bench.provider.inspect(&id).await.unwrap() else {
            panic!("{} is not there", entry.name)
        };
        let owned = writer.own(0, &found, &scope, Ownership::Marks).await.unwrap();
        entry.install(&bench);
        entry.check_error(&bench.provider.destroy(&owned).await.expect_err(&entry.name));
        assert!(bench.has("exists"));
        bench.behave("release");
        let lease = writer.claim().lease().clone();
        drop(writer);
        assert!(matches!(bench.release(&lease).await, Outcome::Released), "{}", entry.name);
        assert!(!bench.has("exists") && bench.live().await == 0, "{}", entry.name);
    }
}

#[tokio::test]
async fn every_answer_to_a_touch_leaves_the_record_in_charge() {
    for entry in corpus().iter().filter(|it| it.operation == "touch") {
        let bench = entry.bench();
        let mut writer = bench.intend().await;
        bench.create(&mut writer).await.1.unwrap();
        let id: ResourceId =
            fs::read_to_string(bench.directory.path().join("leaseId")).unwrap().parse().unwrap();
        let change = Change::Created { id: id.clone() };
        writer.append(&[Event::Resource { index: 0, change }]).await.unwrap();
        entry.install(&bench);
        let Sighting::Found(found) = bench.provider.inspect(&id).await.unwrap() else {
            panic!("{} is not there", entry.name)
        };
        let provider: &dyn lease_core::Provider = bench.provider.as_ref();
        let scope = VerifiedScope::verify(provider, writer.claim().scope()).await.unwrap();
        let held = may_renew(writer.claim(), 0, &found, &scope).unwrap();
        match bench.provider.renew(&held, None).await {
            Ok(()) => assert!(entry.is_valid(), "{} was accepted", entry.name),
            Err(error) => entry.check_error(&error),
        }
        assert_eq!(bench.asked("touch"), 1);
    }
}

#[tokio::test]
async fn every_answer_to_a_doctor_is_told() {
    for entry in corpus().iter().filter(|it| it.operation == "doctor") {
        let bench = entry.bench();
        entry.install(&bench);
        let checks = bench.provider.doctor().await.unwrap();
        let check = checks.iter().find(|it| it.name == "doctor").unwrap();
        assert_eq!(check.verdict == Verdict::Ok, entry.is_valid(), "{}: {check:?}", entry.name);
        entry.check_words(&check.detail);
    }
}
