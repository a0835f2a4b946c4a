//! Telling what a script of ours says from what the login shell has said before it.
//!
//! sshd hands every request to the user's login shell, and bash reads `~/.bashrc` then, terminal or not. Whatever that
//! prints stands before the answer, on both streams, perhaps without an end of line.

use crate::error::Result;
use crate::files::random_text;

/// A line that a script prints on both streams before anything else.
#[derive(Clone, Debug)]
pub(crate) struct Mark(String);

impl Mark {
    /// A new one. It is drawn, so that nobody says it by chance.
    pub(crate) fn new() -> Result<Self> {
        random_text(16).map(Self)
    }

    /// The script that prints the mark and goes on with `script`.
    ///
    /// The line as it is printed does not stand in the script, which a shell with `set -x` or `set -v` shows.
    pub(crate) fn before(&self, script: &[u8]) -> Vec<u8> {
        let Self(word) = self;
        let mut marked = format!("echo {word};echo {word} >&2\n").into_bytes();
        marked.extend_from_slice(script);
        marked
    }

    /// Removes what stands before the mark and the mark itself. `false` when it is not there, and nothing is removed.
    pub(crate) fn strip(&self, said: &mut Vec<u8>) -> bool {
        let line = format!("{}\n", self.0).into_bytes();
        let found = said.windows(line.len()).position(|it| it == line);
        if let Some(at) = found {
            said.drain(..at + line.len());
        }
        found.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_before_the_mark_goes_and_what_follows_stays() {
        let mark = Mark::new().unwrap();
        let word = mark.0.clone();
        for noise in ["", "hello\n", "no end of line", "\n\n"] {
            let mut said = format!("{noise}{word}\nanswer\n").into_bytes();
            assert!(mark.strip(&mut said));
            assert_eq!(said, b"answer\n", "{noise:?}");
        }
        let mut other = format!("{word} is not a line").into_bytes();
        assert!(!mark.strip(&mut other));
        assert!(other.ends_with(b"line"));
    }

    #[test]
    fn the_script_does_not_hold_the_line_that_it_prints() {
        let mark = Mark::new().unwrap();
        let mut script = mark.before(b"exit\n");
        assert!(!mark.strip(&mut script));
    }
}
