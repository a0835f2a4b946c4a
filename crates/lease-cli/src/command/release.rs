//! `lease release`: gives leases back, and says of each whether it is proven gone.

use std::pin::pin;

use lease_core::engine::{By, Outcome, Release};
use lease_core::{LeaseId, Phase, Retention};

use crate::args::ReleaseArgs;
use crate::context::{Base, Context};
use crate::document::{ReleaseDocument, ReleasedLease, Time};
use crate::exit::Exit;
use crate::failure::{Failure, Meaning};
use crate::interrupt::{Interrupt, Interrupts};
use crate::session::spare;

/// Releases what was named; the failure of one does not stop the others.
pub(crate) async fn run(base: Base<'_>, args: &ReleaseArgs) -> Result<Exit, Failure> {
    let context = base.open_own().await?;
    let mut interrupts = Interrupts::listen()?;
    let (mut results, mut failures) = (Vec::new(), Vec::new());
    let named = named(&context, args).await?;
    if named.len() > 1 {
        let known = named.iter().filter_map(|(name, lease)| Some((lease.as_ref().ok()?, name)));
        known.for_each(|(lease, name)| base.output.progress().call(lease, name));
    }
    for (name, lease) in named {
        let outcome = match lease {
            Ok(lease) => one(&context, (&name, &lease), args.keep, &mut interrupts).await?,
            Err(failure) => Err((failed(&name, &failure), failure)),
        };
        match outcome {
            Ok(result) => results.push(result),
            Err((result, failure)) => {
                results.push(result);
                failures.push(failure);
            }
        }
    }
    if results.is_empty() {
        base.output.note("nothing is leased that could be released");
    }
    base.output.result(&ReleaseDocument::new(results.clone()), || {
        results.iter().filter(|it| it.outcome != "failed").map(|it| line(it) + "\n").collect()
    })?;
    let is_open = |it: &&ReleasedLease| matches!(it.outcome.as_str(), "pending" | "failed");
    let open = results.iter().filter(is_open).count();
    match (results.iter().find(is_open), failures.pop()) {
        (None, _) => Ok(Exit::Success),
        (Some(_), Some(failure)) if results.len() == 1 => Err(failure),
        (Some(first), _) => Err(unfinished(first, open, results.len())),
    }
}

type Released = Result<ReleasedLease, (ReleasedLease, Failure)>;

/// Releases one lease with the settings that it was made with; only an interrupt stops the others.
async fn one(
    context: &Context<'_>,
    (name, lease): (&str, &LeaseId),
    keep: bool,
    interrupts: &mut Interrupts,
) -> Result<Released, Failure> {
    let claim = context.engine.store().load(lease).await;
    let was_released = claim.as_ref().is_ok_and(|it| it.phase() == Phase::Released);
    let other = match &claim {
        Ok(claim) if !was_released => context.other_for(claim).await,
        Ok(_) | Err(_) => Ok(None),
    };
    let other = match other {
        Ok(other) => other,
        Err(failure) => return Ok(Err((failed(name, &failure), failure.lease(lease)))),
    };
    let outcome = release(other.as_ref().unwrap_or(context), lease, keep, interrupts).await?;
    let is_gone = outcome.is_err() && context.is_released(lease).await;
    let mut result = described(lease, name, &outcome);
    if was_released && outcome.is_ok() {
        result.message = Some("it was already released".to_owned());
    }
    Ok(outcome.map(|_| result.clone()).map_err(|error| {
        let failure = Failure::from(error).lease(lease);
        (result, if is_gone { failure.meaning(Meaning::Released) } else { failure })
    }))
}

/// What a call of release came to, for people and as data.
pub(crate) fn described(
    id: &LeaseId,
    name: &str,
    outcome: &lease_core::Result<Outcome>,
) -> ReleasedLease {
    let with = |word: &str, message: Option<String>, retry_at: Option<Time>| ReleasedLease {
        id: id.to_string(),
        name: name.to_owned(),
        outcome: word.to_owned(),
        message,
        retry_at,
    };
    match outcome {
        Ok(Outcome::Released) => with("released", None, None),
        Ok(Outcome::Kept(claim)) => with("kept", claim.keep_reason().map(str::to_owned), None),
        Ok(Outcome::Pending(claim)) => {
            let obstacle = claim.obstacle();
            let message =
                obstacle.map_or("another process is at it".to_owned(), |it| it.message.clone());
            with("pending", Some(message), obstacle.map(|it| it.retry_at.into()))
        }
        Err(error) => with("failed", Some(error.to_string()), None),
    }
}

