//! What this provider can do and promise.

use std::time::Duration;

use lease_core::Descriptor;
use lease_core::descriptor::{EndsAbandoned, HostKeyTrust, Ownership, Replay};

/// The only kind of resource there is.
pub(crate) const KIND: &str = "box";

/// The provider's capabilities and promises.
pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "local",
    aliases: &[],
    summary: "a private directory on this machine, reached through an sshd that listens on no port",
    ends_abandoned: EndsAbandoned::Reaper,
    ownership: Ownership::Marks,
    host_key: HostKeyTrust::Pinned,
    replay: Replay::UniqueName,
    settle: Duration::ZERO,
    // A create runs in the process that asked for it, under a lock that its successor waits for.
    landing: Duration::ZERO,
    shows_deadline: false,
    sandbox: false,
    resources: &[KIND],
    caveat: "no sandbox: commands run as you, on this machine; what they hand to other services \
             (systemd, cron, a container engine) is not found when the box ends",
};
