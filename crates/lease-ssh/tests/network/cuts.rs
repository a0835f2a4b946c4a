//! Two hundred cuts at random places: of the network, of the connection's process, and of the whole client.

use std::time::Duration;

use lease_core::retry::pause;
use lease_ssh::{JobState, Outcome, Relays, Session, Sinks};
use lease_testnet::{Link, Net};

use crate::job::{Job, Seen};
use crate::site::{Site, Station};

/// Printed by the test; another one makes other cuts.
const SEED: u64 = 20_261_121;
const CUTS: u64 = 200;
const STATIONS: usize = 8;
/// How many cuts one run meets at the most.
const CUTS_EACH: u64 = 5;
const LINES: u64 = 600;
const RTT: Duration = Duration::from_millis(10);

/// Numbers that look random and are the same for the same seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// What ended the work of a client.
enum Leg {
    /// The command's end.
    Over(Outcome),
    /// The client died.
    Dead,
}

/// Drops the packets of a link for a moment, and kills the process that holds the connection across it.
async fn cut(net: &Net, station: &Station, chance: &mut Chance) {
    net.cut(station.number);
    let _restored = Restored(net, station.number);
    station.kill_connection().await;
    pause(Duration::from_millis(chance.below(120))).await;
}

/// Lets packets through again when it goes, also when the run ends in the middle of a cut.
struct Restored<'a>(&'a Net, usize);

impl Drop for Restored<'_> {
    fn drop(&mut self) {
        self.0.restore(self.1);
    }
}

/// One client's work on a run, through some cuts; at a cut the client may die. `begun` says whether another started it.
async fn leg(
    (net, station): (&Net, &Station),
    job: &Job,
    (to_out, to_err): (&mut Seen, &mut Seen),
    (chance, places, begun): (&mut Chance, &mut Vec<usize>, bool),
) -> Leg {
    let session: Session = station.connect().await;
    let mut passed_on = to_out.count.subscribe();
    let mut sinks = Sinks::new(to_out, to_err);
    let work = async {
        if begun {
            let place = (&station.root, job.run.as_str());
            return session.take_up(place, Relays::End, &mut sinks).await.unwrap();
        }
        job.carried(&session, &station.root, &mut sinks).await
    };
    let cutting = async {
        while let Some(place) = places.pop() {
            // The first place may be before the request has arrived.
            if place == 0 {
                pause(Duration::from_millis(chance.below(30))).await;
            } else {
                passed_on.wait_for(|count| *count >= place).await.unwrap();
            }
            cut(net, station, chance).await;
            if chance.below(3) == 0 {
                return;
            }
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        outcome = work => Leg::Over(outcome),
        () = cutting => Leg::Dead,
    }
}

/// One run to its end; returns how many cuts it met.
async fn run(net: &Net, station: &Station, number: u64, chance: &mut Chance) -> u64 {
    let job = Job { run: format!("r{number}"), lines: LINES, pause_each: 60 + chance.below(60) };
    let (out, err) = job.expected();
    let size = u64::try_from(out.len()).unwrap();
    let mut places: Vec<usize> =
        (0..CUTS_EACH).map(|_| usize::try_from(chance.below(size * 9 / 10)).unwrap()).collect();
    if chance.below(8) == 0 {
        places[0] = 0;
    }
    places.sort_unstable_by(|one, other| other.cmp(one));
    let named = format!("station {}, run {number}", station.number);
    let mut begun = false;
    loop {
        let (mut to_out, mut to_err) = (Seen::new(), Seen::new());
        let streams = (&mut to_out, &mut to_err);
        let ended = leg((net, station), &job, streams, (chance, &mut places, begun)).await;
        begun = true;
        let made = CUTS_EACH - u64::try_from(places.len()).unwrap();
        match ended {
            Leg::Dead => {
                assert!(out.starts_with(&to_out.bytes), "{named}: {}", to_out.difference(&out));
                assert!(err.starts_with(&to_err.bytes), "{named}: {}", to_err.difference(&err));
            }
            // The request was cut off on its way: it is told, and nothing starts it later.
            Leg::Over(Outcome::TransportLost { job: Some(JobState::Refused { .. }), .. }) => {
                assert_eq!((to_out.bytes.len(), station.starts(&job.run).as_str()), (0, ""));
                return made;
            }
            Leg::Over(outcome) => {
                assert_eq!(outcome, Outcome::Finished(7), "{named}");
                assert!(to_out.bytes == out, "{named}: {}", to_out.difference(&out));
                assert!(to_err.bytes == err, "{named}: {}", to_err.difference(&err));
                assert_eq!(station.starts(&job.run), "x\n", "{named}");
                return made;
            }
        }
    }
}

#[tokio::test]
async fn at_two_hundred_random_cuts_no_byte_is_lost_or_repeated_and_nothing_starts_twice_i15() {
    println!("seed {SEED}");
    let site = Site::new(&[Link::new(RTT); STATIONS]).await;
    let share = CUTS / u64::try_from(STATIONS).unwrap();
    let on_one = async |station: &Station| {
        let number = u64::try_from(station.number).unwrap();
        let mut chance = Chance((SEED + number).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let (mut made, mut runs) = (0, 0);
        while made < share {
            made += run(&site.net, station, runs, &mut chance).await;
            runs += 1;
            assert!(runs < 4 * share, "station {number}: the cuts meet nothing");
        }
        for run in 0..runs {
            let starts = station.starts(&format!("r{run}"));
            assert!(starts.len() <= 2, "station {number}, run {run} was started again: {starts}");
        }
        made
    };
    let mut works: Vec<_> = site.stations.iter().map(|it| Box::pin(on_one(it))).collect();
    let [a, b, c, d, e, f, g, h] = works.as_mut_slice() else { panic!() };
    let made = tokio::join!(a, b, c, d, e, f, g, h);
    let made = [made.0, made.1, made.2, made.3, made.4, made.5, made.6, made.7];
    println!("{made:?} cuts");
    assert!(made.iter().sum::<u64>() >= CUTS);
    drop(works);
    site.end().await;
}
