//! `lease acquire`: a box that is left ready. `lease run` leases its box through the same door.

use std::collections::BTreeMap;

use lease_core::engine::{Acquire, AcquireFailure, By, Left, Outcome, Release};
use lease_core::{Claim, ErrorKind, Retention, Slug, Spec};
use serde_json::{Map, Value};

use crate::args::{AcquireArgs, MachineArgs};
use crate::catalog;
use crate::config::layer::FlagValue;
use crate::config::span;
use crate::context::{Base, Context};
use crate::document::LeaseDocument;
use crate::exit::Exit;
use crate::failure::{Failure, Meaning};
use crate::interrupt::Interrupts;
use crate::reaper;

/// Leases a box and says how to use it.
pub(crate) async fn run(base: Base<'_>, args: &AcquireArgs) -> Result<Exit, Failure> {
    let context = base.open(&flags(&args.machine)).await?;
    let retention = if args.keep { Retention::Keep } else { Retention::UntilDeadline };
    let mut request = request(&context, &args.machine, args.slug.as_deref())?;
    request.retention = retention;
    request.keep_on_failure = args.keep_on_failure || args.keep;
    let mut interrupts = Interrupts::listen()?;
    let claim = lease_box(&context, request, &mut interrupts).await?;
    let document = LeaseDocument::of(&claim);
    base.output.result(&document, || ready_text(&base, &claim))?;
    Ok(Exit::Success)
}

/// The flags of a machine as settings.
pub(crate) fn flags(args: &MachineArgs) -> Vec<FlagValue> {
    let given = [
        ("provider", "--provider", &args.provider),
        ("class", "--class", &args.class),
        ("type", "--type", &args.machine_type),
        ("idle_timeout", "--idle-timeout", &args.idle_timeout),
        ("max_age", "--max-age", &args.max_age),
    ];
    let set = given.into_iter().filter_map(|(key, flag, text)| Some((key, flag, text.clone()?)));
    set.map(|(key, flag, text)| FlagValue { key, flag, text }).collect()
}

/// The wish for a box that the flags and settings add up to; it lasts until its deadlines.
pub(crate) fn request(
    context: &Context<'_>,
    args: &MachineArgs,
    slug: Option<&str>,
) -> Result<Acquire, Failure> {
    let settings = &context.settings;
    let slug = slug.map(str::parse::<Slug>).transpose().map_err(|error| {
        let failure =
            Failure::invalid(format!("--slug: {}", error.message()), "lease acquire --slug NAME");
        failure.meaning(Meaning::NothingCreated).kind("usage")
    })?;
    let options = options(&args.options)?;
    let mut spec = Spec::new(catalog::resolve(settings.provider())?);
    spec.class = settings.class().map(str::to_owned);
    spec.machine_type = settings.machine_type().map(str::to_owned);
    spec.options = options;
    let mut request = Acquire::new(spec);
    request.slug = slug;
    request.idle = settings.idle_timeout();
    request.total = settings.max_age();
    request.purpose = context.directory()?.display().to_string();
    Ok(request)
}

/// Leases a box. The first interrupt gives up and releases; the second leaves at once, and a reaper finishes.
pub(crate) async fn lease_box(
    context: &Context<'_>,
    mut request: Acquire,
    interrupts: &mut Interrupts,
) -> Result<Claim, Failure> {
    // Whatever ends the lease later, while it is being acquired this process answers for it.
    request.owner = Some(reaper::owner()?);
    let keep = request.keep_on_failure;
    let wish = request.spec.clone();
    tokio::select! {
        result = context.engine.acquire(request) => {
            return result.map_err(|failure| refused(&wish, failure));
        }
        _ = interrupts.next() => {}
    }
    let interrupted =
        Failure::tool("interrupted while the box was acquired").exit_with(Exit::Interrupted);
    let interrupted =
        interrupted.kind("interrupted").next("lease list").meaning(Meaning::NothingCreated);
    let Some(lease) = context.base.output.progress().opened() else { return Err(interrupted) };
    let interrupted = interrupted.lease(&lease).next(format!("lease release {lease}"));
    let exists = context
        .engine
        .store()
        .load(&lease)
        .await?
        .resources()
        .iter()
        .any(|it| it.state().may_exist());
    if keep && exists {
        context.engine.keep(&lease, "interrupted while it was acquired").await?;
        return Err(interrupted.meaning(Meaning::StillLeased));
    }
    let release = Release::new(By::Owner, "interrupted while it was acquired");
    context.base.output.note("interrupted; releasing (once more leaves at once)");
    let outcome = tokio::select! {
        outcome = context.engine.release(&lease, release) => outcome,
        _ = interrupts.next() => return Err(interrupted.meaning(Meaning::Releasing).next("lease cleanup")),
    };
    Err(match outcome {
        Ok(Outcome::Released) => interrupted.meaning(Meaning::Released).next("lease list"),
        Ok(Outcome::Kept(_)) => interrupted.meaning(Meaning::StillLeased),
        Err(_) if context.is_released(&lease).await => interrupted.meaning(Meaning::Released),
        Ok(Outcome::Pending(_)) | Err(_) => interrupted.meaning(Meaning::MayExist),
    })
}

