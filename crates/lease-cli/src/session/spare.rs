//! The process that keeps a session waiting on the box of a lease, so that its next run costs one round trip.
//!
//! It is a convenience and never more: a lease does not last longer because of it, a release ends it, and a run that finds
//! nobody does what it would have done anyway.

use std::ffi::OsString;
use std::time::Duration;

use lease_core::Claim;
use lease_process::{Program, spawn_detached};

use crate::catalog;
use crate::context::{Base, Context};
use crate::failure::Failure;

/// How long a session may wait for the next run of that lease; zero for not at all.
pub(crate) fn span(context: &Context<'_>, claim: &Claim) -> Duration {
    // There is no round trip to save.
    if catalog::is_here(claim.provider()) { Duration::ZERO } else { context.settings.run_spare() }
}

/// Has a session wait for the next run, where none does and one may. What keeps it from that is no failure of this run.
pub(crate) fn ensure(context: &Context<'_>, claim: &Claim) {
    let span = span(context, claim);
    if span.is_zero() {
        return;
    }
    if let Err(failure) = start(context, claim, span) {
        tracing::debug!(%failure, "no session waits for the next run");
    }
}

fn start(context: &Context<'_>, claim: &Claim, span: Duration) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::tool(format!("keep a session: {error}"));
    let (base, lease) = (&context.base, claim.lease().as_str());
    if super::client(base)?.is_kept(lease).map_err(|error| failed(&error))? {
        return Ok(());
    }
    let program = Program::new(base.environment.executable()?.as_os_str())
        .args(["keeper", lease])
        .args([format!("--idle-ms={}", lease_core::time::millis(span))])
        .args([format!("--log-bytes={}", context.settings.run_log_bytes())])
        .cwd(base.state_dir()?)
        .inherit_env(environment(base)?);
    spawn_detached(&program, None).map(drop).map_err(|error| failed(&error))
}

/// Keeps a session waiting until there is a reason to end.
pub(crate) async fn keep(
    base: &Base<'_>,
    lease: &str,
    (span, log_bytes_max): (Duration, u64),
) -> Result<(), Failure> {
    let mut settings = super::client(base)?.settings().clone();
    (settings.spare, settings.log_bytes_max) = (span, log_bytes_max);
    let kept = lease_ssh::Client::new(settings).keep_spare(lease).await;
    kept.map_err(|error| Failure::tool(format!("keep a session: {error}")))
}

/// Ends the process that keeps a session waiting, if there is one. It takes two seconds at the most and cannot fail.
pub(crate) async fn end(base: &Base<'_>, lease: &lease_core::LeaseId) {
    let Ok(client) = super::client(base) else { return };
    if let Err(error) = client.end_spare(lease.as_str()).await {
        tracing::debug!(%error, "who keeps a session waiting is not known");
    }
}

/// What it finds its files with. It logs in nowhere and asks no provider, so no credential is among it.
fn environment(base: &Base<'_>) -> Result<Vec<(OsString, OsString)>, Failure> {
    const PASSED_ON: [&str; 5] = ["PATH", "HOME", "XDG_RUNTIME_DIR", "LANG", "LEASE_LOG"];
    let value = |name: &str| base.environment.variable(name).map(|it| (name.into(), it.to_owned()));
    let mut variables: Vec<_> = PASSED_ON.into_iter().filter_map(value).collect();
    variables.push(("LEASE_STATE_DIR".into(), base.state_dir()?.into_os_string()));
    Ok(variables)
}
