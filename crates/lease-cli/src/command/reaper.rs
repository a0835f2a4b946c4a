//! `lease reaper`: the process that ends abandoned leases, on demand and after a reboot.

use crate::args::{ReaperArgs, ReaperCommand};
use crate::context::Base;
use crate::document::ReaperDocument;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::reaper::{self, Watcher};

/// Does what was said, or says who watches.
pub(crate) async fn run(base: Base<'_>, args: &ReaperArgs) -> Result<Exit, Failure> {
    match &args.command {
        Some(ReaperCommand::Run { detach }) => {
            if *detach {
                lease_process::become_daemon()
                    .map_err(|error| Failure::tool(format!("leave the terminal: {error}")))?;
            }
            let context = base.open_own()?;
            reaper::watch(&context).await?;
        }
        Some(ReaperCommand::Install { dry_run }) => {
            tell(&base, &reaper::install(&base, *dry_run).await?)?;
        }
        Some(ReaperCommand::Uninstall) => tell(&base, &reaper::uninstall(&base).await?)?,
        Some(ReaperCommand::Status) | None => status(&base)?,
    }
    Ok(Exit::Success)
}

fn status(base: &Base<'_>) -> Result<(), Failure> {
    let state_dir = base.state_dir()?;
    let watcher = reaper::watcher(&state_dir)?;
    let document = match &watcher {
        Watcher::Nobody => ReaperDocument::new(false, None, &state_dir),
        Watcher::Process(pid) => ReaperDocument::new(true, *pid, &state_dir),
    };
    base.output.result(&document, || match watcher {
        Watcher::Nobody => format!("no reaper watches {}\n", state_dir.display()),
        Watcher::Process(None) => format!("a reaper watches {}\n", state_dir.display()),
        Watcher::Process(Some(pid)) => format!("process {pid} watches {}\n", state_dir.display()),
    })
}

fn tell(base: &Base<'_>, done: &[String]) -> Result<(), Failure> {
    base.output.bytes(
        (done.join(
            "
",
        ) + "
")
        .as_bytes(),
    )
}
