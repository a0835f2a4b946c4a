//! What this provider can do and promise, before and after configuration.

use std::time::Duration;

use lease_core::Descriptor;
use lease_core::descriptor::{EndsAbandoned, HostKeyTrust, Ownership, Replay};

use crate::config::{FalConfig, LANDING, REPLAY_WINDOW, SETTLE};

/// The only kind of resource there is.
pub(crate) const KIND: &str = "instance";

/// The provider's capabilities and promises with the default configuration.
pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "fal",
    aliases: &["fal-ai"],
    summary: "GPU machines (NVIDIA H100) of fal Compute",
    ends_abandoned: EndsAbandoned::Reaper,
    ownership: Ownership::CreateAnswer,
    host_key: HostKeyTrust::FirstUse,
    replay: replay(REPLAY_WINDOW),
    settle: SETTLE,
    landing: LANDING,
    shows_deadline: false,
    sandbox: true,
    resources: &[KIND],
    caveat: "no labels and no expiry: without a reaper a leaked instance never stops by itself, because fal tops the \
             balance up; nothing here was proven against the live service",
};

/// The same with what was configured.
pub(crate) fn descriptor(config: &FalConfig) -> Descriptor {
    Descriptor {
        replay: replay(config.replay_window),
        settle: config.settle,
        landing: config.landing,
        ..DESCRIPTOR
    }
}

const fn replay(window: Duration) -> Replay {
    if window.is_zero() {
        return Replay::Never;
    }
    // A window is at most ten minutes, which is checked before it comes here.
    Replay::Key { window_ms: window.as_secs() * 1_000 + window.subsec_millis() as u64 }
}
