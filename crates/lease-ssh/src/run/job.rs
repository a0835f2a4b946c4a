//! What the box remembers of a run, and signals to it.

use crate::box_root::BoxRoot;
use crate::error::{Result, SshError};
use crate::session::Session;

const STATE: &[u8] = include_bytes!("state.sh");
const SIGNAL: &[u8] = include_bytes!("signal.sh");

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
pub(super) struct Record {
    pub(super) started: bool,
    pub(super) nonce: Option<String>,
    pub(super) why: Option<String>,
    pub(super) pid: Option<i32>,
    pub(super) alive: bool,
    pub(super) exit: Option<i32>,
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
        let record = record(self, root, run).await?;
        Ok(match record {
            Record { started: false, .. } => JobState::Absent,
            Record { exit: Some(code), .. } => JobState::Finished(code),
            Record { why: Some(why), .. } => JobState::Refused { why },
            Record { alive: true, pid: Some(pid), .. } => JobState::Running { pid },
            Record { pid: Some(_), .. } => JobState::Killed,
            Record { .. } => JobState::Refused { why: "it has no record of a start".to_owned() },
        })
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
    super::check_run(run)?;
    let (doing, records) = ("asking about a run", root.records());
    let reply = session.script(doing, STATE, &[records.as_bytes(), run.as_bytes()], &[]).await?;
    parse(&String::from_utf8_lossy(&reply.expect_success(doing)?))
        .ok_or(SshError::Box { doing, detail: "the record makes no sense".to_owned() })
}

fn parse(text: &str) -> Option<Record> {
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
            _ => return None,
        }
    }
    Some(record)
}
