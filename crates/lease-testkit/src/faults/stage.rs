//! The stage of one run: a world, one machine with its store and keys, and the processes that act on it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lease_core::claim::ClaimedResource;
use lease_core::engine::{By, Outcome, Release, plan};
use lease_core::error::Result;
use lease_core::retry::pause;
use lease_core::spec::Retention;
use lease_core::store::memory::MemoryStore;
use lease_core::{Claim, Clock, Engine, LeaseId, ResourceId, ResourceState, Store};

use super::mutant::Mutant;
use super::provider::FaultyProvider;
use super::script::{Planned, Script};
use super::store::FaultyStore;
use super::surroundings::{FaultyGuardian, FaultyTransport};
use crate::sim::{Flavor, Processes, SeededEntropy, SimClock, SimProvider, SimTransport, Watchman};
use crate::world::{Entry, Kind, Origin, Violation, World};

/// A process that takes longer than this is killed by whoever waits for it.
const PATIENCE: Duration = Duration::from_secs(3 * 60 * 60);
/// So many times somebody looks after the leases; what is not settled by then never will be.
const ROUNDS_MAX: u32 = 96;
/// From this round on, a person helps.
const BY_HAND_AFTER: u32 = 24;
/// So many times a person asks for the same thing.
const WISHES_MAX: u32 = 5;
const STEP_FIRST: Duration = Duration::from_secs(1);
const STEP_MAX: Duration = Duration::from_secs(1800);

/// How a process ended.
#[derive(Debug)]
pub enum End<T> {
    /// It returned.
    Returned(T),
    /// It died, or it hung and was killed.
    Died,
}

/// Everything that outlives a process.
#[derive(Debug)]
pub struct Stage {
    pub(super) world: World,
    pub(super) clock: SimClock,
    pub(super) script: Script,
    pub(super) processes: Processes,
    pub(super) store: Arc<dyn Store>,
    transport: SimTransport,
    watchman: Watchman,
    flavor: Flavor,
    mutant: Option<Mutant>,
    pub(super) files: Option<PathBuf>,
    entropy: Arc<SeededEntropy>,
    promised: Mutex<Vec<LeaseId>>,
}

impl Stage {
    /// Sets the stage over a store in memory. Must be called inside a tokio runtime with a paused clock.
    ///
    /// # Errors
    /// When the store cannot be made.
    pub fn new(flavor: Flavor, planned: &[Planned], mutant: Option<Mutant>) -> Result<Self> {
        let entropy = Arc::new(SeededEntropy::new(7));
        let store = Arc::new(MemoryStore::with_entropy(entropy.as_ref())?);
        Ok(Self::over(store, flavor, planned, mutant))
    }

    /// Sets the stage over any store.
    pub fn over(
        store: Arc<dyn Store>,
        flavor: Flavor,
        planned: &[Planned],
        mutant: Option<Mutant>,
    ) -> Self {
        let (world, clock) = (World::new(flavor.policy()), SimClock::new());
        world.witness(Arc::clone(&store));
        Self {
            script: Script::new(planned, world.clone(), clock.clone()),
            transport: SimTransport::new(world.clone()),
            processes: Processes::default(),
            watchman: Watchman::default(),
            entropy: Arc::new(SeededEntropy::new(11)),
            promised: Mutex::default(),
            world,
            clock,
            store,
            flavor,
            mutant,
            files: None,
        }
    }

    /// The simulated cloud.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The processes of the simulated machine.
    pub fn processes(&self) -> &Processes {
        &self.processes
    }

    /// The store itself, without faults.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The script of the run.
    pub fn script(&self) -> &Script {
        &self.script
    }

