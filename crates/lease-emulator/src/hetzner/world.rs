//! Everything that exists or existed in the cloud, and what may be seen of it at a moment.
//!
//! Nothing here happens by itself: a state is computed from times whenever somebody looks.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::time::Duration;

use super::budget::{Budget, Spending};
use super::catalog::{Image, Location, ServerType};
use super::labels::Labels;
use super::policy::{Command, Deletion, Fate, Limits, NameCase, NameFreed, Policy, Sight, Stock};
use super::problem::Refusal;

/// What every resource has.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) id: u64,
    pub(super) project: String,
    pub(super) name: String,
    pub(super) labels: Labels,
    pub(super) born: Duration,
    pub(super) gone: Option<Duration>,
    pub(super) origin: Origin,
}

/// Who made a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A request.
    Requested,
    /// A test, on behalf of somebody else.
    Planted,
}

impl Record {
    pub(super) fn is_listed(&self, now: Duration, sight: Sight) -> bool {
        self.is_seen(now, sight.listed_after, sight.listed_for)
    }

    pub(super) fn is_found(&self, now: Duration, sight: Sight) -> bool {
        self.is_seen(now, sight.found_after, sight.found_for)
    }

    fn is_seen(&self, now: Duration, after: Duration, lingers: Duration) -> bool {
        // What a test planted was there long before.
        let after = if self.origin == Origin::Planted { Duration::ZERO } else { after };
        now >= self.born.saturating_add(after)
            && self.gone.is_none_or(|gone| now < gone.saturating_add(lingers))
    }
}

/// The states of a server that occur here, in the vendor's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Initializing,
    Starting,
    Running,
    Stopping,
    Off,
    Deleting,
}

impl Status {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Initializing => "initializing",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Off => "off",
            Self::Deleting => "deleting",
        }
    }
}

/// Whether a server's machine is meant to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Power {
    On,
    Off,
}

/// Whether something may be deleted, or operated on, as a test has set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    Free,
    Held,
}

#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) record: Record,
    pub(super) kind: &'static ServerType,
    pub(super) location: &'static Location,
    pub(super) image: &'static Image,
    pub(super) public_keys: Vec<String>,
    pub(super) user_data: Option<String>,
    pub(super) address: Ipv4Addr,
    pub(super) power: Power,
    /// Each status with the time from which it holds, in order of time.
    pub(super) timeline: Vec<(Duration, Status)>,
    pub(super) protection: Hold,
    pub(super) lock: Hold,
    /// The action of the latest accepted deletion.
    pub(super) deletion: Option<u64>,
}

impl Server {
    /// What it is, or was when it ceased to be.
    pub(super) fn status(&self, now: Duration) -> Status {
        let at = self.record.gone.map_or(now, |gone| gone.min(now));
        let past = self.timeline.iter().rev().find(|(since, _)| *since <= at);
        past.map_or(Status::Initializing, |(_, status)| *status)
    }

    /// Replaces what was to come.
    pub(super) fn turn(&mut self, now: Duration, to_come: &[(Duration, Status)]) {
        self.timeline.retain(|(since, _)| *since <= now);
        self.timeline.extend(to_come);
    }
}

#[derive(Clone, Debug)]
pub(super) struct SshKey {
    pub(super) record: Record,
    pub(super) public_key: String,
    pub(super) fingerprint: String,
}

/// The version of an internet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::V4 => "ipv4",
            Self::V6 => "ipv6",
        }
    }
}

/// Whether a primary IP is deleted with what uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AutoDelete {
    Yes,
    No,
}

#[derive(Clone, Debug)]
pub(super) struct PrimaryIp {
    pub(super) record: Record,
    pub(super) family: Family,
    /// The address, or the network of a v6.
    pub(super) ip: String,
    pub(super) location: &'static Location,
    pub(super) auto_delete: AutoDelete,
    pub(super) protection: Hold,
    pub(super) assignee: Option<u64>,
}

#[derive(Clone, Debug)]
pub(super) struct Action {
    pub(super) id: u64,
    pub(super) project: String,
    pub(super) command: Command,
    pub(super) server: u64,
    pub(super) started: Duration,
    pub(super) ends: Duration,
    pub(super) outcome: Outcome,
}

/// How an action ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Success,
    Error,
}

impl Action {
    pub(super) fn is_running(&self, now: Duration) -> bool {
        now < self.ends
    }
}

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anything.
    ReadWrite,
    /// GET requests.
    ReadOnly,
}

#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) project: String,
    pub(super) access: Access,
}

