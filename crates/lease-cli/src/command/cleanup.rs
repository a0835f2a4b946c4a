//! `lease cleanup`: does now what the reaper would do, or only says it.

use lease_core::engine::{Step, Whose, plan};

use crate::args::CleanupArgs;
use crate::command::release;
use crate::context::Base;
use crate::document::{CleanupDocument, PlanDocument, StepDescription};
use crate::exit::Exit;
use crate::failure::{Failure, Meaning};

/// Looks, plans, and carries the plan out unless only the plan was asked for.
pub(crate) async fn run(base: Base<'_>, args: &CleanupArgs) -> Result<Exit, Failure> {
    let context = base.open_own()?;
    let view = context.engine.observe(args.provider.as_deref()).await?;
    let steps = plan(&view, base.now());
    if args.dry_run {
        let document = PlanDocument::of(&steps);
        base.output.result(&document, || text(&document.steps))?;
        return Ok(Exit::Success);
    }
    let report = context.engine.execute(&steps).await;
    let done: Vec<_> = report
        .done
        .iter()
        .map(|it| release::described(&it.lease, it.slug.as_str(), &it.result))
        .collect();
    let planned: Vec<_> = steps.iter().map(StepDescription::of).collect();
    let open: Vec<_> = done
        .iter()
        .filter(|it| matches!(it.outcome.as_str(), "failed" | "pending"))
        .cloned()
        .collect();
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
    match open.first() {
        None => Ok(Exit::Success),
        Some(first) => {
            let message = first.message.as_deref().unwrap_or("no reason is known");
            let what = format!(
                "{} of {} releases are not finished; the first is {}: {message}",
                open.len(),
                done.len(),
                first.id
            );
            let failure =
                Failure::tool(what).meaning(Meaning::MayExist).kind("unavailable").lease(&first.id);
            Err(failure.next(format!("lease show {}", first.id)))
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
