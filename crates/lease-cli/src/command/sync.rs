//! `lease sync`: the tree to the box, without a command.

use lease_core::Claim;
use lease_ssh::{Change, Compare, Drift, Extent, Plan};

use crate::args::SyncArgs;
use crate::config::layer::FlagValue;
use crate::config::{size, span};
use crate::context::{Base, Context};
use crate::document::{PlannedChange, SyncDocument};
use crate::exit::Exit;
use crate::failure::{Failure, Meaning, one_line};
use crate::interrupt::Interrupts;
use crate::session::{Attached, Fresh, How, Place, UseLock, tell, tell_of_drift};

/// Makes the directory on the box equal to the tree, or says what that would do.
pub(crate) async fn run(base: Base<'_>, args: &SyncArgs) -> Result<Exit, Failure> {
    let flags: Vec<_> = args.allow_large.then(FlagValue::allow_large).into_iter().collect();
    let context = base.open(&flags).await?;
    let claim = context.claim(&args.lease).await?;
    let other = context.other_for(&claim).await?;
    let context = other.unwrap_or(context);
    let place = Place::of(&context, args.dir.as_deref())?;
    let how = How {
        compare: if args.checksum { Compare::Checksum } else { Compare::Stamps },
        extent: if args.full { Extent::Everything } else { Extent::Difference },
    };
    let mut interrupts = Interrupts::listen()?;
    let work = async {
        if args.dry_run {
            plan(&context, &claim, &place, how).await
        } else {
            sync(&context, &claim, &place, how).await
        }
    };
    tokio::select! {
        done = work => done,
        _ = interrupts.next() => {
            let failure = Failure::tool("interrupted; the next sync repairs").exit_with(Exit::Interrupted);
            Err(failure.meaning(Meaning::StillLeased).kind("interrupted").lease(claim.lease()))
        }
    }
}

async fn sync(
    context: &Context<'_>,
    claim: &Claim,
    place: &Place,
    how: How,
) -> Result<Exit, Failure> {
    let _lock = UseLock::take(context, claim).await?;
    let fresh = Fresh::any(context, claim, place, how).await?;
    fresh.refuse_large(context, claim)?;
    let failed = |error| Failure::from(error).lease(claim.lease());
    context.engine.touch(claim.lease(), None).await.map_err(failed)?;
    let began = tokio::time::Instant::now();
    let attached = Attached::to(context, claim).await?;
    let report = attached.sync(context, fresh).await?;
    let document = SyncDocument::of_report(claim.lease(), &report);
    context.base.output.result(&document, || {
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

/// Asks the box and says what a sync would do; nothing is changed.
async fn plan(
    context: &Context<'_>,
    claim: &Claim,
    place: &Place,
    how: How,
) -> Result<Exit, Failure> {
    let (attached, mut fresh) =
        tokio::try_join!(Attached::to(context, claim), Fresh::any(context, claim, place, how))?;
    let plan = fresh.plan(&attached).await?;
    let output = context.base.output;
    tell(output, &plan.source, &plan.skipped);
    let would = match context.settings.sync_drift() {
        Drift::Overwrite => "the tree's files would be there again",
        Drift::Keep => "they would stay until the tree's change",
        Drift::Fail => "the sync would fail for that",
    };
    tell_of_drift(output, &plan.drifted, would);
    if let Err(failure) = fresh.refuse_large(context, claim) {
        output.note(failure.what());
    }
    let changes = changes(&plan, &fresh);
    let sum = format!(
        "{} files, {} bytes ({}) would be sent, {} paths removed",
        plan.writes.len(),
        plan.bytes,
        size::rough(plan.bytes),
        plan.removals.len()
    );
    let text = || {
        let mut lines: Vec<_> = changes.iter().map(line).collect();
        lines.push(sum);
        lines.join("\n")
    };
    output.result(&SyncDocument::of_plan(claim.lease(), &plan, changes.clone()), text)?;
    Ok(Exit::Success)
}

/// Every path that would change on the box.
fn changes(plan: &Plan, fresh: &Fresh) -> Vec<PlannedChange> {
    let sent = plan.writes.iter().map(|it| {
        let action = match it.change {
            Change::Added => "add",
            Change::Changed => "change",
        };
        PlannedChange::new(&it.path, action, Some(it.bytes))
    });
    let removed =
        plan.removals.iter().map(|path| PlannedChange::new(path, "remove", fresh.held_bytes(path)));
    sent.chain(removed).collect()
}

fn line(change: &PlannedChange) -> String {
    let bytes = change.bytes.map(|it| format!(" ({})", size::rough(it))).unwrap_or_default();
    one_line(&format!("{:<6} {}{bytes}", change.action, change.path))
}
