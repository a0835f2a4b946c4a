//! What a lease in an adapter's list shows of the one that it is, or is not.

use lease_core::{Found, Marks, Reach, ResourceId, Status};

use crate::adapter::Adapter;
use crate::config::Identity;
use crate::descriptor::KIND;
use crate::error::ExternalError;
use crate::identity::{Desired, long_id, short_id};
use crate::login;
use crate::wire::WireLease;

/// A lease that is listed, with whatever says whose it is.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) key: String,
    pub(crate) lease: WireLease,
    /// The marks that came back with it.
    pub(crate) marks: Option<Marks>,
}

/// The lease with that key; `None` when it is not listed.
pub(crate) fn pick(adapter: &Adapter, listed: Vec<WireLease>, key: &str) -> Option<Seen> {
    let shown = listed.into_iter().find(|it| adapter.key_of(it) == Some(key))?;
    Seen::of(adapter, shown)
}

impl Seen {
    /// What has a key; anything else is foreign.
    pub(crate) fn of(adapter: &Adapter, lease: WireLease) -> Option<Self> {
        let key = adapter.key_of(&lease)?.to_owned();
        Some(Self { key, marks: adapter.carrier.marks(&lease), lease })
    }

    /// What it is called in a request.
    pub(crate) fn desired(&self, adapter: &Adapter, marks: Option<&Marks>) -> Desired {
        if let Some(marks) = marks.or(self.marks.as_ref()) {
            return adapter.desired(marks, &marks.lease.resource_name(0));
        }
        let text = |it: &Option<String>| it.clone().unwrap_or_default();
        Desired {
            lease_id: self.key.clone(),
            slug: text(&self.lease.slug),
            name: text(&self.lease.name),
        }
    }

    /// Whether it can be a lease that somebody works with: what it shows later must say whose it is.
    pub(crate) fn is_recognisable(&self, adapter: &Adapter) -> bool {
        self.marks.is_some() || adapter.config.identity == Identity::Answered
    }

    /// As a resource without a login.
    pub(crate) fn found(&self) -> Option<Found> {
        Some(self.as_found(short_id(&self.key)?, self.marks.clone()))
    }

    /// As a resource that can only be given back, by an id that carries the marks.
    pub(crate) fn given_up(&self, marks: &Marks) -> Option<Found> {
        let mut found = self.as_found(long_id(&self.key, marks)?, Some(marks.clone()));
        let why = "the adapter lists it without the slug, name or labels that say whose it is, so it can only be \
                   given back; where adapters keep none of them, set `identity` to `answered`";
        found.status = Status::Failed { why: why.to_owned() };
        Some(found)
    }

    /// With what it says about logging in; what cannot be used is a failed lease and reaches no ssh.
    pub(crate) fn with_login(&self, adapter: &Adapter, mut found: Found) -> Found {
        match self.reach(adapter) {
            Ok(reach) => found.reach = reach,
            Err(error) => found.status = Status::Failed { why: error.to_string() },
        }
        found
    }

    pub(crate) fn reach(&self, adapter: &Adapter) -> Result<Option<Reach>, ExternalError> {
        let owner = self.marks.as_ref().map(|it| &it.lease);
        login::reach(&self.lease, owner, adapter.config.work_root.as_deref())
    }

    fn as_found(&self, id: ResourceId, marks: Option<Marks>) -> Found {
        Found {
            id,
            kind: KIND.to_owned(),
            name: self.lease.name.as_deref().and_then(|it| it.parse().ok()),
            marks,
            status: status(self.lease.status.as_deref()),
            reach: None,
            created_at: None,
        }
    }
}

/// What a word for a state means. Words are the adapters' own; what is not known here runs, as the protocol's default
/// says, and what is gone has to leave the list before it counts as gone.
pub(crate) fn status(word: Option<&str>) -> Status {
    let word = word.unwrap_or_default().trim().to_ascii_lowercase();
    match word.as_str() {
        "pending" | "queued" | "provisioning" | "starting" | "booting" | "creating" | "waiting"
        | "configuring" | "initializing" | "acquiring" => {
            Status::Starting { waiting_for: Some(format!("the adapter says it is {word}")) }
        }
        "stopping" | "releasing" | "deleting" | "terminating" | "draining" | "released"
        | "deleted" | "terminated" | "stopped" | "gone" => Status::Stopping,
        "failed" | "error" | "errored" | "dead" | "lost" => {
            Status::Failed { why: format!("the adapter says it is {word}") }
        }
        _ => Status::Running,
    }
}
