//! Running a user's command on the box: exactly, at most once, with a record that outlives the connection.
//!
//! A small shell script on the box (`wrapper.sh`) starts the command as its child and keeps
//! `<root>/.lease/jobs/<run id>/`: `start` is the guard that lets one attempt per run id through (invariant I15), with
//! the process group, `exit` is the status. So a status of 255 is told from a lost connection, and a command whose
//! connection was lost is asked about and never started again.
//!
//! The environment does not travel in the command line, which every user of the box could read: a first channel
//! writes it into a 0600 file that the wrapper reads and removes.

mod beginning;
mod cancel;
mod command;
mod copy;
mod follow;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod job;
mod program;
mod stream;
mod tap;
mod terminal;
mod wrapper;

use std::sync::Arc;
use std::time::Duration;

pub use command::{Command, Input, Sink, Streams};
pub(crate) use copy::carry;
pub use follow::{Followed, Relays, Sinks, Until};
pub use job::{JobSignal, JobState};
use lease_core::retry::Pace;
pub(crate) use program::{Belief, Mode, When, keeping, kept, kept_name, kind, program};
pub(crate) use stream::widen;
pub use stream::{Reader, Writer};
use tokio::time::Instant;
pub(crate) use wrapper::LOG_BYTES_MAX;
use wrapper::wrapper;

use self::beginning::{Beginning, Behind};
use self::command::Setup;
use self::stream::{Outlet, Read, Rest, inlet};
use crate::box_root::BoxRoot;
use crate::error::{Result, SshError, shortened};
use crate::files::random_text;
use crate::pace;
use crate::quote::quote;
use crate::session::{End, Ends3, Session};
use crate::spare::{Ahead, Channel};

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

/// What precedes the command in the program that runs it.
#[derive(Debug)]
pub(crate) struct Before<'a> {
    /// What is done.
    pub(crate) mode: Mode,
    /// Whether the box has the program.
    pub(crate) belief: Belief,
    /// A session that is there for it.
    pub(crate) ahead: Option<Ahead>,
    /// The arguments, which go before the wrapper's.
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
    channel: Channel,
    stdin: Option<Writer>,
    stdout: Outlet,
    stderr: Outlet,
    beginning: Arc<Beginning>,
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
        mut before: Option<Before<'_>>,
    ) -> Result<Running> {
        check_run(run)?;
        let ahead = before.as_mut().and_then(|it| Some((it.ahead.take()?, it.mode)));
        let nonce = match &before {
            Some(before) => before.nonce.to_owned(),
            None => random_text(16)?,
        };
        let look = match &before {
            Some(before) => before.look,
            None => crate::sync::look_of(self.link.files()),
        };
        let setup = Setup::of(command)?;
        let told = told((root, run), command, (&nonce, look), &setup)?;
        let args = before.iter().flat_map(|it| it.args).chain(&told);
        let args: Vec<&[u8]> = args.map(Vec::as_slice).collect();
        let beginning = Arc::default();
        let line = |from| Behind::line(from, &nonce, &beginning);
        // Whoever asked for a check reads its answer.
        let answer = |from| match &before {
            Some(_) => Behind::noise(from, &nonce, &beginning),
            None => line(from),
        };
        let taken = match ahead {
            Some((ahead, mode)) if streams.are_pipes() => {
                ahead.take(mode, &args, setup.sent()).await
            }
            _ => None,
        };
        let (channel, stdin, stdout, stderr) = if let Some(taken) = taken {
            let (out, err) = (Outlet::of(taken.stdout, line), Outlet::of(taken.stderr, answer));
            (taken.channel, Some(taken.stdin), out, err)
        } else {
            let records = root.records();
            self.prepare([&records, run, &nonce], &setup).await?;
            let (writer, stdin) = inlet(streams.stdin)?;
            let (out, stdout) = Outlet::new(streams.stdout, line)?;
            let (err, stderr) = Outlet::new(streams.stderr, answer)?;
            let file = setup.sent().map(|_| format!("{records}/jobs/{run}/setup.{nonce}"));
            let log_bytes_max = self.link.settings.log_bytes_max;
            let mode = before.as_ref().map(|it| (When::Now(it.mode, run), it.belief));
            let (script, program) = script(mode, file.as_deref(), log_bytes_max);
            let args: Vec<&[u8]> = program.as_deref().into_iter().chain(args).collect();
            let opened = Instant::now();
            let child = self.open(&script, &args, Ends3 { stdin, stdout, stderr }).await?;
            self.link.took(opened.elapsed());
            (Channel::Opened(child), writer, out, err)
        };
        let (session, root, run) = (self.clone(), root.clone(), run.to_owned());
        Ok(Running { session, root, run, nonce, channel, stdin, stdout, stderr, beginning })
    }

    /// Sends what does not belong into a request.
    async fn prepare(&self, [records, run, nonce]: [&str; 3], setup: &Setup) -> Result<()> {
        let Some(script) = setup.sent() else { return Ok(()) };
        let args = [records.as_bytes(), run.as_bytes(), nonce.as_bytes()];
        let doing = "preparing a run";
        self.script(doing, PREPARE, &args, script).await?.expect_success(doing).map(drop)
    }
}

