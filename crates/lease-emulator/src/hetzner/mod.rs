//! An emulator of the Hetzner Cloud API, faithful where its documents speak and hostile by [`Policy`] where they do not.
//!
//! Every path is under `/v1`. The machine of a server begins to boot when its creation is accepted, and ends when its
//! deletion is; what the API says about it follows later, as the policy has it.
//!
//! What is documented is in the vendor's `OpenAPI` text of June 2026; `tests/openapi/validate.py` compares the answers with
//! it. Error texts are those that others have recorded, where there are any, and made up otherwise: go by the code. It was
//! never compared with the service itself.
//!
//! Cancel safety: a request that is dropped has had its whole effect on the API, but the machine of its server may be
//! left as it was. Serve each request to its end, as [`crate::Server`] does.

mod actions;
mod ask;
mod budget;
mod catalog;
mod creation;
mod labels;
mod ledger;
mod offers;
mod page;
mod policy;
mod primary_ips;
mod problem;
mod routes;
mod servers;
mod ssh_keys;
mod views;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::exchange::{Cloud, LedgerEntry, Request, Served};
use crate::machine::{Birth, Machines};
use catalog::{IMAGES, LOCATIONS, SERVER_TYPES};
use creation::Order;
use world::{Family, Hold, Origin, Power, SshKey, Status, Token, World};

pub use ledger::billed_hours;
pub use policy::{
    Command, Deletion, Fate, IpsOfDeleted, Limits, NameCase, NameFreed, OversizedPage, Policy,
    RepeatedDelete, Sight, Stock, ToldFirst, UnassignedType, UnknownReference,
};
pub use problem::Refusal;
pub use world::Access;

/// The characters that a token has.
pub const TOKEN_CHARS: usize = 64;

/// The emulated cloud.
#[derive(Debug)]
pub struct Hetzner {
    world: Mutex<World>,
    machines: Arc<dyn Machines>,
    /// The servers whose machines were booted and not ended. Held while one is booted or ended, so that a boot and an
    /// end of the same machine cannot overtake each other.
    booted: tokio::sync::Mutex<BTreeSet<u64>>,
    started: Instant,
}

impl Hetzner {
    /// A cloud without projects, tokens and resources, whose time begins now.
    pub fn new(machines: Arc<dyn Machines>, policy: Policy) -> Self {
        Self {
            world: Mutex::new(World::new(policy)),
            machines,
            booted: tokio::sync::Mutex::new(BTreeSet::new()),
            started: Instant::now(),
        }
    }

