//! Every request × every fault, and every ordered pair.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::Builder;

use crate::backend::Vendor;
use crate::fault::{self, Fault, Passed};
use crate::life::{self, Life};
use crate::mutant::Mutant;
use crate::notes::{Planned, Rule, Violation};
use crate::stage::Stage;

/// The most failures that are kept in words; all are counted.
const FAILURES_SHOWN_MAX: usize = 12;

/// What came of one run.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) trace: Vec<Passed>,
    pub(crate) fired: bool,
    pub(crate) helped: bool,
    pub(crate) came_back: bool,
    pub(crate) violations: Vec<Violation>,
}

/// Plays a life with these faults, in a runtime of its own with a paused clock.
pub(crate) fn replay(
    vendor: Vendor,
    life: Life,
    planned: &[Planned],
    mutant: Option<Mutant>,
) -> Run {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let stage = Stage::new(vendor, planned, mutant);
        life.play(&stage).await;
        stage.conclude(life.unseen()).await;
        Run {
            trace: stage.notes.trace(),
            fired: stage.notes.all_fired(),
            helped: stage.notes.was_helped(),
            came_back: stage.notes.has_come_back(),
            violations: stage.notes.violations(),
        }
    })
}

impl Run {
    /// What is wrong with the run in words; `None` when nothing is.
    pub(crate) fn complaint(&self) -> Option<String> {
        if !self.fired {
            return Some("a planned fault did not happen".to_owned());
        }
        let words: Vec<_> = self.violations.iter().map(ToString::to_string).collect();
        (!words.is_empty()).then(|| words.join("; "))
    }
}

/// How much of a life's matrix is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// One fault, at requests that change something.
    Changes,
    /// One fault, one of each class that the client can tell apart.
    Classes,
    /// One fault, each.
    Singles,
    /// Each, and each of a class combined with each later one of a class.
    Pairs,
}

impl Depth {
    fn includes(self, planned: Planned, trace: &[Passed]) -> bool {
        match self {
            Self::Changes => planned.is_at_mutation(trace),
            Self::Classes => planned.is_of_class(trace),
            Self::Singles | Self::Pairs => true,
        }
    }
}

/// What came of a matrix.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// The requests of the run without faults.
    pub(crate) requests: usize,
    pub(crate) singles: usize,
    pub(crate) pairs: usize,
    pub(crate) fired: usize,
    pub(crate) helped: usize,
    /// Runs in which something landed after its lease was over, and was found again.
    pub(crate) came_back: usize,
    pub(crate) failed: usize,
    pub(crate) rules: BTreeMap<Rule, usize>,
    /// How many faults were planned at each kind of request.
    pub(crate) planned_at: BTreeMap<String, usize>,
    pub(crate) planned_as: BTreeMap<Fault, usize>,
    /// How the first faults were that a person had to help with, and how often.
    pub(crate) helped_with: BTreeMap<String, usize>,
    /// The faults of the runs that went wrong, with what they broke, and how often.
    pub(crate) failed_with: BTreeMap<String, usize>,
    pub(crate) failures: Vec<(Vec<Planned>, String)>,
}

/// Runs a matrix on every core.
pub(crate) fn run_matrix(vendor: Vendor, life: Life, depth: Depth) -> Tally {
    let base = replay(vendor, life, &[], None);
    let mut tally = Tally { requests: base.trace.len(), ..Tally::default() };
    tally.note(&[], &base);
    let mut firsts = firsts(vendor, life, &base);
    firsts.retain(|it| depth.includes(*it, &base.trace));
    let (next, parts) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        let mut part = Tally::default();
        while let Some(first) = firsts.get(next.fetch_add(1, Ordering::Relaxed)) {
            run_part(&mut part, (vendor, life, depth), *first);
        }
        parts.lock().unwrap().push(part);
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    for part in parts.into_inner().unwrap() {
        tally.add(part);
    }
    tally.failures.sort();
    tally.failures.truncate(FAILURES_SHOWN_MAX);
    tally
}

fn run_part(tally: &mut Tally, (vendor, life, depth): (Vendor, Life, Depth), first: Planned) {
    let single = replay(vendor, life, &[first], None);
    tally.singles += 1;
    tally.note(&[first], &single);
    if depth != Depth::Pairs || !first.is_of_class(&single.trace) {
        return;
    }
    // What comes after the first fault is another run, with requests of its own.
    if first.fault == Fault::AccountMoved {
        return;
    }
    let seconds = faults_from(vendor, &single, first.at + 1).into_iter();
    let counts = |it: &Planned| it.fault != Fault::AccountMoved && it.is_of_class(&single.trace);
    for second in seconds.filter(counts) {
        let planned = [first, second];
        let pair = replay(vendor, life, &planned, None);
        tally.pairs += 1;
        tally.note(&planned, &pair);
    }
}

/// Every fault that a life can begin with.
pub(crate) fn firsts(vendor: Vendor, life: Life, base: &Run) -> Vec<Planned> {
    let mut all = faults_from(vendor, base, 0);
    if life.is_found_late() {
        all.retain(|it| it.fault.kills());
    }
    all
}

