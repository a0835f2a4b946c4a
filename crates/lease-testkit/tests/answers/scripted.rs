//! A provider whose promises a test chooses, whose creates and searches it scripts, and whose machines carry nothing
//! that a test does not put on them; with a transport whose logins it decides.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use lease_core::descriptor::Ownership;
use lease_core::engine::{Acquire, AcquireFailure, By, Outcome, Release};
use lease_core::error::{Error, ErrorKind};
use lease_core::journal::Disposition;
use lease_core::provider::Check;
use lease_core::retry::pause;
use lease_core::store::memory::MemoryStore;
use lease_core::{
    Candidate, Claim, Clock, Created, Descriptor, Engine, Found, Held, Host, HostKey, Intent,
    Inventory, LeaseId, Marks, Owned, Probe, Provider, Reach, Recognition, ResourceId, Result,
    Scope, Sighting, Size, Spec, Status, Steady, Template, Timestamp, Transport,
};
use lease_testkit::sim::{Flavor, SimClock};
use tokio::time::Instant;

use crate::stubborn::Account;

pub(crate) const HOME: &str = "home";

/// What a create comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// It is answered with this machine.
    Made(&'static str),
    /// The connection breaks after so long, and nobody knows what became of it.
    Lost(Duration),
}

/// What a search comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Search {
    Absent,
    Found(&'static str, Carries),
    /// Each of them runs, and none says whose it is.
    Suspects(&'static [&'static str]),
    /// It is one of those, and has no address yet.
    Booting(&'static str),
    Fails(ErrorKind),
}

/// What is written on a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carries {
    OurMarks,
    OtherMarks,
    Nothing,
}

/// One account of machines. What was made or shown is there until it is destroyed.
#[derive(Debug)]
pub(crate) struct Scripted {
    descriptor: Descriptor,
    account: Mutex<&'static str>,
    accounts: Mutex<VecDeque<Account>>,
    creates: Mutex<VecDeque<Sent>>,
    searches: Mutex<VecDeque<Search>>,
    machines: Mutex<BTreeMap<ResourceId, Option<Marks>>>,
    destroyed: Mutex<BTreeSet<ResourceId>>,
    /// When a create was sent, and when somebody searched.
    sent: Mutex<Vec<Instant>>,
    searched: Mutex<Vec<Instant>>,
}

impl Scripted {
    /// From now on the credentials belong to this account.
    pub(crate) fn log_in(&self, account: &'static str) {
        *self.account.lock().unwrap() = account;
    }

    /// What the next questions after the account come to.
    pub(crate) fn accounts(&self, accounts: &[Account]) {
        self.accounts.lock().unwrap().extend(accounts);
    }

    /// What the next creates come to; the last of it stays so.
    pub(crate) fn creates(&self, creates: &[Sent]) {
        *self.creates.lock().unwrap() = creates.iter().copied().collect();
    }

    /// What the next searches come to; the last of it stays so.
    pub(crate) fn searches(&self, searches: &[Search]) {
        *self.searches.lock().unwrap() = searches.iter().copied().collect();
    }

    pub(crate) fn sent(&self) -> Vec<Instant> {
        self.sent.lock().unwrap().clone()
    }

    pub(crate) fn searched(&self) -> usize {
        self.searched.lock().unwrap().len()
    }

    pub(crate) fn destroyed(&self) -> Vec<String> {
        self.destroyed.lock().unwrap().iter().map(ToString::to_string).collect()
    }

    fn put(&self, id: &str, marks: Option<Marks>) -> Option<Found> {
        let id: ResourceId = id.parse().unwrap();
        if self.destroyed.lock().unwrap().contains(&id) {
            return None;
        }
        let found = shown(&id, marks.clone());
        self.machines.lock().unwrap().insert(id, marks);
        Some(found)
    }

    fn failure(kind: ErrorKind) -> Error {
        Error::harmless(kind, "a test", "it was told to")
    }
}

/// Takes the next, and leaves the last for ever.
fn next<T: Copy>(script: &Mutex<VecDeque<T>>) -> Option<T> {
    let mut script = script.lock().unwrap();
    if script.len() > 1 { script.pop_front() } else { script.front().copied() }
}

fn shown(id: &ResourceId, marks: Option<Marks>) -> Found {
    Found {
        id: id.clone(),
        kind: "machine".to_owned(),
        name: None,
        marks,
        status: Status::Running,
        reach: Some(Reach::new(id.as_str(), "worker", HostKey::FirstUse, "/work")),
        created_at: None,
    }
}

#[async_trait]
impl Provider for Scripted {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    async fn scope(&self) -> Result<Scope> {
        let told = self.accounts.lock().unwrap().pop_front().unwrap_or(Account::Told);
        let account = (*self.account.lock().unwrap()).to_owned();
        let home =
            Scope { provider: "sim".to_owned(), endpoint: "sim://scripted".to_owned(), account };
        match told {
            Account::Told => Ok(home),
            Account::Slow(span) => {
                pause(span).await;
                Ok(home)
            }
            Account::Fails(kind) => Err(Self::failure(kind)),
            Account::Busy(span) => Err(Self::failure(ErrorKind::Busy).with_retry_after(span)),
        }
    }

