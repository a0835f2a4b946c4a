//! What the data plane shall reach, and whether it did in this run.

use super::contest::Contestant;
use super::contest::Contestant::{
    Bare, BareStream, Lease, LeaseChanged, LeaseFirst, LeaseStream, Rsync, RsyncFirst, Spare,
    SpareChanged,
};
use super::link::Link;
use super::outcome::{Heat, Outcome};

/// One target, and what was measured.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) what: String,
    pub(super) limit: Limit,
    /// Nothing when this run did not measure it.
    pub(super) measured: Option<f64>,
}

/// A bound, with the unit that it is written with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Limit {
    AtMost(f64, &'static str),
    AtLeast(f64, &'static str),
}

/// What a target says about this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Holds,
    Fails,
    NotMeasured,
}

impl Target {
    pub(super) fn verdict(&self) -> Verdict {
        let holds = match (self.limit, self.measured) {
            (_, None) => return Verdict::NotMeasured,
            (Limit::AtMost(most, _), Some(measured)) => measured <= most,
            (Limit::AtLeast(least, _), Some(measured)) => measured >= least,
        };
        if holds { Verdict::Holds } else { Verdict::Fails }
    }
}

/// The tree that most targets are about, and the large one.
const MIDDLE: usize = 10_000;
const LARGE: usize = 100_000;
const NEAR: Link = Link::ms(0);
const FAR: Link = Link::ms(50);
const FARTHER: Link = Link::ms(100);

/// All targets, by what `outcome` says about them.
pub(super) fn targets(outcome: &Outcome) -> Vec<Target> {
    let mut all = warm(outcome);
    all.extend(spare(outcome));
    all.extend(against_rsync(outcome));
    all.extend(costs(outcome));
    all
}

fn warm(outcome: &Outcome) -> Vec<Target> {
    let row = |files, link, who, most| {
        let change = if who == Lease { "nothing changed" } else { "one file changed" };
        Target {
            what: format!("warm run, {change}, {files} files, {link}"),
            limit: Limit::AtMost(most, "× bare `ssh`"),
            measured: ratio(&outcome.warm, (files, link), who, Bare),
        }
    };
    let round_trips = Target {
        what: format!("warm run, nothing changed, {MIDDLE} files: round trips on the wire"),
        limit: Limit::AtMost(2.0, ""),
        measured: trips(outcome, FAR, Lease),
    };
    vec![
        row(MIDDLE, NEAR, Lease, 2.5),
        row(MIDDLE, FAR, Lease, 1.15),
        row(MIDDLE, FARTHER, Lease, 1.15),
        row(MIDDLE, FAR, LeaseChanged, 1.2),
        row(MIDDLE, FARTHER, LeaseChanged, 1.2),
        row(LARGE, FAR, Lease, 2.0),
        round_trips,
    ]
}

/// Without a session that waits, OpenSSH needs a round trip to open one and one to use it.
fn spare(outcome: &Outcome) -> Vec<Target> {
    let row = |link, who, most| {
        let change = if who == Spare { "nothing changed" } else { "one file changed" };
        Target {
            what: format!("with a waiting session: warm run, {change}, {MIDDLE} files, {link}"),
            limit: Limit::AtMost(most, "× bare `ssh`"),
            measured: ratio(&outcome.warm, (MIDDLE, link), who, Bare),
        }
    };
    let round_trips = |link| Target {
        what: format!("with a waiting session: round trips on the wire, {MIDDLE} files, {link}"),
        limit: Limit::AtMost(1.0, ""),
        measured: trips(outcome, link, Spare),
    };
    vec![
        row(FAR, Spare, 0.65),
        row(FARTHER, Spare, 0.65),
        row(FAR, SpareChanged, 0.7),
        row(FARTHER, SpareChanged, 0.7),
        round_trips(FAR),
        round_trips(FARTHER),
    ]
}

/// The round trips of a warm run.
fn trips(outcome: &Outcome, link: Link, who: Contestant) -> Option<f64> {
    let heat = Outcome::find(&outcome.warm, MIDDLE, link)?;
    Some(heat.sample(who, |run| run.round_trips)?.median)
}