/// One line about one lease.
pub(crate) fn line(it: &ReleasedLease) -> String {
    let message = it.message.as_ref().map(|it| format!(": {it}")).unwrap_or_default();
    match it.outcome.as_str() {
        "pending" => format!("{} is being released{message}", it.name),
        "kept" => format!("{} is kept{message}", it.name),
        "failed" => format!("{} was not released{message}", it.name),
        other => format!("{} is {other}{message}", it.name),
    }
}

/// The leases that were named, each found or not; an unreadable one among all is an entry of its own.
async fn named(
    context: &Context<'_>,
    args: &ReleaseArgs,
) -> Result<Vec<(String, Result<LeaseId, Failure>)>, Failure> {
    let mut found: Vec<(String, Result<LeaseId, Failure>)> = Vec::new();
    if args.all {
        for entry in context.engine.store().scan().await? {
            match entry.claim {
                Ok(claim) if claim.retention() == Retention::Keep => {}
                Ok(claim) => found.push((entry.name, Ok(claim.lease().clone()))),
                Err(error) => found.push((entry.name, Err(error.into()))),
            }
        }
        return Ok(found);
    }
    for name in &args.leases {
        let mut lease = context.resolve(name).await;
        // What is released already is released once more, with success.
        if lease.is_err() {
            let id = name.parse().ok().or_else(|| context.base.released(name));
            if let Some(id) = id
                && context.engine.store().load(&id).await.is_ok()
            {
                lease = Ok(id);
            }
        }
        let again = |it: &(String, Result<LeaseId, Failure>)| matches!((&it.1, &lease), (Ok(one), Ok(two)) if one == two);
        if !found.iter().any(again) {
            found.push((name.clone(), lease));
        }
    }
    Ok(found)
}

/// Releases one lease. It is recorded first, so after an interrupt it goes on with the next cleanup or the reaper. A
/// terminal that went away is no reason to stop.
pub(crate) async fn release(
    context: &Context<'_>,
    lease: &LeaseId,
    keep: bool,
    interrupts: &mut Interrupts,
) -> Result<lease_core::Result<Outcome>, Failure> {
    // What waits for a next run has nothing to wait for any more.
    spare::end(&context.base, lease).await;
    let mut request = Release::new(By::Person, "asked for on the command line");
    request.keep = keep;
    let mut work = pin!(context.engine.release(lease, request));
    loop {
        tokio::select! {
            outcome = &mut work => return Ok(outcome),
            interrupt = interrupts.next() => {
                if interrupt != Interrupt::Hangup {
                    let failure = Failure::tool("interrupted while it was released").exit_with(Exit::Interrupted);
                    return Err(failure.meaning(Meaning::Releasing).kind("interrupted").next("lease cleanup").lease(lease));
                }
            }
        }
    }
}

fn failed(name: &str, failure: &Failure) -> ReleasedLease {
    let message = Some(failure.what().to_owned());
    ReleasedLease {
        id: name.to_owned(),
        name: name.to_owned(),
        outcome: "failed".to_owned(),
        message,
        retry_at: None,
    }
}

/// What to say when leases were named and are not proven gone.
pub(crate) fn unfinished(first: &ReleasedLease, open: usize, all: usize) -> Failure {
    let message = first.message.as_deref().unwrap_or("no reason is known");
    let what = match all {
        1 => message.to_owned(),
        _ => format!(
            "{open} of {all} leases are not released; the first is {}: {message}",
            first.name
        ),
    };
    let meaning = if first.outcome == "pending" { Meaning::Releasing } else { Meaning::MayExist };
    Failure::tool(what)
        .meaning(meaning)
        .next(format!("lease show {}", first.name))
        .kind("unavailable")
        .lease(&first.id)
}
