//! Running a user's command on the box: exactly, at most once, with a record that outlives the connection.
//!
//! A small shell script on the box (`wrapper.sh`) starts the command as its child and keeps
//! `<root>/.lease/jobs/<run id>/`: `start/` is the guard that lets one attempt per run id through (invariant I15),
//! `pid` is the process group, `exit` is the status. So a status of 255 is told from a lost connection, and a command
//! whose connection was lost is asked about and never started again.
//!
//! The environment does not travel in the command line, which every user of the box could read: a first channel
//! writes it into a 0600 file that the wrapper reads and removes.

mod command;
mod copy;
mod follow;
mod job;
mod stream;
mod wrapper;

use std::sync::Arc;
use std::time::Duration;

pub use command::{Command, Input, Sink, Streams};
pub(crate) use copy::carry;
pub use follow::{Followed, Relays, Sinks, Until};
pub use job::{JobSignal, JobState};
use lease_core::retry::Pace;
use openssh::Child;
pub use stream::{Reader, Writer};
pub(crate) use wrapper::LOG_BYTES_MAX;

use self::command::Setup;
use self::stream::{Outlet, Read, Rest, inlet};
use self::wrapper::wrapper;
use crate::box_root::BoxRoot;
use crate::error::{Result, SshError};
use crate::files::random_text;
use crate::pace;
use crate::session::{End, Ends3, Session};

const PREPARE: &[u8] = include_bytes!("prepare.sh");
/// What the wrapper ends with when it does not start the command. A command may end with it too; the job's record tells.
const NOT_STARTED: i32 = 222;
/// A shell's number for a death by `SIGKILL`.
const KILLED: i32 = 137;
/// How long the record of a run is asked for after its connection was lost.
const RECORD_TIME_MAX: Duration = Duration::from_secs(20);
/// How long a shell without a connection may take to write its status down.
const SETTLE_TIME_MAX: Duration = Duration::from_secs(2);

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The command ended with this code: its own, or 128 and the signal's number. Its output is complete.
    Finished(i32),
    /// The connection was lost. The output may be incomplete and the command may still run; it is not started again.
    TransportLost {
        /// What the box said about the job afterwards, if it could be asked.
        job: Option<JobState>,
        /// What was seen of the loss.
        detail: String,
    },
}

/// What goes before the script that runs the command, and shifts its own arguments away.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Before<'a> {
    /// The part of the script.
    pub(crate) script: &'a [u8],
    /// Its arguments.
    pub(crate) args: &'a [Vec<u8>],
    /// The nonce of the attempt.
    pub(crate) nonce: &'a str,
    /// How the box looks at its files after the command.
    pub(crate) look: &'a str,
}

/// How the channel of a command ended.
enum Ending {
    /// The command ended with this code.
    Code(i32),
    /// It ended with this code, and its output did not come over this channel to its end.
    Unrelayed(i32),
    /// There is no status.
    Broken(String),
}

/// A command on the box.
///
/// Dropping it gives up its streams; the command goes on until it notices, or until [`Session::signal`].
#[derive(Debug)]
pub struct Running {
    session: Session,
    root: BoxRoot,
    run: String,
    nonce: String,
    child: Child<Arc<openssh::Session>>,
    stdin: Option<Writer>,
    stdout: Outlet,
    stderr: Outlet,
}

impl Session {
    /// Starts a command. At most one call per box and run id ever starts something.
    ///
    /// # Errors
    /// [`SshError::Invalid`] for what cannot be sent; [`SshError::Lost`] when the connection did not carry the request:
    /// ask [`Session::job`] whether the command runs.
    ///
    /// # Cancel safety
    /// After a cancelled call the command may run; [`Session::job`] tells.
    pub async fn start(
        &self,
        root: &BoxRoot,
        run: &str,
        command: &Command,
        streams: Streams,
    ) -> Result<Running> {
        self.start_after((root, run), command, streams, None).await
    }

    /// As [`Session::start`], after a part of the script that decides whether the command starts at all.
    pub(crate) async fn start_after(
        &self,
        (root, run): (&BoxRoot, &str),
        command: &Command,
        streams: Streams,
        before: Option<Before<'_>>,
    ) -> Result<Running> {
        check_run(run)?;
        let nonce = match &before {
            Some(before) => before.nonce.to_owned(),
            None => random_text(16)?,
        };
        let look = match &before {
            Some(before) => before.look,
            None => crate::sync::look_of(self.link.files()),
        };
        let (records, directory) = (root.records(), command.directory(root)?);
        let setup = Setup::of(command)?;
        if let Setup::Sent(script) = &setup {
            let args = [records.as_bytes(), run.as_bytes(), nonce.as_bytes()];
            let doing = "preparing a run";
            self.script(doing, PREPARE, &args, script).await?.expect_success(doing)?;
        }
        let mut args: Vec<&[u8]> =
            before.iter().flat_map(|it| it.args).map(Vec::as_slice).collect();
        args.extend([records.as_bytes(), directory.as_bytes(), run.as_bytes(), nonce.as_bytes()]);
        match &setup {
            Setup::Inline => {
                args.extend([b"".as_slice(), look.as_bytes()]);
                args.extend(command.argv.iter().map(Vec::as_slice));
            }
            Setup::Sent(_) => args.extend([b"setup".as_slice(), look.as_bytes()]),
        }
        let (writer, stdin) = inlet(streams.stdin)?;
        let (out, stdout) = Outlet::new(streams.stdout)?;
        let (err, stderr) = Outlet::new(streams.stderr)?;
        let mut script = before.map_or_else(Vec::new, |it| it.script.to_vec());
        script.extend(wrapper(self.link.settings.log_bytes_max));
        let child = self.open(&script, &args, Ends3 { stdin, stdout, stderr }).await?;
        let (session, root, run) = (self.clone(), root.clone(), run.to_owned());
        Ok(Running { session, root, run, nonce, child, stdin: writer, stdout: out, stderr: err })
    }
}

