//! The report that an adapter's author reads: the skeletons and the sample pass, and what is wrong is named.

use std::sync::Arc;

use lease_core::OsEntropy;
use lease_external::conformance::{Outcome, Report, check};
use lease_external::{ExternalConfig, Unheard, skeleton};

use crate::bench::{KEY, PATH, path, write_program};

async fn report(config: ExternalConfig) -> Report {
    check(config, Arc::new(Unheard), &OsEntropy, KEY).await.unwrap()
}

/// The Python skeleton with one line changed.
async fn spoiled(from: &str, to: &str) -> Report {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("adapter");
    let text = skeleton::SKELETONS[0].text;
    assert!(text.contains(from), "{from}");
    write_program(&program, &text.replace(from, to));
    let mut config = ExternalConfig::command([path(&program)]);
    config.environment.push(("PATH".to_owned(), PATH.to_owned()));
    config.config.insert("directory".to_owned(), path(&directory.path().join("leases")).into());
    config.idempotent_lease_id = to.contains("fixed");
    report(config).await
}

#[track_caller]
fn assert_broken(report: &Report, rule: &str) {
    let broken: Vec<_> =
        report.findings.iter().filter(|it| it.outcome == Outcome::Broken).collect();
    assert!(broken.iter().any(|it| it.rule.contains(rule)), "{rule:?} is not broken in\n{report}");
}

#[tokio::test]
async fn both_skeletons_pass_as_they_are_written() {
    let directory = tempfile::tempdir().unwrap();
    for program in skeleton::write(&directory.path().join("new"), &skeleton::SKELETONS).unwrap() {
        let mut config = ExternalConfig::command([path(&program)]);
        config.environment.push(("PATH".to_owned(), PATH.to_owned()));
        let leases = directory.path().join("leases");
        config.config.insert("directory".to_owned(), path(&leases).into());
        config.idempotent_lease_id = true;
        let report = report(config).await;
        assert!(report.is_conforming(), "{}:\n{report}", program.display());
        assert_eq!(report.count(Outcome::NotApplicable), 0, "{report}");
        let left = std::fs::read_dir(&leases).unwrap();
        let left = left.filter(|it| it.as_ref().unwrap().file_name() != ".lock").count();
        assert_eq!(left, 0, "{report}");
    }
}

#[tokio::test]
async fn a_skeleton_is_never_written_over_something() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("adapter.py"), "mine").unwrap();
    skeleton::write(directory.path(), &skeleton::SKELETONS).unwrap_err();
    assert_eq!(std::fs::read_to_string(directory.path().join("adapter.py")).unwrap(), "mine");
    assert!(!directory.path().join("adapter.sh").exists());
}

#[tokio::test]
async fn what_an_adapter_does_wrong_is_named() {
    let wrong = r#""protocolVersion": 1, **answer()"#;
    assert_broken(&spoiled(wrong, r#""protocolVersion": 2, **answer()"#).await, "version 1");
    let forgets = "        self.keep(lease)\n        return lease";
    assert_broken(&spoiled(forgets, "        return lease").await, "is listed once");
    let ends = "            os.unlink(self.path(lease_id))";
    assert_broken(&spoiled(ends, "            pass").await, "listed no more");
    let all = "            for name in os.listdir(self.directory): os.unlink(self.path(name))";
    assert_broken(&spoiled(ends, all).await, "leaves the others");
    let missing = "        except FileNotFoundError:\n            pass";
    assert_broken(
        &spoiled(missing, "        except ZeroDivisionError:\n            pass").await,
        "what is gone",
    );
    let host = r#"config.get("host", "127.0.0.1")"#;
    assert_broken(&spoiled(host, r#""-oProxyCommand=x""#).await, "handed to ssh");
    let unknown = "    if operation is None:";
    assert_broken(
        &spoiled(unknown, "    if operation is None:\n        return {}\n    if False:").await,
        "does not know is an error",
    );
}

#[tokio::test]
async fn a_report_is_readable() {
    let report = spoiled(r#"config.get("user", "root")"#, r#""ann bob""#).await;
    let text = report.to_string();
    assert!(text.contains("acquire\n  ok"), "{text}");
    assert!(
        text.contains(
            "  BROKEN  its login can be handed to ssh\n          the adapter's `ssh.user`"
        ),
        "{text}"
    );
    assert!(text.ends_with("not applicable"), "{text}");
}
