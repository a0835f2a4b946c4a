//! The program that brings a box up to date and runs a command there, and how a request has it run.
//!
//! It is the same text for every request, so the box keeps it: a request that had to bring it along would not fit into what
//! a connection sends without waiting for an answer. A request of a client that has never run anything there brings it
//! along and has it kept; one that counts on it and is wrong ends, and nothing has happened.
//!
//! What shall be done is said in the request, or later on its standard input.

use super::wrapper::{after_itself, itself};
use crate::sync::{lean, prelude};

/// Waits for what shall be done, where the request does not say it.
const WAIT: &str = include_str!("wait.sh");
/// Puts an environment where the wrapper reads it, which came with what shall be done.
const GIVEN: &str = include_str!("given.sh");
/// Runs the program that the box keeps.
const KEPT: &str = include_str!("kept.sh");
/// Keeps the program that comes along, and runs it.
const KEEP: &str = include_str!("keep.sh");

/// What precedes the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The check of what the box holds.
    Check,
    /// The same, and a small change.
    Patch,
}

impl Mode {
    /// The word by which the program knows it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Patch => "patch",
        }
    }
}

/// Whether the client believes that the box keeps the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Belief {
    /// An earlier request has brought it there, as a rule.
    Kept,
    /// Nothing is known.
    Unknown,
}

/// When a request says what shall be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When<'a> {
    /// At once, and of which run.
    Now(Mode, &'a str),
    /// On its standard input.
    Later,
    /// The same, and whoever waits for that is told when the box does.
    Told,
}

/// The program, for boxes that log so many bytes of each stream.
pub(crate) fn program(log_bytes_max: u64) -> Vec<u8> {
    // In braces a shell reads all of it before it does any of it.
    let mut text = b"{\n".to_vec();
    text.extend(itself());
    text.extend(lean(&[WAIT]));
    text.extend(prelude());
    text.extend(lean(&[GIVEN]));
    text.extend(after_itself(log_bytes_max));
    text.extend_from_slice(b"}\n");
    text
}

/// The name of a program, so that nobody runs another than he means. 64-bit FNV-1a: whoever could choose programs that
/// collide could run anything anyway.
pub(crate) fn kind(program: &[u8]) -> String {
    let text = [env!("CARGO_PKG_VERSION").as_bytes(), b"\n", program].concat();
    let hash = text.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// The file in which the box keeps `program`, beside the records of a sync.
pub(crate) fn kept_name(program: &[u8]) -> String {
    format!("run.{}", kind(program))
}

/// The script that runs `program` and has the box keep it. Its first argument is the program.
pub(crate) fn keeping(program: &[u8], when: When<'_>) -> Vec<u8> {
    lean(&[&head(program, when), KEEP])
}

/// The script that runs `program`, which the box keeps; where it does not, it says so and nothing happens.
pub(crate) fn kept(program: &[u8], when: When<'_>) -> Vec<u8> {
    lean(&[&head(program, when), KEPT])
}

fn head(program: &[u8], when: When<'_>) -> String {
    let (mode, run, tells) = match when {
        When::Now(mode, run) => (mode.word(), run, ""),
        When::Later => ("", "", ""),
        When::Told => ("", "", "yes"),
    };
    let kind = kind(program);
    format!(
        "lease_mode={mode} lease_run={run} lease_tells={tells} lease_given= lease_kind={kind}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_program_has_another_name() {
        let (one, two) = (program(1024), program(2048));
        assert_eq!(kind(&one), kind(&program(1024)));
        assert_ne!(kind(&one), kind(&two));
        assert!(one.windows(10).all(|it| it != b"\n# $1 recor"));
    }

    #[test]
    fn a_request_for_a_kept_program_is_short() {
        let script = kept(&program(1024), When::Later);
        assert!(script.len() < 400, "{}", String::from_utf8_lossy(&script));
    }
}
