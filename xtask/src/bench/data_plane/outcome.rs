//! What came of the rounds: medians, and ratios of runs of the same round.

use std::fmt;

use serde_json::{Value, json};

use super::contest::Contestant;
use super::link::Link;
use super::network::Run;
use crate::bench::figures::{Sample, paired_ratio};

/// The rounds of some contestants with one tree on one link.
#[derive(Debug)]
pub(super) struct Heat {
    pub(super) files: usize,
    pub(super) link: Link,
    series: Vec<(Contestant, Vec<Run>)>,
}

impl Heat {
    pub(super) fn new(files: usize, link: Link, who: &[Contestant]) -> Self {
        Self { files, link, series: who.iter().map(|&it| (it, Vec::new())).collect() }
    }

    pub(super) fn add(&mut self, who: Contestant, run: Run) {
        if let Some((_, runs)) = self.series.iter_mut().find(|(it, _)| *it == who) {
            runs.push(run);
        }
    }

    pub(super) fn runs(&self, who: Contestant) -> &[Run] {
        self.series.iter().find(|(it, _)| *it == who).map_or(&[], |(_, runs)| runs)
    }

    /// How often each contestant ran.
    pub(super) fn rounds(&self) -> usize {
        self.series.iter().map(|(_, runs)| runs.len()).min().unwrap_or_default()
    }

    /// The median, the fastest and the slowest of one figure.
    pub(super) fn sample(&self, who: Contestant, figure: fn(&Run) -> f64) -> Option<Sample> {
        Sample::of(&self.runs(who).iter().map(figure).collect::<Vec<_>>())
    }

    /// The median wall time in milliseconds.
    pub(super) fn wall_ms(&self, who: Contestant) -> Option<f64> {
        self.sample(who, |run| run.wall_ms).map(|it| it.median)
    }

    /// How many times as long as `peer` it took: the median over the rounds.
    pub(super) fn ratio(&self, who: Contestant, peer: Contestant) -> Option<f64> {
        let wall = |who| self.runs(who).iter().map(|run| run.wall_ms).collect::<Vec<_>>();
        paired_ratio(&wall(who), &wall(peer))
    }

    pub(super) fn json(&self) -> Value {
        let series = |(who, runs): &(Contestant, Vec<Run>)| {
            let median = |figure| self.sample(*who, figure).map(|it| it.median);
            json!({
                "contestant": who.name(),
                "wall_ms": runs.iter().map(|run| run.wall_ms).collect::<Vec<_>>(),
                "cpu_ms": median(|run| run.cpu_ms), "rss_mib": median(|run| run.rss_mib),
                "out_bytes": median(|run| run.out_bytes), "back_bytes": median(|run| run.back_bytes),
                "packets": median(|run| run.packets), "round_trips": median(|run| run.round_trips),
            })
        };
        json!({
            "files": self.files, "link": self.link.to_string(),
            "series": self.series.iter().map(series).collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for Heat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} files, {}:", self.files, self.link)?;
        for (who, _) in &self.series {
            write!(f, " {} {:.0} ms;", who.name(), self.wall_ms(*who).unwrap_or(f64::NAN))?;
        }
        Ok(())
    }
}

/// Everything that was measured in one go.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) warm: Vec<Heat>,
    pub(super) first: Vec<Heat>,
    pub(super) stream: Option<Heat>,
}

impl Outcome {
    /// The heat of `heats` with that tree on that link.
    pub(super) fn find(heats: &[Heat], files: usize, link: Link) -> Option<&Heat> {
        heats.iter().find(|heat| heat.files == files && heat.link == link)
    }

    /// The sizes of the trees, each once, in the order of measuring.
    pub(super) fn sizes(heats: &[Heat]) -> Vec<usize> {
        let mut sizes: Vec<usize> = heats.iter().map(|heat| heat.files).collect();
        sizes.dedup();
        sizes
    }

    pub(super) fn json(&self) -> Value {
        let heats = |heats: &[Heat]| heats.iter().map(Heat::json).collect::<Vec<_>>();
        json!({
            "warm": heats(&self.warm), "first": heats(&self.first),
            "stream": self.stream.as_ref().map(Heat::json),
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use Contestant::{Bare, Lease};

    /// A heat in which each contestant took those times.
    pub(in crate::bench) fn heat(files: usize, link: Link, times: &[(Contestant, &[f64])]) -> Heat {
        let mut heat = Heat::new(files, link, &times.iter().map(|it| it.0).collect::<Vec<_>>());
        for (who, walls) in times {
            for &wall_ms in *walls {
                let run =
                    Run { wall_ms, cpu_ms: 1.0, rss_mib: 8.0, round_trips: 2.0, ..Run::default() };
                heat.add(*who, run);
            }
        }
        heat
    }

    #[test]
    fn a_ratio_is_that_of_runs_of_the_same_round() {
        // The machine was slow in the second round, for both of them.
        let heat =
            heat(1000, Link::ms(0), &[(Bare, &[1.0, 10.0, 2.0]), (Lease, &[2.0, 20.0, 4.0])]);
        assert_eq!(heat.ratio(Lease, Bare), Some(2.0));
        assert_eq!(heat.wall_ms(Lease), Some(4.0));
        assert_eq!(heat.ratio(Contestant::Rsync, Bare), None);
        assert_eq!(heat.rounds(), 3);
        assert_eq!(heat.json()["series"][1]["round_trips"], 2.0);
    }
}
