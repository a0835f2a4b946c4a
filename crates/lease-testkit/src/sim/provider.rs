//! An honest provider over the simulated cloud: it does what the contract says, sentence by sentence.

use async_trait::async_trait;
use lease_core::descriptor::{HostKeyTrust, Ownership};
use lease_core::error::{Effect, ErrorKind};
use lease_core::journal::Disposition;
use lease_core::provider::{Check, Verdict, refuse_unknown_options};
use lease_core::{
    Candidate, Created, Descriptor, Error, Found, Held, HostKey, Intent, Inventory, Owned,
    Provider, Reach, ResourceId, Result, Scope, Sighting, Size, Spec, Status, Template, Timestamp,
};

use super::descriptor::Flavor;
use crate::world::{Entry, Kind, Order, Shown, WireError, World};

/// What `class` can be, and the machine types that fulfil it, best first.
const CLASSES: &[(&str, &[&str])] = &[("tiny", &["t1"]), ("standard", &["s1", "s2"])];
const DEFAULT_CLASS: &str = "standard";
const ENDPOINT: &str = "sim://cloud";

/// A provider of simulated machines. It holds no state but its world.
#[derive(Clone, Debug)]
pub struct SimProvider {
    world: World,
    flavor: Flavor,
}

impl SimProvider {
    /// A provider of that flavour over `world`, whose policy should be the flavour's own.
    pub fn new(world: World, flavor: Flavor) -> Self {
        Self { world, flavor }
    }

    /// The scope of an account of the simulated cloud.
    pub fn scope_of(account: &str) -> Scope {
        Scope {
            provider: "sim".to_owned(),
            endpoint: ENDPOINT.to_owned(),
            account: account.to_owned(),
        }
    }

    fn show(&self, entry: &Entry) -> Found {
        let running = entry.kind == Kind::Key || self.world.runs(entry);
        let status = if entry.stopping_at.is_some() {
            Status::Stopping
        } else if running {
            Status::Running
        } else {
            Status::Starting { waiting_for: Some("boot".to_owned()) }
        };
        let marks = match self.flavor.descriptor().ownership {
            Ownership::Marks => entry.marks.clone(),
            Ownership::CreateAnswer => None,
        };
        Found {
            id: entry.id.clone(),
            kind: entry.kind.name().to_owned(),
            name: entry.name.parse().ok(),
            marks,
            reach: (entry.kind == Kind::Machine && status == Status::Running)
                .then(|| self.reach(&entry.id)),
            status,
            created_at: None,
        }
    }

    fn reach(&self, id: &ResourceId) -> Reach {
        let host_key = match self.flavor.descriptor().host_key {
            HostKeyTrust::Pinned => HostKey::Pinned(host_key_of(id)),
            HostKeyTrust::FirstUse => HostKey::FirstUse,
        };
        Reach::new(host_of(id), "worker", host_key, "/work")
    }

    /// The name is taken. By an earlier delivery of this very create, or by a stranger?
    fn explain_taken(&self, intent: &Intent, holder: &ResourceId) -> Result<Created> {
        const DOING: &str = "create a resource";
        match self.world.show(holder) {
            Shown::Entry(entry) if entry.marks.as_ref() == Some(intent.marks()) => {
                Ok(Created { id: entry.id.clone(), shown: Some(Box::new(self.show(&entry))) })
            }
            Shown::Entry(_) => {
                let message = format!("{} belongs to something else", intent.name());
                Err(Error::harmless(ErrorKind::Conflict, DOING, message))
            }
            Shown::NotYet | Shown::Nothing => {
                let message =
                    format!("{} is taken by something that cannot be seen yet", intent.name());
                Err(Error::unsettled(ErrorKind::Conflict, DOING, message))
            }
        }
    }
}

#[async_trait]
impl Provider for SimProvider {
    fn descriptor(&self) -> &Descriptor {
        self.flavor.descriptor()
    }

    async fn scope(&self) -> Result<Scope> {
        Ok(Self::scope_of(self.world.account()))
    }

    async fn plan(&self, spec: &Spec) -> Result<Vec<Candidate>> {
        refuse_unknown_options(spec, &[])?;
        Ok(types_for(spec)?.into_iter().map(candidate).collect())
    }

    async fn create(&self, intent: &Intent) -> Result<Created> {
        const DOING: &str = "create a resource";
        let kind = Kind::parse(intent.kind()).ok_or_else(|| {
            Error::harmless(ErrorKind::Invalid, DOING, "the simulated cloud has no such kind")
        })?;
        let order = Order {
            account: intent.scope().account.clone(),
            kind,
            machine_type: intent
                .request()
                .get("type")
                .and_then(|it| it.as_str())
                .map(ToOwned::to_owned),
            name: intent.name().to_string(),
            marks: intent.marks().clone(),
            public_key: intent.public_key().to_owned(),
            uses: intent.sibling(Kind::Key.name()).cloned(),
        };
        match self.world.order(order).await {
            Ok(id) => Ok(Created { id, shown: None }),
            Err(WireError::NameTaken(holder)) => self.explain_taken(intent, &holder),
            Err(refused) => Err(refusal(DOING, &refused)),
        }
    }

