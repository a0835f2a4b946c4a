//! What this provider can do and promise, before and after configuration.

use lease_core::Descriptor;
use lease_core::descriptor::{EndsAbandoned, HostKeyTrust, Ownership, Replay};

use crate::config::{HetznerConfig, LANDING, SETTLE};
use crate::kind::{PRIMARY_IPV4, PRIMARY_IPV6, SERVER, SSH_KEY};

/// The provider's capabilities and promises with the default configuration.
pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "hetzner",
    aliases: &["hcloud", "hetzner-cloud"],
    summary: "virtual servers of Hetzner Cloud, billed by the begun hour",
    ends_abandoned: EndsAbandoned::Reaper,
    ownership: Ownership::Marks,
    host_key: HostKeyTrust::Pinned,
    // Names are documented to be unique in a project, and ours are never used twice.
    replay: Replay::UniqueName,
    settle: SETTLE,
    landing: LANDING,
    shows_deadline: true,
    sandbox: true,
    resources: &[SSH_KEY, PRIMARY_IPV4, PRIMARY_IPV6, SERVER],
    caveat: "no expiry: a server costs money, also switched off, until a reaper deletes it; a token does not say \
             which project it is for; how fast listings follow is inferred",
};

/// The same with what was configured.
pub(crate) fn descriptor(config: &HetznerConfig) -> Descriptor {
    Descriptor { settle: config.settle, landing: config.landing, ..DESCRIPTOR }
}