    async fn plan(&self, _spec: &Spec) -> Result<Vec<Candidate>> {
        let machine = Template {
            kind: "machine".to_owned(),
            disposition: Disposition::Own,
            id: None,
            request: serde_json::Value::Null,
        };
        Ok(vec![Candidate { label: "the only one".to_owned(), resources: vec![machine] }])
    }

    async fn create(&self, intent: &Intent) -> Result<Created> {
        self.sent.lock().unwrap().push(Instant::now());
        match next(&self.creates).unwrap_or(Sent::Lost(Duration::ZERO)) {
            Sent::Made(id) => {
                let marked = self.descriptor.ownership == Ownership::Marks;
                self.put(id, marked.then(|| intent.marks().clone()));
                Ok(Created { id: id.parse().unwrap(), shown: None })
            }
            Sent::Lost(after) => {
                pause(after).await;
                let message = "the connection broke";
                Err(Error::unsettled(ErrorKind::Unavailable, "create a machine", message))
            }
        }
    }

    async fn find(&self, intent: &Intent) -> Result<Sighting> {
        self.searched.lock().unwrap().push(Instant::now());
        match next(&self.searches).unwrap_or(Search::Absent) {
            Search::Absent => Ok(Sighting::Absent),
            Search::Found(id, carries) => {
                let ours = intent.marks().clone();
                let marks = match carries {
                    Carries::OurMarks => Some(ours),
                    Carries::OtherMarks => {
                        Some(Marks { nonce: "z".repeat(26).parse().unwrap(), ..ours })
                    }
                    Carries::Nothing => None,
                };
                let found = self.put(id, marks).map(Box::new);
                Ok(found.map_or(Sighting::Absent, Sighting::Found))
            }
            Search::Suspects(ids) => {
                let there: Vec<_> = ids.iter().filter_map(|it| self.put(it, None)).collect();
                Ok(if there.is_empty() { Sighting::Absent } else { Sighting::Suspects(there) })
            }
            Search::Booting(id) => {
                let status = Status::Starting { waiting_for: None };
                let booting = shown(&id.parse().unwrap(), None);
                Ok(Sighting::Suspects(vec![Found { status, reach: None, ..booting }]))
            }
            Search::Fails(kind) => Err(Self::failure(kind)),
        }
    }

    async fn inspect(&self, id: &ResourceId) -> Result<Sighting> {
        let machines = self.machines.lock().unwrap();
        let found = machines.get(id).map(|marks| Box::new(shown(id, marks.clone())));
        Ok(found.map_or(Sighting::Absent, Sighting::Found))
    }

    async fn list(&self) -> Result<Inventory> {
        let scope = self.scope().await?;
        let machines = self.machines.lock().unwrap();
        let items = machines.iter().map(|(id, marks)| shown(id, marks.clone())).collect();
        Ok(Inventory { scope, items })
    }

    async fn destroy(&self, owned: &Owned) -> Result<()> {
        self.machines.lock().unwrap().remove(owned.id());
        self.destroyed.lock().unwrap().insert(owned.id().clone());
        Ok(())
    }

    async fn renew(&self, _held: &Held, _ends_at: Option<Timestamp>) -> Result<()> {
        Ok(())
    }

    async fn sizes(&self) -> Result<Vec<Size>> {
        Ok(Vec::new())
    }

    async fn doctor(&self) -> Result<Vec<Check>> {
        Ok(Vec::new())
    }
}

/// Machines that refuse the lease's key when they are asked whose they are, but for those that take it from some moment
/// on. What is known to be the lease's lets it in, unless a test says until when it does not.
#[derive(Debug, Default)]
pub(crate) struct Logins {
    takes: Mutex<BTreeMap<&'static str, Instant>>,
    refused_until: Mutex<Option<Instant>>,
    tried: Mutex<Vec<(String, Instant)>>,
    /// When the lease's own machine was last tried.
    probed: Mutex<Option<Instant>>,
}

impl Logins {
    /// From this moment on, the machine takes the key.
    pub(crate) fn takes(&self, id: &'static str, from: Instant) {
        self.takes.lock().unwrap().insert(id, from);
    }

    /// Until this moment, the lease's own machine refuses its key.
    pub(crate) fn refuses_until(&self, until: Instant) {
        *self.refused_until.lock().unwrap() = Some(until);
    }

    /// How long after that moment the lease's own machine was tried for the last time.
    pub(crate) fn gave_up_after(&self, began: Instant) -> Duration {
        self.probed.lock().unwrap().map_or(Duration::ZERO, |it| it - began)
    }

    /// On which machines the key was tried, and when.
    pub(crate) fn tried(&self) -> Vec<(String, Instant)> {
        self.tried.lock().unwrap().clone()
    }
}

