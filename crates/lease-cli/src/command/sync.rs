//! `lease sync`: the tree to the box, without a command.

use lease_core::Claim;
use lease_ssh::BoxRoot;

use crate::args::SyncArgs;
use crate::config::span;
use crate::context::{Base, Context};
use crate::document::SyncDocument;
use crate::exit::Exit;
use crate::failure::{Failure, Meaning};
use crate::interrupt::Interrupts;
use crate::session::{Attached, Place, UseLock, known, ssh_failure, tell, unusable};

/// Makes the directory on the box equal to the tree, or says what that would send.
pub(crate) async fn run(base: Base<'_>, args: &SyncArgs) -> Result<Exit, Failure> {
    let context = base.open(&[]).await?;
    let claim = context.claim(&args.lease).await?;
    let other = context.other_for(&claim).await?;
    let context = other.unwrap_or(context);
    let place = Place::of(&context, args.dir.as_deref())?;
    if args.dry_run {
        return plan(&context, &claim, &place).await;
    }
    place.scan(&context).await?;
    let mut interrupts = Interrupts::listen()?;
    let _lock = UseLock::take(&context, &claim).await?;
    context
        .engine
        .touch(claim.lease(), None)
        .await
        .map_err(|error| Failure::from(error).lease(claim.lease()))?;
    let began = tokio::time::Instant::now();
    let work = async {
        let attached = Attached::to(&context, &claim).await?;
        attached.sync(&context, &claim, &place).await
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

/// Says what a sync would send and remove, as far as it is known here what the box holds; the box is not asked.
async fn plan(context: &Context<'_>, claim: &Claim, place: &Place) -> Result<Exit, Failure> {
    let reach = claim.usable().ok_or_else(|| unusable(claim))?;
    let failed = |error| ssh_failure(&error, claim.lease());
    let root = BoxRoot::new(reach.root.as_str()).map_err(failed)?;
    let mirror = known(context, claim.lease(), &root, place)?;
    let scan = place.scan_with(context, Some(&mirror)).await?;
    let (held, tree) = (mirror.manifest(), scan.manifest());
    let sent: Vec<_> = tree
        .entries()
        .filter(|it| {
            let there = held.and_then(|held| held.get(it.path));
            // What the stamps do not vouch for is looked at by its content when it is sent.
            !there.is_some_and(|there| {
                it.content.is_some()
                    && (there.content, there.permissions) == (it.content, it.permissions)
            })
        })
        .collect();
    let removed: Option<Vec<_>> = held.map(|held| {
        held.entries().filter(|it| tree.get(it.path).is_none()).map(|it| it.path).collect()
    });
    let bytes = sent.iter().map(|it| it.bytes).sum();
    let output = context.base.output;
    tell(output, &scan.source(), &scan.skipped());
    let counts = (sent.len() as u64, bytes, removed.as_ref().map(|it| it.len() as u64));
    let document = SyncDocument::of_plan(claim.lease(), &scan, counts);
    output.result(&document, || {
        let sent_lines = sent.iter().map(|it| it.path.display().to_string());
        let removed_lines =
            removed.iter().flatten().map(|path| format!("removed: {}", path.display()));
        let rest = match &removed {
            Some(removed) => format!(", {} paths removed", removed.len()),
            None => "; what the box has beside that is not known here".to_owned(),
        };
        let sum = format!("{} files, {bytes} bytes would be sent{rest}", sent.len());
        let lines: Vec<_> = sent_lines.chain(removed_lines).chain([sum]).collect();
        lines.join("\n")
    })?;
    Ok(Exit::Success)
}
