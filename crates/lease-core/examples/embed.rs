//! Embedding `lease-core`: acquire, inspect and release with a small provider that is written here.
//!
//! The provider leases parking spaces from a vector in memory. It is whole: marks, idempotent creates, complete
//! listings; what it lacks is only a machine to log in to, so the transport says "ready" without one.
//!
//! ```text
//! cargo run -p lease-core --example embed
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use lease_core::descriptor::{EndsAbandoned, HostKeyTrust, Ownership, Replay};
use lease_core::engine::{Acquire, By, Outcome, Release};
use lease_core::journal::Disposition;
use lease_core::provider::{Check, Verdict, refuse_unknown_options};
use lease_core::store::memory::MemoryStore;
use lease_core::{
    Candidate, Clock, Created, Descriptor, Effect, Engine, Error, ErrorKind, Found, Held, Host,
    HostKey, Intent, Inventory, LeaseId, Owned, Probe, Provider, Reach, Recognition, ResourceId,
    Result, Scope, Sighting, Size, Spec, Status, Steady, Template, Timestamp, Transport,
};

static DESCRIPTOR: Descriptor = Descriptor {
    name: "parking",
    aliases: &[],
    summary: "spaces in a car park that exists only in this process",
    ends_abandoned: EndsAbandoned::Box,
    ownership: Ownership::Marks,
    host_key: HostKeyTrust::Pinned,
    replay: Replay::UniqueName,
    settle: Duration::ZERO,
    landing: Duration::ZERO,
    shows_deadline: false,
    sandbox: false,
    resources: &["space"],
    caveat: "it is an example",
};

/// The car park: every space that is taken.
#[derive(Debug, Default)]
struct Parking {
    spaces: Mutex<Vec<Found>>,
}

impl Parking {
    fn sighting(&self, wanted: impl Fn(&Found) -> bool) -> Sighting {
        let spaces = self.spaces.lock().unwrap_or_else(PoisonError::into_inner);
        spaces
            .iter()
            .find(|it| wanted(it))
            .map_or(Sighting::Absent, |it| Sighting::Found(Box::new(it.clone())))
    }
}

#[async_trait]
impl Provider for Parking {
    fn descriptor(&self) -> &Descriptor {
        &DESCRIPTOR
    }

    async fn scope(&self) -> Result<Scope> {
        let (endpoint, account) = ("memory:".to_owned(), "visitor".to_owned());
        Ok(Scope { provider: DESCRIPTOR.name.to_owned(), endpoint, account })
    }

    async fn plan(&self, spec: &Spec) -> Result<Vec<Candidate>> {
        refuse_unknown_options(spec, &[])?;
        let space = Template {
            kind: "space".to_owned(),
            disposition: Disposition::Own,
            id: None,
            request: serde_json::json!({ "width_cm": 250 }),
        };
        Ok(vec![Candidate { label: "a space".to_owned(), resources: vec![space] }])
    }

    async fn create(&self, intent: &Intent) -> Result<Created> {
        let id: ResourceId = intent.name().as_str().parse()?;
        let mut spaces = self.spaces.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = spaces.iter().find(|it| it.id == id) {
            return if taken.marks.as_ref() == Some(intent.marks()) {
                Ok(Created { id, shown: None })
            } else {
                Err(Error::new(
                    ErrorKind::Conflict,
                    Effect::None,
                    "take a space",
                    "somebody else has it",
                ))
            };
        }
        let reach = Reach {
            host: id.to_string(),
            port: 22,
            user: "driver".to_owned(),
            proxy: Vec::new(),
            host_key: HostKey::FirstUse,
            root: "/".to_owned(),
            ready_file: None,
            identity_file: None,
        };
        spaces.push(Found {
            id: id.clone(),
            kind: intent.kind().to_owned(),
            name: Some(intent.name().clone()),
            marks: Some(intent.marks().clone()),
            status: Status::Running,
            reach: Some(reach),
            created_at: None,
        });
        Ok(Created { id, shown: None })
    }

    async fn find(&self, intent: &Intent) -> Result<Sighting> {
        Ok(self.sighting(|it| it.marks.as_ref() == Some(intent.marks())))
    }

    async fn inspect(&self, id: &ResourceId) -> Result<Sighting> {
        Ok(self.sighting(|it| it.id == *id))
    }

    async fn list(&self) -> Result<Inventory> {
        let items = self.spaces.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(Inventory { scope: self.scope().await?, items })
    }

    async fn destroy(&self, owned: &Owned) -> Result<()> {
        self.spaces
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|it| it.id != *owned.id());
        Ok(())
    }

    async fn renew(&self, _held: &Held, _ends_at: Option<Timestamp>) -> Result<()> {
        Ok(())
    }

    async fn sizes(&self) -> Result<Vec<Size>> {
        Ok(Vec::new())
    }

    async fn doctor(&self) -> Result<Vec<Check>> {
        Ok(vec![Check::new("barrier", Verdict::Ok, "the barrier is open")])
    }
}

/// A transport for machines that need no login.
#[derive(Debug)]
struct Walk;

#[async_trait]
impl Transport for Walk {
    async fn prepare(&self, lease: &LeaseId) -> Result<String> {
        Ok(format!("ssh-ed25519 AAAA {lease}"))
    }

    async fn probe(&self, _lease: &LeaseId, _reach: &Reach) -> Result<Probe> {
        Ok(Probe::Ready { host_key: "ssh-ed25519 AAAA".to_owned() })
    }

    async fn recognise(&self, _lease: &LeaseId, _reach: &Reach) -> Result<Recognition> {
        Ok(Recognition::Unclear { why: "a parking space has no lock".to_owned() })
    }

    async fn connect(&self, _lease: &LeaseId, _reach: &Reach) -> Result<Box<dyn Host>> {
        Err(Error::harmless(ErrorKind::Unsupported, "connect", "a parking space runs no commands"))
    }

    async fn forget(&self, _lease: &LeaseId) -> Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct WallClock;

impl Clock for WallClock {
    #[expect(clippy::disallowed_methods, reason = "an embedder is the one who reads the clock")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::default().after(since)
    }

    fn steady(&self) -> Option<Steady> {
        None
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let parking = Arc::new(Parking::default());
    let engine =
        Engine::builder(Arc::new(MemoryStore::new()?), Arc::new(Walk), Arc::new(WallClock))
            .provider(Arc::clone(&parking) as Arc<dyn Provider>)
            .build();

    let claim = engine.acquire(Acquire::new(Spec::new("parking"))).await?;
    println!("acquired {} ({}): {}", claim.slug(), claim.lease(), claim.phase());
    for resource in claim.resources() {
        println!("  {} {:?}: {}", resource.intended().kind, resource.id(), resource.state());
    }

    let wish = Release { by: By::Person, why: "the example is over".to_owned(), keep: false };
    match engine.release(claim.lease(), wish).await? {
        Outcome::Released => {
            println!("released; {} spaces are taken", parking.list().await?.items.len());
        }
        Outcome::Kept(claim) | Outcome::Pending(claim) => {
            println!("not released: {}", claim.phase());
        }
    }
    Ok(())
}