#[async_trait]
impl Transport for Logins {
    async fn prepare(&self, _lease: &LeaseId) -> Result<String> {
        Ok("ssh-ed25519 AAAA lease".to_owned())
    }

    async fn probe(&self, _lease: &LeaseId, _reach: &Reach) -> Result<Probe> {
        *self.probed.lock().unwrap() = Some(Instant::now());
        if self.refused_until.lock().unwrap().is_some_and(|it| Instant::now() < it) {
            return Ok(Probe::Never { why: "permission denied".to_owned() });
        }
        Ok(Probe::Ready { host_key: "ssh-ed25519 BBBB".to_owned() })
    }

    async fn recognise(&self, _lease: &LeaseId, reach: &Reach) -> Result<Recognition> {
        let now = Instant::now();
        self.tried.lock().unwrap().push((reach.host.clone(), now));
        let takes = self.takes.lock().unwrap();
        if takes.get(reach.host.as_str()).is_some_and(|from| *from <= now) {
            return Ok(Recognition::Ours);
        }
        Ok(Recognition::NotOurs { why: "permission denied".to_owned() })
    }

    async fn connect(&self, _lease: &LeaseId, _reach: &Reach) -> Result<Box<dyn Host>> {
        let message = "a scripted machine runs no commands";
        Err(Error::harmless(ErrorKind::Unsupported, "connect", message))
    }

    async fn forget(&self, _lease: &LeaseId) -> Result<()> {
        Ok(())
    }
}

/// A wall clock that can be set, with or without a steady one beside it.
#[derive(Clone, Debug)]
struct Clocks {
    wall: SimClock,
    steady: bool,
}

impl Clock for Clocks {
    fn now(&self) -> Timestamp {
        self.wall.now()
    }

    fn steady(&self) -> Option<Steady> {
        self.wall.steady().filter(|_| self.steady)
    }
}

/// An engine over one such provider.
pub(crate) struct Cloud {
    pub(crate) provider: Arc<Scripted>,
    pub(crate) logins: Arc<Logins>,
    pub(crate) clock: SimClock,
    pub(crate) engine: Engine,
}

impl Cloud {
    pub(crate) fn new(descriptor: Descriptor) -> Self {
        Self::with_clocks(descriptor, true)
    }

    /// The same where no steady clock can be read.
    pub(crate) fn without_steady_clock(descriptor: Descriptor) -> Self {
        Self::with_clocks(descriptor, false)
    }

    pub(crate) fn with_clocks(descriptor: Descriptor, steady: bool) -> Self {
        let provider = Arc::new(Scripted {
            descriptor,
            account: Mutex::new(HOME),
            accounts: Mutex::default(),
            creates: Mutex::default(),
            searches: Mutex::default(),
            machines: Mutex::default(),
            destroyed: Mutex::default(),
            sent: Mutex::default(),
            searched: Mutex::default(),
        });
        let (logins, clock) = (Arc::new(Logins::default()), SimClock::new());
        let store = Arc::new(MemoryStore::new().unwrap());
        let clocks = Arc::new(Clocks { wall: clock.clone(), steady });
        let engine = Engine::builder(store, Arc::<Logins>::clone(&logins), clocks)
            .provider(Arc::<Scripted>::clone(&provider))
            .build();
        Self { provider, logins, clock, engine }
    }

    pub(crate) async fn acquire(&self) -> std::result::Result<Claim, AcquireFailure> {
        self.engine.acquire(Acquire::new(Spec::new("sim"))).await
    }

    /// The lease of a process that died while it waited for the answer to its create.
    pub(crate) async fn cut_off(&self) -> LeaseId {
        self.provider.creates(&[Sent::Lost(Duration::from_secs(100))]);
        let cut_off = tokio::time::timeout(Duration::from_secs(1), self.acquire()).await;
        assert!(cut_off.is_err());
        let entries = self.engine.store().scan().await.unwrap();
        entries.first().unwrap().lease.clone().unwrap()
    }

    pub(crate) async fn release(&self, lease: &LeaseId) -> Outcome {
        self.engine.release(lease, Release::new(By::Person, "a test")).await.unwrap()
    }
}

/// What the simulated cloud says of itself where nothing carries marks, or where everything does; with a settling and a
/// landing time of its own.
pub(crate) fn descriptor(ownership: Ownership, settle: u64, landing: u64) -> Descriptor {
    let flavor = match ownership {
        Ownership::Marks => Flavor::Searching,
        Ownership::CreateAnswer => Flavor::Markless,
    };
    let (settle, landing) = (Duration::from_secs(settle), Duration::from_secs(landing));
    Descriptor { settle, landing, ..flavor.descriptor().clone() }
}

/// The id of the machine of an acquired lease.
pub(crate) fn machine_of(claim: &Claim) -> String {
    claim.resources().last().unwrap().id().unwrap().to_string()
}