/// Every fault that can happen at the requests of `run` from number `start` on.
pub(crate) fn faults_from(vendor: Vendor, run: &Run, start: usize) -> Vec<Planned> {
    let at_request = |(at, passed): (usize, &Passed)| {
        let faults = fault::ALL.into_iter().filter(|it| it.applies(vendor, passed));
        faults.map(move |fault| Planned { at, fault }).collect::<Vec<_>>()
    };
    run.trace.iter().enumerate().skip(start).flat_map(at_request).collect()
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.singles += other.singles;
        self.pairs += other.pairs;
        self.fired += other.fired;
        self.helped += other.helped;
        self.came_back += other.came_back;
        self.failed += other.failed;
        merge(&mut self.rules, other.rules);
        merge(&mut self.planned_at, other.planned_at);
        merge(&mut self.planned_as, other.planned_as);
        merge(&mut self.helped_with, other.helped_with);
        merge(&mut self.failed_with, other.failed_with);
        self.failures.extend(other.failures);
    }

    fn note(&mut self, planned: &[Planned], run: &Run) {
        for one in planned {
            *self.planned_as.entry(one.fault).or_default() += 1;
            if let Some(passed) = run.trace.get(one.at) {
                *self.planned_at.entry(passed.kind()).or_default() += 1;
            }
        }
        self.fired += if run.fired { planned.len() } else { 0 };
        self.came_back += usize::from(run.came_back);
        if run.helped {
            self.helped += 1;
            let first = planned.first().map(|it| it.fault.to_string());
            *self.helped_with.entry(first.unwrap_or_default()).or_default() += 1;
        }
        let Some(complaint) = run.complaint() else { return };
        self.failed += 1;
        for violation in &run.violations {
            *self.rules.entry(violation.rule).or_default() += 1;
        }
        let kind = |it: &Planned| match run.trace.get(it.at) {
            Some(passed) => format!("{} at {}", it.fault, passed.kind()),
            None => it.fault.to_string(),
        };
        let kinds: Vec<_> = planned.iter().map(kind).collect();
        let rules: BTreeSet<_> = run.violations.iter().map(|it| it.rule.to_string()).collect();
        let rules: Vec<_> = rules.into_iter().collect();
        let key = format!("{}: {}", kinds.join(", then "), rules.join(", "));
        *self.failed_with.entry(key).or_default() += 1;
        let words: Vec<_> = planned.iter().map(|it| it.describe(&run.trace)).collect();
        let what = format!("{}: {complaint}", words.join(", then "));
        self.failures.push((planned.to_vec(), what));
        // The first ones are enough to go on with, and a matrix may have very many.
        if self.failures.len() > 8 * FAILURES_SHOWN_MAX {
            self.failures.sort();
            self.failures.truncate(FAILURES_SHOWN_MAX);
        }
    }
}

fn merge<K: Ord>(into: &mut BTreeMap<K, usize>, from: BTreeMap<K, usize>) {
    for (key, count) in from {
        *into.entry(key).or_default() += count;
    }
}

/// How a seeded bug was noticed.
#[derive(Clone, Debug)]
pub(crate) struct Kill {
    pub(crate) life: Life,
    pub(crate) faults: String,
    pub(crate) complaint: String,
}

/// Runs the matrix with a bug until it is noticed: the singles of every life, then the pairs whose first fault leaves a
/// change unknown.
pub(crate) fn hunt(vendor: Vendor, mutant: Mutant) -> Option<Kill> {
    let others = life::ALL.into_iter().filter(|it| *it != mutant.shows_in());
    for life in std::iter::once(mutant.shows_in()).chain(others) {
        let base = replay(vendor, life, &[], Some(mutant));
        if let Some(kill) = judge(life, &[], &base) {
            return Some(kill);
        }
        let classes = firsts(vendor, life, &base).into_iter();
        for first in classes.filter(|it| it.is_of_class(&base.trace)) {
            let run = replay(vendor, life, &[first], Some(mutant));
            if let Some(kill) = judge(life, &[first], &run) {
                return Some(kill);
            }
        }
    }
    let base = replay(vendor, Life::Release, &[], Some(mutant));
    let unknown = |it: &Planned| it.fault == Fault::LostAfter && it.is_at_mutation(&base.trace);
    for first in firsts(vendor, Life::Release, &base).into_iter().filter(unknown) {
        let single = replay(vendor, Life::Release, &[first], Some(mutant));
        for second in faults_from(vendor, &single, first.at + 1) {
            let planned = [first, second];
            let run = replay(vendor, Life::Release, &planned, Some(mutant));
            if let Some(kill) = judge(Life::Release, &planned, &run) {
                return Some(kill);
            }
        }
    }
    None
}

/// A fault that did not happen says nothing about the bug.
fn judge(life: Life, planned: &[Planned], run: &Run) -> Option<Kill> {
    let complaint = run.complaint().filter(|_| run.fired)?;
    let words: Vec<_> = planned.iter().map(|it| it.describe(&run.trace)).collect();
    let faults = if words.is_empty() { "no fault".to_owned() } else { words.join(", then ") };
    Some(Kill { life, faults, complaint })
}
