//! Looking at everything before deciding anything: the records, the owners, the locks and the providers' listings.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::claim::{Claim, ClaimedResource};
use crate::engine::Engine;
use crate::engine::expiry::{Presence, due};
use crate::error::{Error, ErrorKind, Result};
use crate::evidence::{Found, Inventory};
use crate::id::{InstallationId, LeaseId, Nonce};
use crate::owner::Liveness;
use crate::state::Phase;
use crate::store::LockKind;

/// Everything that the planner decides on.
#[derive(Debug)]
#[non_exhaustive]
pub struct View {
    /// Whose records these are.
    pub installation: InstallationId,
    /// The leases that can be read.
    pub claims: Vec<Seen>,
    /// The leases that cannot be read.
    pub unreadable: Vec<Unreadable>,
    /// What each provider lists, or why it does not.
    pub inventories: BTreeMap<String, Result<Inventory>>,
    /// How long each provider's listing may lag.
    pub settle: BTreeMap<String, Duration>,
    /// The marks in the listings that our own records know, although their leases are released.
    pub remembered: BTreeSet<Nonce>,
}

/// One lease and what is known about it besides its record.
#[derive(Debug)]
#[non_exhaustive]
pub struct Seen {
    /// Its claim.
    pub claim: Claim,
    /// Whether its owner lives.
    pub liveness: Liveness,
    /// Whether another process creates or destroys for it right now.
    pub operating: bool,
    /// Whether somebody syncs or runs on it right now.
    pub in_use: bool,
}

/// A lease whose journal or locks cannot be read.
#[derive(Debug)]
#[non_exhaustive]
pub struct Unreadable {
    /// What it is called.
    pub name: String,
    /// Its lease, if that can be told.
    pub lease: Option<LeaseId>,
    /// What is wrong with it.
    pub error: Error,
}

impl Engine {
    /// Looks at everything, or at one provider's part of it. What one provider cannot show hides no other.
    ///
    /// # Errors
    /// When the store itself cannot be listed, or `provider` is not there.
    ///
    /// # Cancel safety
    /// It only reads.
    pub async fn observe(&self, provider: Option<&str>) -> Result<View> {
        let only = provider.map(|it| self.provider(it)).transpose()?.map(|it| it.descriptor().name);
        let provider_named = only.is_some();
        let wanted = |name: &str| only.is_none_or(|it| it == name);
        let (mut inventories, mut settle) = (BTreeMap::new(), BTreeMap::new());
        for provider in self.providers.iter().filter(|it| wanted(it.descriptor().name)) {
            let descriptor = provider.descriptor();
            settle.insert(descriptor.name.to_owned(), descriptor.settle);
            let inventory = self.call("list the resources", provider.list()).await;
            // A provider that was never set up has nothing to list; its leases, if there are any, say so themselves.
            let never_set_up =
                matches!(&inventory, Err(error) if error.kind() == ErrorKind::Unsupported);
            if !never_set_up || provider_named {
                inventories.insert(descriptor.name.to_owned(), inventory);
            }
        }
        // The records are read after the listings: what was created in between has a record then, and is no orphan.
        let mut view = self.glance().await?;
        view.claims.retain(|it| wanted(it.claim.provider()));
        let remembered = self.remembered(&view, &inventories).await;
        Ok(View { inventories, settle, remembered, ..view })
    }

    /// Which of the listed resources, that no live lease claims, a released lease of ours made and lost sight of.
    ///
    /// Marks can be copied, nonce and all, so the record has to say more than that it knows them: the resource has the
    /// kind and the name that were intended, it is the only one with its marks, and the record leaves room for it, because
    /// its create was never answered, was sent more than once, or was answered with this very id.
    async fn remembered(
        &self,
        view: &View,
        inventories: &BTreeMap<String, Result<Inventory>>,
    ) -> BTreeSet<Nonce> {
        let mut remembered = BTreeSet::new();
        for inventory in inventories.values().filter_map(|it| it.as_ref().ok()) {
            let marked = inventory.items.iter().filter_map(|it| it.marks.as_ref());
            for marks in marked.filter(|it| it.installation == view.installation) {
                let Ok(claim) = self.store.load(&marks.lease).await else { continue };
                let has_them =
                    |it: &&Found| it.marks.as_ref().is_some_and(|it| it.nonce == marks.nonce);
                let mut carriers = inventory.items.iter().filter(has_them);
                let (Some(found), None) = (carriers.next(), carriers.next()) else { continue };
                let made = |it: &ClaimedResource| {
                    it.intended().nonce == marks.nonce
                        && it.intended().kind == found.kind
                        && Some(&it.intended().name) == found.name.as_ref()
                        && (it.id().is_none_or(|id| *id == found.id) || it.sends() > 1)
                };
                if claim.phase() == Phase::Released
                    && *claim.scope() == inventory.scope
                    && claim.resources().iter().any(made)
                {
                    remembered.insert(marks.nonce.clone());
                }
            }
        }
        remembered
    }

    /// Looks at the records, owners and locks alone, without asking any provider: enough to see what is due, and cheap
    /// enough to be repeated.
    ///
    /// # Errors
    /// When the store itself cannot be listed.
    ///
    /// # Cancel safety
    /// It only reads.
    pub async fn glance(&self) -> Result<View> {
        let mut view = View {
            installation: self.store.installation().await?,
            claims: Vec::new(),
            unreadable: Vec::new(),
            inventories: BTreeMap::new(),
            settle: BTreeMap::new(),
            remembered: BTreeSet::new(),
        };
        for entry in self.store.scan().await? {
            match entry.claim {
                Ok(claim) => match self.see(claim).await {
                    Ok(seen) => view.claims.push(seen),
                    Err(error) => {
                        let lease = entry.lease;
                        view.unreadable.push(Unreadable { name: entry.name, lease, error });
                    }
                },
                Err(error) => {
                    view.unreadable.push(Unreadable {
                        name: entry.name,
                        lease: entry.lease,
                        error,
                    });
                }
            }
        }
        Ok(view)
    }

    /// Adds what only matters for leases that may have to be acted on, so that ten thousand resting ones cost nothing.
    pub(super) async fn see(&self, claim: Claim) -> Result<Seen> {
        let liveness = claim.owner().map_or(Liveness::Unknown, |owner| self.census.liveness(owner));
        let resting = claim.usable().is_some()
            && due(&claim, self.clock.now(), Presence { liveness, in_use: false }).is_none();
        let (mut operating, mut in_use) = (false, false);
        if !resting {
            operating = self.store.lock(claim.lease(), LockKind::Operate).await?.is_none();
            in_use = self.store.lock(claim.lease(), LockKind::Use).await?.is_none();
        }
        Ok(Seen { claim, liveness, operating, in_use })
    }
}
