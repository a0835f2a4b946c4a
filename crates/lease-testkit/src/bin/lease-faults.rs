//! Runs the fault matrix and prints its report as Markdown; ends with 1 when anything went wrong.
//!
//! `lease-faults [FILE …]`: each `FILE` holds Markdown about a ladder that is run elsewhere, and is quoted in the report.

use std::io::Write;
use std::process::ExitCode;

use lease_testkit::faults::run_report;

fn main() -> ExitCode {
    let mut quoted = Vec::new();
    for path in std::env::args_os().skip(1) {
        match std::fs::read_to_string(&path) {
            Ok(text) => quoted.push(text.trim_end().to_owned()),
            Err(error) => return fail(&format!("{}: {error}", path.display())),
        }
    }
    let report = match run_report(quoted.join("\n\n")) {
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
