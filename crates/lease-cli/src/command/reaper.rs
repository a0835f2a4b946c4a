//! `lease reaper`: the process that ends abandoned leases, on demand and after a reboot.

use std::path::Path;

use crate::args::{ReaperArgs, ReaperCommand};
use crate::context::Base;
use crate::document::ReaperDocument;
use crate::exit::Exit;
use crate::failure::{Failure, one_line};
use crate::reaper::{self, Coverage};
use crate::setup::Setup;

/// Does what was said, or says who watches.
pub(crate) async fn run(base: Base<'_>, args: &ReaperArgs) -> Result<Exit, Failure> {
    match &args.command {
        Some(ReaperCommand::Run { detach, setup }) => {
            if *detach {
                lease_process::become_daemon()
                    .map_err(|error| Failure::tool(format!("leave the terminal: {error}")))?;
            }
            let context = match setup {
                Some(name) => base.open_with_setup(&kept(&base, name)?).await?,
                None => base.open_own().await?,
            };
            reaper::start_others(&context).await?;
            reaper::watch(&context).await?;
        }
        Some(ReaperCommand::Install { dry_run }) => {
            tell(&base, &reaper::install(&base, *dry_run).await?)?;
        }
        Some(ReaperCommand::Uninstall) => tell(&base, &reaper::uninstall(&base).await?)?,
        Some(ReaperCommand::Status) | None => status(&base).await?,
    }
    Ok(Exit::Success)
}

fn kept(base: &Base<'_>, name: &str) -> Result<Setup, Failure> {
    Setup::named(&base.state_dir()?, name).ok_or_else(|| {
        Failure::invalid(format!("no settings are kept as {name:?}"), "lease cleanup")
            .kind("not_found")
    })
}

/// Says who watches what, and what nobody watches. No provider is asked.
async fn status(base: &Base<'_>) -> Result<(), Failure> {
    let state_dir = base.state_dir()?;
    let coverage = Coverage::look(base).await?;
    let document = ReaperDocument::new(&coverage, &state_dir);
    base.output.result(&document, || text(&coverage, &state_dir))
}

fn text(coverage: &Coverage, state_dir: &Path) -> String {
    let mut lines = Vec::new();
    if coverage.watchers.is_empty() {
        lines.push(format!("no reaper watches {}", state_dir.display()));
    }
    for (pid, posts) in coverage.processes() {
        let who = pid.map_or("a reaper".to_owned(), |pid| format!("process {pid}"));
        let what: Vec<_> = posts
            .iter()
            .map(|it| match &it.scope {
                Some(scope) => format!("{} (account {})", it.provider, scope.account),
                None => it.provider.clone(),
            })
            .collect();
        lines.push(format!("{who} watches {}: {}", state_dir.display(), what.join(", ")));
    }
    for claim in &coverage.unwatched {
        let remedy = reaper::remedy(claim);
        lines.push(format!("nobody watches {} ({}); {remedy}", claim.slug(), claim.provider()));
    }
    lines.into_iter().map(|it| one_line(&it) + "\n").collect()
}

fn tell(base: &Base<'_>, done: &[String]) -> Result<(), Failure> {
    base.output.bytes((done.join("\n") + "\n").as_bytes())
}
