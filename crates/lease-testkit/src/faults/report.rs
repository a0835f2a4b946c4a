//! The report of the whole matrix, as Markdown. It holds no timings, so that it can be compared with the one in the
//! repository.

use std::fmt::{self, Write as _};

use lease_core::Error;

use super::matrix::{Matrix, Tally, run_matrix};
use super::mutant::{Kill, Mutant, hunt};
use super::point::{Fault, Point};
use super::scenario::Scenario;
use super::script::Planned;
use crate::world::Violation;

/// The lives of a lease of which all pairs are run.
const PAIRS_OF: [Scenario; 2] = [Scenario::Release, Scenario::Keep];

/// Everything that was run.
#[derive(Clone, Debug)]
pub struct Report {
    tallies: Vec<(Scenario, Tally)>,
    kills: Vec<(Mutant, Option<Kill>)>,
    other_ladders: String,
}

/// Runs all singles of every scenario, all pairs of one, and every mutant.
///
/// `other_ladders` is Markdown about tests that are run elsewhere; it is quoted as it is.
///
/// # Errors
/// When a run cannot be made at all; what goes wrong inside a run is in the report.
pub fn run_report(other_ladders: String) -> Result<Report, Error> {
    let mut report = Report { tallies: Vec::new(), kills: Vec::new(), other_ladders };
    for scenario in Scenario::ALL {
        let tally = run_matrix(Matrix { scenario, pairs: PAIRS_OF.contains(&scenario) })?;
        report.tallies.push((scenario, tally));
    }
    for mutant in Mutant::ALL {
        report.kills.push((mutant, hunt(mutant)?));
    }
    Ok(report)
}

impl Report {
    /// Whether nothing went wrong: no failed run, no fault that did not happen, no surviving mutant.
    pub fn is_clean(&self) -> bool {
        let runs = self.tallies.iter().all(|(_, it)| it.failed == 0 && it.singles > 0);
        runs && self.kills.iter().all(|(_, it)| it.is_some())
    }

    fn sum(&self, of: impl Fn(&Tally) -> usize) -> usize {
        self.tallies.iter().map(|(_, it)| of(it)).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::from(HEAD);
        self.numbers(&mut text)?;
        self.scenarios(&mut text)?;
        self.faults(&mut text)?;
        self.mutants(&mut text)?;
        text.push_str(ASSUMPTIONS);
        if !self.other_ladders.is_empty() {
            write!(text, "\n{}", self.other_ladders)?;
        }
        self.complaints(&mut text)?;
        f.write_str(text.trim_end())
    }
}

impl Report {
    fn numbers(&self, text: &mut String) -> fmt::Result {
        let kinds = Point::ALL.into_iter().filter(|it| self.planned_at(*it) > 0).count();
        let killed = self.kills.iter().filter(|(_, it)| it.is_some()).count();
        writeln!(text, "| what | number |\n|---|---:|")?;
        for (what, number) in [
            ("points passed by the runs without faults", self.sum(|it| it.points)),
            ("kinds of points at which faults were planned", kinds),
            ("faults", Fault::ALL.len()),
            ("runs with one fault", self.sum(|it| it.singles)),
            ("runs with two faults", self.sum(|it| it.pairs)),
            ("faults that were planned", self.sum(|it| it.singles + 2 * it.pairs)),
            ("faults that happened where they were planned", self.sum(|it| it.fired)),
            ("runs that went wrong", self.sum(|it| it.failed)),
        ] {
            writeln!(text, "| {what} | {number} |")?;
        }
        for (what, number) in self.wrongs() {
            writeln!(text, "| {what} | {number} |")?;
        }
        writeln!(text, "| mutants killed | {killed} of {} |\n", self.kills.len())
    }

