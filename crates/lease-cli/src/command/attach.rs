//! `lease attach`: takes the place of the client of a run that goes on without one.

use std::sync::{Arc, Mutex};

use lease_core::Liveness;
use lease_process::{Pid, ProcessIdentity};
use lease_ssh::Relays;

use crate::args::AttachArgs;
use crate::command::limits;
use crate::command::run::finish;
use crate::context::{Base, Context};
use crate::document::RunRecord;
use crate::exit::Exit;
use crate::failure::{Failure, Meaning};
use crate::interrupt::Interrupts;
use crate::reaper;
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
    // What cannot be told from here may live, and may still read.
    let others = client_of(&record) != Liveness::Dead;
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
            // What it is to bring back may have been forgotten meanwhile, which ending the record would undo.
            let lifted = base.runs()?.find(&record.id).ok().and_then(|it| it.lifted);
            match recorder {
                Some(recorder) => finish(base, recorder, &result),
                None if client_of(record) == Liveness::Alive => {}
                None => base.runs()?.ended(record, code, base.now())?,
            }
            limits::restore(context, &RunRecord { lifted, ..record.clone() }).await;
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

/// Whether the process that records a run still does: that very one, and not another that has its number now.
pub(super) fn client_of(record: &RunRecord) -> Liveness {
    match record.owner() {
        Some(owner) => reaper::census().liveness(&owner),
        // Only the number is recorded, which proves an end but no life.
        None => match i32::try_from(record.pid).ok().and_then(Pid::new).map(ProcessIdentity::of) {
            Some(Ok(None)) => Liveness::Dead,
            Some(Ok(Some(_)) | Err(_)) | None => Liveness::Unknown,
        },
    }
}

#[cfg(test)]
mod tests {
    use lease_core::Timestamp;

    use super::*;
    use crate::runs::{RunStart, Runs};

    #[test]
    fn a_process_that_has_the_number_of_a_dead_client_is_not_taken_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let runs = Runs::new(dir.path());
        let start = RunStart {
            command: vec!["true".into()],
            lease: "lse-aaaaaaaaaaaaaaaaaaaa".to_owned(),
            slug: "calm-otter".to_owned(),
            provider: "local".to_owned(),
        };
        let writer = runs.begin(start, Timestamp::from_millis(1_700_000_000_000)).unwrap();
        let mut record = runs.find(writer.id()).unwrap();
        assert_eq!(client_of(&record), Liveness::Alive, "it is this process");
        record.process.as_mut().unwrap().start += 1;
        assert_eq!(client_of(&record), Liveness::Dead);
        record.process = None;
        assert_eq!(client_of(&record), Liveness::Unknown);
    }
}
