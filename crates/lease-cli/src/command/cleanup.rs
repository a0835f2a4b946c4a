//! `lease cleanup`: does now what the reaper would do, or only says it.

use lease_core::engine::{Report, Step, Whose, plan};
use lease_core::{Found, LeaseId, Scope};

use crate::args::CleanupArgs;
use crate::command::release;
use crate::context::{Base, Context};
use crate::document::{CleanupDocument, PlanDocument, ReleasedLease, StepDescription};
use crate::exit::Exit;
use crate::failure::{Failure, Meaning};
use crate::setup::Setup;

/// Looks, plans, and carries the plan out unless only the plan was asked for.
pub(crate) async fn run(base: Base<'_>, args: &CleanupArgs) -> Result<Exit, Failure> {
    let rounds = rounds(base, args.provider.as_deref()).await?;
    let steps: Vec<_> = rounds.iter().flat_map(|it| it.steps.iter()).collect();
    if args.dry_run {
        let document = PlanDocument::of(steps.iter().copied());
        base.output.result(&document, || text(&document.steps))?;
        return Ok(Exit::Success);
    }
    let (mut done, mut missed) = (Vec::new(), Vec::new());
    for round in &rounds {
        let report = round.context.engine.execute(&round.steps).await;
        missed.extend(missed_reclaims(round, &report).await?);
        done.extend(
            report
                .done
                .iter()
                .map(|it| release::described(&it.lease, it.slug.as_str(), &it.result)),
        );
    }
    let live = rounds.iter().flat_map(|it| it.live.iter().cloned());
    Setup::prune(&base.state_dir()?, &live.collect::<Vec<_>>(), base.now());
    let planned: Vec<_> = steps.iter().map(|it| StepDescription::of(it)).collect();
    let attention = steps.iter().filter(|it| asks_for_a_person(it)).count();
    base.output.result(&CleanupDocument::new(planned.clone(), done.clone()), || {
        let mut text: String = done.iter().map(|it| release::line(it) + "\n").collect();
        let told = |it: &StepDescription| match it.action.as_str() {
            "release" | "archive" | "wait" => true,
            "reclaim" => done.iter().any(|one| Some(&one.id) == it.id.as_ref()),
            _ => false,
        };
        let rest = planned.iter().filter(|it| !told(it));
        text.extend(rest.map(|it| line(it) + "\n"));
        if text.is_empty() { "nothing to clean up".to_owned() } else { text }
    })?;
    if attention > 0 {
        base.output
            .note(&format!("{attention} findings need a person; nothing of them was touched"));
    }
    concluded(&done, &missed, &steps)
}

/// Leases that can be given back with the same settings, and what is to be done about them.
struct Round<'a> {
    context: Context<'a>,
    steps: Vec<Step>,
    live: Vec<Scope>,
    provider: Option<String>,
}

/// What to do with the settings of today, and after that with those that other leases were made with.
async fn rounds<'a>(base: Base<'a>, provider: Option<&str>) -> Result<Vec<Round<'a>>, Failure> {
    let context = base.open_own().await?;
    let view = context.engine.observe(provider).await?;
    let mut steps = plan(&view, base.now());
    let claims: Vec<_> = view.claims.iter().map(|it| &it.claim).collect();
    let live = claims.iter().map(|it| it.scope().clone()).collect();
    let mut rounds = Vec::new();
    for setup in Setup::for_claims(&base.state_dir()?, claims.iter().copied()) {
        let Some(other) = context.other_with(&setup).await? else { continue };
        let provider = setup.scope.provider.clone();
        let view = other.engine.observe(Some(&provider)).await?;
        let theirs = view.claims.iter().filter(|it| *it.claim.scope() == setup.scope);
        let theirs: Vec<_> = theirs.map(|it| it.claim.lease().clone()).collect();
        let mut part = plan(&view, base.now());
        part.retain(|it| lease_of(it).is_none_or(|it| theirs.contains(it)));
        steps.retain(|it| lease_of(it).is_none_or(|it| !theirs.contains(it)));
        rounds.push(Round {
            context: other,
            steps: part,
            live: Vec::new(),
            provider: Some(provider),
        });
    }
    rounds.insert(0, Round { context, steps, live, provider: provider.map(str::to_owned) });
    Ok(rounds)
}

