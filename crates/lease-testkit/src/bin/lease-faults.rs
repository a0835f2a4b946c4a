//! Runs the fault matrix and prints its report as Markdown; ends with 1 when anything went wrong.
//!
//! `lease-faults [FILE]`: `FILE` holds Markdown about the ladders that are run elsewhere, and is quoted in the report.

use std::io::Write;
use std::process::ExitCode;

use lease_testkit::faults::run_report;

fn main() -> ExitCode {
    let quoted = match std::env::args_os().nth(1) {
        None => String::new(),
        Some(path) => match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => return fail(&format!("{}: {error}", path.display())),
        },
    };
    let report = match run_report(quoted) {
        Ok(report) => report,
        Err(error) => return fail(&error.to_string()),
    };
    if let Err(error) = writeln!(std::io::stdout(), "{report}") {
        return fail(&error.to_string());
    }
    if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn fail(message: &str) -> ExitCode {
    // There is nobody else to tell when even this cannot be written.
    drop(writeln!(std::io::stderr(), "lease-faults: {message}"));
    ExitCode::from(2)
}
