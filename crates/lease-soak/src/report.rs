//! The table at the end.

use std::time::Duration;

use crate::site::Outcome;

/// What the whole run came to.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) seed: u64,
    pub(crate) took: Duration,
    pub(crate) outcomes: Vec<Outcome>,
}

impl Report {
    /// Whether nothing is leaked, touched, stuck or growing.
    pub(crate) fn is_good(&self) -> bool {
        self.findings().is_empty()
    }

    /// Everything that is wrong.
    pub(crate) fn findings(&self) -> Vec<String> {
        self.outcomes.iter().flat_map(Outcome::findings).collect()
    }

    /// The table, in the form of a page.
    pub(crate) fn table(&self) -> String {
        let mut lines = vec![
            "| Provider | Leases | Clients: good | failed | killed | Cuts, faults | Records released | Leaked | Foreign touched | Stuck | Reaper, MiB: start | middle | end |".to_owned(),
            "|---|---|---|---|---|---|---|---|---|---|---|---|---|".to_owned(),
        ];
        let mut sums = [0; 9];
        for it in &self.outcomes {
            let (tally, verdict) = (&it.tally, &it.verdict);
            let figures = [
                tally.leases,
                tally.good,
                tally.failed,
                tally.killed,
                it.harmed,
                it.released,
                verdict.leaked.len(),
                verdict.foreign.len(),
                verdict.stuck.len(),
            ];
            sums.iter_mut().zip(figures).for_each(|(sum, figure)| *sum += figure);
            let course = it.memory.course();
            let mib = |kib: u64| format!("{}.{}", kib / 1024, kib % 1024 * 10 / 1024);
            let memory = course
                .map_or(["–".to_owned(), "–".to_owned(), "–".to_owned()], |it| {
                    [mib(it.start), mib(it.middle), mib(it.end)]
                });
            lines.push(row(it.provider.name(), &figures, &memory));
        }
        lines.push(row("all", &sums, &[String::new(), String::new(), String::new()]));
        lines.join("\n")
    }

    /// One line that says how it ended.
    pub(crate) fn summary(&self) -> String {
        let planned: usize = self.outcomes.iter().map(|it| it.planned).sum();
        let ran: usize = self.outcomes.iter().map(|it| it.tally.leases).sum();
        let reapers: usize = self.outcomes.iter().map(|it| it.memory.reapers()).sum();
        let end = match (self.is_good(), ran == planned) {
            (true, true) => "ok",
            (true, false) => "ok, stopped at its bound",
            (false, _) => "FAILED",
        };
        format!(
            "soak: {end} - {ran} of {planned} leases in {} s, seed {}, {reapers} reapers seen, {} findings",
            self.took.as_secs(),
            self.seed,
            self.findings().len()
        )
    }
}

fn row(name: &str, figures: &[usize], memory: &[String]) -> String {
    let figures = figures.iter().map(ToString::to_string);
    let cells: Vec<_> = figures.chain(memory.iter().cloned()).collect();
    format!("| {name} | {} |", cells.join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::Verdict;
    use crate::memory::Memory;
    use crate::plan::Provider;
    use crate::site::Tally;

    fn report(verdict: Verdict, leases: usize) -> Report {
        let outcome = Outcome {
            provider: Provider::Fal,
            planned: 5,
            tally: Tally { leases, killed: 2, ..Tally::default() },
            harmed: 1,
            released: 4,
            memory: Memory::default(),
            verdict,
            log: String::new(),
        };
        Report { seed: 7, took: Duration::from_secs(3), outcomes: vec![outcome] }
    }

    #[test]
    fn one_finding_fails_the_run_and_is_named() {
        let stuck = Verdict { stuck: vec!["record x".to_owned()], ..Verdict::default() };
        let bad = report(stuck, 5);
        assert!(!bad.is_good());
        assert_eq!(bad.findings(), ["fal: stuck: record x"]);
        assert!(bad.summary().contains("FAILED"), "{}", bad.summary());
        let good = report(Verdict::default(), 5);
        assert!(good.is_good() && good.summary().starts_with("soak: ok - 5 of 5 leases"));
    }

    #[test]
    fn many_leases_of_which_none_met_anything_prove_nothing() {
        let mut idle = report(Verdict::default(), 100);
        assert!(idle.is_good());
        idle.outcomes[0].harmed = 0;
        assert!(!idle.is_good());
    }

    #[test]
    fn a_run_that_its_bound_stopped_says_how_many_ran() {
        let short = report(Verdict::default(), 3);
        assert!(short.is_good());
        assert!(short.summary().contains("stopped at its bound - 3 of 5"), "{}", short.summary());
        assert!(short.table().contains("| fal | 3 | 0 | 0 | 2 | 1 | 4 | 0 | 0 | 0 |"));
    }
}
