//! What all the kills came to, in lines of one shape.

use std::collections::BTreeMap;
use std::fmt;

/// What one kill came to.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    /// What the kill was tied to, without its number.
    pub(crate) group: String,
    /// The kill exactly.
    pub(crate) label: String,
    /// What the client was doing, if it was killed at all.
    pub(crate) phase: Option<&'static str>,
    /// Whether only a record was left, of a lease that had nothing yet, for the next command to end.
    pub(crate) record_only: bool,
    /// How many files without meaning were left.
    pub(crate) litter: usize,
    /// What was left.
    pub(crate) leak: Option<String>,
    /// What of others was touched.
    pub(crate) foreign: Option<String>,
}

/// All verdicts.
#[derive(Debug, Default)]
pub(crate) struct Report {
    verdicts: Vec<Verdict>,
    problems: Vec<String>,
}

impl Report {
    pub(crate) fn add(&mut self, verdict: Verdict) {
        for (what, problem) in [("left", &verdict.leak), ("foreign", &verdict.foreign)] {
            if let Some(problem) = problem {
                self.problems.push(format!("{}: {what}: {problem}", verdict.label));
            }
        }
        self.verdicts.push(verdict);
    }

    /// Adds what became of the reaper.
    pub(crate) fn add_silence(&mut self, label: &str, silent: Result<(), String>) {
        if let Err(problem) = silent {
            self.problems.push(format!("{label}: the reaper stayed: {problem}"));
        }
    }

    pub(crate) fn problems(&self) -> &[String] {
        &self.problems
    }

    pub(crate) fn missed(&self) -> usize {
        self.count(|it| it.phase.is_none())
    }

    pub(crate) fn killed_during(&self, phase: &str) -> usize {
        self.count(|it| it.phase == Some(phase))
    }

    /// Writes the summary where the documentation takes it from.
    #[expect(clippy::disallowed_methods, reason = "whoever runs the test says where it reports")]
    pub(crate) fn write_where_asked(&self) {
        if let Some(path) = std::env::var_os("LEASE_KILL_REPORT") {
            std::fs::write(path, self.to_string()).unwrap();
        }
    }

    fn count(&self, is_meant: impl Fn(&Verdict) -> bool) -> usize {
        self.verdicts.iter().filter(|it| is_meant(it)).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut groups: BTreeMap<&str, Vec<&Verdict>> = BTreeMap::new();
        for verdict in &self.verdicts {
            groups.entry(&verdict.group).or_default().push(verdict);
        }
        for (group, verdicts) in groups {
            line(f, group, &verdicts)?;
        }
        line(f, "all", &self.verdicts.iter().collect::<Vec<_>>())?;
        for phase in ["open", "acquire", "sync", "run", "release"] {
            writeln!(f, "during {phase}: killed={}", self.killed_during(phase))?;
        }
        let litter: usize = self.verdicts.iter().map(|it| it.litter).sum();
        writeln!(f, "files without meaning: {litter}")?;
        writeln!(f, "record without a reaper: {}", self.count(|it| it.record_only))
    }
}

fn line(f: &mut fmt::Formatter<'_>, group: &str, verdicts: &[&Verdict]) -> fmt::Result {
    let count = |meant: fn(&Verdict) -> bool| verdicts.iter().filter(|it| meant(it)).count();
    let (killed, leaked) = (count(|it| it.phase.is_some()), count(|it| it.leak.is_some()));
    let foreign = count(|it| it.foreign.is_some());
    writeln!(
        f,
        "{group}: points={} killed={killed} leaked={leaked} foreign={foreign}",
        verdicts.len()
    )
}
