//! What the box remembers of a run, and signals to it.

use std::time::Duration;

use lease_core::retry::Pace;

use crate::box_root::BoxRoot;
use crate::error::{Result, SshError};
use crate::pace;
use crate::session::Session;

const STATE: &[u8] = concat!(include_str!("alive.sh"), include_str!("state.sh")).as_bytes();
const SIGNAL: &[u8] = concat!(include_str!("alive.sh"), include_str!("signal.sh")).as_bytes();
/// How long a record may be half written.
const WRITING_TIME_MAX: Duration = Duration::from_secs(2);
/// What the log's writer ends with when somebody closed the stream for the command.
const CLOSED: i32 = 137;

/// What the box remembers of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobState {
    /// No attempt with this id has reached the box.
    Absent,
    /// An attempt was let through, but its command was not started; it never will be.
    Refused {
        /// What the box said.
        why: String,
    },
    /// The command runs.
    Running {
        /// The process group on the box.
        pid: i32,
    },
    /// The command ended with this code.
    Finished(i32),
    /// The command's shell is gone and left no status: it was killed, or the box went down.
    Killed,
}

/// A signal to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobSignal {
    /// What Ctrl-C sends.
    Interrupt,
    /// A request to end.
    Terminate,
    /// The terminal went away.
    Hangup,
    /// An end that cannot be refused.
    Kill,
}

/// The lines of `state.sh`.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each says whether one line is there")]
pub(super) struct Record {
    pub(super) started: bool,
    pub(super) nonce: Option<String>,
    pub(super) why: Option<String>,
    pub(super) pid: Option<i32>,
    pub(super) alive: bool,
    pub(super) exit: Option<i32>,
    /// Whether the box logs what the command prints.
    pub(super) logged: bool,
    /// Whether the log is complete.
    pub(super) end: bool,
    /// Whether a relay ended before its stream did, while the connection was there.
    pub(super) unrelayed: bool,
    /// Whether the log was removed because it was old.
    pub(super) swept: bool,
    pub(super) out: Log,
    pub(super) err: Log,
}

/// What is known of one stream's log.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// How long it is; known where it was asked for, and where the log is not everything.
    pub(super) logged: u64,
    /// What its writer ended with, where that is not success.
    status: i32,
    /// What was relayed, and not logged.
    beyond: u64,
    /// What was read from the command, and neither logged nor relayed.
    dropped: u64,
    /// Whether it could not be written to its end, which its limit is no case of.
    pub(super) failed: bool,
}

impl Log {
    /// How much, at the least, cannot be had any more by somebody who has the first `bytes` bytes.
    pub(super) fn missing(&self, bytes: u64) -> u64 {
        if self.status == 0 || self.status == CLOSED || self.failed {
            return 0;
        }
        let all = self.logged.saturating_add(self.beyond).saturating_add(self.dropped);
        all.saturating_sub(bytes)
    }
}

impl From<Record> for JobState {
    fn from(record: Record) -> Self {
        match record {
            Record { started: false, .. } => Self::Absent,
            Record { exit: Some(code), .. } => Self::Finished(code),
            Record { why: Some(why), .. } => Self::Refused { why },
            Record { alive: true, pid: Some(pid), .. } => Self::Running { pid },
            Record { pid: Some(_), .. } => Self::Killed,
            Record { .. } => Self::Refused { why: "it has no record of a start".to_owned() },
        }
    }
}

impl Session {
    /// What the box remembers of a run.
    ///
    /// # Errors
    /// When the box cannot be asked.
    ///
    /// # Cancel safety
    /// It changes nothing.
    pub async fn job(&self, root: &BoxRoot, run: &str) -> Result<JobState> {
        Ok(record(self, root, run).await?.into())
    }

    /// Sends a signal to the whole process group of a run. Returns whether there was one to send it to.
    ///
    /// # Errors
    /// When the box cannot be asked.
    ///
    /// # Cancel safety
    /// After a cancelled call the signal may have been sent.
    pub async fn signal(&self, root: &BoxRoot, run: &str, signal: JobSignal) -> Result<bool> {
        super::check_run(run)?;
        let name: &[u8] = match signal {
            JobSignal::Interrupt => b"INT",
            JobSignal::Terminate => b"TERM",
            JobSignal::Hangup => b"HUP",
            JobSignal::Kill => b"KILL",
        };
        let (doing, records) = ("signalling a run", root.records());
        let reply =
            self.script(doing, SIGNAL, &[records.as_bytes(), run.as_bytes(), name], &[]).await?;
        Ok(reply.expect_success(doing)?.starts_with(b"sent"))
    }
}

pub(super) async fn record(session: &Session, root: &BoxRoot, run: &str) -> Result<Record> {
    asked(session, (root, run), b"").await
}

/// The record with the lengths of the logs.
pub(super) async fn record_with_sizes(
    session: &Session,
    root: &BoxRoot,
    run: &str,
) -> Result<Record> {
    asked(session, (root, run), b"sizes").await
}

async fn asked(
    session: &Session,
    (root, run): (&BoxRoot, &str),
    sizes: &'static [u8],
) -> Result<Record> {
    super::check_run(run)?;
    let records = root.records();
    let args = [records.as_bytes(), run.as_bytes(), sizes];
    let mut pace = Pace::start(pace::looks(WRITING_TIME_MAX));
    loop {
        let record = answered(session, "asking about a run", STATE, &args).await?;
        // The guard is made and written in two steps.
        if !record.started || record.nonce.is_some() || !pace.wait(None).await {
            return Ok(record);
        }
    }
}

/// The record, by a script that ends with telling it.
pub(super) async fn answered(
    session: &Session,
    doing: &'static str,
    script: &[u8],
    args: &[&[u8]],
) -> Result<Record> {
    let reply = session.script(doing, script, args, &[]).await?;
    parse(&String::from_utf8_lossy(&reply.expect_success(doing)?))
        .ok_or(SshError::Box { doing, detail: "the record makes no sense".to_owned() })
}

pub(super) fn parse(text: &str) -> Option<Record> {
    let mut record = Record::default();
    for line in text.lines() {
        let (name, value) = line.split_once('=')?;
        match name {
            "none" => {}
            "started" => record.started = true,
            "nonce" => record.nonce = Some(value.to_owned()),
            "why" => record.why = Some(value.to_owned()),
            "pid" => record.pid = Some(value.parse().ok()?),
            "alive" => record.alive = true,
            "exit" => record.exit = Some(value.parse().ok()?),
            "logged" => record.logged = true,
            "end" => record.end = true,
            "unrelayed" => record.unrelayed = true,
            "swept" => record.swept = true,
            _ => {
                let (stream, name) = name.split_once('_')?;
                let log = match stream {
                    "out" => &mut record.out,
                    "err" => &mut record.err,
                    _ => return None,
                };
                match name {
                    "logged" => log.logged = value.parse().ok()?,
                    "status" => log.status = value.parse().ok()?,
                    "beyond" => log.beyond = value.parse().ok()?,
                    "dropped" => log.dropped = value.parse().ok()?,
                    "failed" => log.failed = true,
                    _ => return None,
                }
            }
        }
    }
    Some(record)
}
