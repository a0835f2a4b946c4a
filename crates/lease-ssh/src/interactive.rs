//! A terminal on the box, through the system's own `ssh`.
//!
//! ssh does with the terminal what a person expects of it (raw mode, window size, job control), so it gets ours as it
//! is, in our own process group: a terminal stops background groups that read from it.

use lease_process::{Exit, Program, spawn};

use crate::box_root::BoxRoot;
use crate::error::{Result, SshError};
use crate::quote::{quote, quote_all};
use crate::run::Command;
use crate::session::Session;

impl Session {
    /// Opens a login shell in the tree, or runs `command` there, on a terminal of the box that is connected to ours.
    ///
    /// Our standard streams are handed to `ssh`; nothing is recorded and the environment of `command` is refused,
    /// because it would have to travel in the command line. Signals of the terminal go to the box.
    ///
    /// # Errors
    /// [`SshError::SshMissing`]; [`SshError::Invalid`] for a command that cannot be sent.
    ///
    /// # Cancel safety
    /// Dropping the future kills `ssh`; the box hangs the terminal up.
    pub async fn interactive(&self, root: &BoxRoot, command: Option<&Command>) -> Result<Exit> {
        let program = self.terminal(root, command)?;
        let child = spawn(&program).map_err(SshError::of_ssh)?;
        Ok(child.wait().await?)
    }

    fn terminal(&self, root: &BoxRoot, command: Option<&Command>) -> Result<Program> {
        let work = root.work();
        let (directory, last) = match command {
            None => (work, br#"exec "${SHELL:-/bin/sh}" -l"#.to_vec()),
            Some(command) => {
                if !command.environment.is_empty() {
                    return Err(SshError::invalid(
                        "the command",
                        "an interactive one takes no environment",
                    ));
                }
                if command.argv.first().is_none_or(|it| it.is_empty() || it.starts_with(b"-")) {
                    return Err(SshError::invalid("the command", "it has no name"));
                }
                let mut last = b"exec ".to_vec();
                last.extend(quote_all(command.argv.iter().map(Vec::as_slice)));
                (command.directory(root)?, last)
            }
        };
        // Before the first sync there is no tree yet. A terminal anywhere else, such as the home directory of whoever logs
        // in, would be taken for the box's.
        let mut script = b"mkdir -p -- ".to_vec();
        script.extend(quote(directory.as_bytes()));
        script.extend_from_slice(b" && cd ");
        script.extend(quote(directory.as_bytes()));
        script.extend_from_slice(b" || exit 125; ");
        // Whoever syncs next looks at what happened here; the shell keeps this number until it ends.
        let mark = format!("{}/sync/open.terminal-", root.records());
        script.extend_from_slice(b"{ printf 'run %s\\n' \"$$\" >");
        script.extend(quote(mark.as_bytes()));
        script.extend_from_slice(b"\"$$\"; } 2>/dev/null; ");
        script.extend(last);
        let line = crate::session::request(&script, &[])?;
        Ok(self
            .on_terminal(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(line)))
    }
}
