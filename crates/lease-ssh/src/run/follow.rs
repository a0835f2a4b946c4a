//! Following a run by its log on the box: from any byte on, over as many connections as it takes.

use std::sync::Arc;
use std::time::Duration;

use lease_core::retry::Pace;
use tokio::io::AsyncWrite;
use tokio::time::Instant;

use super::beginning::{Beginning, Behind};
use super::job::{self, JobState};
use super::stream::{Counted, Rest, deliver};
use super::tap::Tap;
use super::{KILLED, NOT_STARTED, Outcome, SETTLE_TIME_MAX};
use crate::box_root::BoxRoot;
use crate::error::{Result, shortened};
use crate::files::random_text;
use crate::pace;
use crate::session::{End, Ends3, Session, Stdio};

const FOLLOW: &[u8] = concat!(include_str!("alive.sh"), include_str!("follow.sh")).as_bytes();
const CLOSE: &[u8] = concat!(include_str!("alive.sh"), include_str!("close.sh")).as_bytes();
/// A connection that held for so long was a new one, not another failure of the last.
const HELD: Duration = Duration::from_secs(5);

/// Where a run's output goes, and how much of it went there.
///
/// One value serves a run and everybody who takes it up after a lost connection, so that no byte is passed on twice.
#[derive(Debug)]
pub struct Sinks<O, E> {
    pub(super) stdout: Counted<O>,
    pub(super) stderr: Counted<E>,
    missing_bytes: u64,
    /// Whether the box could not write a log to its end.
    log_failed: bool,
    /// Whether the command is known to have been started.
    pub(super) is_begun: bool,
}

impl<O, E> Sinks<O, E> {
    /// Sinks that got nothing yet.
    pub fn new(stdout: O, stderr: E) -> Self {
        Self::after((stdout, stderr), (0, 0))
    }

    /// Sinks that want what comes after so many bytes of standard output and of standard error.
    pub fn after((stdout, stderr): (O, E), (out_bytes, err_bytes): (u64, u64)) -> Self {
        let (stdout, stderr) = (Counted::new(stdout, out_bytes), Counted::new(stderr, err_bytes));
        Self { stdout, stderr, missing_bytes: 0, log_failed: false, is_begun: false }
    }

    /// How many bytes, at the least, went by that nobody can deliver any more: the log on the box was full, and the
    /// connection was lost.
    pub fn missing_bytes(&self) -> u64 {
        self.missing_bytes
    }

    /// Whether what was passed on after a lost connection comes from a log that the box could not write to its end, most
    /// often because its disk was full. How much is missing is not known then.
    pub fn log_failed(&self) -> bool {
        self.log_failed
    }
}

/// What is done about the processes that relay a run's output over an older connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relays {
    /// Nothing: somebody may read there.
    Leave,
    /// They are ended, so that a connection that takes nothing any more does not hold the command up.
    End,
}

/// How far a run is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Until the command has ended and its output is complete.
    End,
    /// Only what is there now.
    Now,
}

/// How following ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Followed {
    /// The command ended with this code, and its output was passed on to its end.
    Ended(i32),
    /// The command's shell left no status: it was killed, or the box went down. What was logged was passed on.
    Killed,
    /// What was there was passed on; the command goes on.
    Running,
    /// There is nothing to follow: the run is not there, was not started, or its box keeps no logs.
    Nothing(JobState),
    /// The connection was lost; what was passed on is counted.
    Lost {
        /// What was seen of the loss.
        detail: String,
    },
}