/// The lease that a step is about. What is only listed belongs to whoever lists it.
fn lease_of(step: &Step) -> Option<&LeaseId> {
    match step {
        Step::Release { lease, .. }
        | Step::Archive { lease, .. }
        | Step::Wait { lease, .. }
        | Step::Leave { lease, .. } => Some(lease),
        Step::Attention { lease, .. } => lease.as_ref(),
        Step::Reclaim { .. } | Step::Orphan { .. } | Step::Unlisted { .. } | _ => None,
    }
}

/// What was to be reclaimed, was not, and is still there.
async fn missed_reclaims(round: &Round<'_>, report: &Report) -> Result<Vec<String>, Failure> {
    let is_done = |found: &Found| {
        let lease = found.marks.as_ref().map(|it| &it.lease);
        report.done.iter().any(|it| Some(&it.lease) == lease)
    };
    let missed = |it: &Step| matches!(it, Step::Reclaim { found, .. } if !is_done(found));
    if !round.steps.iter().any(missed) {
        return Ok(Vec::new());
    }
    let view = round.context.engine.observe(round.provider.as_deref()).await?;
    let still = plan(&view, round.context.base.now());
    let names = still.iter().filter(|it| missed(it)).filter_map(|it| {
        let Step::Reclaim { found, provider, .. } = it else { return None };
        Some(format!("{provider} still shows {}, which could not be reclaimed", found.id))
    });
    Ok(names.collect())
}

/// Success only where everything was looked at and everything that was begun is finished.
fn concluded(done: &[ReleasedLease], missed: &[String], steps: &[&Step]) -> Result<Exit, Failure> {
    let open: Vec<_> =
        done.iter().filter(|it| matches!(it.outcome.as_str(), "failed" | "pending")).collect();
    if let Some(first) = open.first() {
        let message = first.message.as_deref().unwrap_or("no reason is known");
        let what = format!(
            "{} of {} releases are not finished; the first is {}: {message}",
            open.len(),
            done.len(),
            first.id
        );
        let failure =
            Failure::tool(what).meaning(Meaning::MayExist).kind("unavailable").lease(&first.id);
        return Err(failure.next(format!("lease show {}", first.id)));
    }
    if let Some(first) = missed.first() {
        let failure = Failure::tool(first.clone()).meaning(Meaning::MayExist);
        return Err(failure.kind("unavailable").next("lease cleanup"));
    }
    let unlisted = steps.iter().find_map(|it| {
        let Step::Unlisted { provider, why } = it else { return None };
        Some((provider, why))
    });
    match unlisted {
        None => Ok(Exit::Success),
        Some((provider, why)) => {
            let what = format!("what is at {provider} could not be listed: {why}");
            let failure = Failure::tool(what).meaning(Meaning::MayExist).kind("unavailable");
            Err(failure.next("lease doctor"))
        }
    }
}

fn asks_for_a_person(step: &Step) -> bool {
    matches!(
        step,
        Step::Attention { .. } | Step::Orphan { whose: Whose::Ours, .. } | Step::Unlisted { .. }
    )
}

/// The plan, one step a line; exactly this is what would be carried out.
fn text(steps: &[StepDescription]) -> String {
    if steps.is_empty() {
        return "nothing to clean up".to_owned();
    }
    steps.iter().map(|it| line(it) + "\n").collect()
}

fn line(step: &StepDescription) -> String {
    let id = step
        .id
        .as_ref()
        .filter(|it| **it != step.name)
        .map(|it| format!(" ({it})"))
        .unwrap_or_default();
    let rule =
        step.rule.as_ref().map(|it| format!("{}: ", it.replace('_', " "))).unwrap_or_default();
    let until =
        step.until.as_ref().map(|it| format!(", until {}", it.as_str())).unwrap_or_default();
    let next = match (step.action.as_str(), &step.next) {
        ("unclaimed", Some(next)) => {
            format!("; it may well be in use there, and if that installation is lost, run: {next}")
        }
        (_, Some(next)) => format!("; run: {next}"),
        (_, None) => String::new(),
    };
    crate::failure::one_line(&format!(
        "{:<9} {}{id}: {rule}{}{until}{next}",
        step.action, step.name, step.why
    ))
}
