//! `lease completions`: a completion script for a shell.

use crate::args::{self, CompletionsArgs};
use crate::context::Base;
use crate::exit::Exit;
use crate::failure::Failure;

/// Prints the script.
pub(crate) fn run(base: &Base<'_>, args: CompletionsArgs) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut args::command(), "lease", &mut script);
    base.output.bytes(&script)?;
    Ok(Exit::Success)
}
