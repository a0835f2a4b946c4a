//! The stage of one run: a cloud, one machine with its store and keys, and the processes that act on it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lease_core::claim::ClaimedResource;
use lease_core::engine::{By, Release, Settings, plan};
use lease_core::retry::pause;
use lease_core::spec::Retention;
use lease_core::store::memory::MemoryStore;
use lease_core::{Claim, Clock, Engine, LeaseId, ResourceState, Scope, Store};
use lease_emulator::script::Scripted;
use lease_emulator::{Cloud as _, LedgerEntry};
use lease_testkit::sim::{Processes, SeededEntropy, SimClock, Watchman};

use crate::backend::{Backend, Vendor};
use crate::boxes::{Boxes, Logins};
use crate::mutant::Mutant;
use crate::notes::{Notes, Planned, Rule, is_of};
use crate::wire::Broken;

/// A process that takes longer than this is killed by whoever waits for it.
const PATIENCE: Duration = Duration::from_secs(3 * 60 * 60);
/// So many times somebody looks after the leases; what is not settled by then never will be.
const ROUNDS_MAX: u32 = 28;
/// From this round on, a person helps.
const BY_HAND_AFTER: u32 = 12;
const WISHES_MAX: u32 = 5;
/// So many times somebody looks after what landed late, once no lease is left.
const LOOKS_AFTER: u32 = 3;
const STEP_FIRST: Duration = Duration::from_secs(1);
const STEP_MAX: Duration = Duration::from_secs(1800);
/// How long a client waits for a login: long enough for every machine that answers at all.
pub(crate) const READY_TIMEOUT: Duration = Duration::from_secs(15);

/// How a process ended.
#[derive(Debug)]
pub(crate) enum End<T> {
    Returned(T),
    Died,
}

/// Everything that outlives a process.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) boxes: Boxes,
    pub(crate) notes: Notes,
    pub(crate) processes: Processes,
    vendor: Vendor,
    clock: SimClock,
    store: Arc<dyn Store>,
    watchman: Watchman,
    entropy: Arc<SeededEntropy>,
    mutant: Option<Mutant>,
    account: Arc<Mutex<Option<Scope>>>,
    promised: Mutex<Vec<LeaseId>>,
}

impl Stage {
    /// Sets the stage. Must be called inside a tokio runtime with a paused clock.
    pub(crate) fn new(vendor: Vendor, planned: &[Planned], mutant: Option<Mutant>) -> Self {
        let boxes = Boxes::default();
        let backend = vendor.cloud(&boxes);
        let notes = Notes::new(Arc::new(Scripted::new(backend.cloud())), planned);
        let store = MemoryStore::with_entropy(&SeededEntropy::new(7)).unwrap();
        Self {
            backend,
            boxes,
            notes,
            vendor,
            mutant,
            processes: Processes::default(),
            clock: SimClock::new(),
            store: Arc::new(store),
            watchman: Watchman::default(),
            entropy: Arc::new(SeededEntropy::new(11)),
            account: Arc::default(),
            promised: Mutex::default(),
        }
    }

    /// An engine as a new process would make it.
    pub(crate) fn engine(&self) -> Engine {
        let wire = Broken {
            vendor: self.vendor,
            notes: self.notes.clone(),
            backend: Arc::clone(&self.backend),
            store: Arc::clone(&self.store),
            mutant: self.mutant,
        };
        let mut provider = self.backend.provider(Arc::new(wire));
        if let Some(mutant) = self.mutant {
            provider = mutant.infect(provider, &self.notes, &self.account);
        }
        let transport = Logins { boxes: self.boxes.clone(), watch: self.notes.clone() };
        let entropy = Arc::clone(&self.entropy);
        let mut settings = Settings::default();
        settings.ready_timeout = READY_TIMEOUT;
        Engine::builder(Arc::clone(&self.store), Arc::new(transport), Arc::new(self.clock.clone()))
            .provider(provider)
            .guardian(Arc::new(self.watchman.clone()))
            .census(Arc::new(self.processes.clone()))
            .entropy(entropy)
            .settings(settings)
            .build()
    }

