//! Logins to simulated machines: they work once the machine runs and carries the lease's key.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use lease_core::error::ErrorKind;
use lease_core::{Error, Host, HostKey, LeaseId, Probe, Reach, Recognition, Result, Transport};

use super::provider::{host_key_of, id_of_host};
use crate::world::{Shown, Violation, World};

/// A transport over a world. Clones share their keys.
#[derive(Clone, Debug)]
pub struct SimTransport {
    world: World,
    keys: Arc<Mutex<BTreeSet<LeaseId>>>,
}

impl SimTransport {
    /// A transport that has no keys yet.
    pub fn new(world: World) -> Self {
        Self { world, keys: Arc::default() }
    }

    /// The public key that a lease has once it was prepared.
    pub fn public_key(lease: &LeaseId) -> String {
        format!("ssh-ed25519 {} lease", lease.as_str().replace('-', ""))
    }

    /// Whether a key of any lease is left.
    pub fn has_any_key(&self) -> bool {
        !self.keys().is_empty()
    }

    fn keys(&self) -> MutexGuard<'_, BTreeSet<LeaseId>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_login(&self, lease: &LeaseId, reach: &Reach) -> Probe {
        let never = |why: &str| Probe::Never { why: why.to_owned() };
        let not_yet = |why: &str| Probe::NotYet { why: why.to_owned() };
        if !self.keys().contains(lease) {
            return never("there is no key for this lease");
        }
        let Some(id) = id_of_host(&reach.host) else { return never("there is no such host") };
        let Shown::Entry(entry) = self.world.show(&id) else {
            return not_yet("the host does not answer");
        };
        if entry.stopping_at.is_some() || !self.world.runs(&entry) {
            return not_yet("connection refused");
        }
        if !self.world.logins_work() || entry.public_key != Self::public_key(lease) {
            return never("permission denied (publickey)");
        }
        let host_key = host_key_of(&id);
        match &reach.host_key {
            HostKey::Pinned(pinned) if *pinned != host_key => {
                never("the host key is not the pinned one")
            }
            HostKey::Pinned(_) | HostKey::FirstUse => Probe::Ready { host_key },
        }
    }
}

#[async_trait]
impl Transport for SimTransport {
    async fn prepare(&self, lease: &LeaseId) -> Result<String> {
        self.keys().insert(lease.clone());
        Ok(Self::public_key(lease))
    }

    async fn probe(&self, lease: &LeaseId, reach: &Reach) -> Result<Probe> {
        Ok(self.try_login(lease, reach))
    }

    async fn recognise(&self, lease: &LeaseId, reach: &Reach) -> Result<Recognition> {
        let mut stranger = reach.clone();
        stranger.host_key = HostKey::FirstUse;
        Ok(match self.try_login(lease, &stranger) {
            Probe::Ready { .. } => Recognition::Ours,
            Probe::Never { why } => Recognition::NotOurs { why },
            Probe::NotYet { why } => Recognition::Unclear { why },
        })
    }

    async fn connect(&self, _lease: &LeaseId, _reach: &Reach) -> Result<Box<dyn Host>> {
        Err(Error::harmless(
            ErrorKind::Unsupported,
            "connect",
            "a simulated machine runs no commands",
        ))
    }

    async fn forget(&self, lease: &LeaseId) -> Result<()> {
        if self.world.has_machine(lease) {
            self.world.blame(Violation::KeyForgotten(lease.to_string()));
        }
        self.keys().remove(lease);
        Ok(())
    }
}
