//! How a run ends: its record, its report, and what its exit code means for the machine.

use std::path::Path;
use std::sync::{Arc, PoisonError};

use lease_core::Claim;

use crate::context::Base;
use crate::document::RunRecord;
use crate::durable;
use crate::exit::Exit;
use crate::failure::{Failure, Meaning};
use crate::runs::{Which, junit};
use crate::session::{Ended, Recorder};

/// Ends the record of a run. What keeps it from being written is said and changes nothing else.
pub(super) fn finish(base: &Base<'_>, recorder: Recorder, result: &Result<Ended, Failure>) {
    drop(finished(base, recorder, result));
}

/// The same with the record, if it has ended.
pub(super) fn finished(
    base: &Base<'_>,
    recorder: Recorder,
    result: &Result<Ended, Failure>,
) -> Option<RunRecord> {
    // Its end is recorded by whoever sees it.
    if matches!(result, Ok(Ended::Detached)) {
        return None;
    }
    let writer = Arc::try_unwrap(recorder).ok()?;
    let mut writer = writer.into_inner().unwrap_or_else(PoisonError::into_inner);
    let code = match result {
        Ok(ended) => ended.exit().code(),
        Err(failure) => failure.exit().code(),
    };
    let finished = writer.exited(code).and_then(|()| writer.finish(base.now()));
    match finished {
        Ok(record) => Some(record),
        Err(failure) => {
            base.output.note(&format!("the run is not recorded: {}", failure.what()));
            None
        }
    }
}

/// Writes the JUnit report of a run whose record has ended.
pub(super) fn report(
    base: &Base<'_>,
    path: &Path,
    record: &RunRecord,
    trouble: Option<&Failure>,
) -> Result<(), Failure> {
    let runs = base.runs()?;
    let (stdout, stderr) =
        (runs.stream(record, Which::Stdout)?, runs.stream(record, Which::Stderr)?);
    let text = junit(record, (&stdout, &stderr), trouble.map(Failure::what));
    let path = base.environment.absolute(path)?;
    let written = durable::replace_shared(&path, text.as_bytes());
    written.map_err(|error| {
        let what = format!("the report {} cannot be written: {error}", path.display());
        Failure::tool(what).meaning(Meaning::StillLeased).kind("storage")
    })
}

/// A report that has no place is told before a box is leased for it.
pub(super) fn refuse_report(base: &Base<'_>, path: Option<&Path>) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    let whole = base.environment.absolute(path)?;
    let directory = whole.parent().unwrap_or(&whole);
    let (why, next) = if whole.is_dir() {
        ("it is a directory".to_owned(), format!("ls -ld {}", whole.display()))
    } else if directory.is_dir() {
        return Ok(());
    } else {
        let directory = directory.display();
        (format!("there is no directory {directory}"), format!("mkdir -p {directory}"))
    };
    let failure = Failure::invalid(format!("--junit {}: {why}", path.display()), next);
    Err(failure.meaning(Meaning::NothingCreated).kind("usage"))
}

/// The command's own code, on a box that stays leased. Leaving a command behind must be said.
pub(super) fn conclude_leased(
    claim: &Claim,
    result: Result<Ended, Failure>,
) -> Result<Exit, Failure> {
    match result {
        Ok(Ended::Left) => {
            let lease = claim.lease();
            let failure = Failure::tool("interrupted twice; the command may still run on the box");
            let failure = failure.exit_with(Exit::Interrupted).kind("interrupted");
            Err(failure
                .meaning(Meaning::StillLeased)
                .next(format!("lease release {lease}"))
                .lease(lease))
        }
        result => result.map(Ended::exit),
    }
}

/// The command's own code, unless the box could not be given back: that must not look like success.
pub(super) fn conclude(
    claim: &Claim,
    result: Result<Ended, Failure>,
    meaning: Meaning,
) -> Result<Exit, Failure> {
    let lease = claim.lease();
    let next = match meaning {
        Meaning::MayExist | Meaning::StillLeased => format!("lease release {lease}"),
        Meaning::Releasing => "lease cleanup".to_owned(),
        Meaning::Released | Meaning::NothingCreated | Meaning::NothingChanged => {
            "lease history".to_owned()
        }
    };
    match result {
        Err(failure) => Err(failure.meaning(meaning).next(next)),
        Ok(ended) if meaning == Meaning::MayExist => {
            let what = format!(
                "the command ended with {}, and the box could not be released",
                ended.exit().code()
            );
            Err(Failure::tool(what).meaning(meaning).next(next).lease(lease).kind("unavailable"))
        }
        Ok(Ended::Left) => {
            let what = "interrupted twice; what the command does on the box ends with its release";
            let failure = Failure::tool(what).exit_with(Exit::Interrupted).kind("interrupted");
            Err(failure.meaning(meaning).next(next).lease(lease))
        }
        Ok(ended) => Ok(ended.exit()),
    }
}
