//! The process table on Linux: `/proc`.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use super::{Process, stat};
use crate::Pid;

/// How much of an argument vector is read, in bytes.
const ARGV_BYTES_MAX: u64 = 4 * 1024;

/// How much of an environment is read, in bytes. Linux allows about this much with the usual stack limit.
const ENVIRON_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// Everything else is read when it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Details;

pub(super) fn read_all() -> io::Result<Vec<Process>> {
    let mut all = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()).and_then(Pid::new) else {
            continue;
        };
        // Gone or hidden since the directory was read: not there to be seen.
        let Ok(Some(stat)) = stat::read(pid) else { continue };
        let stat::Stat { state, ppid, pgid, sid, start } = stat;
        all.push(Process { pid, ppid, pgid, sid, start, state, details: Details });
    }
    Ok(all)
}

pub(super) fn is_still(process: &Process) -> bool {
    matches!(stat::read(process.pid), Ok(Some(stat)) if stat.start == process.start)
}

pub(super) fn uid(process: &Process) -> Option<u32> {
    let status = fs::read(format!("/proc/{}/status", process.pid)).ok()?;
    let status = String::from_utf8_lossy(&status);
    let real = status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))?
        .split_ascii_whitespace()
        .next()?;
    real.parse().ok()
}

pub(super) fn argv(process: &Process) -> Option<Vec<OsString>> {
    let text = read_bounded(process, "cmdline", ARGV_BYTES_MAX)?;
    let text = text.strip_suffix(b"\0").unwrap_or(&text);
    if text.is_empty() {
        return Some(Vec::new());
    }
    Some(text.split(|byte| *byte == 0).map(|arg| OsString::from_vec(arg.to_vec())).collect())
}

/// Kernel threads have no arguments either; they have no group, too.
pub(super) fn is_starting(process: &Process) -> bool {
    process.pgid.is_some() && argv(process).is_some_and(|argv| argv.is_empty())
}

pub(super) fn has_env(process: &Process, name_and_value: &str) -> Option<bool> {
    let text = read_bounded(process, "environ", ENVIRON_BYTES_MAX)?;
    Some(text.split(|byte| *byte == 0).any(|variable| variable == name_and_value.as_bytes()))
}

pub(super) fn cwd(process: &Process) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{}/cwd", process.pid)).ok()
}

pub(super) fn pid_namespace(process: &Process) -> Option<u64> {
    fs::metadata(format!("/proc/{}/ns/pid", process.pid)).ok().map(|meta| meta.ino())
}

fn read_bounded(process: &Process, file: &str, bytes_max: u64) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    let file = File::open(format!("/proc/{}/{file}", process.pid)).ok()?;
    file.take(bytes_max).read_to_end(&mut text).ok()?;
    Some(text)
}
