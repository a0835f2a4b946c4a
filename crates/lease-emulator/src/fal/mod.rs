//! fal Compute as a state machine: four operations, the account's billing page, and what their documents leave open.
//!
//! The surface is that of fal's `OpenAPI` document of 2026-08 (`https://api.fal.ai/v1`): list, create, get and delete of
//! compute instances, and `GET /account/billing`. Paths, status codes, error bodies and field names are documented.
//! What is not is a switch in [`FalPolicy`], whose documentation says what is documented, inferred and unknown. It was
//! never compared with the service itself.

mod instance;
mod operate;
mod policy;
mod refusal;
mod replay;
mod workspace;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use http::StatusCode;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::exchange::{Cloud, LedgerEntry, Request, Served};
use crate::machine::Machines;
use instance::{Instance, Wish};
use replay::Replays;
use workspace::Key;

pub use instance::{EIGHT, ONE};
pub use policy::{
    AfterDelete, Cached, Concurrent, Cursors, DeleteAgain, FalPolicy, IdForm, Idempotency,
    KeyCheck, KeySpace, Mismatch, MoneyGate, Order, Paging, Prices, Walk, WindowFrom,
};
pub use workspace::{KeyScope, Permission, Workspace};

/// What a coming create does instead of succeeding. For faults on the way there is [`crate::script`]; these are the
/// service's own, so its idempotency cache knows of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateAnomaly {
    /// It fails before it made an instance.
    FailsBefore(StatusCode),
    /// It makes an instance and fails afterwards.
    FailsAfter(StatusCode),
    /// It makes an instance and answers 201 with an empty id.
    EmptyId,
}

/// What an instance has cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bill {
    /// The instance.
    pub id: String,
    /// How many whole seconds it existed. That billing starts with the creation is inferred; that it stops with the
    /// deletion is documented.
    pub seconds: u64,
    /// The cost in cents, each begun cent in full. How fal rounds is unknown.
    pub cents: u64,
}

/// An emulated fal.
///
/// Time in it is tokio's. Dropping it forgets which machines were to boot; it does not end those that run.
pub struct FalCloud {
    shared: Arc<Shared>,
    boots: Mutex<JoinSet<()>>,
}

struct Shared {
    started: Instant,
    machines: Arc<dyn Machines>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    policy: FalPolicy,
    workspaces: BTreeMap<String, Workspace>,
    keys: BTreeMap<String, Key>,
    instances: Vec<Instance>,
    replays: Replays,
    anomalies: VecDeque<CreateAnomaly>,
}

impl FalCloud {
    /// A cloud without accounts.
    pub fn new(machines: Arc<dyn Machines>, policy: FalPolicy) -> Self {
        let state = Mutex::new(State { policy, ..State::default() });
        let shared = Shared { started: Instant::now(), machines, state };
        Self { shared: Arc::new(shared), boots: Mutex::default() }
    }

    /// Adds a workspace with an admin key, which is a whole `id:secret`.
    pub fn add_workspace(&self, workspace: Workspace, key: impl Into<String>) {
        let username = workspace.username.clone();
        self.shared.state().workspaces.insert(username.clone(), workspace);
        self.set_key(key, username, KeyScope::Admin);
    }

    /// Makes a key one of this workspace, also if it was another's: the same key is then another account.
    pub fn set_key(&self, key: impl Into<String>, username: impl Into<String>, scope: KeyScope) {
        let key_of = Key { username: username.into(), scope };
        self.shared.state().keys.insert(key.into(), key_of);
    }

    /// Makes a key unknown.
    pub fn revoke(&self, key: &str) {
        self.shared.state().keys.remove(key);
    }

    /// Changes a workspace; says whether there is one.
    pub fn change_workspace(&self, username: &str, change: impl FnOnce(&mut Workspace)) -> bool {
        self.shared.state().workspaces.get_mut(username).map(change).is_some()
    }

    /// Changes the policy. Instances that exist keep the walk and the price that they were created with.
    pub fn change_policy(&self, change: impl FnOnce(&mut FalPolicy)) {
        change(&mut self.shared.state().policy);
    }

    /// Makes a coming create go wrong; several wait in line. A replay that is answered from the cache uses up none.
    pub fn add_anomaly(&self, anomaly: CreateAnomaly) {
        self.shared.state().anomalies.push_back(anomaly);
    }

    /// Changes what an instance goes through, counted from its creation; says whether there is such an instance. An
    /// instance that was never ready does not get a machine by that.
    pub fn change_walk(&self, id: &str, walk: Walk) -> bool {
        let mut state = self.shared.state();
        let found = state.instances.iter_mut().find(|it| it.id == id);
        found.map(|it| it.walk = walk).is_some()
    }

    /// Plants an instance of somebody else in a workspace, which is ready and has no machine. Returns its id.
    pub fn plant(&self, username: &str, ssh_key: &str) -> String {
        let now = self.shared.now();
        let address = self.shared.machines.address();
        let wish =
            Wish { instance_type: ONE.to_owned(), ssh_key: ssh_key.to_owned(), sector: None };
        let mut state = self.shared.state();
        let number = state.instances.len();
        let id = instance::new_id(state.policy.ids).unwrap_or_else(|_| format!("inst_{number}"));
        let planted = Instance {
            id: id.clone(),
            username: username.to_owned(),
            wish,
            region: state.policy.region.clone(),
            creator: "somebody-else".to_owned(),
            address,
            born: now,
            gone: None,
            foreign: true,
            walk: Walk(vec![(Duration::ZERO, "ready".to_owned())]),
            cents_per_hour: state.policy.prices.one_cents_per_hour,
        };
        state.instances.push(planted);
        id
    }

    /// Ends an instance from outside of any client, as the provider's own page or staff would.
    pub async fn end(&self, id: &str) {
        let now = self.shared.now();
        if let Some(found) = self.shared.state().instances.iter_mut().find(|it| it.id == id) {
            found.gone.get_or_insert(now);
        }
        self.shared.machines.end(id).await;
    }

    /// What everything has cost so far.
    pub fn bill(&self) -> Vec<Bill> {
        let now = self.shared.now();
        let bill = |it: &Instance| {
            let seconds = it.gone.unwrap_or(now).saturating_sub(it.born).as_secs();
            let cents = (seconds * it.cents_per_hour).div_ceil(3_600);
            Bill { id: it.id.clone(), seconds, cents }
        };
        self.shared.state().instances.iter().map(bill).collect()
    }
}

#[async_trait]
impl Cloud for FalCloud {
    async fn serve(&self, request: Request) -> Served {
        let response = self.operate(request).await.unwrap_or_else(|refusal| refusal.response());
        Served::Answer(response)
    }

    fn ledger(&self) -> Vec<LedgerEntry> {
        self.shared.state().instances.iter().map(Instance::entry).collect()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }
}

impl fmt::Debug for FalCloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instances = self.shared.state().instances.len();
        f.debug_struct("FalCloud").field("instances", &instances).finish_non_exhaustive()
    }
}
