//! Everything that is printed. Standard output belongs to results, standard error to everything else.

mod progress;
mod table;

use std::io::{self, Write as _};
use std::sync::Arc;

use lease_core::watch::Observer;
use serde::Serialize;

use crate::args::GlobalArgs;
use crate::env::Environment;
use crate::exit::Exit;
use crate::failure::Failure;

pub(crate) use progress::Progress;
pub(crate) use table::Table;

/// Where and how results and progress are printed.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    json: bool,
    progress: Arc<Progress>,
}

impl Output {
    /// The output that the flags and the terminal ask for.
    pub(crate) fn new(global: &GlobalArgs, environment: &Environment) -> Self {
        let progress = if global.quiet {
            Progress::silent()
        } else if environment.may_animate() && !global.json && global.verbose == 0 {
            Progress::animated()
        } else {
            Progress::plain()
        };
        Self { json: global.json, progress: Arc::new(progress) }
    }

    /// Whether JSON was asked for.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// The progress display.
    pub(crate) fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// The progress display as the engine's listener.
    pub(crate) fn observer(&self) -> Arc<dyn Observer> {
        Arc::<Progress>::clone(&self.progress)
    }

    /// Prints a result: the document when JSON was asked for, the text otherwise.
    pub(crate) fn result<T: Serialize>(
        &self,
        document: &T,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        self.progress.clear();
        if self.json {
            let mut bytes = serde_json::to_vec(document)
                .map_err(|error| Failure::tool(format!("write JSON: {error}")))?;
            bytes.push(b'\n');
            write_out(&bytes)
        } else {
            let mut text = text();
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            write_out(text.as_bytes())
        }
    }

    /// Prints what was asked for beside the result on standard error: the document when JSON was asked for, or the text.
    pub(crate) fn aside<T: Serialize>(
        &self,
        document: &T,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        self.progress.clear();
        let line = if self.json {
            serde_json::to_string(document)
                .map_err(|error| Failure::tool(format!("write JSON: {error}")))?
        } else {
            format!("lease: {}", text())
        };
        write_err(&line);
        Ok(())
    }

    /// Prints raw bytes on standard output.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        self.progress.clear();
        write_out(bytes)
    }

    /// Says something on standard error, unless silence was asked for.
    pub(crate) fn note(&self, text: &str) {
        self.progress.note(text);
    }
}

/// Prints the answer to a question about the program itself.
pub(crate) fn print_text(text: &str) -> Exit {
    match write_out(text.as_bytes()) {
        Ok(()) => Exit::Success,
        Err(failure) => {
            report_failure(&failure, false);
            failure.exit()
        }
    }
}

/// Prints a failure as one line on standard error.
pub(crate) fn report_failure(failure: &Failure, json: bool) {
    let line = match serde_json::to_string(&failure.document()) {
        Ok(line) if json => line,
        _ => failure.to_string(),
    };
    write_err(&line);
}

/// Begins the log when the variable or the flag asks for one.
pub(crate) fn start_log(environment: &Environment, global: &GlobalArgs) {
    use tracing_subscriber::filter::Targets;
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::util::SubscriberInitExt as _;
    let from_flag = match global.verbose {
        0 => None,
        1 => Some("info"),
        2 => Some("debug"),
        _ => Some("trace"),
    };
    let wanted = environment.variable("LEASE_LOG").map(|it| it.to_string_lossy().into_owned());
    let Some(wanted) = from_flag.map(str::to_owned).or(wanted) else { return };
    let Ok(targets) = wanted.parse::<Targets>() else {
        write_err(&format!("lease: LEASE_LOG={wanted:?} is not understood and nothing is logged"));
        return;
    };
    let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(false);
    if tracing_subscriber::registry().with(targets).with(layer).try_init().is_err() {
        write_err("lease: something else logs already");
    }
}

/// Writes to standard output. A reader that has seen enough, such as `head`, is no failure.
fn write_out(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::tool(format!("write to standard output: {error}"))),
    }
}

/// Writes a line to standard error. When that is gone there is nobody left to tell.
fn write_err(line: &str) {
    drop(writeln!(io::stderr().lock(), "{line}"));
}
