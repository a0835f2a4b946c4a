//! A simulated cloud. Its ledger lives outside the code under test: it knows everything that ever existed, who made it
//! and who destroyed it, whatever the engine and the store believe.
//!
//! Time is tokio's clock, which tests pause; a jump of the wall clock does not move the cloud.

mod audit;
mod entry;
mod twist;
mod wire;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lease_core::{Marks, ResourceId, Store};
use tokio::time::Instant;

pub use audit::{Audit, Violation};
pub use entry::{Entry, Kind, Origin};
pub use twist::Twist;
pub(crate) use wire::{Order, Shown, WireError};

/// The account whose credentials are used unless a test swaps them.
pub const HOME: &str = "home-account";
/// The account that the credentials belong to while they are swapped.
pub const ELSEWHERE: &str = "other-account";

/// How old the cloud is when a test begins, so that even its first listing can be stale.
const AGE: Duration = Duration::from_secs(3_600);

/// How the cloud behaves.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Whether a second resource of the same name is refused.
    pub unique_names: bool,
    /// For how long a repeated create with the same key is answered with the first resource.
    pub key_window: Option<Duration>,
    /// Whether the cloud stores and shows marks.
    pub stores_marks: bool,
    /// How long a new resource stays invisible, unless a [`Twist`] says otherwise.
    pub appears_after: Duration,
    /// The longest time a resource may stay invisible or linger; what the provider promises as its settling time.
    pub settle: Duration,
    /// How long a machine takes until it runs.
    pub boots_in: Duration,
    /// How long a destroyed resource is still shown as going away.
    pub vanishes_in: Duration,
    /// How far listings are behind.
    pub listing_lag: Duration,
    /// How many resources fit on a page of a listing.
    pub page_items: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            unique_names: true,
            key_window: None,
            stores_marks: true,
            appears_after: Duration::ZERO,
            settle: Duration::from_secs(4),
            boots_in: Duration::from_millis(900),
            vanishes_in: Duration::from_millis(700),
            listing_lag: Duration::ZERO,
            page_items: 2,
        }
    }
}

/// The simulated cloud. Clones are the same cloud.
#[derive(Clone)]
pub struct World {
    shared: Arc<Mutex<State>>,
}

pub(crate) struct State {
    pub(crate) policy: Policy,
    started: Instant,
    pub(crate) entries: Vec<Entry>,
    next_id: u64,
    sold_out: BTreeSet<String>,
    violations: Vec<Violation>,
    witness: Option<Arc<dyn Store>>,
    home: &'static str,
    swapped_until: Option<Duration>,
    twists: Vec<Twist>,
    dead_logins: bool,
    down_until: Option<Duration>,
    helped: bool,
    pub(crate) destroys_cross_keeps: bool,
}

impl World {
    /// A cloud with nothing in it. Must be called inside a tokio runtime.
    pub fn new(policy: Policy) -> Self {
        let state = State {
            policy,
            started: Instant::now(),
            entries: Vec::new(),
            next_id: 1_000,
            sold_out: BTreeSet::new(),
            violations: Vec::new(),
            witness: None,
            home: HOME,
            swapped_until: None,
            twists: Vec::new(),
            dead_logins: false,
            down_until: None,
            helped: false,
            destroys_cross_keeps: false,
        };
        Self { shared: Arc::new(Mutex::new(state)) }
    }

    /// From now on, whenever a create or a destroy arrives, `store` is asked whether it was allowed.
    ///
    /// It must be the store itself and not a wrapper that tells stories.
    pub fn witness(&self, store: Arc<dyn Store>) {
        self.lock().witness = Some(store);
    }

    /// From now on there is no machine of this type.
    pub fn sell_out(&self, machine_type: &str) {
        self.lock().sold_out.insert(machine_type.to_owned());
    }

    /// From now on no login works, although machines run.
    pub fn refuse_logins(&self) {
        self.lock().dead_logins = true;
    }

    /// For `span`, the credentials belong to another account.
    pub fn swap_account(&self, span: Duration) {
        let mut state = self.lock();
        let until = state.now() + span;
        state.swapped_until = Some(until);
    }

