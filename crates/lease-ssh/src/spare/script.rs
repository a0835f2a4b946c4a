//! The script of a session that waits, and what is written to it when there is something to run.

use crate::quote::{quote, quote_all};
use crate::run::wrapper;
use crate::sync::{check_script, lean, patch_script};

const WAIT: &str = include_str!("wait.sh");
const GIVEN: &str = include_str!("given.sh");

/// What precedes the command, as the script names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// The check of what the box holds.
    Check,
    /// The same, and a small change.
    Patch,
}

impl Mode {
    /// The mode in which a part of a request is what the waiting script has already; `None` when it has no such part.
    pub(super) fn of(script: &[u8]) -> Option<Self> {
        if script == check_script() {
            Some(Self::Check)
        } else if script == patch_script() {
            Some(Self::Patch)
        } else {
            None
        }
    }

    fn word(self) -> &'static [u8] {
        match self {
            Self::Check => b"check",
            Self::Patch => b"patch",
        }
    }
}

/// The script that waits, for boxes that log so many bytes of each stream. Its argument is the session's name.
pub(super) fn script(log_bytes_max: u64) -> Vec<u8> {
    let mut script = lean(&[WAIT, "case $lease_mode in check)\n"]);
    script.extend(check_script());
    script.extend_from_slice(b";; patch)\n");
    script.extend(patch_script());
    script.extend_from_slice(b";; esac\n");
    script.extend(lean(&[GIVEN]));
    script.extend(wrapper(log_bytes_max));
    script
}

/// The name of a script, so that a client takes no session that waits for something else. 64-bit FNV-1a: whoever could
/// choose scripts that collide could run anything anyway.
pub(super) fn kind(script: &[u8]) -> String {
    let text = [env!("CARGO_PKG_VERSION").as_bytes(), b"\n", script].concat();
    let hash = text.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// The line with which a session says, on both streams, that it waits.
pub(super) fn ready_line(name: &str) -> Vec<u8> {
    format!("lease-spare {name} ready\n").into_bytes()
}

/// What is written to a session to have it go on, but for its last line.
pub(super) fn parameters(mode: Mode, given: &[u8], args: &[&[u8]]) -> Vec<u8> {
    let mut text = b"lease_mode=".to_vec();
    text.extend_from_slice(mode.word());
    if !given.is_empty() {
        text.extend_from_slice(b"\nlease_given=");
        text.extend(quote(given));
    }
    // Without the hyphens a first word that begins with one would be an option.
    text.extend_from_slice(b"\nset -- ");
    text.extend(quote_all(args.iter().copied()));
    text.push(b'\n');
    text
}

/// The last line, without which nothing is started.
pub(super) fn end_line(name: &str) -> Vec<u8> {
    format!("lease-spare {name} end\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;

    use lease_process::{Input, Limits, Output, Program, output};

    use super::*;

    const SHELLS: [&[&str]; 3] = [&["dash"], &["bash"], &["busybox", "sh"]];

    /// Has the shell wait with this input, and then print mode, setup and arguments and pass on what is left.
    fn waits(shell: &[&str], locale: &str, input: &[u8]) -> Output {
        let mut script = lean(&[WAIT]);
        let show = b"printf '%s\\0' \"$lease_mode\" \"$lease_given\" \"$@\"; exec cat\n";
        script.extend_from_slice(show);
        let program = Program::new(shell[0]).args(&shell[1..]).arg("-c");
        let program = program.arg(OsString::from_vec(script)).args(["lease", "name"]);
        let program = program.env("LC_ALL", locale).stdin(Input::Bytes(input.to_vec()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(output(&program, Limits::default())).unwrap()
    }

    fn arguments() -> Vec<Vec<u8>> {
        let every: Vec<u8> = (1..=255).collect();
        let pairs = every.iter().flat_map(|&it| [it, b'\n', it, b'\\', it, b' ', it, 0x81, it]);
        let lines = b"lease-spare name en\nlease-spare name end \n".repeat(100);
        let words: [&[u8]; 6] =
            [b"-e", b"", b"\n\n a \n\t\n", b" x ", b"lease-spare name end", b"\\"];
        let mut all: Vec<Vec<u8>> = words.iter().map(|it| it.to_vec()).collect();
        all.extend([pairs.collect(), every, lines]);
        all
    }

    #[test]
    fn every_shell_gets_every_byte_of_the_arguments_and_the_command_every_byte_behind_them() {
        let all = arguments();
        let args: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
        let behind: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        let mut input = parameters(Mode::Patch, b"export A='x\ny'\n", &args);
        input.extend(end_line("name"));
        input.extend_from_slice(&behind);
        let mut expected = ready_line("name");
        expected.extend_from_slice(b"patch\0export A='x\ny'\n\0");
        expected.extend(all.iter().flat_map(|it| it.iter().copied().chain([0])));
        expected.extend(behind);
        for shell in SHELLS {
            for locale in ["C", "C.UTF-8"] {
                let done = waits(shell, locale, &input);
                assert!(done.status.success(), "{shell:?} {locale}: {done:?}");
                assert!(done.stdout == expected, "{shell:?} {locale}: another output");
                assert_eq!(done.stderr, ready_line("name"), "{shell:?} {locale}");
            }
        }
    }

    #[test]
    fn what_ends_anywhere_before_its_last_line_starts_nothing() {
        let mut input = parameters(Mode::Check, b"", &[b"a'\nb", b"lease-spare name end"]);
        input.extend(end_line("name"));
        for shell in SHELLS {
            for end in 0..input.len() {
                let done = waits(shell, "C", &input[..end]);
                assert_eq!(done.status.shell_code(), 222, "{shell:?} {end}: {done:?}");
                assert_eq!(done.stdout, ready_line("name"), "{shell:?} {end}");
            }
        }
    }

    #[test]
    fn a_session_of_another_script_has_another_name() {
        let (one, two) = (script(1024), script(2048));
        assert_eq!(kind(&one), kind(&script(1024)));
        assert_ne!(kind(&one), kind(&two));
        assert!(one.windows(10).all(|it| it != b"\n# $1 recor"));
    }

    #[test]
    fn the_modes_are_the_parts_that_runs_send() {
        assert_eq!(Mode::of(&check_script()), Some(Mode::Check));
        assert_eq!(Mode::of(&patch_script()), Some(Mode::Patch));
        assert_eq!(Mode::of(b"true"), None);
    }
}
