//! `lease keeper`: the process that keeps a session waiting on the box of one lease. `lease run` starts it.

use std::time::Duration;

use crate::args::KeeperArgs;
use crate::context::Base;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::session::spare;

/// Leaves the terminal, and keeps a session until there is a reason to end.
pub(crate) async fn run(base: &Base<'_>, args: &KeeperArgs) -> Result<Exit, Failure> {
    lease_process::become_daemon()
        .map_err(|error| Failure::tool(format!("leave the terminal: {error}")))?;
    let bounds = (Duration::from_millis(args.idle_ms), args.log_bytes);
    spare::keep(base, &args.lease, bounds).await?;
    Ok(Exit::Success)
}
