//! `lease logs`: what a run printed, byte for byte as far as it was recorded here, or on the box while it goes on.

use std::io::{self, Write as _};
use std::sync::{Arc, Mutex};

use lease_core::Liveness;
use lease_ssh::{Followed, Until};

use crate::args::LogsArgs;
use crate::command::attach::{client_of, meant};
use crate::command::limits;
use crate::command::run::finish;
use crate::context::Base;
use crate::document::{LogsDocument, RecordedStream, RunRecord};
use crate::exit::Exit;
use crate::failure::{Failure, Meaning};
use crate::interrupt::Interrupts;
use crate::runs::{Recorded, Which};
use crate::session::{Attached, Ended, Followers, fetch};

/// Prints both streams where they belong, or only one.
pub(crate) async fn run(base: Base<'_>, args: &LogsArgs) -> Result<Exit, Failure> {
    let record = meant(&base, &args.run)?;
    let is_open = record.finished_at.is_none();
    if is_open && !base.output.is_json() && (args.follow || client_of(&record) != Liveness::Alive) {
        return from_box(base, args, record).await;
    }
    recorded(&base, args, record)
}

/// What the box has of a run that goes on, or whose client did not live to record its end.
async fn from_box(base: Base<'_>, args: &LogsArgs, record: RunRecord) -> Result<Exit, Failure> {
    let reached = async {
        let (context, claim) = base.open_for(&record.lease).await?;
        let attached = Attached::to(&context, &claim).await?;
        Ok::<_, Failure>((context, attached))
    };
    let (context, attached) = match reached.await {
        Ok(reached) => reached,
        Err(failure) if args.follow => return Err(failure),
        Err(failure) => {
            base.output.note(&format!("{}; this is what was recorded here", failure.what()));
            return recorded(&base, args, record);
        }
    };
    // The box has the output from its first byte on, which is more than a client that died has recorded.
    let recorder = if args.follow || client_of(&record) != Liveness::Dead {
        None
    } else {
        Some(Arc::new(Mutex::new(base.runs()?.again(record.clone())?)))
    };
    let (stdout, stderr) = (!args.stderr, !args.stdout);
    let followers = Followers { stdout, stderr, recorder: recorder.as_ref() };
    let until = if args.follow { Until::End } else { Until::Now };
    let mut interrupts = Interrupts::listen()?;
    let followed = tokio::select! {
        followed = fetch(&attached, &record.id, until, followers) => followed?,
        _ = interrupts.next() => return Ok(Exit::Interrupted),
    };
    match followed {
        Followed::Ended(code) => {
            if let Some(recorder) = recorder {
                let code = u8::try_from(code).unwrap_or(u8::MAX);
                finish(&base, recorder, &Ok(Ended::Exited(code)));
                limits::restore(&context, &record).await;
            }
            base.output.note(&format!("the command ended with {code}"));
        }
        Followed::Running => base.output.note("the command goes on"),
        Followed::Killed => base.output.note("the command was killed"),
        Followed::Nothing(_) => return recorded(&base, args, record),
        Followed::Lost { detail } => {
            let failure = Failure::tool(format!("the connection to the box was lost: {detail}"));
            return Err(failure.meaning(Meaning::StillLeased).kind("unavailable"));
        }
    }
    Ok(Exit::Success)
}

/// What was recorded on this machine.
fn recorded(base: &Base<'_>, args: &LogsArgs, record: RunRecord) -> Result<Exit, Failure> {
    let runs = base.runs()?;
    let wanted =
        |other: bool, which| if other { Ok(None) } else { runs.stream(&record, which).map(Some) };
    let stdout = wanted(args.stderr, Which::Stdout)?;
    let stderr = wanted(args.stdout, Which::Stderr)?;
    if base.output.is_json() {
        let described = |it: &Option<Recorded>| it.as_ref().map(RecordedStream::from);
        let document = LogsDocument::new(record, described(&stdout), described(&stderr));
        base.output.result(&document, String::new)?;
        return Ok(Exit::Success);
    }
    if record.exit.is_none() {
        base.output.note("this run has no recorded end");
    }
    if let Some(why) = &record.recording_failed {
        base.output.note(why);
    }
    let is_empty = |it: &Recorded| it.head.is_empty() && it.left_out_bytes == 0;
    if record.exit.is_some() && stdout.iter().chain(&stderr).all(is_empty) {
        base.output.note("there is no output of it");
    }
    if let Some(stdout) = stdout {
        base.output.bytes(&stdout.head)?;
        left_out(base, "standard output", &stdout);
        base.output.bytes(&stdout.tail)?;
    }
    if let Some(stderr) = stderr {
        to_stderr(&stderr.head)?;
        left_out(base, "standard error", &stderr);
        to_stderr(&stderr.tail)?;
    }
    Ok(Exit::Success)
}

fn left_out(base: &Base<'_>, name: &str, recorded: &Recorded) {
    if recorded.left_out_bytes > 0 {
        base.output
            .note(&format!("{} bytes of {name} were not recorded here", recorded.left_out_bytes));
    }
}

fn to_stderr(bytes: &[u8]) -> Result<(), Failure> {
    let mut err = io::stderr().lock();
    let written = err.write_all(bytes).and_then(|()| err.flush());
    written.map_err(|error| Failure::tool(format!("write to standard error: {error}")))
}
