//! Logs that are full: the live stream goes on, and what is missing later is said.

use std::fs;

use lease_ssh::{Client, Followed, Outcome, Relays, Sinks, Until};

use crate::fixture::sh;
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
