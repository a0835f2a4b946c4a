//! A running child that the caller streams with, and the promise that it does not outlive its handle.
//!
//! A process group can be signalled safely only while its leader has not been reaped: until then the kernel gives
//! its number to nobody else. So the exit is *peeked at* here, and the leader stays a zombie until the handle is
//! dropped.

use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio::signal::unix::{SignalKind, signal};

use crate::program::{Input, Program};
use crate::{Exit, Pid, ProcessError, Signal, wait};

/// How often an exit is looked for when no signal tells about it, because our parent blocked `SIGCHLD` for us.
const PEEK_INTERVAL: Duration = Duration::from_secs(1);

/// How long a killed leader is waited for. Only one that hangs in the kernel needs longer; the runtime reaps it.
const REAP_TIME_MAX: Duration = Duration::from_secs(2);

/// Starts `program` and hands it over.
///
/// Streams set to [`Stream::Pipe`](crate::Stream::Pipe), which is the default, can be taken from the child; the
/// caller must read them, or a child that prints much will wait for ever.
///
/// # Errors
///
/// Nothing has run when this fails: see [`ProcessError::may_have_run`].
pub fn spawn(program: &Program) -> Result<Child, ProcessError> {
    if matches!(program.stdin, Input::Bytes(_)) {
        let reason = "a streaming child takes its input through a pipe, not as bytes";
        return Err(ProcessError::Invalid { program: program.name(), reason });
    }
    Child::start(program)
}

/// A running child process, leader of its own group unless it was started in ours.
///
/// Dropping it kills the whole group with `SIGKILL`, also when the leader itself has ended already, and leaves the
/// reaping to the runtime. A descendant that moved to another group is not reached; mark the environment and use
/// [`end_all`](crate::end_all) where that matters.
#[derive(Debug)]
pub struct Child {
    inner: tokio::process::Child,
    pid: Pid,
    own_group: bool,
    kill_on_drop: bool,
}

impl Child {
    pub(crate) fn start(program: &Program) -> Result<Self, ProcessError> {
        let (inner, pid) = crate::spawn::start(program)?;
        Ok(Self { inner, pid, own_group: program.own_group, kill_on_drop: true })
    }

    /// The child's process id, which is also its group's unless it was started in ours.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// The writing end of the child's standard input, once, if it is a pipe.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.inner.stdin.take()
    }

    /// The reading end of the child's standard output, once, if it is a pipe.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.inner.stdout.take()
    }

    /// The reading end of the child's standard error, once, if it is a pipe.
    pub fn take_stderr(&mut self) -> Option<ChildStderr> {
        self.inner.stderr.take()
    }

    /// Waits until the child itself has ended. May be asked again; the answer stays the same.
    ///
    /// Unlike the standard library it does not close the standard input.
    ///
    /// # Errors
    ///
    /// When the child's status was taken by other code of this process.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn wait(&self) -> Result<Exit, ProcessError> {
        // Listening comes first, so that an exit between the look and the wait is not missed.
        let mut changes =
            signal(SignalKind::child()).map_err(ProcessError::io("listening for SIGCHLD"))?;
        loop {
            if let Some(exit) = self.try_wait()? {
                return Ok(exit);
            }
            tokio::select! {
                _ = changes.recv() => {}
                () = wait::pause(PEEK_INTERVAL) => {}
            }
        }
    }

    /// How the child ended, if it has.
    ///
    /// # Errors
    ///
    /// When the child's status was taken by other code of this process.
    pub fn try_wait(&self) -> Result<Option<Exit>, ProcessError> {
        let Some(pid) = self.pid.sys() else { return Ok(None) };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        let status = match rustix::process::waitid(WaitId::Pid(pid), options) {
            Err(Errno::INTR) => None,
            other => other.map_err(ProcessError::errno("waiting for a child"))?,
        };
        Ok(status.and_then(|status| {
            status
                .exit_status()
                .map(Exit::Code)
                .or_else(|| status.terminating_signal().map(Exit::Signal))
        }))
    }

    /// Sends a signal to the child's whole group (to the child alone if it was started in ours).
    ///
    /// That everybody has ended already is not an error.
    ///
    /// # Errors
    ///
    /// When the kernel refuses, for example because the child changed its user.
    pub fn signal(&self, signal: Signal) -> Result<(), ProcessError> {
        let Some(pid) = self.pid.sys() else { return Ok(()) };
        let sent = if self.own_group {
            rustix::process::kill_process_group(pid, signal.sys())
        } else {
            rustix::process::kill_process(pid, signal.sys())
        };
        match sent {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            // macOS says so about a group in which only zombies are left.
            Err(Errno::PERM) if matches!(self.try_wait(), Ok(Some(_))) => Ok(()),
            Err(errno) => Err(ProcessError::errno("signalling a child")(errno)),
        }
    }

    /// Asks the group to end with `SIGTERM`, kills what is left of it after `grace`, and says how the child ended.
    ///
    /// # Errors
    ///
    /// When the child can be neither signalled nor waited for, or hangs in the kernel.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the group asked but perhaps not killed; dropping the child kills it.
    pub async fn stop(self, grace: Duration) -> Result<Exit, ProcessError> {
        self.signal(Signal::Terminate)?;
        // A stopped process handles nothing before it goes on.
        self.signal(Signal::Continue)?;
        let mut ended = tokio::time::timeout(grace, self.wait()).await;
        if ended.is_err() {
            self.signal(Signal::Kill)?;
            ended = tokio::time::timeout(REAP_TIME_MAX, self.wait()).await;
        }
        self.finish().await;
        ended.map_err(|elapsed| ProcessError::io("killing a child")(elapsed.into()))?
    }

    /// Lets the child and its group run on after this handle is gone. The runtime, and after us the system's init,
    /// reaps it.
    pub fn detach(mut self) -> Pid {
        self.kill_on_drop = false;
        self.pid
    }

    /// Kills what is left of the group and reaps the leader, so that no zombie is left when this returns.
    pub(crate) async fn finish(mut self) {
        self.kill_group();
        if let Ok(Ok(_)) = tokio::time::timeout(REAP_TIME_MAX, self.inner.wait()).await {
            // From here on the number may belong to somebody else.
            self.kill_on_drop = false;
        }
    }

    fn kill_group(&self) {
        if let Err(error) = self.signal(Signal::Kill) {
            tracing::warn!(pid = %self.pid, %error, "a process group could not be killed");
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.kill_on_drop {
            self.kill_group();
        }
    }
}
