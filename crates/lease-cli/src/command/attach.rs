//! `lease attach`: takes the place of the client of a run that goes on without one.

use std::sync::{Arc, Mutex};

use lease_core::Deadlines;
use lease_process::{Pid, ProcessIdentity};
use lease_ssh::Relays;

use crate::args::AttachArgs;
use crate::command::run::finish;
use crate::context::{Base, Context};
use crate::document::RunRecord;
use crate::exit::Exit;
use crate::failure::{Failure, Meaning};
use crate::interrupt::Interrupts;
use crate::session::{Attached, Ended, Followers, Recorder, attach, ssh_failure};

/// Follows a run to its end.
pub(crate) async fn run(base: Base<'_>, args: &AttachArgs) -> Result<Exit, Failure> {
    let record = meant(&base, &args.run)?;
    if record.finished_at.is_some() {
        let what = format!("{} has ended with {}", record.id, record.exit.unwrap_or_default());
        let failure = Failure::invalid(what, format!("lease logs {}", record.id));
        return Err(failure.meaning(Meaning::NothingChanged).kind("not_found"));
    }
    let (context, claim) = base.open_for(&record.lease).await?;
    let mut interrupts = Interrupts::listen()?;
    let attached = Attached::to(&context, &claim).await?;
    let failed = |error: lease_core::Error| Failure::from(error).lease(claim.lease());
    context.engine.touch(claim.lease(), None).await.map_err(failed)?;
    let others = client_lives(&record);
    let relays = if others { Relays::Leave } else { Relays::End };
    let run = record.id.clone();
    let from = if args.from_now {
        let logged = attached.session.logged(&attached.root, &run).await;
        logged.map_err(|error| ssh_failure(&error, claim.lease()))?
    } else {
        (0, 0)
    };
    // The record is written by whoever reads from the first byte on, unless its first writer still does.
    let recorder = if others || args.from_now {
        None
    } else {
        let writer = base.runs()?.again(record.clone())?;
        Some(Arc::new(Mutex::new(writer)))
    };
    base.output.note(&format!(
        "{run}: Ctrl-C interrupts the command; closing the terminal leaves it running"
    ));
    let followers = Followers { stdout: true, stderr: true, recorder: recorder.as_ref() };
    let place = (&context, &attached);
    let result = attach(place, &run, (relays, from), followers, &mut interrupts).await;
    conclude(&context, &record, recorder, result).await
}

async fn conclude(
    context: &Context<'_>,
    record: &RunRecord,
    recorder: Option<Recorder>,
    result: Result<Ended, Failure>,
) -> Result<Exit, Failure> {
    let base = &context.base;
    match result {
        Ok(Ended::Exited(code)) => {
            match recorder {
                Some(recorder) => finish(base, recorder, &result),
                None if client_lives(record) => {}
                None => base.runs()?.ended(record, code, base.now())?,
            }
            limit_again(context, record).await;
            Ok(Exit::Command(code))
        }
        Ok(Ended::Left | Ended::Detached) => {
            base.output.note(&format!("the command goes on; `lease attach {}`", record.id));
            Ok(Exit::Interrupted)
        }
        Err(failure) => Err(failure),
    }
}

/// The run that is meant: a run, or the newest of a lease.
pub(super) fn meant(base: &Base<'_>, name: &str) -> Result<RunRecord, Failure> {
    let runs = base.runs()?;
    match runs.of_lease(name)? {
        Some(record) => Ok(record),
        None => runs.find(name),
    }
}

/// Whether the process that records a run still does.
pub(super) fn client_lives(record: &RunRecord) -> bool {
    let pid = i32::try_from(record.pid).ok().and_then(Pid::new);
    pid.is_some_and(|pid| matches!(ProcessIdentity::of(pid), Ok(Some(_))))
}

/// Takes back that the lease of a detached run has no idle limit, with the one that the settings name.
async fn limit_again(context: &Context<'_>, record: &RunRecord) {
    let Ok(claim) = context.claim(&record.lease).await else { return };
    let Some(idle) = context.settings.idle_timeout() else { return };
    let current = claim.deadlines();
    if current.idle_ms.is_some() || context.base.runs().is_ok_and(|it| it.has_open(record)) {
        return;
    }
    let deadlines = Deadlines { idle_ms: Some(lease_core::time::millis(idle)), ..current };
    if let Err(error) = context.engine.touch(claim.lease(), Some(deadlines)).await {
        tracing::warn!(%error, "the lease has no idle limit again");
    }
}
