//! A tracer that counts the system calls of the program, and kills it at one of them.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::Installation;

/// On which side of the call's effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Before,
    After,
}

/// Where the tracer writes what it sees.
pub(crate) fn log_of(installation: &Installation) -> PathBuf {
    installation.root().join("calls")
}

/// The tracer, to be completed with what it does and the words of the program.
pub(crate) fn tracer(installation: &Installation) -> Command {
    let mut tracer = installation.process("strace");
    tracer.arg("-o").arg(log_of(installation)).args(["-s", "0"]);
    tracer
}

/// Tells it to kill at that call of that name, counted from 1.
///
/// A SIGKILL at the entry of a call keeps it from happening. Another signal waits until the call has returned, and then
/// ends the process just as hard, because nothing handles it.
pub(crate) fn inject(tracer: &mut Command, name: &str, number: usize, side: Side) {
    let signal = if side == Side::Before { "KILL" } else { "USR1" };
    tracer.arg("-e").arg(format!("trace={name}"));
    tracer.arg("-e").arg(format!("inject={name}:signal={signal}:when={number}"));
}

/// The calls that were seen, in their order, each with its thread, or with 0 if only one was watched.
pub(crate) fn calls(installation: &Installation) -> Vec<(u32, String)> {
    let log = fs::read_to_string(log_of(installation)).unwrap();
    let call = |line: &str| {
        let (head, tail) = line.split_once(' ').unwrap_or((line, ""));
        let (thread, call) = head.parse().map_or((0, line), |thread| (thread, tail.trim_start()));
        let name: String =
            call.chars().take_while(|it| it.is_ascii_alphanumeric() || *it == '_').collect();
        call[name.len()..].starts_with('(').then_some((thread, name))
    };
    log.lines().filter_map(call).collect()
}
