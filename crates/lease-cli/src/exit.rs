//! Every exit code of `lease`, defined once; `--help` and the documentation print this table.

use std::process::ExitCode;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything that was asked for was done.
    Success,
    /// The question was answered, and the answer is no: `doctor` found a problem, or an adapter breaks a rule.
    AnswerIsNo,
    /// `lease` itself failed.
    ToolFailure,
    /// Ctrl-C or a termination signal ended the work.
    Interrupted,
    /// The command's own exit code: 128 and the signal number for a killed one, 126 and 127 from whoever could not start
    /// it on the box.
    Command(u8),
}

/// The codes and their meanings, for `--help`.
pub(crate) const TABLE: &[(&str, &str)] = &[
    ("0", "done"),
    ("1", "doctor found a problem, or provider test a rule that the adapter breaks"),
    ("125", "lease itself failed; the line on standard error says what that means for the machine"),
    ("126", "the command was found on the box and could not be executed"),
    ("127", "the command was not found on the box"),
    ("130", "interrupted by Ctrl-C or a termination signal while no command ran"),
    ("other", "run and exec return the command's own code; 128+N when signal N ended it"),
];

impl Exit {
    /// The code as the shell sees it.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::AnswerIsNo => 1,
            Self::ToolFailure => 125,
            Self::Interrupted => 130,
            Self::Command(code) => code,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The table as a section of the help text.
pub(crate) fn help() -> String {
    let lines = TABLE.iter().map(|(code, meaning)| format!("  {code:<6} {meaning}"));
    let lines: Vec<_> = std::iter::once("Exit codes:".to_owned()).chain(lines).collect();
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_every_code() {
        let all = [
            Exit::Success,
            Exit::AnswerIsNo,
            Exit::ToolFailure,
            Exit::Command(126),
            Exit::Command(127),
            Exit::Interrupted,
        ];
        for exit in all {
            assert!(TABLE.iter().any(|(code, _)| *code == exit.code().to_string()), "{exit:?}");
        }
        assert_eq!(TABLE.len(), all.len() + 1, "the last line stands for the command's own codes");
    }
}
