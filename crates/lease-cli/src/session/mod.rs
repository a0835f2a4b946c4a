//! Work on a leased box: logging in, syncing the tree, running one command with its streams and signals.

mod artifacts;
mod attached;
mod attended;
mod difference;
mod fresh;
mod job;
mod machine;
mod out;
mod place;
mod run;
mod size;
pub(crate) mod spare;
mod stream;
mod terminal;
mod vigil;

use std::ffi::OsString;
use std::sync::Arc;

use lease_core::{Claim, Transport};
use lease_ssh::{Client, Settings};

use crate::context::{Base, Context};
use crate::failure::Failure;

pub(crate) use artifacts::Artifacts;
pub(crate) use attached::{Attached, UseLock, ssh_failure};
pub(crate) use attended::{attended, in_use, touch};
pub(crate) use difference::Difference;
pub(crate) use fresh::{Fresh, How, tell_of_drift};
pub(crate) use job::{Followers, attach, fetch, launch};
pub(crate) use place::{Place, tell};
pub(crate) use run::{Ended, Task, beat, execute, give_up, interrupted, start};
pub(crate) use size::refuse_large;
pub(crate) use stream::Recorder;
pub(crate) use terminal::on_terminal;

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

/// The same, with what the settings say about runs.
fn client_for_runs(context: &Context<'_>, claim: &Claim) -> Result<Client, Failure> {
    let mut settings = client(&context.base)?.settings().clone();
    settings.reconnect = context.settings.run_reconnect();
    settings.log_bytes_max = context.settings.run_log_bytes();
    settings.spare = spare::span(context, claim);
    Ok(Client::new(settings))
}

/// Whether the box of `claim` is so near that a session on it is open at once, as far as that is known here.
pub(crate) fn is_near(context: &Context<'_>, claim: &Claim) -> bool {
    client(&context.base).is_ok_and(|it| it.is_near(claim.lease().as_str()).unwrap_or(false))
}

/// What ssh, proxy commands and git see of our environment. Credentials of providers are not among it.
fn environment(base: &Base<'_>) -> Vec<(OsString, OsString)> {
    // The agent is for proxy commands, such as ssh to a login node; ssh to a box is told to use none.
    const PASSED_ON: [&str; 5] = ["PATH", "HOME", "TERM", "LANG", "SSH_AUTH_SOCK"];
    let value = |name: &str| base.environment.variable(name).map(|it| (name.into(), it.to_owned()));
    PASSED_ON.into_iter().filter_map(value).collect()
}
