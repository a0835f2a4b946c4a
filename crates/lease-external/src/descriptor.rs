//! What this provider can do and promise, before and after configuration.

use lease_core::Descriptor;
use lease_core::descriptor::{EndsAbandoned, HostKeyTrust, Ownership, Replay};

use crate::config::{ExternalConfig, Form, Identity, LANDING, SETTLE};

/// The only kind of resource there is.
pub(crate) const KIND: &str = "lease";

/// The provider's capabilities and promises with the default configuration.
pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "external",
    aliases: &["exec-provider"],
    summary: "machines behind an adapter program, or behind commands that are templates",
    ends_abandoned: EndsAbandoned::Reaper,
    ownership: Ownership::Marks,
    host_key: HostKeyTrust::FirstUse,
    replay: Replay::Never,
    settle: SETTLE,
    landing: LANDING,
    shows_deadline: true,
    sandbox: true,
    resources: &[KIND],
    caveat: "as good as its adapter: what that does not list is not seen, what it does not release stays, and the \
             host key is taken at the first contact unless the adapter says it",
};

/// The same with what was configured.
pub(crate) fn descriptor(config: &ExternalConfig) -> Descriptor {
    let touches = match &config.form {
        Form::Command { .. } => config.touch,
        Form::Lifecycle { lifecycle, .. } => config.touch && lifecycle.touch.is_some(),
    };
    let kept = config.identity == Identity::Kept;
    Descriptor {
        ends_abandoned: config.ends_abandoned,
        ownership: if kept { Ownership::Marks } else { Ownership::CreateAnswer },
        replay: if config.idempotent_lease_id { Replay::UniqueName } else { Replay::Never },
        settle: config.settle,
        landing: config.landing,
        // Without marks that come back there is no token to write a deadline with.
        shows_deadline: touches && kept,
        ..DESCRIPTOR
    }
}
