//! The sentences about `scope`, `plan` and `doctor`, and about the descriptor: everything before anything exists.

use lease_core::descriptor::Replay;
use lease_core::error::{Effect, ErrorKind};
use lease_core::journal::Disposition;
use lease_core::{Error, Spec};

use super::bench::Bench;
use super::{Broken, Held, Proof, does_not_apply, ensure};

pub(super) async fn descriptor_is_sound(bench: &mut Bench<'_>) -> Proof {
    let descriptor = bench.descriptor();
    ensure(descriptor.name == bench.scope.provider, || {
        format!("it is called {} and its scope says {}", descriptor.name, bench.scope.provider)
    })?;
    ensure(!descriptor.summary.is_empty() && !descriptor.caveat.is_empty(), || {
        "it has no summary or no caveat".to_owned()
    })?;
    if let Replay::Key { window_ms } = descriptor.replay {
        ensure(window_ms > 0, || "its promise of idempotency lasts no time".to_owned())?;
    }
    for candidate in bench.provider.plan(&bench.harness.spec()).await? {
        for resource in candidate.resources {
            ensure(descriptor.resources.contains(&resource.kind.as_str()), || {
                format!("it plans a {}, which the descriptor does not name", resource.kind)
            })?;
        }
    }
    Ok(Held::Shown)
}

pub(super) async fn scope_is_stable(bench: &mut Bench<'_>) -> Proof {
    let again = bench.provider.scope().await?;
    ensure(again == bench.scope, || format!("first {}, then {again}", bench.scope))?;
    let other = bench.harness.provider().await?.scope().await?;
    ensure(other == bench.scope, || format!("another value says {other}, not {}", bench.scope))?;
    Ok(Held::Shown)
}

pub(super) async fn scope_mutates_nothing(bench: &mut Bench<'_>) -> Proof {
    let before = bench.listed_ids().await?;
    bench.provider.scope().await?;
    unchanged(bench, &before).await
}

pub(super) async fn plan_mutates_nothing(bench: &mut Bench<'_>) -> Proof {
    let before = bench.listed_ids().await?;
    bench.provider.plan(&bench.harness.spec()).await?;
    unchanged(bench, &before).await
}

pub(super) async fn plan_refuses_unknown_options(bench: &mut Bench<'_>) -> Proof {
    let before = bench.listed_ids().await?;
    let mut option = bench.harness.spec();
    option.options.insert("no-such-option-exists".to_owned(), serde_json::json!(true));
    refused(bench, "an unknown option", option).await?;
    let mut class = bench.harness.spec();
    class.machine_type = None;
    class.class = Some("no-such-class-exists".to_owned());
    refused(bench, "an unknown class", class).await?;
    let mut machine_type = bench.harness.spec();
    machine_type.class = None;
    machine_type.machine_type = Some("no-such-type-exists".to_owned());
    refused(bench, "an unknown machine type", machine_type).await?;
    unchanged(bench, &before).await
}

pub(super) async fn plan_is_not_empty(bench: &mut Bench<'_>) -> Proof {
    let candidates = bench.provider.plan(&bench.harness.spec()).await?;
    ensure(!candidates.is_empty(), || "it plans nothing for a wish it can fulfil".to_owned())?;
    for candidate in candidates {
        let own = candidate.resources.iter().any(|it| it.disposition == Disposition::Own);
        ensure(own, || format!("candidate {} owns nothing", candidate.label))?;
        let nameless = candidate
            .resources
            .iter()
            .any(|it| it.disposition == Disposition::Referenced && it.id.is_none());
        ensure(!nameless, || {
            format!("candidate {} refers to something without an id", candidate.label)
        })?;
    }
    Ok(Held::Shown)
}

pub(super) async fn doctor_mutates_nothing(bench: &mut Bench<'_>) -> Proof {
    let before = bench.listed_ids().await?;
    bench.provider.doctor().await?;
    unchanged(bench, &before).await
}

pub(super) async fn doctor_reports(bench: &mut Bench<'_>) -> Proof {
    let checks = bench.provider.doctor().await?;
    ensure(!checks.is_empty(), || "it checks nothing".to_owned())?;
    for check in checks {
        ensure(!check.name.is_empty() && !check.detail.is_empty(), || {
            format!("a check says nothing: {check:?}")
        })?;
    }
    Ok(Held::Shown)
}

async fn unchanged(bench: &Bench<'_>, before: &[lease_core::ResourceId]) -> Proof {
    let after = bench.listed_ids().await?;
    ensure(after == before, || format!("the inventory was {before:?} and is {after:?}"))?;
    Ok(Held::Shown)
}

async fn refused(bench: &Bench<'_>, what: &str, spec: Spec) -> Result<(), Broken> {
    match bench.provider.plan(&spec).await {
        Ok(_) => Err(Broken(format!("{what} was accepted"))),
        Err(error) => ensure(is_plain_refusal(&error), || {
            format!("{what} was met with {} and effect {:?}: {error}", error.kind(), error.effect())
        }),
    }
}

fn is_plain_refusal(error: &Error) -> bool {
    // A provider without classes or types says so.
    matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Unsupported)
        && error.effect() == Effect::None
}

pub(super) async fn sizes_mutates_nothing(bench: &mut Bench<'_>) -> Proof {
    let before = bench.listed_ids().await?;
    bench.provider.sizes().await?;
    let after = bench.listed_ids().await?;
    ensure(before == after, || format!("before {before:?}, after {after:?}"))?;
    Ok(Held::Shown)
}

pub(super) async fn sizes_can_be_planned(bench: &mut Bench<'_>) -> Proof {
    let sizes = bench.provider.sizes().await?;
    if sizes.is_empty() {
        return Ok(does_not_apply("there is only one kind of machine"));
    }
    for size in sizes.iter().filter(|it| it.available != Some(false)) {
        let mut spec = bench.harness.spec();
        spec.class = None;
        spec.machine_type = Some(size.machine_type.clone());
        bench.provider.plan(&spec).await?;
    }
    Ok(Held::Shown)
}
