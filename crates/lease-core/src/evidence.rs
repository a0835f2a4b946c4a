//! What a provider says it saw. These are observations; what they prove is decided in [`crate::proof`].

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::host::Reach;
use crate::id::{InstallationId, LeaseId, Nonce, ResourceId, ResourceName};
use crate::scope::Scope;
use crate::time::Timestamp;

/// What we write on a resource in the very call that creates it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Marks {
    /// The lease that the resource was made for.
    pub lease: LeaseId,
    /// The installation that made it.
    pub installation: InstallationId,
    /// The nonce of this one resource.
    pub nonce: Nonce,
}

/// How a resource is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It exists and is on its way up.
    Starting {
        /// What it waits for, in the provider's words, if known.
        waiting_for: Option<String>,
    },
    /// It runs.
    Running,
    /// It is going away.
    Stopping,
    /// It will never run; it may still cost money.
    Failed {
        /// Why, in the provider's words.
        why: String,
    },
}

/// A resource that a provider showed us.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The provider's id.
    pub id: ResourceId,
    /// What kind of resource it is, in the provider's terms (`server`, `ssh_key`, `job`, `box`).
    pub kind: String,
    /// Its name, if the provider has names.
    pub name: Option<ResourceName>,
    /// Our marks as read back from the provider; `None` when it has none or they do not parse.
    pub marks: Option<Marks>,
    /// How it is doing.
    pub status: Status,
    /// How to log in, once that is known.
    pub reach: Option<Reach>,
    /// When the provider says it was created.
    pub created_at: Option<Timestamp>,
}

/// The answer to a search for one resource.
#[derive(Debug)]
pub enum Sighting {
    /// It is there.
    Found(Box<Found>),
    /// Where there are no marks: one of these may be it, and every other one is not. A login with the lease's own key
    /// decides.
    Suspects(Vec<Found>),
    /// The provider says definitely that it has no such resource, in the scope it was asked in.
    Absent,
    /// It cannot be told: an error, a partial answer, a dead controller. The record stays.
    Unclear(Error),
}

/// Everything of ours that a provider has in one scope. A listing that may be incomplete is an error, never this.
#[derive(Clone, Debug)]
pub struct Inventory {
    /// Where it was listed.
    pub scope: Scope,
    /// The resources, of this and of other installations under the same account.
    pub items: Vec<Found>,
}

impl Inventory {
    /// Whether the listing shows the resource by id, or anything that carries its nonce.
    pub fn shows(&self, id: Option<&ResourceId>, nonce: &Nonce) -> bool {
        self.items.iter().any(|it| {
            Some(&it.id) == id || it.marks.as_ref().is_some_and(|marks| marks.nonce == *nonce)
        })
    }
}