    /// Lets a process run until it returns, dies by a fault, or hangs for so long that it is killed.
    pub(crate) async fn process<T>(&self, work: impl Future<Output = T>) -> End<T> {
        tokio::select! {
            biased;
            () = self.notes.death() => End::Died,
            ended = tokio::time::timeout(PATIENCE, work) => ended.map_or(End::Died, End::Returned),
        }
    }

    /// Lets time pass, and processes look after the leases, until only kept leases are left or nothing helps.
    pub(crate) async fn recover(&self) {
        let mut step = STEP_FIRST;
        let mut before = Vec::new();
        for round in 0..ROUNDS_MAX {
            // A reaper that dies or hangs is followed by the next one.
            self.process(Box::pin(self.look_and_act())).await;
            let live = self.live_claims().await;
            if live.iter().all(|it| it.retention() == Retention::Keep) {
                return;
            }
            if self.notes.runs_wild() {
                break;
            }
            if round >= BY_HAND_AFTER && self.vendor == Vendor::Fal {
                self.person_helps(&live).await;
            }
            let after = fingerprint(&live);
            step = if after == before { (step * 2).min(STEP_MAX) } else { STEP_FIRST };
            before = after;
            pause(step).await;
        }
        let left = self.live_claims().await;
        let shown = |it: &Claim| {
            let why = it.obstacle().map_or("", |it| it.message.as_str());
            format!("{} is {} ({why})", it.slug(), it.phase())
        };
        let shown: Vec<_> = left.iter().map(shown).collect();
        self.notes.blame(Rule::Unbounded, shown.join(", "));
    }

    /// Does what only a person can, once a lease has asked for it for long enough: removes the machine that nothing can
    /// prove to be the lease's. What no lease asks about, no person would look for.
    async fn person_helps(&self, live: &[Claim]) {
        let asked_for = |entry: &LedgerEntry| {
            let asks = |it: &&Claim| it.releasing().is_some() && is_of(entry, it.lease());
            live.iter().any(|it| asks(&it))
        };
        for entry in self.notes.ours_alive().iter().filter(|it| asked_for(it)) {
            self.backend.remove_by_hand(entry).await;
            self.notes.help();
        }
    }

    /// What a reaper or a cleanup does in one turn.
    async fn look_and_act(&self) {
        let engine = self.engine();
        if let Ok(view) = engine.observe(None).await {
            engine.execute(&plan(&view, self.clock.now())).await;
        }
    }

    /// Notes that the caller was told that this lease is kept; it is held to that in the end.
    pub(crate) fn promise_kept(&self, lease: &LeaseId) {
        self.promises().push(lease.clone());
    }

    /// Holds every kept lease to its word, then ends them all, as a person would.
    async fn end_kept(&self) {
        let promised = self.promises().clone();
        for lease in promised {
            let claim = self.store.load(&lease).await;
            if !claim.as_ref().is_ok_and(|it| it.retention() == Retention::Keep) {
                self.notes.blame(Rule::Promise, format!("{lease} was said to be kept"));
            }
        }
        for claim in self.live_claims().await {
            self.check_untouched(&claim);
        }
        // A person whose wish was refused or lost asks again.
        for _ in 0..WISHES_MAX {
            let live = self.live_claims().await;
            let mut kept = live.iter().filter(|it| it.retention() == Retention::Keep).peekable();
            if kept.peek().is_none() {
                return;
            }
            for claim in kept {
                let why = "a person is done".to_owned();
                let release = Release::new(By::Person, why);
                drop(self.process(Box::pin(self.engine().release(claim.lease(), release))).await);
            }
            pause(STEP_MAX).await;
        }
    }

    /// Nothing that a kept lease has may be gone.
    fn check_untouched(&self, claim: &Claim) {
        let has = |it: &ClaimedResource| it.state() == ResourceState::Present;
        if claim.retention() != Retention::Keep || !claim.resources().iter().any(has) {
            return;
        }
        let ledger = self.notes.cloud.ledger();
        let mut machines = ledger
            .iter()
            .filter(|it| self.backend.is_machine(it) && is_of(it, claim.lease()))
            .peekable();
        if machines.peek().is_some() && machines.all(|it| it.gone.is_some()) {
            self.notes.blame(Rule::Promise, format!("the machine of the kept {}", claim.slug()));
        }
    }

