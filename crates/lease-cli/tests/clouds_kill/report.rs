//! What all the kills came to, in lines of one shape.

use std::collections::BTreeMap;
use std::fmt;

use crate::trial::Ending;

/// What one kill came to.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    pub(crate) provider: &'static str,
    /// What the kill was tied to, without its number.
    pub(crate) group: String,
    /// The kill exactly.
    pub(crate) label: String,
    /// Whether it happened at all.
    pub(crate) was_killed: bool,
    pub(crate) ending: Ending,
    /// How many machines were ever made for the lease.
    pub(crate) machines: usize,
    /// What was left.
    pub(crate) leak: Option<String>,
    /// What of others was touched.
    pub(crate) foreign: Option<String>,
    /// Which machines there were at once.
    pub(crate) second: Option<String>,
}

/// All verdicts.
#[derive(Debug, Default)]
pub(crate) struct Report {
    verdicts: Vec<Verdict>,
    problems: Vec<String>,
}

impl Report {
    pub(crate) fn add(&mut self, verdict: Verdict) {
        let problems =
            [("left", &verdict.leak), ("foreign", &verdict.foreign), ("second", &verdict.second)];
        for (what, problem) in problems {
            if let Some(problem) = problem {
                self.problems.push(format!("{}: {what}: {problem}", verdict.label));
            }
        }
        self.verdicts.push(verdict);
    }

    pub(crate) fn problems(&self) -> &[String] {
        &self.problems
    }

    /// How many kills were planned in the groups that begin so, and how many happened.
    pub(crate) fn kills_at(&self, group: &str) -> (usize, usize) {
        let of = self.verdicts.iter().filter(|it| it.group.starts_with(group));
        of.fold((0, 0), |(all, killed), it| (all + 1, killed + usize::from(it.was_killed)))
    }

    /// How often the reaper needed more than ten seconds.
    pub(crate) fn late(&self) -> usize {
        self.verdicts.iter().filter(|it| it.ending.is_late).count()
    }

    /// Writes the summary where the documentation takes it from.
    #[expect(clippy::disallowed_methods, reason = "whoever runs the test says where it reports")]
    pub(crate) fn write_where_asked(&self) {
        if let Some(path) = std::env::var_os("LEASE_KILL_REPORT") {
            std::fs::write(path, self.to_string()).unwrap();
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut groups: BTreeMap<&str, Vec<&Verdict>> = BTreeMap::new();
        let mut providers: BTreeMap<&str, Vec<&Verdict>> = BTreeMap::new();
        for verdict in &self.verdicts {
            groups.entry(&verdict.group).or_default().push(verdict);
            providers.entry(verdict.provider).or_default().push(verdict);
        }
        for (name, verdicts) in groups.into_iter().chain(providers) {
            line(f, name, &verdicts)?;
        }
        let records = self.verdicts.iter().filter(|it| it.ending.record_only).count();
        writeln!(f, "record without a reaper: {records}")?;
        writeln!(f, "more than ten seconds: {}", self.late())?;
        let cleanups = self.verdicts.iter().map(|it| it.ending.cleanups).max();
        writeln!(f, "cleanups after a kill, at most: {}", cleanups.unwrap_or(0))
    }
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, verdicts: &[&Verdict]) -> fmt::Result {
    let count = |meant: fn(&Verdict) -> bool| verdicts.iter().filter(|it| meant(it)).count();
    let (points, killed) = (verdicts.len(), count(|it| it.was_killed));
    let (leaked, foreign) = (count(|it| it.leak.is_some()), count(|it| it.foreign.is_some()));
    let second = count(|it| it.second.is_some());
    let machines: usize = verdicts.iter().map(|it| it.machines).sum();
    writeln!(
        f,
        "{name}: points={points} killed={killed} leaked={leaked} foreign={foreign} second={second} machines={machines}"
    )
}
