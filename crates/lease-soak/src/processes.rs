//! Processes as the kernel shows them, so that nothing counts as ended because the program says so.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// A living process.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pid: u32,
    words: Vec<u8>,
    environment: Vec<u8>,
    directory: PathBuf,
    program: PathBuf,
}

/// The processes that have to do with what is below `root`. This one never counts.
pub(crate) fn below(root: &Path) -> Vec<Process> {
    let pids = pids().into_iter().filter_map(Process::read);
    pids.filter(|it| it.names(root)).collect()
}

/// Those of them that are one end of a connection; of all others only the arguments are read.
pub(crate) fn connections_below(root: &Path) -> Vec<Process> {
    let of = |pid: u32| is_connection(&words(pid)?).then(|| Process::read(pid)).flatten();
    pids().into_iter().filter_map(of).filter(|it| it.names(root)).collect()
}

/// The oldest reaper whose program is below `root`, with its memory in KiB; only arguments are read of others. A younger
/// one was started by somebody who did not see yet that one watches, and leaves at once.
pub(crate) fn reaper_below(root: &Path) -> Option<(u32, u64)> {
    let is_reaper = |pid: &u32| {
        let words = words(*pid).unwrap_or_default();
        words.starts_with(root.as_os_str().as_bytes()) && contains(&words, "\0reaper\0run\0")
    };
    let found = pids().into_iter().filter(is_reaper);
    let (_, pid) = found.filter_map(|it| Some((started(it)?, it))).min()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:"))?;
    Some((pid, line.split_whitespace().next()?.parse().ok()?))
}

/// When it was started, in the kernel's ticks.
fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before may hold anything, also parentheses and blanks.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

fn pids() -> Vec<u32> {
    let own = std::process::id();
    let all = entries(Path::new("/proc")).into_iter();
    all.filter_map(|it| it.file_name()?.to_str()?.parse().ok()).filter(|it| *it != own).collect()
}

/// The arguments; kernel threads and zombies have none.
fn words(pid: u32) -> Option<Vec<u8>> {
    fs::read(format!("/proc/{pid}/cmdline")).ok().filter(|it| !it.is_empty())
}

fn is_connection(words: &[u8]) -> bool {
    let first = words.split(|it| [0, b' ', b':'].contains(it)).next();
    let name = first.and_then(|it| it.rsplit(|it| *it == b'/').next());
    matches!(name, Some(b"ssh" | b"sshd" | b"sshd-session"))
}

/// What a directory contains, sorted; nothing if it is not there.
pub(crate) fn entries(directory: &Path) -> Vec<PathBuf> {
    let read = fs::read_dir(directory).into_iter().flatten();
    let mut found: Vec<_> = read.filter_map(|it| Some(it.ok()?.path())).collect();
    found.sort();
    found
}

impl Process {
    fn read(pid: u32) -> Option<Self> {
        let of = |name: &str| PathBuf::from(format!("/proc/{pid}/{name}"));
        Some(Self {
            pid,
            words: words(pid)?,
            environment: fs::read(of("environ")).unwrap_or_default(),
            directory: fs::read_link(of("cwd")).unwrap_or_default(),
            program: fs::read_link(of("exe")).unwrap_or_default(),
        })
    }

    /// Whether it was started with, or is in, or runs something below this directory.
    fn names(&self, root: &Path) -> bool {
        let needle = root.to_string_lossy();
        contains(&self.words, &needle)
            || contains(&self.environment, &needle)
            || self.directory.starts_with(root)
            || self.program.starts_with(root)
            || self.is_server_below(root)
    }

    /// A server writes a title over its arguments and environment, so it is known by its log.
    fn is_server_below(&self, root: &Path) -> bool {
        self.words.starts_with(b"sshd")
            && entries(Path::new(&format!("/proc/{}/fd", self.pid)))
                .into_iter()
                .filter_map(|it| fs::read_link(it).ok())
                .any(|it| it.starts_with(root))
    }

    /// Sends a signal, if it is still the one that was seen. That it is gone is no error.
    pub(crate) fn send(&self, signal: rustix::process::Signal) {
        let is_same = Self::read(self.pid).is_some_and(|it| it.words == self.words);
        let pid = i32::try_from(self.pid).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid.filter(|_| is_same) {
            rustix::process::kill_process(pid, signal).unwrap_or_default();
        }
    }

    /// Its number and its words.
    pub(crate) fn shown(&self) -> String {
        let words = String::from_utf8_lossy(&self.words).replace('\0', " ");
        format!("process {}: {}", self.pid, words.trim_end())
    }
}

/// By the search of the standard library, which is quick also where this program is not optimised.
fn contains(bytes: &[u8], needle: &str) -> bool {
    String::from_utf8_lossy(bytes).contains(needle)
}
