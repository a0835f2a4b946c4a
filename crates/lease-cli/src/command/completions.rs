//! `lease completions`: a completion script for a shell.

use std::any::TypeId;
use std::ffi::OsString;

use clap::{Arg, Command, ValueHint};

use crate::args::{self, CompletionsArgs};
use crate::context::Base;
use crate::exit::Exit;
use crate::failure::Failure;

/// Prints the script.
pub(crate) fn run(base: &Base<'_>, args: CompletionsArgs) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut hinted(args::command()), "lease", &mut script);
    base.output.bytes(&script)?;
    Ok(Exit::Success)
}

/// Has no file offered where none is meant: what is no path, and no word of a command, is a name that only the records
/// know.
fn hinted(command: Command) -> Command {
    let command = command
        .mut_args(|arg| if is_a_name(&arg) { arg.value_hint(ValueHint::Other) } else { arg });
    command.mut_subcommands(hinted)
}

fn is_a_name(arg: &Arg) -> bool {
    let takes = arg.get_action().takes_values();
    let of_a_command =
        arg.is_last_set() || arg.get_value_parser().type_id() == TypeId::of::<OsString>();
    takes && arg.get_value_hint() == ValueHint::Unknown && !of_a_command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_offered_where_a_file_is_meant_and_nowhere_else() {
        let program = hinted(args::command());
        let hint = |command: &str, id: &str| {
            let command = program.find_subcommand(command).unwrap();
            command.get_arguments().find(|it| it.get_id() == id).unwrap().get_value_hint()
        };
        for (command, id) in
            [("run", "id"), ("run", "provider"), ("show", "lease"), ("logs", "run")]
        {
            assert_eq!(hint(command, id), ValueHint::Other, "{command} {id}");
        }
        for (command, id) in [("run", "dir"), ("man", "directory"), ("trust", "file")] {
            assert_eq!(hint(command, id), ValueHint::AnyPath, "{command} {id}");
        }
        for (command, id) in [("run", "command"), ("cp", "source"), ("cp", "destination")] {
            assert_eq!(hint(command, id), ValueHint::Unknown, "{command} {id}");
        }
        program.debug_assert();
    }
}
