//! What is written to a session that waits when there is something to run.

use crate::quote::{quote, quote_all};
use crate::run::Mode;

/// A shell that reads this much byte by byte takes about as long for it as for having a program read it.
const LINES_BYTES_MAX: usize = 2048;

/// The line with which a session says, on both streams, that it waits.
pub(super) fn ready_line(name: &str) -> Vec<u8> {
    format!("lease-spare {name} ready\n").into_bytes()
}

/// The line with which a session is told to make a directory, for which there is time until it hears more.
pub(super) fn make_line(name: &str, directory: &str) -> Vec<u8> {
    format!("lease-spare {name} make {directory}\n").into_bytes()
}

/// What is written to a session to have it go on.
pub(super) fn request(name: &str, mode: Mode, given: &[u8], args: &[&[u8]]) -> Vec<u8> {
    let text = parameters(mode, given, args);
    let mut request = Vec::with_capacity(text.len() + 128);
    // A line end would be lost where a shell takes what a program prints, so the last ones are read as lines.
    let taken = text.trim_ascii_end().len();
    if taken > LINES_BYTES_MAX {
        request.extend(format!("lease-spare {name} take {taken}\n").into_bytes());
    }
    request.extend(text);
    request.extend(format!("lease-spare {name} end\n").into_bytes());
    request
}

fn parameters(mode: Mode, given: &[u8], args: &[&[u8]]) -> Vec<u8> {
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

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;
    use std::path::Path;

    use lease_process::{Input, Limits, Output, Program, output};

    use super::*;
    use crate::sync::lean;

    const WAIT: &str = include_str!("../run/wait.sh");
    const SHELLS: [&[&str]; 3] = [&["dash"], &["bash"], &["busybox", "sh"]];

    /// Has the shell wait with this input, and then print mode, setup and arguments and pass on what is left. `$head` says
    /// how its `head` behaves.
    fn waits(shell: &[&str], (locale, head): (&str, &str), input: &[u8]) -> Output {
        let mut script = lean(&[head, "\nlease_mode= lease_tells=yes lease_given=\n", WAIT]);
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

    /// Ways in which `head` may be: the system's, none, one that reads ahead, and one that gives up in the middle.
    const HEADS: [&str; 4] = [
        "",
        "head() { return 127; }",
        "head() { dd bs=100000 count=1 2>/dev/null | command head \"$@\"; }",
        "head() { if [ \"$2\" = 1 ]; then command head -c 1; else command head -c $(($2 / 2)); return 1; fi; }",
    ];

    #[test]
    fn every_shell_gets_every_byte_of_the_arguments_and_the_command_every_byte_behind_them() {
        let all = arguments();
        let few: Vec<&[u8]> = all[..4].iter().map(Vec::as_slice).collect();
        let many: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
        let behind: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        for args in [&few, &many] {
            let mut input = request("name", Mode::Patch, b"export A='x\ny'\n", args);
            let is_taken = input.windows(6).any(|it| it == b" take ");
            assert_eq!(is_taken, args.len() > few.len());
            input.extend_from_slice(&behind);
            let mut expected = ready_line("name");
            expected.extend_from_slice(b"patch\0export A='x\ny'\n\0");
            expected.extend(args.iter().flat_map(|it| it.iter().copied().chain([0])));
            expected.extend(&behind);
            for shell in SHELLS {
                for how in [
                    ("C", HEADS[0]),
                    ("C.UTF-8", HEADS[0]),
                    ("C", HEADS[1]),
                    ("C", HEADS[2]),
                    ("C", HEADS[3]),
                ] {
                    let done = waits(shell, how, &input);
                    assert!(done.status.success(), "{shell:?} {how:?}: {done:?}");
                    assert!(done.stdout == expected, "{shell:?} {how:?}: another output");
                    assert_eq!(done.stderr, ready_line("name"), "{shell:?} {how:?}");
                }
            }
        }
    }

    #[test]
    fn what_ends_anywhere_before_its_last_line_starts_nothing() {
        let short = request("name", Mode::Check, b"", &[b"a'\nb", b"lease-spare name end"]);
        let long = request("name", Mode::Check, b"", &[&b"a\n".repeat(2 * LINES_BYTES_MAX)]);
        for shell in SHELLS {
            let ends = (0..short.len()).map(|end| &short[..end]);
            let long_ends = (0..long.len()).step_by(1017).map(|end| &long[..end]);
            for input in ends.chain(long_ends).chain([&long[..long.len() - 1]]) {
                let done = waits(shell, ("C", ""), input);
                let end = input.len();
                assert_eq!(done.status.shell_code(), 222, "{shell:?} {end}: {done:?}");
                assert_eq!(done.stdout, ready_line("name"), "{shell:?} {end}");
            }
        }
    }

    #[test]
    fn a_directory_is_made_before_anything_else_is_said() {
        let scratch = tempfile::tempdir().unwrap();
        let at = |name: &str| scratch.path().join(name);
        let line = |path: &Path| make_line("name", &path.display().to_string());
        for (number, shell) in SHELLS.into_iter().enumerate() {
            let made = at(&format!("a directory'{number}"));
            let input = [line(&made), line(&at("no/such")), line(&made)].concat();
            let done = waits(shell, ("C", ""), &input);
            assert_eq!(done.status.shell_code(), 222, "{shell:?}: {done:?}");
            assert!(made.is_dir() && !at("no").exists(), "{shell:?}");
            assert_eq!(done.stderr, ready_line("name"), "{shell:?}");
        }
    }
}
