//! What this provider can do and promise. VENDOR: each line is believed by the engine; change it with a source at hand.

use std::time::Duration;

use lease_core::Descriptor;
use lease_core::descriptor::{EndsAbandoned, HostKeyTrust, Ownership, Replay};

/// The only kind of resource there is.
pub(crate) const KIND: &str = "machine";

/// The provider's capabilities and promises: the least that a vendor with labels can keep.
pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "sample",
    aliases: &[],
    summary: "machines of Sample",
    ends_abandoned: EndsAbandoned::Reaper,
    ownership: Ownership::Marks,
    host_key: HostKeyTrust::FirstUse,
    // A vendor that documents an idempotency key, or gives no two machines one name, can promise more.
    replay: Replay::Never,
    // Inferred: nothing is documented.
    settle: Duration::from_secs(2),
    landing: Duration::from_secs(60),
    shows_deadline: false,
    sandbox: false,
    resources: &[KIND],
    caveat: "a stand-in: there are no machines behind it yet",
};
