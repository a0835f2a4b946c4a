//! Every point × every fault, and every ordered pair.

use std::collections::BTreeMap;

use lease_core::descriptor::{Ownership, Replay};
use lease_core::{Error, ErrorKind};

use super::point::{Fault, Passed, Point};
use super::run::{Run, replay};
use super::scenario::Scenario;
use super::script::Planned;
use crate::world::Violation;

/// The most failures that are kept in words; all are counted.
const FAILURES_SHOWN_MAX: usize = 40;

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Matrix {
    /// The life of the lease.
    pub scenario: Scenario,
    /// Whether every single is combined with every later second fault.
    pub pairs: bool,
}

/// What came of a matrix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Effect points of the run without faults.
    pub points: usize,
    /// Runs with one fault.
    pub singles: usize,
    /// Runs with two faults.
    pub pairs: usize,
    /// Faults that happened where they were planned.
    pub fired: usize,
    /// How many faults were planned at each kind of point.
    pub planned_at: BTreeMap<Point, usize>,
    /// Runs in which a person had to help.
    pub helped: usize,
    /// Runs that went wrong.
    pub failed: usize,
    /// Resources that were leaked or left over.
    pub leaks: usize,
    /// Every rule that was broken.
    pub violations: Vec<Violation>,
    /// The first of them.
    pub failures: Vec<Failure>,
}

/// A run that went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The faults, with which it can be replayed.
    pub planned: Vec<Planned>,
    /// Where they happened and what went wrong, in words.
    pub what: String,
}

/// Runs a matrix.
///
/// # Errors
/// When a run cannot be made at all.
pub fn run_matrix(matrix: Matrix) -> Result<Tally, Error> {
    let scenario = matrix.scenario;
    let mut tally = Tally::default();
    let base = replay(scenario, &[], None)?;
    tally.points = base.trace.len();
    tally.note(&[], &base);
    let firsts = faults_from(scenario, &base, 0);
    // Runs share nothing; each thread takes a part, and the parts are added up in their order.
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = firsts.len().div_ceil(threads).max(1);
    let parts = std::thread::scope(|scope| {
        let started: Vec<_> =
            firsts.chunks(share).map(|part| scope.spawn(move || run_part(matrix, part))).collect();
        started.into_iter().map(std::thread::ScopedJoinHandle::join).collect::<Vec<_>>()
    });
    for part in parts {
        let died = |_| Error::harmless(ErrorKind::Internal, "run the matrix", "a run panicked");
        tally.add(part.map_err(died)??);
    }
    Ok(tally)
}

fn run_part(matrix: Matrix, firsts: &[Planned]) -> Result<Tally, Error> {
    let Matrix { scenario, pairs } = matrix;
    let mut tally = Tally::default();
    for first in firsts {
        let single = replay(scenario, &[*first], None)?;
        tally.singles += 1;
        tally.note(&[*first], &single);
        if !pairs {
            continue;
        }
        // What comes after the first fault is another run, with points of its own.
        for second in faults_from(scenario, &single, first.at + 1) {
            let planned = [*first, second];
            let pair = replay(scenario, &planned, None)?;
            tally.pairs += 1;
            tally.note(&planned, &pair);
        }
    }
    Ok(tally)
}

/// Every fault that can happen at the points of `run` from number `start` on.
///
/// A request that is delivered twice makes two resources where neither names nor keys are unique; no client can prevent
/// that, so it is assumed away there, and the report says so. The same holds for an id that is given to somebody else
/// where there are no marks.
pub(super) fn faults_from(scenario: Scenario, run: &Run, start: usize) -> Vec<Planned> {
    let once = scenario.flavor().descriptor().replay == Replay::Never;
    let markless = scenario.flavor().descriptor().ownership == Ownership::CreateAnswer;
    let possible = move |fault: &Fault| {
        let doubled = once && *fault == Fault::DeliveredTwice;
        let renamed = markless && *fault == Fault::IdReused;
        !doubled && !renamed
    };
    let points = run.trace.iter().copied().enumerate().skip(start);
    let at_point = |(at, passed): (usize, Passed)| {
        let faults = Fault::ALL.into_iter().filter(move |it| it.applies_at(passed) && possible(it));
        faults.map(move |fault| Planned { at, fault })
    };
    points.flat_map(at_point).collect()
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.points += other.points;
        self.singles += other.singles;
        self.pairs += other.pairs;
        self.fired += other.fired;
        self.helped += other.helped;
        self.failed += other.failed;
        self.leaks += other.leaks;
        for (point, count) in other.planned_at {
            *self.planned_at.entry(point).or_default() += count;
        }
        self.violations.extend(other.violations);
        self.failures.extend(other.failures);
        self.failures.truncate(FAILURES_SHOWN_MAX);
    }

    fn note(&mut self, planned: &[Planned], run: &Run) {
        for point in planned.iter().filter_map(|it| run.trace.get(it.at)) {
            *self.planned_at.entry(point.point).or_default() += 1;
        }
        self.fired += if run.fired { planned.len() } else { 0 };
        self.helped += usize::from(run.helped);
        let Some(complaint) = run.complaint() else { return };
        self.failed += 1;
        self.leaks += run.audit.leaked.len() + run.audit.pending.len();
        self.violations.extend(run.audit.violations.iter().cloned());
        if self.failures.len() < FAILURES_SHOWN_MAX {
            let what = format!("{}: {complaint}", describe(planned, run));
            self.failures.push(Failure { planned: planned.to_vec(), what });
        }
    }
}

/// The faults in words, with the points at which they happened.
pub(super) fn describe(planned: &[Planned], run: &Run) -> String {
    if planned.is_empty() {
        return "without a fault".to_owned();
    }
    let one = |it: &Planned| match run.trace.get(it.at) {
        Some(passed) => format!("{} at point {} ({})", it.fault, it.at, passed.point),
        None => format!("{} at point {} (never reached)", it.fault, it.at),
    };
    planned.iter().map(one).collect::<Vec<_>>().join(", then ")
}