    /// Checks what a release or a failed acquire told its caller: that nothing is left.
    pub(crate) fn check_nothing_left(&self, lease: &LeaseId, said: &str) {
        if let Some(entry) = self.notes.alive_of(lease).first() {
            let what = format!("{said}, and {} {} lives", entry.kind, entry.id);
            self.notes.blame(Rule::Promise, what);
        }
    }

    /// Checks what a successful acquire told its caller: that there is a machine, and that somebody watches.
    pub(crate) fn check_running(&self, claim: &Claim) {
        let alive = self.notes.alive_of(claim.lease());
        if !alive.iter().any(|it| self.backend.is_machine(it)) {
            self.notes.blame(Rule::Promise, "acquired, and there is no machine");
        }
        if !self.watchman.watches(claim.lease()) {
            self.notes.blame(Rule::Promise, "acquired, and nobody watches");
        }
    }

    async fn live_claims(&self) -> Vec<Claim> {
        let entries = self.store.scan().await.unwrap_or_default();
        entries.into_iter().filter_map(|it| it.claim.ok()).collect()
    }

    /// Recovers, ends what is kept, recovers again, waits for what lands late, and lets the ledger decide.
    pub(crate) async fn conclude(&self, unseen: Duration) {
        pause(unseen).await;
        self.recover().await;
        self.end_kept().await;
        self.recover().await;
        self.notes.cloud.settle().await;
        // What landed after its lease was over is found by whoever looks once it is listed.
        for _ in 0..LOOKS_AFTER {
            if self.notes.ours_alive().is_empty() {
                break;
            }
            self.notes.came_back();
            pause(STEP_MAX).await;
            self.recover().await;
        }
        self.judge();
        if self.boxes.has_any_key() && self.notes.violations().is_empty() {
            self.notes.blame(Rule::Promise, "a login key was never forgotten");
        }
    }

    fn judge(&self) {
        let ledger = self.notes.cloud.ledger();
        for entry in &ledger {
            let what = format!("{} {} {}", entry.kind, entry.id, entry.name);
            match (entry.foreign, entry.gone) {
                (false, None) => self.notes.blame(Rule::Leaked, what),
                (true, Some(_)) => self.notes.blame(Rule::Foreign, what),
                (false, Some(_)) | (true, None) => {}
            }
        }
        let mut by_key: BTreeMap<&[String], Vec<&LedgerEntry>> = BTreeMap::new();
        for entry in ledger.iter().filter(|it| !it.foreign && !it.public_keys.is_empty()) {
            by_key.entry(entry.public_keys.as_slice()).or_default().push(entry);
        }
        for group in by_key.values() {
            self.judge_group(group);
        }
    }

    /// What carries one lease's key: at most one machine at any time, and the key outlives it.
    fn judge_group(&self, group: &[&LedgerEntry]) {
        let (machines, keys): (Vec<_>, Vec<_>) =
            group.iter().copied().partition(|it| self.backend.is_machine(it));
        for (at, machine) in machines.iter().enumerate() {
            let gone = machine.gone.unwrap_or(Duration::MAX);
            let meets = |it: &&&LedgerEntry| {
                it.born < gone && machine.born < it.gone.unwrap_or(Duration::MAX)
            };
            if let Some(other) = machines[at + 1..].iter().find(meets) {
                let what = format!("{} and {}", machine.id, other.id);
                self.notes.blame(Rule::Second, what);
            }
            let robbed = |it: &&&LedgerEntry| {
                it.born <= machine.born
                    && it.gone.is_some_and(|key| key > machine.born && key < gone)
            };
            if let Some(key) = keys.iter().find(robbed) {
                let what = format!("key {} went before server {}", key.id, machine.id);
                self.notes.blame(Rule::OutOfOrder, what);
            }
        }
    }

    fn promises(&self) -> MutexGuard<'_, Vec<LeaseId>> {
        self.promised.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far the leases are, without what changes each time that somebody looks.
fn fingerprint(live: &[Claim]) -> Vec<(LeaseId, bool, Vec<ResourceState>)> {
    let states = |it: &Claim| it.resources().iter().map(ClaimedResource::state).collect();
    live.iter().map(|it| (it.lease().clone(), it.releasing().is_some(), states(it))).collect()
}