    async fn find(&self, intent: &Intent) -> Result<Sighting> {
        if self.world.account() != intent.scope().account {
            return Ok(Sighting::Unclear(refusal("search", &WireError::OtherAccount)));
        }
        let named = self.world.named(intent.name().as_str());
        if self.flavor.descriptor().ownership == Ownership::Marks {
            let ours = named.into_iter().find(|it| it.marks.as_ref() == Some(intent.marks()));
            return Ok(
                ours.map_or(Sighting::Absent, |it| Sighting::Found(Box::new(self.show(&it))))
            );
        }
        // Without marks a name proves nothing, neither that it is ours nor that it is not.
        if named.is_empty() {
            return Ok(Sighting::Absent);
        }
        let message =
            format!("something is called {}, and it cannot be told whose it is", intent.name());
        Ok(Sighting::Unclear(Error::harmless(ErrorKind::Refused, "search", message)))
    }

    async fn inspect(&self, id: &ResourceId) -> Result<Sighting> {
        Ok(match self.world.show(id) {
            Shown::Entry(entry) => Sighting::Found(Box::new(self.show(&entry))),
            Shown::NotYet => {
                let message = format!("{id} was accepted and is not shown yet");
                Sighting::Unclear(Error::harmless(ErrorKind::Unavailable, "inspect", message))
            }
            Shown::Nothing => Sighting::Absent,
        })
    }

    async fn list(&self) -> Result<Inventory> {
        let (account, entries) = self.world.listing().map_err(|error| refusal("list", &error))?;
        let items = entries.iter().map(|it| self.show(it)).collect();
        Ok(Inventory { scope: Self::scope_of(account), items })
    }

    async fn destroy(&self, owned: &Owned) -> Result<()> {
        let ended = self.world.end(&owned.scope().account, owned.id()).await;
        ended.map_err(|error| refusal("destroy a resource", &error))
    }

    async fn renew(&self, held: &Held, ends_at: Option<Timestamp>) -> Result<()> {
        let renewed = self.world.renew(held.id(), held.marks(), ends_at);
        renewed.map_err(|error| refusal("show the deadline", &error))
    }

    async fn sizes(&self) -> Result<Vec<Size>> {
        let types = CLASSES.iter().flat_map(|(class, types)| {
            types.iter().map(|machine_type| {
                let mut size = Size::new(*machine_type, 1, 1.0);
                size.classes.push((*class).to_owned());
                size.available = Some(true);
                size
            })
        });
        Ok(types.collect())
    }

    async fn doctor(&self) -> Result<Vec<Check>> {
        Ok(vec![Check::new(
            "cloud",
            Verdict::Ok,
            format!("the account is {}", self.world.account()),
        )])
    }
}

impl World {
    /// Whether a machine is up.
    pub(crate) fn runs(&self, entry: &Entry) -> bool {
        let state = self.lock();
        let up_at = entry.accepted_at.max(entry.visible_at) + state.policy.boots_in;
        entry.kind == Kind::Machine && entry.stopping_at.is_none() && state.now() >= up_at
    }
}

/// The key that a simulated machine proves in its handshake.
pub(super) fn host_key_of(id: &ResourceId) -> String {
    format!("ssh-ed25519 host{id}")
}

/// The machine that a host name means.
pub(super) fn id_of_host(host: &str) -> Option<ResourceId> {
    host.strip_suffix(".sim.invalid")?.parse().ok()
}

fn host_of(id: &ResourceId) -> String {
    format!("{id}.sim.invalid")
}

fn types_for(spec: &Spec) -> Result<Vec<&'static str>> {
    let invalid = |message: String| Error::harmless(ErrorKind::Invalid, "plan", message);
    if let Some(wanted) = &spec.machine_type {
        let all = CLASSES.iter().flat_map(|(_, types)| types.iter().copied());
        let known = all.filter(|it| it == wanted).collect::<Vec<_>>();
        return if known.is_empty() {
            Err(invalid(format!("there is no machine type {wanted:?}")))
        } else {
            Ok(known)
        };
    }
    let class = spec.class.as_deref().unwrap_or(DEFAULT_CLASS);
    let types = CLASSES.iter().find(|(name, _)| *name == class).map(|(_, types)| types.to_vec());
    types.ok_or_else(|| invalid(format!("there is no class {class:?}")))
}

fn candidate(machine_type: &str) -> Candidate {
    let own = |kind: Kind, request| Template {
        kind: kind.name().to_owned(),
        disposition: Disposition::Own,
        id: None,
        request,
    };
    Candidate {
        label: machine_type.to_owned(),
        resources: vec![
            own(Kind::Key, serde_json::json!({})),
            own(Kind::Machine, serde_json::json!({ "type": machine_type })),
        ],
    }
}

fn refusal(doing: &'static str, error: &WireError) -> Error {
    let (kind, message) = match error {
        WireError::NameTaken(_) => (ErrorKind::Conflict, "the name is taken"),
        WireError::SoldOut => (ErrorKind::Capacity, "there is no such machine at the moment"),
        WireError::NoSuchKey => (ErrorKind::Invalid, "the key does not exist"),
        WireError::OtherAccount => {
            (ErrorKind::ScopeChanged, "the credentials belong to another account")
        }
        WireError::BrokenListing => (ErrorKind::Protocol, "the listing broke off after a page"),
    };
    Error::new(kind, Effect::None, doing, message)
}
