//! What is written to a session that waits when there is something to run.

use crate::quote::{quote, quote_all};
use crate::run::Mode;

/// The line with which a session says, on both streams, that it waits.
pub(super) fn ready_line(name: &str) -> Vec<u8> {
    format!("lease-spare {name} ready\n").into_bytes()
}

/// What is written to a session to have it go on, but for its last line.
pub(super) fn parameters(mode: Mode, given: &[u8], args: &[&[u8]]) -> Vec<u8> {
    let mut text = b"lease_mode=".to_vec();
    text.extend_from_slice(mode.word().as_bytes());
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
    use crate::sync::lean;

    const WAIT: &str = include_str!("../run/wait.sh");
    const SHELLS: [&[&str]; 3] = [&["dash"], &["bash"], &["busybox", "sh"]];

    /// Has the shell wait with this input, and then print mode, setup and arguments and pass on what is left.
    fn waits(shell: &[&str], locale: &str, input: &[u8]) -> Output {
        let mut script = lean(&["lease_mode= lease_tells=yes lease_given=\n", WAIT]);
        let show = b"printf '%s\\0' \"$lease_mode\" \"$lease_given\" \"$@\"; exec cat\n";
        script.extend_from_slice(show);
        let program = Program::new(shell[0]).args(&shell[1..]).arg("-c");
        let program = program.arg(OsString::from_vec(script)).args(["lease", "root", "name"]);
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
}
