//! Identity on Linux: what `/proc` says.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;

use crate::Pid;
use crate::table::stat;

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
const PID_NAMESPACE: &str = "/proc/self/ns/pid";

/// When the process started, in clock ticks since boot; `None` if there is none or only a zombie.
pub(crate) fn start_of(pid: Pid) -> io::Result<Option<u64>> {
    // Without this look, a missing /proc would read as "everybody is dead".
    let stat = stat::read(pid)?;
    Ok(stat.filter(|stat| !stat.state.has_ended()).map(|stat| stat.start))
}

pub(super) fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string(BOOT_ID)?.trim_end().to_owned())
}

pub(super) fn pid_namespace() -> io::Result<u64> {
    fs::metadata(PID_NAMESPACE).map(|meta| meta.ino())
}
