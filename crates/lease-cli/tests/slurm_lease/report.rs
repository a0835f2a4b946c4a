//! What all trials came to: a table with the counts.

use std::collections::BTreeMap;
use std::fmt;

/// What one trial came to.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    /// What went wrong, as the table says it.
    pub(crate) group: &'static str,
    /// The trial exactly.
    pub(crate) label: String,
    pub(crate) allocations: usize,
    pub(crate) processes: usize,
    pub(crate) files: usize,
    pub(crate) foreign: usize,
    /// What was not as it should be.
    pub(crate) problem: Option<String>,
}

impl Verdict {
    /// Nothing is left, nothing is wrong.
    pub(crate) fn new(group: &'static str, label: String) -> Self {
        let (allocations, processes, files, foreign) = (0, 0, 0, 0);
        Self { group, label, allocations, processes, files, foreign, problem: None }
    }
}

/// All verdicts.
#[derive(Debug, Default)]
pub(crate) struct Report(Vec<Verdict>);

const HEAD: &str = "\
| What went wrong | Trials | Allocations left | Processes left | Sockets and files left | Foreign jobs cancelled |
|---|---:|---:|---:|---:|---:|
";

impl Report {
    pub(crate) fn add(&mut self, verdict: Verdict) {
        self.0.push(verdict);
    }

    /// Everything that was not as it should be.
    pub(crate) fn problems(&self) -> Vec<String> {
        let told = |it: &Verdict| it.problem.as_ref().map(|why| format!("{}: {why}", it.label));
        self.0.iter().filter_map(told).collect()
    }

    /// The table alone.
    pub(crate) fn table(&self) -> String {
        let mut groups: BTreeMap<&str, Vec<&Verdict>> = BTreeMap::new();
        for verdict in &self.0 {
            groups.entry(verdict.group).or_default().push(verdict);
        }
        let rows = groups.into_iter().map(|(group, verdicts)| row(group, &verdicts));
        let all = row("all", &self.0.iter().collect::<Vec<_>>());
        HEAD.to_owned() + &rows.collect::<String>() + &all
    }

    /// Writes the report where somebody asked for it.
    #[expect(clippy::disallowed_methods, reason = "whoever runs the test says where it reports")]
    pub(crate) fn write_where_asked(&self) {
        if let Some(path) = std::env::var_os("LEASE_SLURM_REPORT") {
            std::fs::write(path, self.to_string()).unwrap();
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", include_str!("report.txt"), self.table())
    }
}

fn row(group: &str, verdicts: &[&Verdict]) -> String {
    let sum = |of: fn(&Verdict) -> usize| verdicts.iter().map(|it| of(it)).sum::<usize>();
    format!(
        "| {group} | {} | {} | {} | {} | {} |\n",
        verdicts.len(),
        sum(|it| it.allocations),
        sum(|it| it.processes),
        sum(|it| it.files),
        sum(|it| it.foreign)
    )
}
