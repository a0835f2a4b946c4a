//! `lease touch`: says that a lease is in use, or moves its deadlines.

use lease_core::Deadlines;

use crate::args::TouchArgs;
use crate::config::span;
use crate::context::Base;
use crate::document::LeaseDocument;
use crate::exit::Exit;
use crate::failure::Failure;

/// Touches one lease. A lease that is being released cannot be revived.
pub(crate) async fn run(base: Base<'_>, args: &TouchArgs) -> Result<Exit, Failure> {
    let wrong = |flag: &str, what: String| {
        Failure::invalid(format!("{flag}: {what}"), "lease touch --help").kind("usage")
    };
    let limit = |flag, text: &Option<String>| {
        text.as_deref().map(span::parse_limit).transpose().map_err(|what| wrong(flag, what))
    };
    let idle = limit("--idle-timeout", &args.idle_timeout)?;
    let total = limit("--max-age", &args.max_age)?;
    let (context, current) = base.open_for(&args.lease).await?;
    let deadlines = (idle.is_some() || total.is_some()).then(|| Deadlines {
        idle_ms: idle.map_or(current.deadlines().idle_ms, |it| it.map(lease_core::time::millis)),
        expires_at: total
            .map_or(current.deadlines().expires_at, |it| it.map(|span| base.now().after(span))),
    });
    if idle.is_some() {
        // What a detached run brings back at its end is not what counts any more.
        base.runs()?.forget_lifted(current.lease().as_str())?;
    }
    let claim = context.engine.touch(current.lease(), deadlines).await;
    let claim = claim.map_err(|error| Failure::from(error).lease(current.lease()))?;
    base.output.result(&LeaseDocument::of(&claim), || match claim.ends_at() {
        Some(at) => format!("{} ends in {}", claim.slug(), span::left(base.now(), at)),
        None => format!("{} has no deadline", claim.slug()),
    })?;
    Ok(Exit::Success)
}