    /// The time since the cloud began.
    pub fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Enters, and on every access brings up to date, the state.
    fn world(&self) -> MutexGuard<'_, World> {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        world.now = self.started.elapsed();
        world
    }

    /// Changes how the cloud behaves from now on.
    pub fn change(&self, change: impl FnOnce(&mut Policy)) {
        change(&mut self.world().policy);
    }

    /// Makes a token for a project, which begins to exist thereby. The token is 64 characters long.
    pub fn grant(&self, project: &str, access: Access) -> String {
        let id = self.world().fresh_id();
        // The two halves differ, so that a test can tell the half that is not secret from the one that is.
        let token = format!("{:A>32}{:z>32}", format!("P{id}"), format!("S{id}"));
        self.admit(&token, project, access);
        token
    }

    /// Makes a token of the given text valid for a project. A token that exists is moved there.
    pub fn admit(&self, token: &str, project: &str, access: Access) {
        let entry = Token { project: project.to_owned(), access };
        self.world().tokens.insert(token.to_owned(), entry);
    }

    /// Changes what a token may do.
    pub fn restrict(&self, token: &str, access: Access) {
        if let Some(token) = self.world().tokens.get_mut(token) {
            token.access = access;
        }
    }

    /// Makes a token invalid.
    pub fn revoke(&self, token: &str) {
        self.world().tokens.remove(token);
    }

    /// Says what a project may have at most.
    pub fn limit(&self, project: &str, limits: Limits) {
        self.world().limits.insert(project.to_owned(), limits);
    }

    /// Says how much of a server type there is in a location, both by name.
    pub fn stock(&self, server_type: &str, location: &str, stock: Stock) {
        self.world().stock.insert((server_type.to_owned(), location.to_owned()), stock);
    }

    /// Says how the next server that is accepted turns out; further calls queue up.
    pub fn next_server(&self, fate: Fate) {
        self.world().fates.push_back(fate);
    }

    /// Says how the next deletion of a server that is accepted turns out; further calls queue up.
    pub fn next_deletion(&self, deletion: Deletion) {
        self.world().deletions.push_back(deletion);
    }

    /// Refuses the next authorized request that would change something, without effect; further calls queue up.
    pub fn next_refusal(&self, refusal: Refusal) {
        self.world().refusals.push_back(refusal);
    }

    /// Sets the protection from deletion of a server or a primary IP.
    pub fn protect(&self, id: u64) {
        let mut world = self.world();
        if let Some(server) = world.servers.get_mut(&id) {
            server.protection = Hold::Held;
        }
        if let Some(ip) = world.primary_ips.get_mut(&id) {
            ip.protection = Hold::Held;
        }
    }

    /// Locks a server until [`Self::unlock`], as an action that runs would.
    pub fn lock(&self, server: u64) {
        self.set_lock(server, Hold::Held);
    }

    /// Takes back [`Self::lock`]. A lock by a running action stays.
    pub fn unlock(&self, server: u64) {
        self.set_lock(server, Hold::Free);
    }

    fn set_lock(&self, server: u64, lock: Hold) {
        if let Some(server) = self.world().servers.get_mut(&server) {
            server.lock = lock;
        }
    }

    /// Plants a running server of somebody else in a project, with its primary IPs. It has no machine. Returns its id.
    pub fn plant_server(&self, project: &str, name: &str, labels: BTreeMap<String, String>) -> u64 {
        let address = self.machines.address();
        let world = &mut *self.world();
        let mut record = world.record(project, name, labels);
        record.origin = Origin::Planted;
        let id = record.id;
        let order = Order {
            server_type: &SERVER_TYPES[0],
            location: &LOCATIONS[0],
            image: &IMAGES[0],
            public_keys: Vec::new(),
            user_data: None,
            ips: vec![(Family::V4, None), (Family::V6, None)],
        };
        creation::insert(world, record, order, address);
        if let Some(server) = world.servers.get_mut(&id) {
            server.timeline = vec![(Duration::ZERO, Status::Running)];
        }
        id
    }

    /// Plants an SSH key of somebody else in a project. Returns its id.
    pub fn plant_ssh_key(
        &self,
        project: &str,
        (name, public_key): (&str, &str),
        labels: BTreeMap<String, String>,
    ) -> u64 {
        let world = &mut *self.world();
        let mut record = world.record(project, name, labels);
        record.origin = Origin::Planted;
        let id = record.id;
        let fingerprint = ssh_keys::fingerprint(public_key).unwrap_or_default();
        let key = SshKey { record, public_key: public_key.to_owned(), fingerprint };
        world.ssh_keys.insert(id, key);
        id
    }

    /// Plants a primary IPv4 of somebody else that nothing uses. Returns its id.
    pub fn plant_primary_ip(&self, project: &str) -> u64 {
        let address = self.machines.address();
        let world = &mut *self.world();
        let id = primary_ips::make(world, project, Family::V4, address, &LOCATIONS[0]);
        if let Some(ip) = world.primary_ips.get_mut(&id) {
            ip.record.origin = Origin::Planted;
        }
        id
    }

    /// Boots or ends a server's machine, whichever its server now wants.
    async fn settle(&self, id: u64) {
        let mut booted = self.booted.lock().await;
        let birth = self.birth(id);
        match birth {
            Some(birth) if booted.insert(id) => self.machines.boot(birth).await,
            None if booted.remove(&id) => self.machines.end(&id.to_string()).await,
            _ => {}
        }
    }

    /// What the machine of a server is born with, if the server is to have one now.
    fn birth(&self, id: u64) -> Option<Birth> {
        let world = self.world();
        let server = world.servers.get(&id).filter(|server| server.power == Power::On)?;
        Some(Birth {
            id: id.to_string(),
            address: server.address,
            authorized_keys: server.public_keys.clone(),
            user_data: server.user_data.clone(),
        })
    }
}

#[async_trait]
impl Cloud for Hetzner {
    async fn serve(&self, request: Request) -> Served {
        let address = || -> Ipv4Addr { self.machines.address() };
        let answered = routes::answer(&mut self.world(), &request, address);
        if let Some(id) = answered.touched {
            self.settle(id).await;
        }
        Served::Answer(answered.response)
    }

    fn ledger(&self) -> Vec<LedgerEntry> {
        ledger::of(&self.world())
    }
}
