//! Running a command on a terminal of the box that is connected to ours.
//!
//! The terminal is the work of the system's own `ssh`: it tells the box its size, at the start and when it changes, and
//! switches ours to raw mode, so that Ctrl-C is a byte for the box. The record is that of every run: a command is started
//! at most once, and its status is the record's. There is no log, because a terminal's output is for a terminal.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::os::unix::ffi::OsStringExt as _;

use lease_process::{Exit, Input, Program, Stream, spawn};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use super::beginning::Beginning;
use super::command::Setup;
use super::wrapper::wrapper;
use super::{Command, Ending, Outcome, check_run, job, judged, told};
use crate::box_root::BoxRoot;
use crate::error::{Result, SshError};
use crate::files::random_text;
use crate::session::Session;

/// What `ssh` ends with when it fails by itself.
const TRANSPORT: i32 = 255;

impl Session {
    /// Runs a command to its end on a terminal of the box that is connected to our standard streams.
    ///
    /// Both streams of the command are that terminal, and nothing of it is logged on the box or recorded here. A lost
    /// connection hangs the terminal up, which ends most commands; the run cannot be taken up again. The settings of our
    /// terminal are put back on every way out.
    ///
    /// # Errors
    /// As [`Session::start`](Session::start) and [`Running::wait`](super::Running::wait), and
    /// [`SshError::SshMissing`].
    ///
    /// # Cancel safety
    /// Dropping the future kills the local `ssh`, and the box hangs the terminal up; [`Session::job`] tells what became
    /// of the command.
    pub async fn run_on_terminal(
        &self,
        (root, run): (&BoxRoot, &str),
        command: &Command,
    ) -> Result<Outcome> {
        check_run(run)?;
        let nonce = random_text(16)?;
        let look = crate::sync::look_of(self.link.files());
        let setup = Setup::of(command)?;
        let told = told((root, run), command, (&nonce, look), &setup)?;
        let args: Vec<&[u8]> = told.iter().map(Vec::as_slice).collect();
        self.prepare([&root.records(), run, &nonce], &setup).await?;
        let script = wrapper(self.link.settings.log_bytes_max);
        let line = OsString::from_vec(crate::session::request(&script, &args)?);
        let ended = {
            let _restored = Restored::of_ours();
            spawn(&self.on_terminal(line)).map_err(SshError::of_ssh)?.wait().await?
        };
        match ended {
            Exit::Code(code) if code != TRANSPORT => {
                let record = job::record(self, root, run).await?;
                let beginning = Beginning::default();
                // On a terminal nothing is looked for, and the guard is all that tells.
                if record.nonce.as_deref() == Some(&nonce) {
                    beginning.see();
                }
                match judged(record, (run, &nonce), code, &beginning)? {
                    Ending::Code(code) | Ending::Unrelayed(code) => Ok(Outcome::Finished(code)),
                    Ending::Broken(detail) => self.after_loss(root, run, detail).await,
                }
            }
            Exit::Code(_) | Exit::Signal(_) => {
                self.after_loss(root, run, "the terminal was hung up".to_owned()).await
            }
        }
    }

    /// `ssh` with a terminal on the box that runs `line` there, with our streams and in our process group, since a
    /// terminal stops background groups that read from it.
    pub(crate) fn on_terminal(&self, line: OsString) -> Program {
        let ssh =
            self.link.ssh().stdin(Input::Inherit).stdout(Stream::Inherit).stderr(Stream::Inherit);
        ssh.in_our_group().arg("-tt").arg("--").arg(self.lease()).arg(line)
    }
}

/// The settings of our terminal, put back when this goes: an `ssh` that is killed leaves it raw.
struct Restored(Option<Termios>);

impl Restored {
    fn of_ours() -> Self {
        let stdin = std::io::stdin();
        Self(stdin.is_terminal().then(|| tcgetattr(&stdin).ok()).flatten())
    }
}

impl Drop for Restored {
    fn drop(&mut self) {
        if let Some(settings) = &self.0 {
            let restored = tcsetattr(std::io::stdin(), OptionalActions::Now, settings);
            tracing::trace!(?restored, "the terminal is as it was");
        }
    }
}
