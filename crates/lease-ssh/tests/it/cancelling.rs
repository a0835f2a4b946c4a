//! Giving a run up before it starts: whatever still waits on the box starts nothing afterwards.

use std::fs;
use std::io::Write as _;

use lease_ssh::{Command, JobSignal, JobState, Outcome, Relays, Sinks};

use crate::fixture::{Box, sh, text, tool};
use crate::jobs::{quiet_box, until};
use crate::syncing::Case;

/// A command that is too long for a session that was opened before it was known.
fn long(script: &str) -> Command {
    let mut command = sh(script);
    command.argv.extend([b"lease".to_vec(), vec![b'x'; 60_000]]);
    command
}

#[tokio::test]
async fn a_request_that_waits_on_the_box_starts_nothing_after_it_was_cancelled_i15() {
    let case = Case::on(quiet_box().await).await;
    case.put("a", "one");
    assert_eq!(case.run("first", "true").await.1.code(), 0);
    let script = "touch ../started";
    for (run, command) in [("early", sh(script)), ("late", long(script))] {
        // Somebody looks at what an earlier command left, and the request waits for that: here until it is told so.
        let looking = case.it.at("box/.lease/sync/open.other");
        tool("mkfifo", &[&looking.display().to_string()]).await;
        let waiting = case.try_run(run, &command, (lease_ssh::Drift::Overwrite, b""));
        let cancelling = async {
            let path = looking.clone();
            let open = move || fs::File::options().write(true).open(path).unwrap();
            // It is open for writing once the request reads it.
            let mut told = tokio::task::spawn_blocking(open).await.unwrap();
            let found = case.session.cancel(&case.it.root, run).await.unwrap();
            fs::remove_file(&looking).unwrap();
            told.write_all(b"look -\n").unwrap();
            found
        };
        let ((_, ran), found) = tokio::join!(waiting, cancelling);
        let cancelled = JobState::Refused { why: "it was cancelled".to_owned() };
        assert_eq!(found, cancelled, "{run}");
        let said = ran.outcome.unwrap_err();
        assert!(said.contains("not started: it was cancelled"), "{run}: {said}");
        assert!(!case.it.at("box/started").exists(), "{run}");
        assert_eq!(case.session.cancel(&case.it.root, run).await.unwrap(), cancelled);
        assert_eq!(case.session.job(&case.it.root, run).await.unwrap(), cancelled);
    }
    case.it.end().await;
}

#[tokio::test]
async fn what_was_started_is_told_and_left_to_a_signal() {
    let it = Box::new().await;
    let session = it.ready().await;
    let command = sh("trap 'exit 9' INT; touch ready; while :; do sleep 0.05; done");
    let running = it.run(&session, "r", &command, b"");
    let cancelling = async {
        until(|| it.work().join("ready").exists()).await;
        let found = session.cancel(&it.root, "r").await.unwrap();
        assert!(matches!(found, JobState::Running { .. }), "{found:?}");
        assert!(session.signal(&it.root, "r", JobSignal::Interrupt).await.unwrap());
    };
    let (ran, ()) = tokio::join!(running, cancelling);
    assert_eq!(ran.code(), 9, "{}", text(&ran.stderr));
    assert_eq!(session.cancel(&it.root, "r").await.unwrap(), JobState::Finished(9));
    it.end().await;
}

#[tokio::test]
async fn what_a_refused_request_had_prepared_is_gone() {
    let case = Case::on(quiet_box().await).await;
    case.put("a", "one");
    assert_eq!(case.run("first", "true").await.1.code(), 0);
    fs::write(case.it.work().join("a"), "drifted").unwrap();
    for (run, mut command) in [("early", sh("true")), ("late", long("true"))] {
        fs::write(case.it.at("box/.lease/sync/drift"), "./a\n").unwrap();
        command.environment = vec![("TOKEN".to_owned(), b"planted-5d".to_vec())];
        let (report, _) = case.try_run(run, &command, (lease_ssh::Drift::Fail, b"")).await;
        assert!(report.is_err());
        let mut left = fs::read_dir(case.it.at(&format!("box/.lease/jobs/{run}"))).unwrap();
        assert!(left.next().is_none(), "something is left, perhaps a secret");
    }
    case.it.end().await;
}

#[tokio::test]
async fn a_request_that_has_not_arrived_starts_nothing_later_i15() {
    let it = quiet_box().await;
    let session = it.ready().await;
    let mut nobody = Sinks::new(tokio::io::sink(), tokio::io::sink());
    let taken_up = session.take_up((&it.root, "r"), Relays::End, &mut nobody).await.unwrap();
    let Outcome::TransportLost { job, .. } = taken_up else { panic!("{taken_up:?}") };
    assert!(matches!(job, Some(JobState::Refused { .. })), "{job:?}");
    // It arrives after all.
    let late = it.run(&session, "r", &sh("touch ../started"), b"").await;
    assert!(late.outcome.is_err() && !it.at("box/started").exists(), "{late:?}");
    it.end().await;
}
