//! Work on a leased box: logging in, syncing the tree, running one command with its streams and signals.

mod attached;
mod place;
mod run;
mod stream;

use std::ffi::OsString;
use std::sync::Arc;

use lease_core::Transport;
use lease_ssh::{Client, Settings};

use crate::context::Base;
use crate::failure::Failure;

pub(crate) use attached::{Attached, UseLock, ssh_failure};
pub(crate) use place::{Place, tell};
pub(crate) use run::{Ended, beat, execute};
pub(crate) use stream::Recorder;

/// The way to log in to boxes, for the engine.
pub(crate) fn transport(base: &Base<'_>) -> Result<Arc<dyn Transport>, Failure> {
    Ok(Arc::new(client(base)?))
}

/// The way to log in to boxes, for us.
fn client(base: &Base<'_>) -> Result<Client, Failure> {
    let mut settings = Settings::new(base.keys_dir()?, base.environment.runtime_dir());
    settings.environment = environment(base);
    Ok(Client::new(settings))
}

/// What ssh, proxy commands and git see of our environment. Credentials of providers are not among it.
fn environment(base: &Base<'_>) -> Vec<(OsString, OsString)> {
    const PASSED_ON: [&str; 4] = ["PATH", "HOME", "TERM", "LANG"];
    let value = |name: &str| base.environment.variable(name).map(|it| (name.into(), it.to_owned()));
    PASSED_ON.into_iter().filter_map(value).collect()
}
