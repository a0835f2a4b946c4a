//! The two commands of the program.
#![expect(
    clippy::disallowed_methods,
    reason = "the program reads its arguments and starts what it measures"
)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program answers on its output")]

mod measure;
mod serve;

use std::process::ExitCode;

type Answer = Result<(), Box<dyn std::error::Error>>;

/// Runs the command that the arguments name.
pub(crate) fn main() -> ExitCode {
    let words: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let answer = match words.as_slice() {
        ["serve", scratch, links @ ..] => serve::serve(scratch.as_ref(), links),
        ["measure", directory, errors, program, arguments @ ..] => {
            measure::measure(directory.as_ref(), errors.as_ref(), program, arguments)
        }
        _ => {
            Err("usage: lease-testnet serve SCRATCH LINK... | measure DIRECTORY ERRORS COMMAND..."
                .into())
        }
    };
    if let Err(error) = answer {
        eprintln!("lease-testnet: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