fn against_rsync(outcome: &Outcome) -> Vec<Target> {
    let warm = |files, link, least| Target {
        what: format!("faster than `rsync` then `ssh`, nothing changed, {files} files, {link}"),
        limit: Limit::AtLeast(least, "×"),
        measured: ratio(&outcome.warm, (files, link), Rsync, Lease),
    };
    let first = |files, link, least| Target {
        what: format!("first sync, faster than `rsync`, {files} files, {link}"),
        limit: Limit::AtLeast(least, "×"),
        measured: ratio(&outcome.first, (files, link), RsyncFirst, LeaseFirst),
    };
    let mut all = vec![warm(MIDDLE, NEAR, 5.0), warm(MIDDLE, FAR, 8.0), warm(LARGE, FAR, 30.0)];
    all.extend([first(MIDDLE, FAR, 1.5), first(LARGE, FAR, 1.5)]);
    let others = outcome.first.iter().filter(|heat| heat.link != FAR || heat.files < MIDDLE);
    all.extend(others.map(|heat| first(heat.files, heat.link, 1.0)));
    all
}

fn costs(outcome: &Outcome) -> Vec<Target> {
    let warm = Outcome::find(&outcome.warm, MIDDLE, FAR);
    let of = |figure| Some(warm?.sample(Lease, figure)?.median);
    let stream = outcome.stream.as_ref();
    vec![
        Target {
            what: format!("CPU time of the client, warm run, {MIDDLE} files"),
            limit: Limit::AtMost(40.0, "ms"),
            measured: of(|run| run.cpu_ms),
        },
        Target {
            what: format!("memory of the client, warm run, {MIDDLE} files"),
            limit: Limit::AtMost(60.0, "MB"),
            measured: of(|run| run.rss_mib * 1.048_576),
        },
        Target {
            what: "1 GiB of output, speed against bare `ssh`".to_owned(),
            limit: Limit::AtLeast(0.8, "×"),
            measured: stream.and_then(|heat| heat.ratio(BareStream, LeaseStream)),
        },
    ]
}

fn ratio(
    heats: &[Heat],
    (files, link): (usize, Link),
    who: Contestant,
    peer: Contestant,
) -> Option<f64> {
    Outcome::find(heats, files, link)?.ratio(who, peer)
}

#[cfg(test)]
mod tests {
    use super::super::network::Run;
    use super::super::outcome::tests::heat;
    use super::*;

    fn verdicts(outcome: &Outcome) -> Vec<(String, Verdict)> {
        targets(outcome).iter().map(|it| (it.what.clone(), it.verdict())).collect()
    }

    #[test]
    fn what_was_not_measured_neither_holds_nor_fails() {
        let all = verdicts(&Outcome::default());
        assert!(all.iter().all(|(_, verdict)| *verdict == Verdict::NotMeasured), "{all:?}");
    }

    #[test]
    fn a_target_holds_up_to_its_limit_and_not_beyond() {
        let outcome = |lease| Outcome {
            warm: vec![heat(
                MIDDLE,
                FAR,
                &[(Bare, &[100.0]), (Lease, &[lease]), (Rsync, &[900.0])],
            )],
            ..Outcome::default()
        };
        let verdict = |lease, what: &str| {
            let all = verdicts(&outcome(lease));
            all.into_iter().find(|(it, _)| it == what).map(|(_, verdict)| verdict)
        };
        let warm = "warm run, nothing changed, 10000 files, 50 ms";
        assert_eq!(verdict(115.0, warm), Some(Verdict::Holds));
        assert_eq!(verdict(116.0, warm), Some(Verdict::Fails));
        let rsync = "faster than `rsync` then `ssh`, nothing changed, 10000 files, 50 ms";
        assert_eq!(verdict(112.5, rsync), Some(Verdict::Holds));
        assert_eq!(verdict(113.0, rsync), Some(Verdict::Fails));
    }

    #[test]
    fn a_waiting_session_saves_a_round_trip_or_does_not() {
        let what = "with a waiting session: round trips on the wire, 10000 files, 50 ms";
        for (round_trips, verdict) in [(1.0, Verdict::Holds), (2.0, Verdict::Fails)] {
            let mut heat = Heat::new(MIDDLE, FAR, &[Bare, Spare]);
            for (who, wall_ms) in [(Bare, 100.0), (Spare, 60.0)] {
                heat.add(who, Run { wall_ms, round_trips, ..Run::default() });
            }
            let all = verdicts(&Outcome { warm: vec![heat], ..Outcome::default() });
            assert!(all.contains(&(what.to_owned(), verdict)), "{round_trips}: {all:?}");
        }
    }
}
