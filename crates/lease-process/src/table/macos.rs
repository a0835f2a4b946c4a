//! The process table on macOS: `ps`, because asking the kernel directly takes unsafe code.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use super::{Process, ps};
use crate::Pid;
use crate::identity::start_of;
use crate::spawn::system_tool;

/// What `ps` printed beside the fields.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Details {
    uid: u32,
    command: String,
    /// Command and environment in one text, as `ps -E` prints it. It may hold secrets.
    command_and_environment: Option<String>,
}

/// Shows no environment.
impl std::fmt::Debug for Details {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Details").field("uid", &self.uid).finish_non_exhaustive()
    }
}

pub(super) fn read_all() -> io::Result<Vec<Process>> {
    let columns = "pid=,ppid=,pgid=,uid=,state=,lstart=,command=";
    let lines = system_tool(&["/bin/ps", "-axww", "-o", columns])?;
    let with_environment = system_tool(&["/bin/ps", "-axwwE", "-o", "pid=,command="])?;
    let with_environment = String::from_utf8_lossy(&with_environment);
    let mut environments: BTreeMap<Pid, String> =
        with_environment.lines().filter_map(ps::pid_and_rest).collect();
    let lines = String::from_utf8_lossy(&lines);
    let all = lines.lines().filter_map(ps::row).map(|row| {
        let command_and_environment = environments.remove(&row.pid);
        #[expect(clippy::disallowed_methods, reason = "this system has no PID namespaces")]
        let sid = row
            .pid
            .sys()
            .and_then(|pid| rustix::process::getsid(Some(pid)).ok())
            .map(Pid::from_sys);

        let ps::Row { pid, ppid: parent, pgid: group, uid, start, state, command } = row;
        let details = Details { uid, command, command_and_environment };
        Process { pid, ppid: parent, pgid: group, sid, start, state, details }
    });
    Ok(all.collect())
}

/// The details are from the same moment as the fields, so they belong together. The environments were read a
/// moment later; before anybody is signalled, the start time is compared once more.
pub(super) fn is_still(process: &Process) -> bool {
    matches!(start_of(process.pid), Ok(Some(start)) if start == process.start)
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the signature is shared with Linux, where reading it can fail"
)]
pub(super) fn uid(process: &Process) -> Option<u32> {
    Some(process.details.uid)
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the signature is shared with Linux, where reading it can fail"
)]
pub(super) fn argv(process: &Process) -> Option<Vec<OsString>> {
    Some(process.details.command.split(' ').map(OsString::from).collect())
}

/// `ps` does not tell.
pub(super) fn is_starting(_process: &Process) -> bool {
    false
}

pub(super) fn has_env(process: &Process, name_and_value: &str) -> Option<bool> {
    let text = process.details.command_and_environment.as_deref()?;
    let environment = text.strip_prefix(process.details.command.as_str())?;
    ps::has_env(environment, name_and_value).then_some(true)
}

pub(super) fn cwd(_process: &Process) -> Option<PathBuf> {
    None
}

pub(super) fn pid_namespace(_process: &Process) -> Option<u64> {
    None
}