impl Running {
    /// The writing end of the command's standard input, once, if it is a pipe. Dropping it is the end of file.
    pub fn take_stdin(&mut self) -> Option<Writer> {
        self.stdin.take()
    }

    /// The reading end of the command's standard output, once, if it is a pipe.
    pub fn take_stdout(&mut self) -> Option<Reader> {
        self.stdout.take()
    }

    /// Puts the reading end of standard error back.
    pub(crate) fn put_stderr_back(&mut self, reader: Reader) {
        self.stderr.put_back(reader);
    }

    /// The reading end of the command's standard error, once, if it is a pipe.
    pub fn take_stderr(&mut self) -> Option<Reader> {
        self.stderr.take()
    }

    /// Waits for the end of the command's output and then for its status. Streams that were taken must be read to
    /// their ends or dropped, at the latest meanwhile; those that were not taken are closed.
    ///
    /// # Errors
    /// [`SshError::AlreadyStarted`] when another attempt with the same run id was first; [`SshError::NotStarted`] when
    /// the box could not start it.
    ///
    /// # Cancel safety
    /// After a cancelled call the command goes on; [`Session::job`] tells.
    pub async fn wait(self) -> Result<Outcome> {
        let (session, root, run) = (self.session.clone(), self.root.clone(), self.run.clone());
        match self.ending().await? {
            Ending::Code(code) => Ok(Outcome::Finished(code)),
            Ending::Unrelayed(code) => {
                let detail = "the box stopped relaying the output".to_owned();
                Ok(Outcome::TransportLost { job: Some(JobState::Finished(code)), detail })
            }
            Ending::Broken(detail) => session.after_loss(&root, &run, detail).await,
        }
    }

    /// Waits as [`Running::wait`] does, and leaves open what a loss means.
    async fn ending(self) -> Result<Ending> {
        let Self { session, root, run, nonce, child, stdin, stdout, stderr } = self;
        drop(stdin);
        let drained = async |outlet: Outlet, stream| {
            if outlet.drain().await == Read::InPart {
                let _: Rest = session.close_stream(&root, &run, stream).await;
            }
        };
        tokio::join!(drained(stdout, "out"), drained(stderr, "err"));
        match crate::session::end_of(child).await {
            End::Code(NOT_STARTED) => {
                let record = job::record(&session, &root, &run).await?;
                match (record.nonce, record.why, record.exit) {
                    (Some(it), None, Some(code)) if it == nonce && record.unrelayed => {
                        Ok(Ending::Unrelayed(code))
                    }
                    (Some(it), None, _) if it == nonce => Ok(Ending::Code(NOT_STARTED)),
                    (Some(it), ..) if it != nonce => Err(SshError::AlreadyStarted { run }),
                    (_, why, _) => Err(SshError::NotStarted { detail: why.unwrap_or_default() }),
                }
            }
            // ssh itself says 255 when it fails, so this one number is checked against the record.
            End::Code(255) => match settled(&session, &root, &run).await {
                Some(JobState::Finished(255)) => Ok(Ending::Code(255)),
                _ => Ok(Ending::Broken("ssh ended with 255".to_owned())),
            },
            End::Code(code) => Ok(Ending::Code(code)),
            End::Broken(detail) => Ok(Ending::Broken(detail)),
        }
    }
}

impl Session {
    /// Finds out what a channel without a status means.
    async fn after_loss(&self, root: &BoxRoot, run: &str, detail: String) -> Result<Outcome> {
        // With the connection still there, it was the remote shell that died, and with it the output is complete.
        let intact = self.link.answers().await;
        let asked = tokio::time::timeout(RECORD_TIME_MAX, self.record_over_any(root, run, intact));
        let job = asked.await.ok().flatten();
        match job {
            Some(JobState::Finished(code)) if intact => Ok(Outcome::Finished(code)),
            Some(JobState::Killed) if intact => Ok(Outcome::Finished(KILLED)),
            job => Ok(Outcome::TransportLost { job, detail }),
        }
    }

    async fn record_over_any(&self, root: &BoxRoot, run: &str, intact: bool) -> Option<JobState> {
        if !intact {
            self.reconnect().await.ok()?;
        }
        settled(self, root, run).await
    }
}

/// The job's state, after a shell that is about to write its status down had the time to do so.
async fn settled(session: &Session, root: &BoxRoot, run: &str) -> Option<JobState> {
    let mut pace = Pace::start(pace::looks(SETTLE_TIME_MAX));
    loop {
        let state = session.job(root, run).await.ok()?;
        let final_state = matches!(state, JobState::Finished(_) | JobState::Refused { .. });
        if final_state || !pace.wait(None).await {
            return Some(state);
        }
    }
}

pub(crate) fn check_run(run: &str) -> Result<()> {
    let plain = |it: u8| it.is_ascii_alphanumeric() || it == b'-' || it == b'_';
    if run.is_empty() || run.len() > 64 || run.starts_with('-') || !run.bytes().all(plain) {
        return Err(SshError::invalid("the run id", "use 1 to 64 letters, digits, `-` and `_`"));
    }
    Ok(())
}
