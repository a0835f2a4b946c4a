//! One line of the ledger: a resource that exists or existed.

use std::time::Duration;

use lease_core::{Marks, ResourceId, Timestamp};

/// What a resource is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A public key, which machines use.
    Key,
    /// A machine, which costs money and cannot be reached without its key.
    Machine,
}

impl Kind {
    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Machine => "machine",
        }
    }

    /// The kind that `name` means.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "key" => Some(Self::Key),
            "machine" => Some(Self::Machine),
            _ => None,
        }
    }
}

/// Whose a resource is, or whose deed something was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The code under test.
    Ours,
    /// Anybody else.
    Foreign,
}

/// One resource. Times are counted from the beginning of the world.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The id that the cloud gave it.
    pub id: ResourceId,
    /// The account it lives in.
    pub account: String,
    /// What it is.
    pub kind: Kind,
    /// Which machine it is.
    pub machine_type: Option<String>,
    /// Its name.
    pub name: String,
    /// The marks it was created with, whether or not the cloud shows them.
    pub marks: Option<Marks>,
    /// Who created it.
    pub origin: Origin,
    /// The key it holds or accepts.
    pub public_key: String,
    /// The key resource that a machine uses.
    pub uses: Option<ResourceId>,
    /// When the create took effect; it is paid for from here on.
    pub accepted_at: Duration,
    /// When it can first be seen.
    pub visible_at: Duration,
    /// When its destroy took effect.
    pub stopping_at: Option<Duration>,
    /// When it is gone.
    pub gone_at: Option<Duration>,
    /// Who destroyed it.
    pub ended_by: Option<Origin>,
    /// The deadline that it shows.
    pub ends_at: Option<Timestamp>,
}

impl Entry {
    /// Whether it exists at `at`, seen or unseen, going away or not.
    pub fn exists(&self, at: Duration) -> bool {
        self.accepted_at <= at && self.gone_at.is_none_or(|gone| at < gone)
    }

    /// Whether a request at `at` can see it.
    pub fn visible(&self, at: Duration) -> bool {
        self.exists(at) && self.visible_at <= at
    }
}

/// The id number `number`.
#[expect(
    clippy::expect_used,
    reason = "a number after a letter is a valid id, and there is nothing else to answer"
)]
pub(super) fn id_of(number: u64) -> ResourceId {
    format!("r{number}").parse().expect("a letter and digits")
}