    fn wrongs(&self) -> [(&'static str, usize); 7] {
        [
            ("resources leaked", self.sum(|it| it.leaks)),
            (
                "foreign resources destroyed",
                self.count(|it| matches!(it, Violation::ForeignDestroyed(_))),
            ),
            ("second machines", self.count(|it| matches!(it, Violation::Second(_)))),
            (
                "creates without an intent",
                self.count(|it| matches!(it, Violation::CreatedWithoutIntent(_))),
            ),
            ("destroyed out of order, or a key forgotten too early", self.count(is_disorder)),
            (
                "kept resources destroyed, or anything without being asked",
                self.count(is_disobedience),
            ),
            ("loops without an end", self.count(|it| matches!(it, Violation::Unbounded(_)))),
        ]
    }

    fn planned_at(&self, point: Point) -> usize {
        self.sum(|it| it.planned_at.get(&point).copied().unwrap_or_default())
    }

    fn count(&self, wanted: impl Fn(&Violation) -> bool) -> usize {
        self.tallies.iter().flat_map(|(_, it)| &it.violations).filter(|it| wanted(it)).count()
    }

    fn scenarios(&self, text: &mut String) -> fmt::Result {
        writeln!(text, "## Lives of a lease\n")?;
        writeln!(text, "| life | points | singles | pairs | helped by a person | went wrong |")?;
        writeln!(text, "|---|---:|---:|---:|---:|---:|")?;
        for (scenario, it) in &self.tallies {
            let Tally { points, singles, pairs, helped, failed, .. } = it;
            writeln!(
                text,
                "| {scenario} | {points} | {singles} | {pairs} | {helped} | {failed} |"
            )?;
        }
        writeln!(text)
    }

    fn faults(&self, text: &mut String) -> fmt::Result {
        writeln!(
            text,
            "## Points and what can go wrong there\n\n| point | faults planned there | what goes wrong |\n|---|---:|---|"
        )?;
        for point in Point::ALL {
            let faults = Fault::ALL.into_iter().filter(|it| it.applies_to(point));
            let list: Vec<_> = faults.map(|it| it.to_string()).collect();
            writeln!(text, "| {point} | {} | {} |", self.planned_at(point), list.join(" · "))?;
        }
        writeln!(text)
    }

    fn mutants(&self, text: &mut String) -> fmt::Result {
        writeln!(
            text,
            "## Seeded bugs\n\n| bug | noticed in | with | by | behaviour test |\n|---|---|---|---|---|"
        )?;
        for (mutant, kill) in &self.kills {
            let sentence = mutant
                .breaks()
                .map_or("none: it is not the provider's".to_owned(), |it| format!("`{it}`"));
            match kill {
                Some(kill) => {
                    let Kill { scenario, fault, complaint, .. } = kill;
                    writeln!(
                        text,
                        "| {mutant} | {scenario} | {fault} | {} | {sentence} |",
                        first_of(complaint)
                    )?;
                }
                None => writeln!(text, "| {mutant} | **survived** | | | {sentence} |")?,
            }
        }
        writeln!(text)
    }

    fn complaints(&self, text: &mut String) -> fmt::Result {
        let failures: Vec<_> = self
            .tallies
            .iter()
            .flat_map(|(scenario, it)| it.failures.iter().map(move |one| (scenario, one)))
            .collect();
        if failures.is_empty() {
            return Ok(());
        }
        writeln!(text, "\n## Went wrong\n")?;
        for (scenario, failure) in failures {
            writeln!(text, "* {scenario}: {} `{}`", failure.what, replay_line(&failure.planned))?;
        }
        Ok(())
    }
}

fn replay_line(planned: &[Planned]) -> String {
    let one = |it: &Planned| format!("{}:{:?}", it.at, it.fault);
    planned.iter().map(one).collect::<Vec<_>>().join(",")
}

/// The check that spoke first, without the names of the run.
fn first_of(complaint: &str) -> &str {
    complaint.split([';', ':']).next().unwrap_or(complaint)
}

fn is_disorder(violation: &Violation) -> bool {
    matches!(violation, Violation::OutOfOrder(_) | Violation::KeyForgotten(_))
}

fn is_disobedience(violation: &Violation) -> bool {
    matches!(violation, Violation::KeptDestroyed(_) | Violation::DestroyedUnasked(_))
}

const HEAD: &str = "\
# Faults

What happens to machines when things go wrong: the real engine in a simulated cloud whose ledger is outside the code \
under test, with one fault at every point where the engine touches the world, and with a second fault at every later \
point. After each run new processes look after the leases until nothing is left to do; then the ledger decides.

Generated by `cargo xtask faults`; `cargo xtask faults --check` fails when it is out of date.

";

const ASSUMPTIONS: &str = "\
## What is assumed

* A fault happens to one or two calls; an outage, a full disk and a swapped account end after some time.
* A provider keeps its settling time: what was accepted is visible, and what was destroyed is gone, within it.
* A provider notices a page that is lost and answers an error. A listing that silently lacks something breaks the \
  contract (`list_is_complete_or_an_error`), and no client could tell.
* A provider sends each request in the account of the token it is given, or refuses.
* Where neither names nor keys are unique, a request arrives at most once; nothing a client can do prevents a second \
  delivery there. Where they are, a second delivery is one of the faults.
* An id is not given to somebody else between the last look at it and the destroy that follows at once, and not at all \
  where the provider stores no marks.
* Where the provider stores no marks, a create whose answer was lost is left to a person, who is told and removes it by \
  hand. Credentials that belong to another account than the lease are put right by a person in the end. Those runs are \
  counted as helped.
* All singles of every life are run, and all ordered pairs of two of them. The second fault of a pair may be at any \
  point after the first, in recovery too.
* A crash after a read is the crash before the next point; a read that is lost and one whose answer is lost are the \
  same; a store answers every failure alike. Such doubles are run once.
";
