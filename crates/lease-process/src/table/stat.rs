//! The one line of `/proc/PID/stat`, which is all that most questions about a process need.

use std::fs;
use std::io;

use rustix::io::Errno;

use super::ProcessState;
use crate::Pid;

/// The fields of the line that are used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) state: ProcessState,
    pub(crate) ppid: Option<Pid>,
    pub(crate) pgid: Option<Pid>,
    pub(crate) sid: Option<Pid>,
    pub(crate) start: u64,
}

/// The process's line; `None` if there is no such process.
///
/// A process that exists but is hidden from us (another user's under `hidepid`, or no `/proc` at all) is an error.
pub(crate) fn read(pid: Pid) -> io::Result<Option<Stat>> {
    match fs::read(format!("/proc/{pid}/stat")) {
        Ok(line) => parse(&line).map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into()),
        Err(error) if says_gone(&error) => {
            let Some(sys) = pid.sys() else { return Ok(None) };
            match rustix::process::test_kill_process(sys) {
                Err(Errno::SRCH) => Ok(None),
                Ok(()) | Err(_) => Err(io::ErrorKind::PermissionDenied.into()),
            }
        }
        Err(error) => Err(error),
    }
}

/// Whether an error of reading under `/proc/PID` says that the process is gone.
pub(super) fn says_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(Errno::SRCH.raw_os_error())
}

fn parse(line: &[u8]) -> Option<Stat> {
    // The second field is the program's name in parentheses and may contain anything, parentheses too.
    let after_name = line.iter().rposition(|byte| *byte == b')')? + 1;
    let fields: Vec<&str> =
        std::str::from_utf8(&line[after_name..]).ok()?.split_ascii_whitespace().collect();
    // `man 5 proc` counts from 1, and the first field here is its third.
    let field = |number: usize| fields.get(number - 3).copied();
    let pid = |number| field(number)?.parse().ok().map(Pid::new);
    let threads: i64 = field(20)?.parse().ok()?;
    let state = match field(3)? {
        // A main thread that has ended while others go on looks like a zombie, too.
        "Z" if threads > 1 => ProcessState::Active,
        "Z" | "X" | "x" => ProcessState::Zombie,
        "D" => ProcessState::Uninterruptible,
        "T" | "t" => ProcessState::Stopped,
        _ => ProcessState::Active,
    };
    Some(Stat {
        state,
        ppid: pid(4)?,
        pgid: pid(5)?,
        sid: pid(6)?,
        start: field(22)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expect: Option<(ProcessState, i32, u64)>) {
        let stat = parse(line.as_bytes());
        let seen = stat.map(|stat| (stat.state, stat.ppid.map_or(0, Pid::get), stat.start));
        assert_eq!(seen, expect);
    }

    #[test]
    fn names_cannot_shift_the_fields() {
        let rest = "7 8 9 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 1000 10";
        check(&format!("12 (sh) S {rest}"), Some((ProcessState::Active, 7, 4242)));
        check(&format!("12 (a) Z 1 (b) D {rest}"), Some((ProcessState::Uninterruptible, 7, 4242)));
        check(&format!("12 (a\nb) Z {rest}"), Some((ProcessState::Zombie, 7, 4242)));
        check("12 (cut) S 1 2", None);
        check("", None);
    }

    #[test]
    fn a_dead_main_thread_is_not_a_dead_process() {
        let rest = "7 8 9 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 4242 1000 10";
        check(&format!("12 (threads) Z {rest}"), Some((ProcessState::Active, 7, 4242)));
    }
}