    /// An engine as a new process would make it.
    pub fn engine(&self) -> Engine {
        let script = || self.script.clone();
        let faulty = FaultyStore::new(Arc::clone(&self.store), script());
        let mut store: Arc<dyn Store> = Arc::new(match &self.files {
            Some(dir) => faulty.with_files(dir.clone()),
            None => faulty,
        });
        let honest = Arc::new(SimProvider::new(self.world.clone(), self.flavor));
        let mut provider: Arc<dyn lease_core::Provider> =
            Arc::new(FaultyProvider::new(honest, script()));
        if let Some(mutant) = self.mutant {
            store = mutant.infect_store(store);
            provider = mutant.infect_provider(provider, &self.world);
        }
        let transport = Arc::new(FaultyTransport::new(Arc::new(self.transport.clone()), script()));
        let entropy = Arc::clone(&self.entropy);
        Engine::builder(store, transport, Arc::new(self.clock.clone()))
            .provider(provider)
            .guardian(Arc::new(FaultyGuardian::new(self.watchman.clone(), script())))
            .census(Arc::new(self.processes.clone()))
            .entropy(entropy)
            .build()
    }

    /// Lets a process run until it returns, dies by a fault, or hangs for so long that it is killed.
    ///
    /// # Cancel safety
    /// A cancelled process is one that died.
    pub async fn process<T>(&self, work: impl Future<Output = T>) -> End<T> {
        tokio::select! {
            biased;
            () = self.script.death() => End::Died,
            ended = tokio::time::timeout(PATIENCE, work) => match ended {
                Ok(value) => End::Returned(value),
                Err(_elapsed) => End::Died,
            },
        }
    }

    /// Notes that the caller was told that this lease is kept; it is held to that in the end.
    pub fn promise_kept(&self, lease: &LeaseId) {
        self.promises().push(lease.clone());
    }

    /// Notes that a person changed their mind about a keep.
    pub fn take_back(&self, lease: &LeaseId) {
        self.promises().retain(|it| it != lease);
    }

    /// Lets time pass, and processes look after the leases, until only kept leases are left or nothing helps.
    ///
    /// # Cancel safety
    /// A cancelled recovery is one whose process died.
    pub async fn recover(&self) {
        let mut step = STEP_FIRST;
        let mut before = Vec::new();
        for round in 0..ROUNDS_MAX {
            // A reaper that dies or hangs is followed by the next one.
            self.process(Box::pin(self.look_and_act())).await;
            let live = self.live_claims().await;
            if live.iter().all(|it| it.retention() == Retention::Keep) {
                return;
            }
            if self.script.runs_wild() {
                break;
            }
            if round >= BY_HAND_AFTER {
                self.person_helps(&live);
            }
            let after = fingerprint(&live);
            step = if after == before { (step * 2).min(STEP_MAX) } else { STEP_FIRST };
            before = after;
            pause(step).await;
        }
        let left = self.live_claims().await;
        let shown: Vec<_> =
            left.iter().map(|it| format!("{} is {}", it.slug(), it.phase())).collect();
        let rounds = format!("after {ROUNDS_MAX} rounds: {}", shown.join(", "));
        self.world.blame(Violation::Unbounded(rounds));
    }

    /// Does what only a person can, once the leases have asked for it for long enough: uses the right credentials, and
    /// removes what nothing can prove to be ours.
    fn person_helps(&self, live: &[Claim]) {
        // One account after the other: whoever waits longest is served first.
        let waits = |it: &&Claim| it.retention() != Retention::Keep;
        if let Some(claim) = live.iter().find(waits)
            && claim.scope().account != self.world.account()
        {
            self.world.log_in(&claim.scope().account);
        }
        if self.flavor == Flavor::Markless {
            self.world.remove_by_hand();
        }
    }

    /// What a reaper or a cleanup does in one turn.
    ///
    /// # Cancel safety
    /// A cancelled turn is a process that died.
    pub async fn look_and_act(&self) {
        let engine = self.engine();
        if let Ok(view) = engine.observe(None).await {
            engine.execute(&plan(&view, self.clock.now())).await;
        }
    }

