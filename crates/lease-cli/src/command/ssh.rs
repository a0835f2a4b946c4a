//! `lease ssh`: a terminal on a leased box.

use std::os::unix::ffi::OsStrExt as _;

use lease_core::retry::pause;
use lease_ssh::Command;

use crate::args::SshArgs;
use crate::context::Base;
use crate::exit::Exit;
use crate::failure::{Failure, Meaning};
use crate::session::{Attached, beat, ssh_failure};

/// Opens a shell in the tree on the box, or runs a command there on a terminal.
pub(crate) async fn run(base: Base<'_>, args: &SshArgs) -> Result<Exit, Failure> {
    if !base.environment.reads_terminal() {
        let what = "standard input is no terminal, so a shell on the box could never end";
        let next = format!("lease exec {} -- COMMAND", args.lease);
        return Err(Failure::invalid(what, next).meaning(Meaning::NothingChanged).kind("usage"));
    }
    let (context, claim) = base.open_for(&args.lease).await?;
    let attached = Attached::to(&context, &claim).await?;
    context
        .engine
        .touch(claim.lease(), None)
        .await
        .map_err(|error| Failure::from(error).lease(claim.lease()))?;
    let command = (!args.command.is_empty())
        .then(|| Command::new(args.command.iter().map(|it| it.as_bytes())));
    base.output.progress().clear();
    let terminal = attached.session.interactive(&attached.root, command.as_ref());
    let mut terminal = std::pin::pin!(terminal);
    let ended = loop {
        tokio::select! {
            ended = &mut terminal => break ended,
            () = pause(attached.heartbeat) => beat(&context, &attached).await,
        }
    };
    match ended {
        Ok(exit) => Ok(Exit::Command(u8::try_from(exit.shell_code()).unwrap_or(u8::MAX))),
        Err(error) => Err(ssh_failure(&error, claim.lease())),
    }
}
