//! The `lease` command. This file only joins the parts: arguments, environment, command, exit code.

mod args;
mod catalog;
mod command;
mod config;
mod context;
mod document;
mod durable;
mod env;
mod exit;
mod failure;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod interrupt;
mod offers;
mod output;
mod reaper;
mod runs;
mod sealed;
mod session;
mod setup;

use std::process::ExitCode;

use crate::args::Parsed;
use crate::env::Environment;
use crate::exit::Exit;
use crate::output::Output;

fn main() -> ExitCode {
    // Arguments come first and need nothing else, so that `--version` and a typing error cost no start-up.
    let environment = Environment::read();
    let cli = match args::parse(environment.arguments()) {
        Parsed::Command(cli) => cli,
        Parsed::Text(text) => return output::print_text(&text).into(),
        Parsed::Wrong { failure, json } => {
            let exit = failure.exit();
            output::report_failure(&failure, json);
            return exit.into();
        }
    };
    let output = Output::new(&cli.global, &environment);
    output::start_log(&environment, &cli.global);
    let result = run(&cli, &environment, &output)
        .map_err(|failure| failure.helped_by(&args::help_for(environment.arguments())));
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => {
            output::report_failure(&failure, output.is_json());
            failure.exit().into()
        }
    }
}

fn run(
    cli: &args::Cli,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, failure::Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| failure::Failure::tool(format!("start the runtime: {error}")))?;
    let exit = runtime.block_on(command::run(cli, environment, output));
    // What still blocks a thread, such as a read of the terminal, must not hold the exit up.
    runtime.shutdown_background();
    exit
}
