//! The simulated provider comes in several flavours, one for each set of promises that the engine has to cope with.

use std::time::Duration;

use lease_core::Descriptor;
use lease_core::descriptor::{EndsAbandoned, HostKeyTrust, Ownership, Replay};

use crate::world::Policy;

/// Which promises the simulated provider makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// Names are unique and marks are stored: a create may be repeated.
    UniqueNames,
    /// Names may repeat and marks are stored: a create is repeated only while its key is remembered.
    Keyed,
    /// Names may repeat and marks are stored: a create is never repeated.
    Searching,
    /// There is nowhere to put marks: only the answer to a create proves anything.
    Markless,
}

const SETTLE: Duration = Duration::from_secs(4);
const KEY_WINDOW: Duration = Duration::from_secs(60);

const UNIQUE_NAMES: Descriptor = Descriptor {
    name: "sim",
    aliases: &["simulated"],
    summary: "a simulated cloud",
    ends_abandoned: EndsAbandoned::Reaper,
    ownership: Ownership::Marks,
    host_key: HostKeyTrust::Pinned,
    replay: Replay::UniqueName,
    settle: SETTLE,
    landing: SETTLE,
    shows_deadline: true,
    sandbox: true,
    resources: &["key", "machine"],
    caveat: "it does not exist",
};

const KEYED: Descriptor = Descriptor {
    host_key: HostKeyTrust::FirstUse,
    // Half of what the cloud really remembers, as the contract demands a margin.
    replay: Replay::Key { window_ms: 30_000 },
    ..UNIQUE_NAMES
};

const SEARCHING: Descriptor = Descriptor { replay: Replay::Never, ..UNIQUE_NAMES };

const MARKLESS: Descriptor = Descriptor {
    ownership: Ownership::CreateAnswer,
    replay: Replay::Never,
    shows_deadline: false,
    ..UNIQUE_NAMES
};

/// A descriptor that promises too much: in truth a create may land late.
pub(crate) const SETTLES_AT_ONCE: Descriptor =
    Descriptor { settle: Duration::ZERO, landing: Duration::ZERO, ..UNIQUE_NAMES };

impl Flavor {
    /// Every flavour.
    pub const ALL: [Self; 4] = [Self::UniqueNames, Self::Keyed, Self::Searching, Self::Markless];

    /// What a provider of this flavour says of itself.
    pub fn descriptor(self) -> &'static Descriptor {
        match self {
            Self::UniqueNames => &UNIQUE_NAMES,
            Self::Keyed => &KEYED,
            Self::Searching => &SEARCHING,
            Self::Markless => &MARKLESS,
        }
    }

    /// A cloud that keeps these promises.
    pub fn policy(self) -> Policy {
        Policy {
            unique_names: self == Self::UniqueNames,
            key_window: (self == Self::Keyed).then_some(KEY_WINDOW),
            stores_marks: self != Self::Markless,
            settle: SETTLE,
            ..Policy::default()
        }
    }
}
