//! `lease logs`: what a past run printed, byte for byte as far as it was recorded.

use std::io::{self, Write as _};

use crate::args::LogsArgs;
use crate::context::Base;
use crate::document::{LogsDocument, RecordedStream};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::runs::{Recorded, Which};

/// Prints both streams where they belong, or only one.
pub(crate) fn run(base: &Base<'_>, args: &LogsArgs) -> Result<Exit, Failure> {
    let runs = base.runs()?;
    let record = runs.find(&args.run)?;
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
