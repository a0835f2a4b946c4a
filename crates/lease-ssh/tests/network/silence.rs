//! A network that carries nothing for a minute.

use std::time::Duration;

use lease_core::retry::pause;
use lease_ssh::{Outcome, Relays, Sinks};
use lease_testnet::Link;

use crate::job::{Job, Seen};
use crate::site::Site;

const SILENCE: Duration = Duration::from_secs(60);
/// The command prints before the silence, in it and after it.
const LINES: u64 = 700;

#[tokio::test]
async fn a_minute_without_network_loses_no_byte_whether_the_client_lives_or_dies_i15() {
    let site = Site::new(&[Link::new(Duration::from_millis(20)); 2]).await;
    let job = Job { run: "r".to_owned(), lines: LINES, pause_each: 1 };
    let (out, err) = job.expected();
    let (lives, dies) = (&site.stations[0], &site.stations[1]);
    let living = async {
        let session = lives.connect().await;
        let (mut to_out, mut to_err) = (Seen::new(), Seen::new());
        let mut seen = to_out.count.subscribe();
        let mut sinks = Sinks::new(&mut to_out, &mut to_err);
        let work = job.carried(&session, &lives.root, &mut sinks);
        let cutting = async {
            seen.wait_for(|count| *count > 100).await.unwrap();
            site.net.cut(lives.number);
            pause(SILENCE).await;
            site.net.restore(lives.number);
        };
        let (outcome, ()) = tokio::join!(work, cutting);
        assert_eq!(outcome, Outcome::Finished(7));
        (to_out, to_err)
    };
    let dying = async {
        let session = dies.connect().await;
        let (mut first, mut errors) = (Seen::new(), Seen::new());
        let mut seen = first.count.subscribe();
        {
            let mut sinks = Sinks::new(&mut first, &mut errors);
            let cut_off = async {
                seen.wait_for(|count| *count > 100).await.unwrap();
                site.net.cut(dies.number);
            };
            tokio::select! {
                outcome = job.carried(&session, &dies.root, &mut sinks) => panic!("{outcome:?}"),
                () = cut_off => {}
            }
        }
        dies.kill_connection().await;
        pause(SILENCE).await;
        site.net.restore(dies.number);
        assert!(out.starts_with(&first.bytes), "{}", first.difference(&out));
        let session = dies.connect().await;
        let (mut to_out, mut to_err) = (Seen::new(), Seen::new());
        let mut sinks = Sinks::new(&mut to_out, &mut to_err);
        let taken_up = session.take_up((&dies.root, "r"), Relays::End, &mut sinks).await;
        assert_eq!(taken_up.unwrap(), Outcome::Finished(7));
        (to_out, to_err)
    };
    let (one, other) = tokio::join!(living, dying);
    for ((to_out, to_err), station) in [(one, lives), (other, dies)] {
        assert!(to_out.bytes == out, "{}", to_out.difference(&out));
        assert!(to_err.bytes == err, "{}", to_err.difference(&err));
        assert_eq!(station.starts("r"), "x\n");
    }
    site.end().await;
}
