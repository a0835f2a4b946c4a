//! What is noted during a run: what was planned and happened, and every rule that was broken.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::Method;
use lease_core::LeaseId;
use lease_emulator::script::{Plan, PlanId, Scripted};
use lease_emulator::{Cloud, LedgerEntry};
use tokio::sync::Notify;

use crate::boxes::public_key;
use crate::fault::{Doing, Fault, Passed};

/// More requests than this in one run mean a loop without an end.
const REQUESTS_MAX: usize = 8_000;

/// A fault at the request number `at`, counted from 0 over a whole run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Planned {
    pub(crate) at: usize,
    pub(crate) fault: Fault,
}

/// What must never happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    /// Something of ours lives, and no live lease names it.
    Leaked,
    /// Something foreign was destroyed.
    Foreign,
    /// Two machines for one lease lived at the same time.
    Second,
    /// A create was sent for which no durable record stands.
    NoIntent,
    /// A key was destroyed while a machine used it, or a login key forgotten while its machine lived.
    OutOfOrder,
    /// What the caller was told does not hold.
    Promise,
    /// A loop did not end, or a lease was never settled.
    Unbounded,
}

/// A rule that was broken, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) rule: Rule,
    pub(crate) what: String,
}

/// The notes of a run. Clones are the same notes.
#[derive(Clone, Debug)]
pub(crate) struct Notes {
    pub(crate) cloud: Arc<Scripted<dyn Cloud>>,
    state: Arc<Mutex<State>>,
    death: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    planned: Vec<Planned>,
    armed: Vec<PlanId>,
    beside: usize,
    requests: usize,
    posted: BTreeSet<String>,
    violations: Vec<Violation>,
    helped: bool,
    came_back: bool,
}

impl Notes {
    pub(crate) fn new(cloud: Arc<Scripted<dyn Cloud>>, planned: &[Planned]) -> Self {
        let state = State { planned: planned.to_vec(), ..State::default() };
        Self { cloud, state: Arc::new(Mutex::new(state)), death: Arc::default() }
    }

    /// Counts a request; the fault that is planned for it.
    pub(crate) fn arrive(&self) -> Option<Fault> {
        let mut state = self.lock();
        let at = state.requests;
        state.requests += 1;
        state.planned.iter().find(|it| it.at == at).map(|it| it.fault)
    }

    /// Makes a fault happen to the request that comes next.
    pub(crate) fn arm(&self, plan: Plan) {
        let id = self.cloud.plan(plan);
        self.lock().armed.push(id);
    }

    /// Notes a fault that happened beside a request.
    pub(crate) fn happened(&self) {
        self.lock().beside += 1;
    }

    /// Whether it is the first request to create anything under that path.
    pub(crate) fn is_first_post(&self, path: &str) -> bool {
        self.lock().posted.insert(path.to_owned())
    }

    /// Whether so many requests were made that a loop must be without an end.
    pub(crate) fn runs_wild(&self) -> bool {
        self.lock().requests > REQUESTS_MAX
    }

    /// Whether every planned fault happened.
    pub(crate) fn all_fired(&self) -> bool {
        let state = self.lock();
        let fired = state.armed.iter().filter(|it| self.cloud.fired(**it) > 0).count();
        fired + state.beside == state.planned.len()
    }

    /// Every request, in order.
    pub(crate) fn trace(&self) -> Vec<Passed> {
        let passed = |it: lease_emulator::script::Traced| Passed {
            method: it.method,
            path: it.path,
            barred: it.fault.is_some(),
        };
        self.cloud.trace().into_iter().map(passed).collect()
    }

    /// Ends the process that acts.
    pub(crate) fn die(&self) {
        self.death.notify_one();
    }

    /// Returns when the process that acts is to end.
    pub(crate) async fn death(&self) {
        self.death.notified().await;
    }

    pub(crate) fn blame(&self, rule: Rule, what: impl Into<String>) {
        self.lock().violations.push(Violation { rule, what: what.into() });
    }

    pub(crate) fn violations(&self) -> Vec<Violation> {
        self.lock().violations.clone()
    }

    /// Notes that a person helped.
    pub(crate) fn help(&self) {
        self.lock().helped = true;
    }

    /// Notes that something landed after its lease was over.
    pub(crate) fn came_back(&self) {
        self.lock().came_back = true;
    }

    pub(crate) fn has_come_back(&self) -> bool {
        self.lock().came_back
    }

    pub(crate) fn was_helped(&self) -> bool {
        self.lock().helped
    }

    /// What was made through our provider and still is there.
    pub(crate) fn ours_alive(&self) -> Vec<LedgerEntry> {
        let ledger = self.cloud.ledger().into_iter();
        ledger.filter(|it| !it.foreign && it.gone.is_none()).collect()
    }

    /// The same of one lease.
    pub(crate) fn alive_of(&self, lease: &LeaseId) -> Vec<LedgerEntry> {
        self.ours_alive().into_iter().filter(|it| is_of(it, lease)).collect()
    }

    /// A login key is about to be removed.
    pub(crate) fn key_goes(&self, lease: &LeaseId) {
        if let Some(entry) = self.alive_of(lease).first() {
            let what = format!("the login key went, and {} {} lives", entry.kind, entry.id);
            self.blame(Rule::OutOfOrder, what);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether what the ledger holds belongs to the lease: it carries its key, or a name that it gave.
pub(crate) fn is_of(entry: &LedgerEntry, lease: &LeaseId) -> bool {
    let key = public_key(lease);
    let key = key.rsplit_once(' ').map_or(key.as_str(), |(key, _)| key);
    let named = entry.name.contains(lease.as_str());
    !entry.foreign && (named || entry.public_keys.iter().any(|it| it.starts_with(key)))
}

impl Planned {
    /// The fault in words, with its request as the trace has it.
    pub(crate) fn describe(self, trace: &[Passed]) -> String {
        match trace.get(self.at) {
            Some(passed) => format!("{} at request {} ({})", self.fault, self.at, passed.kind()),
            None => format!("{} at request {} (never made)", self.fault, self.at),
        }
    }

    /// Whether it stands for every fault that the client takes for the same.
    pub(crate) fn is_of_class(self, trace: &[Passed]) -> bool {
        let at = if self.is_at_mutation(trace) { Doing::Change } else { Doing::Read };
        self.fault.stands_for_class(at)
    }

    /// Whether the request changes something.
    pub(crate) fn is_at_mutation(self, trace: &[Passed]) -> bool {
        trace.get(self.at).is_some_and(|it| it.method != Method::GET)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Leaked => "leaked",
            Self::Foreign => "destroyed something foreign",
            Self::Second => "two machines at once",
            Self::NoIntent => "created without an intent",
            Self::OutOfOrder => "destroyed out of order",
            Self::Promise => "broke a promise",
            Self::Unbounded => "did not end",
        })
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.what)
    }
}