/// The script of a request, and its first argument where that is not one of the command's.
fn script(
    when: Option<(When<'_>, Belief)>,
    setup_file: Option<&str>,
    log_bytes_max: u64,
) -> (Vec<u8>, Option<Vec<u8>>) {
    let Some((when, belief)) = when else { return (wrapper(log_bytes_max), None) };
    let program = program(log_bytes_max);
    let mut script: Vec<u8> = setup_file.into_iter().flat_map(removal).collect();
    match belief {
        Belief::Kept => {
            script.extend(kept(&program, when));
            (script, None)
        }
        Belief::Unknown => {
            script.extend(keeping(&program, when));
            (script, Some(program))
        }
    }
}

/// The arguments of the wrapper.
fn told(
    (root, run): (&BoxRoot, &str),
    command: &Command,
    (nonce, look): (&str, &str),
    setup: &Setup,
) -> Result<Vec<Vec<u8>>> {
    let (records, directory) = (root.records(), command.directory(root)?);
    let mut told: Vec<Vec<u8>> = vec![records.into(), directory.into(), run.into(), nonce.into()];
    match setup {
        Setup::Inline => {
            told.extend([Vec::new(), look.into()]);
            told.extend(command.argv.iter().cloned());
        }
        Setup::Sent(_) => told.extend([b"setup".to_vec(), look.into()]),
    }
    Ok(told)
}

/// Removes the file when the shell ends, which may be before the wrapper has read it: a check refused the command.
fn removal(file: &str) -> Vec<u8> {
    let mut removed = b"rm -f -- ".to_vec();
    removed.extend(quote(file.as_bytes()));
    let mut line = b"trap ".to_vec();
    line.extend(quote(&removed));
    line.extend_from_slice(b" EXIT\n");
    line
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

    /// Whether its session was opened before it was known.
    pub(crate) fn is_ahead(&self) -> bool {
        self.channel.is_ahead()
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
        let Self { session, root, run, nonce, channel, stdin, stdout, stderr, beginning } = self;
        drop(stdin);
        let drained = async |outlet: Outlet, stream| {
            if outlet.drain().await == Read::InPart {
                let _: Rest = session.close_stream(&root, &run, stream).await;
            }
        };
        tokio::join!(drained(stdout, "out"), drained(stderr, "err"));
        match channel.end(&session.link).await {
            // ssh itself says 255 when it fails, so this one number is checked against the record.
            End::Code(255) => match settled(&session, &root, &run).await {
                Some(JobState::Finished(255)) => Ok(Ending::Code(255)),
                _ => Ok(Ending::Broken("ssh ended with 255".to_owned())),
            },
            End::Code(code) if code == NOT_STARTED || beginning.is_missing() => {
                match job::record(&session, &root, &run).await {
                    Ok(record) => judged(record, (&run, &nonce), code, &beginning),
                    // A shell that starts nothing tells nothing either, and what it said is the better reason.
                    Err(_) if beginning.is_missing() => Err(not_started(code, &beginning.noise())),
                    Err(error) => Err(error),
                }
            }
            End::Code(code) => Ok(Ending::Code(code)),
            End::Broken(detail) => Ok(Ending::Broken(detail)),
        }
    }
}

/// What the record says of an attempt whose status alone does not say it.
fn judged(
    record: job::Record,
    (run, nonce): (&str, &str),
    code: i32,
    beginning: &Beginning,
) -> Result<Ending> {
    let is_ours = record.nonce.as_deref() == Some(nonce);
    match (record.why, record.exit) {
        (Some(detail), _) => Err(SshError::NotStarted { detail }),
        (None, Some(code)) if is_ours && record.unrelayed => Ok(Ending::Unrelayed(code)),
        (None, Some(code)) if is_ours => Ok(Ending::Code(code)),
        (None, _) if beginning.is_seen() => {
            let detail = if is_ours { "is its disk full?" } else { "its record is gone" };
            let detail = format!("the command has ended, and its status is not known: {detail}");
            Err(SshError::Box { doing: "keeping a command's status", detail })
        }
        (None, _) if record.nonce.is_some() && !is_ours => {
            Err(SshError::AlreadyStarted { run: run.to_owned() })
        }
        (None, _) => Err(not_started(code, &beginning.noise())),
    }
}

/// Why a command was not started, by what came instead of its output.
fn not_started(code: i32, noise: &[u8]) -> SshError {
    let detail = match shortened(noise) {
        said if said.is_empty() => format!("the box's shell ended with {code} and said nothing"),
        said => said,
    };
    let full = ["No space left on device", "Disk quota exceeded", "no room for a record"];
    if full.iter().any(|it| detail.contains(it)) {
        return SshError::BoxFull { detail };
    }
    SshError::NotStarted { detail }
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
