//! The records are lost with the client: what is left at the cloud is found by its marks and left to a person, or, where
//! nothing can be marked, left alone until a person names it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::attempt::Attempt;
use crate::place::{Marks, Place};
use crate::report::Verdict;
use crate::trial::{Ending, Trial};

/// How many adoptions the resources of one lease need at most.
const ADOPTIONS_MAX: usize = 5;

/// Kills, loses the records, and gives back by hand what is left.
pub(crate) fn conduct<C: Place>(trial: &Trial<C>, attempt: &Attempt) -> Verdict {
    let was_killed = trial.kill(attempt);
    std::fs::remove_dir_all(trial.site.installation.state()).unwrap();
    let left = found_and_untouched(trial).and_then(|()| adopted(trial)).and_then(|()| trial.look());
    trial.verdict(attempt, was_killed, Ending::default(), left)
}

/// Looks and cleans up without records: everything that carries marks is shown with its evidence, and nothing is deleted.
fn found_and_untouched<C: Place>(trial: &Trial<C>) -> Result<(), String> {
    let before = trial.site.ours();
    let ids: BTreeSet<_> = before.iter().map(|it| format!("{}-{}", it.kind, it.id)).collect();
    let steps = ours(trial, &ids);
    let is_shown = |it: &Value| {
        it["action"] == "unclaimed" && it["why"].as_str().is_some_and(|it| !it.is_empty())
    };
    let expected = if C::MARKS == Marks::Stored { ids.len() } else { 0 };
    if steps.len() != expected || !steps.iter().all(is_shown) {
        return Err(format!("of {ids:?} it shows {steps:?}"));
    }
    let cleaned = trial.site.lease(&["cleanup"]);
    if cleaned.code != 0 || trial.site.ours() != before {
        let now = trial.site.ours();
        return Err(format!("cleanup made {now:?} of {before:?}: {}", cleaned.stderr));
    }
    Ok(())
}

/// Adopts and releases until nothing is left.
fn adopted<C: Place>(trial: &Trial<C>) -> Result<(), String> {
    for _ in 0..ADOPTIONS_MAX {
        let left = trial.site.ours();
        let machine = left.iter().find(|it| it.kind == C::MACHINE);
        let Some(next) = machine.or(left.first()) else { return Ok(()) };
        let id = match C::MARKS {
            Marks::Stored => format!("{}-{}", next.kind, next.id),
            Marks::None => next.id.clone(),
        };
        let ended = trial.site.lease(&["-q", "adopt", C::NAME, &id, "--release"]);
        if ended.code != 0 {
            return Err(format!("{id} cannot be adopted: {}", ended.stderr));
        }
    }
    Ok(())
}

/// The steps of a plan that are about these resources, or about anything but what others have.
fn ours<C: Place>(trial: &Trial<C>, ids: &BTreeSet<String>) -> Vec<Value> {
    let plan = trial.site.json(&["cleanup", "--dry-run"]);
    let about = |it: &&Value| {
        let next = it["next"].as_str().unwrap_or_default();
        it["action"] != "unclaimed" || ids.iter().any(|id| next.ends_with(&format!(" {id}")))
    };
    plan["steps"].as_array().unwrap().iter().filter(about).cloned().collect()
}
