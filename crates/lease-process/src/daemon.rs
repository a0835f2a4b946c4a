//! Starting a process that outlives us, and the child's half of becoming one.
//!
//! Leaving the terminal's session is a system call that the child must make itself: between fork and exec only
//! unsafe code could make it for the child. So the parent gives it no stream that leads to the terminal, and the
//! child, which is a program of this workspace, calls [`become_daemon`] first.
//!
//! The child is not given a process group: a group's leader may not open a session. Until its first system call it
//! hears the Ctrl-C that its parent hears, and whoever starts a daemon looks whether it runs.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::process::setsid;

use crate::program::{Input, Program, Stream};
use crate::{Child, Pid, ProcessError};

/// Starts `program` so that it goes on when we end, with standard input from `/dev/null` and its output appended
/// to `log` (created with mode 0600), or dropped without one. The streams set in `program` are not used.
///
/// Nobody waits for it. If it ends before we do, the tokio runtime reaps it; afterwards init does.
///
/// # Errors
///
/// When the log cannot be opened or the program cannot be started; nothing has run then.
pub fn spawn_detached(program: &Program, log: Option<&Path>) -> Result<Pid, ProcessError> {
    let output = match log {
        None => Stream::Null,
        Some(path) => {
            let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
            let source_of = |source| ProcessError::Spawn { program: program.name(), source };
            Stream::File(Arc::new(opened.map_err(source_of)?))
        }
    };
    let mut program = program.clone().stdin(Input::Null).stdout(output.clone()).stderr(output);
    program.own_group = false;
    Ok(Child::start(&program)?.detach())
}

/// Leaves the session of the terminal. To be called first by a program that [`spawn_detached`] started.
///
/// A process that leads a group already, because a shell gave it one or because this is a second call, stays in its
/// session: Ctrl-C does not reach its group, and a hangup only while it is in the foreground. Nothing is asked about
/// the old session or group, because inside a PID namespace they may lie outside and have no number.
///
/// # Errors
///
/// When the kernel refuses for any other reason.
pub fn become_daemon() -> Result<(), ProcessError> {
    match setsid() {
        Ok(_) | Err(Errno::PERM) => Ok(()),
        Err(errno) => Err(ProcessError::errno("opening a session")(errno)),
    }
}
