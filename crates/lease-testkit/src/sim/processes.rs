//! Simulated processes: who runs, who died, and whether somebody watches.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use lease_core::watch::{Census, Guardian};
use lease_core::{LeaseId, Liveness, Owner, Result, Scope};

/// The processes of the simulated machine. Clones are the same machine.
#[derive(Clone, Debug, Default)]
pub struct Processes {
    dead: Arc<Mutex<BTreeSet<u32>>>,
}

impl Processes {
    /// The process number `pid` as an owner.
    pub fn owner(pid: u32) -> Owner {
        Owner {
            host: "simulation".to_owned(),
            boot: "boot-1".to_owned(),
            pid,
            start: u64::from(pid) * 100,
            pid_namespace: String::new(),
        }
    }

    /// Ends a process.
    pub fn end(&self, pid: u32) {
        self.dead.lock().unwrap_or_else(PoisonError::into_inner).insert(pid);
    }
}

impl Census for Processes {
    fn liveness(&self, owner: &Owner) -> Liveness {
        let dead = self.dead.lock().unwrap_or_else(PoisonError::into_inner);
        if dead.contains(&owner.pid) { Liveness::Dead } else { Liveness::Alive }
    }
}

/// A guardian that remembers for which leases it was called.
#[derive(Clone, Debug, Default)]
pub struct Watchman {
    called_for: Arc<Mutex<BTreeSet<LeaseId>>>,
}

impl Watchman {
    /// Whether somebody watches over the lease.
    pub fn watches(&self, lease: &LeaseId) -> bool {
        self.called_for.lock().unwrap_or_else(PoisonError::into_inner).contains(lease)
    }
}

#[async_trait]
impl Guardian for Watchman {
    async fn ensure(&self, lease: &LeaseId, _scope: &Scope) -> Result<()> {
        self.called_for.lock().unwrap_or_else(PoisonError::into_inner).insert(lease.clone());
        Ok(())
    }
}