/// The whole state of the cloud.
#[derive(Debug)]
pub(super) struct World {
    pub(super) policy: Policy,
    /// The time of the access that is going on, from the start of the cloud.
    pub(super) now: Duration,
    last_id: u64,
    last_correlation: u64,
    pub(super) tokens: BTreeMap<String, Token>,
    budgets: BTreeMap<String, Budget>,
    pub(super) limits: BTreeMap<String, Limits>,
    pub(super) stock: BTreeMap<(String, String), Stock>,
    pub(super) fates: VecDeque<Fate>,
    pub(super) deletions: VecDeque<Deletion>,
    pub(super) refusals: VecDeque<Refusal>,
    pub(super) servers: BTreeMap<u64, Server>,
    pub(super) ssh_keys: BTreeMap<u64, SshKey>,
    pub(super) primary_ips: BTreeMap<u64, PrimaryIp>,
    pub(super) actions: BTreeMap<u64, Action>,
}

impl World {
    pub(super) fn new(policy: Policy) -> Self {
        Self {
            policy,
            now: Duration::ZERO,
            last_id: 100_000_000,
            last_correlation: 0,
            tokens: BTreeMap::new(),
            budgets: BTreeMap::new(),
            limits: BTreeMap::new(),
            stock: BTreeMap::new(),
            fates: VecDeque::new(),
            deletions: VecDeque::new(),
            refusals: VecDeque::new(),
            servers: BTreeMap::new(),
            ssh_keys: BTreeMap::new(),
            primary_ips: BTreeMap::new(),
            actions: BTreeMap::new(),
        }
    }

    /// An id that nothing ever had.
    pub(super) fn fresh_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// A number that no answer had.
    pub(super) fn fresh_correlation(&mut self) -> u64 {
        self.last_correlation += 1;
        self.last_correlation
    }

    pub(super) fn record(&mut self, project: &str, name: &str, labels: Labels) -> Record {
        Record {
            id: self.fresh_id(),
            project: project.to_owned(),
            name: name.to_owned(),
            labels,
            born: self.now,
            gone: None,
            origin: Origin::Requested,
        }
    }

    pub(super) fn spend(&mut self, project: &str) -> Spending {
        let full = Budget::full(self.now, &self.policy);
        let budget = self.budgets.entry(project.to_owned()).or_insert(full);
        budget.spend(self.now, &self.policy)
    }

    /// Enters an action that begins now and ends so much later. Returns its id.
    pub(super) fn begin(&mut self, server: u64, command: Command, takes: Duration) -> u64 {
        let id = self.fresh_id();
        let project = self.servers.get(&server).map(|s| s.record.project.clone());
        let action = Action {
            id,
            project: project.unwrap_or_default(),
            command,
            server,
            started: self.now,
            ends: self.now.saturating_add(takes),
            outcome: Outcome::Success,
        };
        self.actions.insert(id, action);
        id
    }

    /// A server that a look-up by id finds.
    pub(super) fn found_server(&self, project: &str, id: u64) -> Option<&Server> {
        let server = self.servers.get(&id)?;
        let found = server.record.project == project
            && server.record.is_found(self.now, self.policy.servers);
        found.then_some(server)
    }

    /// Whether a running action, or a test, keeps a server from being operated on.
    pub(super) fn is_locked(&self, server: &Server) -> bool {
        let locks = |action: &Action| {
            action.server == server.record.id
                && action.is_running(self.now)
                && self.policy.locking.contains(&action.command)
        };
        server.lock == Hold::Held || self.actions.values().any(locks)
    }

    pub(super) fn is_same_name(&self, one: &str, other: &str) -> bool {
        match self.policy.name_case {
            NameCase::Distinct => one == other,
            NameCase::Folded => one.eq_ignore_ascii_case(other),
        }
    }

    /// Whether a server other than `but` holds the name.
    pub(super) fn is_server_name_used(&self, project: &str, name: &str, but: Option<u64>) -> bool {
        self.servers.values().any(|server| {
            server.record.project == project
                && Some(server.record.id) != but
                && self.is_same_name(&server.record.name, name)
                && self.holds_its_name(server)
        })
    }

    fn holds_its_name(&self, server: &Server) -> bool {
        match (server.record.gone, self.policy.name_freed) {
            (None, _) => true,
            (Some(_), NameFreed::AtOnce) => false,
            (Some(gone), NameFreed::WhenGone) => {
                let action = server.deletion.and_then(|id| self.actions.get(&id));
                self.now < gone.saturating_add(self.policy.servers.found_for)
                    || action.is_some_and(|action| action.is_running(self.now))
            }
        }
    }

    /// How much of a type a location has.
    pub(super) fn stock_of(&self, server_type: &ServerType, location: &Location) -> Stock {
        let key = (server_type.name.to_owned(), location.name.to_owned());
        self.stock.get(&key).copied().unwrap_or(Stock::Plenty)
    }
}