impl Session {
    /// Passes on what a run printed after what `sinks` got already.
    ///
    /// A sink that takes no more closes the stream for the command, as in a local pipeline, unless relays are left
    /// alone: then somebody else may still read it.
    ///
    /// # Errors
    /// [`SshError::Lost`](crate::SshError::Lost) when the connection did not carry the question, [`SshError::Box`](crate::SshError::Box) when the box made no sense.
    ///
    /// # Cancel safety
    /// What the sinks got is counted, and following can be taken up again with them.
    pub async fn follow<O, E>(
        &self,
        (root, run): (&BoxRoot, &str),
        (relays, until): (Relays, Until),
        sinks: &mut Sinks<O, E>,
    ) -> Result<Followed>
    where
        O: AsyncWrite + Unpin,
        E: AsyncWrite + Unpin,
    {
        super::check_run(run)?;
        let (out, err) = (sinks.stdout.bytes().to_string(), sinks.stderr.bytes().to_string());
        let (take, now): (&[u8], &[u8]) = (
            if relays == Relays::End { b"take" } else { b"" },
            if until == Until::Now { b"now" } else { b"" },
        );
        let (records, nonce) = (root.records(), random_text(16)?);
        let place = [records.as_bytes(), run.as_bytes(), out.as_bytes(), err.as_bytes()];
        let args = [&place[..], &[take, now, nonce.as_bytes()]].concat();
        let piped = Ends3 { stdin: Stdio::Piped, stdout: Stdio::Piped, stderr: Stdio::Piped };
        let mut child = self.open(FOLLOW, &args, piped).await?;
        // The script ends when its input does, so the input is held for as long as there is something to read.
        let held = child.stdin.take();
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let close = async |stream: &'static str| {
            if relays == Relays::End {
                self.close_stream(root, run, stream).await;
            }
            Rest::Discard
        };
        let beginning = Arc::<Beginning>::default();
        let Sinks { stdout: to_out, stderr: to_err, .. } = sinks;
        tokio::join!(
            async {
                if let Some(from) = stdout {
                    let from = Behind::line(Tap::from(from), &nonce, &beginning);
                    deliver(from, to_out, async || close("out").await).await;
                }
            },
            async {
                if let Some(from) = stderr {
                    let from = Behind::line(Tap::from(from), &nonce, &beginning);
                    deliver(from, to_err, async || close("err").await).await;
                }
            }
        );
        drop(held);
        match child.end().await {
            End::Code(code) if beginning.is_missing() => {
                let said = shortened(&beginning.noise());
                let detail = format!("the box's shell ended with {code}: {said}");
                Ok(Followed::Lost { detail })
            }
            End::Code(NOT_STARTED | 255) => self.followed((root, run), until, sinks).await,
            End::Code(code) => Ok(Followed::Ended(code)),
            End::Broken(detail) => Ok(Followed::Lost { detail }),
        }
    }

    /// What the record says where the status alone does not.
    async fn followed<O, E>(
        &self,
        (root, run): (&BoxRoot, &str),
        until: Until,
        sinks: &mut Sinks<O, E>,
    ) -> Result<Followed> {
        let record = job::record_with_sizes(self, root, run).await?;
        let (out, err) = (sinks.stdout.bytes(), sinks.stderr.bytes());
        sinks.missing_bytes = record.out.missing(out).saturating_add(record.err.missing(err));
        sinks.log_failed = record.out.failed || record.err.failed;
        let logged = record.logged;
        // The command may have gone on, and ended, after its log was read.
        let is_delivered = out >= record.out.logged && err >= record.err.logged;
        let complete = (record.end || !record.alive) && is_delivered;
        Ok(match JobState::from(record) {
            JobState::Finished(code) if logged && complete => Followed::Ended(code),
            JobState::Killed if logged => Followed::Killed,
            JobState::Running { .. } | JobState::Finished(_) if logged && until == Until::Now => {
                Followed::Running
            }
            JobState::Running { .. } | JobState::Finished(_) if logged => {
                Followed::Lost { detail: "the box stopped reading its log".to_owned() }
            }
            state @ (JobState::Absent
            | JobState::Refused { .. }
            | JobState::Running { .. }
            | JobState::Finished(_)
            | JobState::Killed) => Followed::Nothing(state),
        })
    }

    /// Takes a run up again after its connection was lost: connects, and follows from where `sinks` are, until the
    /// command has ended. It is asked about and never started again (invariant I15). A run that the box has no record of
    /// is given up with [`Session::cancel`] where relays are ended, so that a late request starts nothing either.
    ///
    /// It is tried for [`Settings::reconnect`](crate::Settings::reconnect) since the connection last held; with zero, the
    /// box is asked once what became of the run.
    ///
    /// # Errors
    /// [`SshError::Invalid`](crate::SshError::Invalid) for a run id that cannot be one.
    ///
    /// # Cancel safety
    /// As [`Session::follow`].
    pub async fn take_up<O, E>(
        &self,
        (root, run): (&BoxRoot, &str),
        relays: Relays,
        sinks: &mut Sinks<O, E>,
    ) -> Result<Outcome>
    where
        O: AsyncWrite + Unpin,
        E: AsyncWrite + Unpin,
    {
        super::check_run(run)?;
        // With the connection still there it was the job's own shell that died, and that is no loss.
        let within = self.link.settings.reconnect;
        if within.is_zero() {
            return self.after_loss(root, run, "it is not taken up again".to_owned()).await;
        }
        let intact = self.link.answers().await;
        let mut pace = Pace::start(pace::attempts(within));
        let mut absent_since = None;
        loop {
            let began = Instant::now();
            let detail = match self.take_up_once((root, run), relays, sinks).await {
                Ok(Followed::Nothing(JobState::Absent))
                    if absent_since.get_or_insert(began).elapsed() < SETTLE_TIME_MAX =>
                {
                    // The request may still be on its way to a shell of the old connection.
                    "the box has no record of the run".to_owned()
                }
                Ok(Followed::Nothing(JobState::Absent)) if sinks.is_begun => {
                    let detail = "the box has no record of the run any more".to_owned();
                    return Ok(Outcome::TransportLost { job: None, detail });
                }
                Ok(Followed::Nothing(JobState::Absent)) if relays == Relays::End => {
                    match Box::pin(self.cancel(root, run)).await {
                        Ok(job @ JobState::Refused { .. }) => {
                            let detail = "the request did not arrive".to_owned();
                            return Ok(Outcome::TransportLost { job: Some(job), detail });
                        }
                        found => format!("the request arrived late: {found:?}"),
                    }
                }
                Ok(Followed::Running) => "the command goes on".to_owned(),
                Ok(Followed::Lost { detail }) => {
                    if began.elapsed() >= HELD {
                        pace = Pace::start(pace::attempts(within));
                    }
                    detail
                }
                Ok(ended) => return Ok(self.taken_up((root, run), ended, intact).await),
                Err(error) if error.may_pass() => error.to_string(),
                Err(error) => {
                    return Ok(Outcome::TransportLost { job: None, detail: error.to_string() });
                }
            };
            tracing::debug!(%detail, "the run is not taken up yet");
            if !pace.wait(None).await {
                return Ok(Outcome::TransportLost { job: None, detail });
            }
        }
    }

    /// What it means that there is nothing more to follow. With `intact` the connection had not been lost.
    async fn taken_up(&self, place: (&BoxRoot, &str), ended: Followed, intact: bool) -> Outcome {
        match ended {
            Followed::Ended(code) => Outcome::Finished(code),
            Followed::Killed if intact => Outcome::Finished(KILLED),
            Followed::Killed => {
                let detail = "its shell is gone".to_owned();
                Outcome::TransportLost { job: Some(JobState::Killed), detail }
            }
            Followed::Nothing(job) => match (job, self.is_swept(place).await) {
                (job, true) => {
                    let detail = "its log on the box was old, and was swept".to_owned();
                    Outcome::TransportLost { job: Some(job), detail }
                }
                (JobState::Finished(code), false) if intact => Outcome::Finished(code),
                (job, false) => {
                    let detail = "there is no log to take it up from".to_owned();
                    Outcome::TransportLost { job: Some(job), detail }
                }
            },
            Followed::Running => {
                let detail = "the command goes on".to_owned();
                Outcome::TransportLost { job: None, detail }
            }
            Followed::Lost { detail } => Outcome::TransportLost { job: None, detail },
        }
    }

    /// Whether the box has removed what it had logged of a run.
    async fn is_swept(&self, (root, run): (&BoxRoot, &str)) -> bool {
        job::record(self, root, run).await.is_ok_and(|it| it.swept)
    }

    async fn take_up_once<O, E>(
        &self,
        place: (&BoxRoot, &str),
        relays: Relays,
        sinks: &mut Sinks<O, E>,
    ) -> Result<Followed>
    where
        O: AsyncWrite + Unpin,
        E: AsyncWrite + Unpin,
    {
        self.reconnect().await?;
        self.follow(place, (relays, Until::End), sinks).await
    }

    /// How many bytes of standard output and of standard error the box has logged so far.
    ///
    /// # Errors
    /// As [`Session::job`].
    ///
    /// # Cancel safety
    /// It changes nothing.
    pub async fn logged(&self, root: &BoxRoot, run: &str) -> Result<(u64, u64)> {
        let record = job::record_with_sizes(self, root, run).await?;
        Ok((record.out.logged, record.err.logged))
    }

    /// Closes a stream for the command, and says what is left to do about it here.
    pub(super) async fn close_stream(
        &self,
        root: &BoxRoot,
        run: &str,
        stream: &'static str,
    ) -> Rest {
        let (doing, records) = ("closing a stream", root.records());
        let args = [records.as_bytes(), run.as_bytes(), stream.as_bytes()];
        // There are several of these beside each other, and hardly any is ever used.
        let closed = Box::pin(self.script(doing, CLOSE, &args, &[])).await;
        match closed.and_then(|it| it.expect_success(doing)) {
            Ok(said) if said.starts_with(b"closed") => Rest::Discard,
            Ok(_) => Rest::Close,
            Err(error) => {
                tracing::debug!(%error, stream, "the command was not told that nobody reads");
                Rest::Close
            }
        }
    }
}
