//! Logs that are full: the live stream goes on, and what is missing later is said.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use lease_ssh::{Client, Followed, JobState, Outcome, Relays, Sinks, Until};

use crate::fixture::{Box, sh};
use crate::jobs::{
    Seen, Victim, difference, expected, kill, numbered, quiet_box, run_to_the_end, until,
};

#[tokio::test]
async fn beyond_its_limit_a_log_says_what_it_lacks() {
    const LIMIT: usize = 4 * 512;
    let mut it = quiet_box().await;
    let mut settings = it.client.settings().clone();
    settings.log_bytes_max = LIMIT as u64;
    it.client = Client::new(settings);
    let session = it.ready().await;
    let (out, _) = expected();
    let ran = it.run(&session, "r", &numbered(5_000), b"").await;
    assert_eq!(ran.code(), 7);
    assert!(ran.stdout == out, "the live stream: {}", difference(&ran.stdout, &out));
    let mut late = Vec::new();
    let mut sinks = Sinks::new(&mut late, tokio::io::sink());
    let followed = session.follow((&it.root, "r"), (Relays::End, Until::End), &mut sinks).await;
    assert_eq!(followed.unwrap(), Followed::Ended(7));
    let missing = sinks.missing_bytes();
    assert!(late == out[..LIMIT], "{} bytes", late.len());
    // What one read of the log's writer took beyond the limit is not counted.
    let lacking = (out.len() - LIMIT) as u64;
    assert!(missing > lacking / 2 && missing <= lacking + 100_000, "{missing} of {lacking}");
    it.end().await;
}

#[tokio::test]
async fn a_full_log_and_a_lost_connection_do_not_stop_the_command() {
    let mut it = quiet_box().await;
    let mut settings = it.client.settings().clone();
    settings.log_bytes_max = 512;
    it.client = Client::new(settings);
    let session = it.ready().await;
    let command = sh(
        "echo x >>started; head -c 300000 /dev/zero; : >half; while [ ! -e go ]; do sleep 0.02; done; \
         head -c 300000 /dev/zero; exit 4",
    );
    let (mut out, mut err) = (Seen::new(), Seen::new());
    let missing = {
        let mut sinks = Sinks::new(&mut out, &mut err);
        let work = run_to_the_end(&session, (&it.root, "r"), &command, &mut sinks);
        let cutting = async {
            until(|| it.work().join("half").exists()).await;
            assert!(kill(&it, "r", Victim::Server).await);
            fs::write(it.work().join("go"), "").unwrap();
        };
        let (outcome, ()) = tokio::join!(work, cutting);
        assert_eq!(outcome, Outcome::Finished(4));
        sinks.missing_bytes()
    };
    assert!(out.bytes.iter().all(|it| *it == 0) && out.bytes.len() <= 600_000);
    assert!(missing > 0, "{} bytes came and none is missing", out.bytes.len());
    assert_eq!(fs::read_to_string(it.work().join("started")).unwrap(), "x\n");
    it.end().await;
}

#[tokio::test]
async fn a_log_that_could_not_be_written_is_no_complete_one() {
    let programs = tempfile::Builder::new().prefix("lssh").tempdir().unwrap();
    let tee = programs.path().join("tee");
    // The box's disk takes nothing, as far as the log's writer can see.
    fs::write(&tee, "#!/bin/sh\nexec /usr/bin/tee /dev/full\n").unwrap();
    fs::set_permissions(&tee, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("SetEnv HOME=/nonexistent PATH={}:/usr/bin:/bin", programs.path().display());
    let it = Box::with("", &path).await;
    let session = it.ready().await;
    let (out, _) = expected();
    let ran = it.run(&session, "r", &numbered(5_000), b"").await;
    assert_eq!(ran.code(), 7);
    assert!(ran.stdout == out, "the live stream: {}", difference(&ran.stdout, &out));
    let mut sinks = Sinks::new(tokio::io::sink(), tokio::io::sink());
    assert!(!sinks.log_failed());
    let followed = session.follow((&it.root, "r"), (Relays::End, Until::End), &mut sinks).await;
    assert_eq!(followed.unwrap(), Followed::Ended(7));
    assert!(sinks.log_failed(), "it was taken for complete");
    it.end().await;
}

#[tokio::test]
async fn a_log_that_was_swept_is_told_as_one_and_the_status_stays() {
    let it = quiet_box().await;
    let session = it.ready().await;
    assert_eq!(it.run(&session, "r", &numbered(5_000), b"").await.code(), 7);
    let job = it.at("box/.lease/jobs/r");
    fs::rename(job.join("end"), job.join("swept")).unwrap();
    fs::remove_file(job.join("out")).unwrap();
    fs::remove_file(job.join("err")).unwrap();
    let mut nobody = Sinks::new(tokio::io::sink(), tokio::io::sink());
    let taken_up = session.take_up((&it.root, "r"), Relays::End, &mut nobody).await.unwrap();
    let Outcome::TransportLost { job, detail } = taken_up else { panic!("{taken_up:?}") };
    assert_eq!(job, Some(JobState::Finished(7)));
    assert!(detail.contains("swept"), "{detail}");
    it.end().await;
}