    /// From now on the credentials belong to `account`, as a person would arrange who was told that they are wrong.
    pub fn log_in(&self, account: &str) {
        let mut state = self.lock();
        state.home = if account == ELSEWHERE { ELSEWHERE } else { HOME };
        state.swapped_until = None;
        state.helped = true;
    }

    /// Whether the credentials belong to another account for a while.
    pub(crate) fn is_swapped(&self) -> bool {
        let state = self.lock();
        state.swapped_until.is_some_and(|until| state.now() < until)
    }

    /// From now on a destroy may arrive after a keep when it was recorded as sent before: two processes act at once, and
    /// what is on the wire cannot be called back.
    pub fn let_destroys_cross_keeps(&self) {
        self.lock().destroys_cross_keeps = true;
    }

    /// The account that the credentials belong to now.
    pub fn account(&self) -> &'static str {
        self.lock().account()
    }

    /// Arranges that the next matching request meets `twist`.
    pub fn arrange(&self, twist: Twist) {
        self.lock().twists.push(twist);
    }

    /// Whether every arranged twist was met.
    pub fn twists_met(&self) -> bool {
        self.lock().twists.is_empty()
    }

    /// Puts something foreign into `account`.
    pub fn plant(&self, account: &str, kind: Kind, name: &str, marks: Option<Marks>) -> ResourceId {
        let mut state = self.lock();
        let now = state.now();
        let id = state.fresh_id();
        state.entries.push(Entry {
            id: id.clone(),
            account: account.to_owned(),
            kind,
            machine_type: None,
            name: name.to_owned(),
            marks,
            origin: Origin::Foreign,
            public_key: String::new(),
            uses: None,
            accepted_at: now,
            visible_at: now,
            stopping_at: None,
            gone_at: None,
            ended_by: None,
            ends_at: None,
        });
        id
    }

    /// Loses the marks of one resource, as a careless rewrite of its labels would.
    pub fn forget_marks(&self, id: &ResourceId) {
        for entry in self.lock().entries.iter_mut().filter(|it| it.id == *id) {
            entry.marks = None;
        }
    }

    /// Puts foreign twins of everything of ours into the other account: the same ids, the same names, no marks.
    pub fn plant_twins(&self) {
        let mut state = self.lock();
        let now = state.now();
        let ours = |it: &&Entry| it.origin == Origin::Ours && it.account == HOME && it.exists(now);
        let twin = |it: &Entry| Entry {
            account: ELSEWHERE.to_owned(),
            origin: Origin::Foreign,
            marks: None,
            uses: None,
            visible_at: now,
            ..it.clone()
        };
        let twins: Vec<_> = state.entries.iter().filter(ours).map(twin).collect();
        state.entries.extend(twins);
    }

    /// From now on, for `span`, every request is refused.
    pub fn go_down(&self, span: Duration) {
        let mut state = self.lock();
        let until = state.now() + span;
        state.down_until = Some(until);
    }

    /// Whether requests are refused now.
    pub fn is_down(&self) -> bool {
        let state = self.lock();
        state.down_until.is_some_and(|until| state.now() < until)
    }

    /// Removes everything of ours, as a person would who was told what may be left.
    pub fn remove_by_hand(&self) {
        let mut state = self.lock();
        let now = state.now();
        let ours = |it: &&mut Entry| it.origin == Origin::Ours && it.stopping_at.is_none();
        let mut helped = false;
        for entry in state.entries.iter_mut().filter(ours) {
            entry.stopping_at = Some(now);
            entry.gone_at = Some(now);
            entry.ended_by = Some(Origin::Foreign);
            helped = true;
        }
        state.helped |= helped;
    }

    /// Takes every machine of ours away, as a provider does that needs it for others.
    pub fn preempt(&self) {
        let mut state = self.lock();
        let now = state.now();
        let ours = |it: &&mut Entry| it.origin == Origin::Ours && it.kind == Kind::Machine;
        for entry in state.entries.iter_mut().filter(ours).filter(|it| it.gone_at.is_none()) {
            entry.stopping_at = Some(now);
            entry.gone_at = Some(now);
            entry.ended_by = Some(Origin::Foreign);
        }
    }

    /// Takes every machine of ours away and gives its id and name to somebody else, who stays for `span`.
    pub fn reuse_ids(&self, span: Duration) {
        let state = self.lock();
        let now = state.now();
        let ours = |it: &&Entry| it.origin == Origin::Ours && it.kind == Kind::Machine;
        let alive = state.entries.iter().filter(ours).filter(|it| it.gone_at.is_none());
        let stranger = |it: &Entry| Entry {
            origin: Origin::Foreign,
            marks: None,
            uses: None,
            public_key: String::new(),
            accepted_at: now,
            visible_at: now,
            gone_at: Some(now + span),
            ended_by: Some(Origin::Foreign),
            ..it.clone()
        };
        let strangers: Vec<_> = alive.map(stranger).collect();
        drop(state);
        self.preempt();
        self.lock().entries.extend(strangers);
    }

    /// From now on a machine takes so long until it runs.
    pub fn boot_in(&self, span: Duration) {
        self.lock().policy.boots_in = span;
    }

    /// From now on everything takes its time: what is new shows late, what is gone lingers, listings are behind. All of
    /// it stays within the settling time.
    pub fn slow_down(&self) {
        let mut state = self.lock();
        let part = state.policy.settle / 4;
        state.policy.appears_after = part * 2;
        state.policy.vanishes_in = part * 3;
        state.policy.listing_lag = part * 3;
    }

    /// Whether a person had to help: by removing something, or with other credentials.
    pub fn was_helped(&self) -> bool {
        self.lock().helped
    }

    /// Removes something foreign, as its owner would.
    pub fn uproot(&self, id: &ResourceId) {
        let mut state = self.lock();
        let now = state.now();
        for entry in state.entries.iter_mut().filter(|it| it.id == *id) {
            entry.stopping_at = Some(now);
            entry.gone_at = Some(now);
            entry.ended_by = Some(Origin::Foreign);
        }
    }

    /// The whole ledger, including what is gone.
    pub fn ledger(&self) -> Vec<Entry> {
        self.lock().entries.clone()
    }

    /// What was made through our provider and nobody asked to destroy.
    pub fn ours_alive(&self) -> Vec<Entry> {
        let state = self.lock();
        let alive = |it: &&Entry| it.origin == Origin::Ours && it.stopping_at.is_none();
        state.entries.iter().filter(alive).cloned().collect()
    }

    /// What was planted and still is there.
    pub fn foreign_alive(&self) -> usize {
        let state = self.lock();
        let foreign = |it: &&Entry| it.origin == Origin::Foreign && it.gone_at.is_none();
        state.entries.iter().filter(foreign).count()
    }

    /// How many seconds of machine time would be billed to us until now.
    pub fn billable_seconds(&self) -> u64 {
        let state = self.lock();
        let now = state.now();
        let billed = |it: &Entry| it.gone_at.unwrap_or(now).min(now).saturating_sub(it.accepted_at);
        let ours = |it: &&Entry| it.origin == Origin::Ours && it.kind == Kind::Machine;
        state.entries.iter().filter(ours).map(|it| billed(it).as_secs()).sum()
    }

    /// How the cloud behaves.
    pub fn policy(&self) -> Policy {
        self.lock().policy.clone()
    }

    pub(crate) fn logins_work(&self) -> bool {
        !self.lock().dead_logins
    }

    pub(crate) fn blame(&self, violation: Violation) {
        self.lock().violations.push(violation);
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics between two changes that belong together.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        let entries = &state.entries;
        f.debug_struct("World").field("entries", entries).finish_non_exhaustive()
    }
}

impl State {
    pub(crate) fn now(&self) -> Duration {
        AGE + self.started.elapsed()
    }

    pub(crate) fn account(&self) -> &'static str {
        if self.swapped_until.is_some_and(|until| self.now() < until) {
            ELSEWHERE
        } else {
            self.home
        }
    }

    fn fresh_id(&mut self) -> ResourceId {
        self.next_id += 1;
        entry::id_of(self.next_id)
    }

    /// Takes the first arranged twist that `wanted` accepts.
    fn take_twist(&mut self, wanted: impl Fn(&Twist) -> bool) -> Option<Twist> {
        let at = self.twists.iter().position(wanted)?;
        Some(self.twists.remove(at))
    }
}