/// What was refused before anything was made is about the wish: the provider's own page says what may be wished for.
fn refused(wish: &Spec, failure: AcquireFailure) -> Failure {
    let (kind, left) = (failure.error.kind(), failure.left);
    let is_option = failure.error.message().contains("option");
    let provider = wish.provider.as_str();
    let next = match (kind, left) {
        (ErrorKind::Capacity, Left::Nothing | Left::Released) => {
            Some(format!("lease providers sizes {provider}"))
        }
        (ErrorKind::Invalid, Left::Nothing) if is_option => {
            Some(format!("lease providers describe {provider}"))
        }
        (ErrorKind::Invalid, Left::Nothing)
            if wish.class.is_some() || wish.machine_type.is_some() =>
        {
            Some(format!("lease providers sizes {provider}"))
        }
        (ErrorKind::Unsupported, Left::Nothing) => {
            Some(format!("lease providers describe {provider}"))
        }
        _ => None,
    };
    let failure = Failure::from(failure);
    match next {
        Some(next) => failure.next(next),
        None => failure,
    }
}

/// `KEY=VALUE` as options of a provider: the value is JSON, or else plain text.
fn options(given: &[String]) -> Result<Map<String, Value>, Failure> {
    let mut options = BTreeMap::new();
    for text in given {
        let wrong = |what: &str| {
            Failure::invalid(format!("--option {text:?}: {what}"), "lease providers describe NAME")
                .meaning(Meaning::NothingCreated)
                .kind("usage")
        };
        let (key, value) = text.split_once('=').ok_or_else(|| wrong("KEY=VALUE is expected"))?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
        if options.insert(key.to_owned(), value).is_some() {
            return Err(wrong("it is given twice"));
        }
    }
    Ok(options.into_iter().collect())
}

fn ready_text(base: &Base<'_>, claim: &Claim) -> String {
    let slug = claim.slug();
    let now = base.now();
    let end = match claim.ends_at() {
        _ if claim.retention() == Retention::Keep => "it is kept until you release it".to_owned(),
        Some(at) if claim.deadlines().expires_at == Some(at) => {
            format!("it ends in {}", span::left(now, at))
        }
        Some(at) => format!("it ends after {} without use", span::left(now, at)),
        None => "it has no deadline".to_owned(),
    };
    format!(
        "{slug} is ready ({}, {}); {end}\n  lease run --id {slug} -- COMMAND\n  lease ssh {slug}\n  lease release {slug}\n",
        claim.lease(),
        claim.provider()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_json_or_text() {
        let given = ["a=5", "b=true", "c=plain", "d={\"x\":1}", "e=", "f=k=v"].map(str::to_owned);
        let read = options(&given).unwrap();
        assert_eq!(
            Value::from(read),
            serde_json::json!({"a": 5, "b": true, "c": "plain", "d": {"x": 1}, "e": "", "f": "k=v"})
        );
        assert!(options(&["novalue".to_owned()]).is_err());
        assert!(options(&["a=1".to_owned(), "a=2".to_owned()]).is_err());
    }
}