    /// Holds every kept lease to its word, then ends them all, as a person would.
    ///
    /// # Cancel safety
    /// A cancelled call is a person who left.
    pub async fn end_kept(&self) {
        let promised = self.promises().clone();
        for lease in promised {
            let claim = self.store.load(&lease).await;
            if !claim.as_ref().is_ok_and(|it| it.retention() == Retention::Keep) {
                let what = format!("{lease} was said to be kept and is {}", phase_of(claim));
                self.world.blame(Violation::PromiseBroken(what));
            }
        }
        self.check_all_alive(&self.live_claims().await);
        // A person whose wish could not be recorded asks again.
        for _ in 0..WISHES_MAX {
            let live = self.live_claims().await;
            let mut kept = live.iter().filter(|it| it.retention() == Retention::Keep).peekable();
            if kept.peek().is_none() {
                return;
            }
            for claim in kept {
                let why = "a person is done".to_owned();
                let release = Release::new(By::Person, why);
                drop(self.process(self.engine().release(claim.lease(), release)).await);
            }
            pause(STEP_MAX).await;
        }
    }

    fn check_all_alive(&self, live: &[Claim]) {
        // What its provider or its owner took away was not taken by us.
        let taken_by_us = |id: &ResourceId| {
            let ledger = self.world.ledger();
            ledger.iter().any(|it| it.id == *id && it.ended_by == Some(Origin::Ours))
        };
        for claim in live.iter().filter(|it| it.retention() == Retention::Keep) {
            for resource in
                claim.resources().iter().filter(|it| it.state() == ResourceState::Present)
            {
                if resource.id().is_some_and(taken_by_us) {
                    let what = format!(
                        "{} of the kept {} is gone",
                        resource.intended().name,
                        claim.slug()
                    );
                    self.world.blame(Violation::KeptDestroyed(what));
                }
            }
        }
    }

    /// Whether the keys of every lease are gone.
    pub(super) fn has_keys(&self) -> bool {
        self.transport.has_any_key()
    }

    /// Checks what a release or a failed acquire told its caller: that nothing is left.
    pub(super) fn check_nothing_left(&self, lease: &LeaseId, said: &str) {
        let of_lease = |it: &&Entry| it.marks.as_ref().is_some_and(|marks| marks.lease == *lease);
        if let Some(entry) = self.world.ours_alive().iter().find(of_lease) {
            let what = format!("{said}, and {} {} lives", entry.kind.name(), entry.name);
            self.world.blame(Violation::PromiseBroken(what));
        }
    }

    /// Checks what a successful acquire told its caller: that a machine was made, that we did not destroy it, and that
    /// somebody watches.
    pub(super) fn check_running(&self, claim: &Claim) {
        let is_its = |it: &Entry| {
            let of_lease = it.marks.as_ref().is_some_and(|marks| marks.lease == *claim.lease());
            it.kind == Kind::Machine && of_lease && it.ended_by != Some(Origin::Ours)
        };
        if !self.world.ledger().iter().any(is_its) {
            let what = "acquired, and there is no machine".to_owned();
            self.world.blame(Violation::PromiseBroken(what));
        }
        if !self.watchman.watches(claim.lease()) {
            self.world.blame(Violation::PromiseBroken("acquired, and nobody watches".to_owned()));
        }
    }

    /// Every lease that is not archived and can be read.
    ///
    /// # Cancel safety
    /// It only reads.
    pub async fn live_claims(&self) -> Vec<Claim> {
        let entries = self.store.scan().await.unwrap_or_default();
        entries.into_iter().filter_map(|it| it.claim.ok()).collect()
    }

    fn promises(&self) -> std::sync::MutexGuard<'_, Vec<LeaseId>> {
        self.promised.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far the leases are, without what changes each time that somebody looks.
fn fingerprint(live: &[Claim]) -> Vec<(LeaseId, bool, Vec<ResourceState>)> {
    let states = |it: &Claim| it.resources().iter().map(ClaimedResource::state).collect();
    live.iter().map(|it| (it.lease().clone(), it.releasing().is_some(), states(it))).collect()
}

/// What an outcome says is left, if it says that nothing is.
pub(super) fn says_released(outcome: &Result<Outcome>) -> bool {
    matches!(outcome, Ok(Outcome::Released))
}

fn phase_of(claim: Result<Claim>) -> String {
    match claim {
        Ok(claim) => claim.phase().to_string(),
        Err(error) => error.to_string(),
    }
}
