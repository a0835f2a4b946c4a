//! `lease sync`: the tree to the box, without a command.

use crate::args::SyncArgs;
use crate::command::run::prepare;
use crate::config::span;
use crate::context::Base;
use crate::document::SyncDocument;
use crate::exit::Exit;
use crate::failure::{Failure, Meaning};
use crate::interrupt::Interrupts;
use crate::session::{Attached, Place, UseLock, tell};

/// Makes the directory on the box equal to the tree, or says what that would send.
pub(crate) async fn run(base: Base<'_>, args: &SyncArgs) -> Result<Exit, Failure> {
    let context = base.open(&[])?;
    let claim = context.claim(&args.lease).await?;
    let place = Place::of(&context, args.dir.as_deref())?;
    let plan = place.plan().await?;
    if args.dry_run {
        tell(base.output, &plan.source, &plan.skipped);
        let document = SyncDocument::of_plan(claim.lease(), &plan);
        base.output.result(&document, || {
            let files = plan.entries.iter().map(|it| format!("{}\n", it.path.display()));
            let sum =
                format!("{} files, {} bytes would be sent\n", plan.entries.len(), plan.bytes());
            files.chain([sum]).collect()
        })?;
        return Ok(Exit::Success);
    }
    let mut interrupts = Interrupts::listen()?;
    let _lock = UseLock::take(&context, &claim).await?;
    context
        .engine
        .touch(claim.lease(), None)
        .await
        .map_err(|error| Failure::from(error).lease(claim.lease()))?;
    let began = tokio::time::Instant::now();
    let work = async {
        let attached: Attached = prepare(&context, &claim, None).await?;
        attached.sync(&context, &place).await
    };
    let report = tokio::select! {
        report = work => report?,
        _ = interrupts.next() => {
            let failure = Failure::tool("interrupted; the next sync repairs").exit_with(Exit::Interrupted);
            return Err(failure.meaning(Meaning::StillLeased).kind("interrupted").lease(claim.lease()));
        }
    };
    let document = SyncDocument::of_report(claim.lease(), &report);
    base.output.result(&document, || {
        format!(
            "{}: {} files, {} bytes sent, {} removed, in {}\n",
            claim.slug(),
            report.sent_files,
            report.sent_bytes,
            report.removed,
            span::rough(began.elapsed())
        )
    })?;
    Ok(Exit::Success)
}
