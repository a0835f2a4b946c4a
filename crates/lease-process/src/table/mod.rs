//! All processes of the machine at one moment, to find everything that somebody started.
//!
//! A process group is not enough for that: a daemon leaves it, a shell with job control makes one per pipeline.
//! What a child cannot shake off by accident are the environment it was started with and its line of parents.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;

use crate::{Pid, ProcessError};

#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "macos.rs")]
mod platform;
#[cfg(any(not(target_os = "linux"), test))]
pub(crate) mod ps;
#[cfg(target_os = "linux")]
pub(crate) mod stat;

/// What a process is doing, as far as that matters for ending it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProcessState {
    /// Running, or waiting for something that a signal interrupts.
    Active,
    /// Waiting in the kernel for something that no signal interrupts, such as a dead network file system.
    Uninterruptible,
    /// Halted by a signal or a debugger.
    Stopped,
    /// Ended; only its exit status is still there.
    Zombie,
}

impl ProcessState {
    /// Whether nothing of the process runs any more.
    #[must_use]
    pub fn has_ended(self) -> bool {
        self == Self::Zombie
    }
}

/// One process of a [`ProcessTable`].
///
/// The fields are from the moment the table was read. The methods look again; should the pid have passed to another
/// process in between, they answer as if nothing could be read. Of a process that had ended nothing is read: in a container
/// whose first process reaps nobody there are thousands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// The process id.
    pub pid: Pid,
    /// The parent; `None` if that lives in an outer PID namespace or there is none.
    pub ppid: Option<Pid>,
    /// The process group; `None` if its leader lives in an outer PID namespace or it is a kernel thread.
    pub pgid: Option<Pid>,
    /// The session, likewise.
    pub sid: Option<Pid>,
    /// When it started, as in [`ProcessIdentity::start`](crate::ProcessIdentity::start).
    pub start: u64,
    /// What it is doing.
    pub state: ProcessState,
    details: platform::Details,
}

impl Process {
    /// The real user id.
    #[must_use]
    pub fn uid(&self) -> Option<u32> {
        self.checked(platform::uid(self))
    }

    /// The argument vector, cut after 4 KiB. Empty for kernel threads and where it cannot be read; on macOS it is
    /// split at spaces.
    #[must_use]
    pub fn argv(&self) -> Vec<OsString> {
        if self.state.has_ended() {
            return Vec::new();
        }
        self.checked(platform::argv(self)).unwrap_or_default()
    }

    /// Whether the process was *started* with this `NAME=value` in its environment.
    ///
    /// `false` also where that cannot be read: processes of other users, and those that wrote a title over it.
    #[must_use]
    pub fn has_env(&self, name_and_value: &str) -> bool {
        !self.state.has_ended()
            && self.checked(platform::has_env(self, name_and_value)).unwrap_or(false)
    }

    /// The working directory, where the kernel tells (not on macOS).
    #[must_use]
    pub fn cwd(&self) -> Option<PathBuf> {
        if self.state.has_ended() {
            return None;
        }
        self.checked(platform::cwd(self))
    }

    /// The inode of the PID namespace it lives in, where the kernel tells.
    #[must_use]
    pub fn pid_namespace(&self) -> Option<u64> {
        self.checked(platform::pid_namespace(self))
    }

    /// Whether it is in the middle of an exec, when it has neither arguments nor an environment.
    pub(crate) fn is_starting(&self) -> bool {
        !self.state.has_ended() && platform::is_starting(self)
    }

    /// Passes on what was read, unless the pid belonged to somebody else by then.
    fn checked<T>(&self, value: Option<T>) -> Option<T> {
        let value = value?;
        platform::is_still(self).then_some(value)
    }
}

/// All processes that we can see, at about one moment.
#[derive(Debug, Clone, Default)]
pub struct ProcessTable {
    processes: BTreeMap<Pid, Process>,
}

impl ProcessTable {
    /// Reads the table. Processes that end meanwhile are missing from it, as are some that begin meanwhile.
    ///
    /// # Errors
    ///
    /// When the kernel's process information cannot be read at all.
    pub fn read() -> Result<Self, ProcessError> {
        let all = platform::read_all().map_err(ProcessError::io("reading the process table"))?;
        Ok(Self { processes: all.into_iter().map(|process| (process.pid, process)).collect() })
    }

    /// The process with this id.
    #[must_use]
    pub fn get(&self, pid: Pid) -> Option<&Process> {
        self.processes.get(&pid)
    }

    /// Every process, by ascending id.
    pub fn iter(&self) -> impl Iterator<Item = &Process> {
        self.processes.values()
    }

    /// The ids of the processes that `wanted` says yes to.
    #[must_use]
    pub fn select(&self, wanted: impl Fn(&Process) -> bool) -> BTreeSet<Pid> {
        self.iter().filter(|process| wanted(process)).map(|process| process.pid).collect()
    }

    /// `roots` and everything that descends from them through parents that are still there.
    #[must_use]
    pub fn with_descendants(&self, roots: BTreeSet<Pid>) -> BTreeSet<Pid> {
        let mut children: BTreeMap<Pid, Vec<Pid>> = BTreeMap::new();
        for process in self.iter() {
            if let Some(parent) = process.ppid {
                children.entry(parent).or_default().push(process.pid);
            }
        }
        let mut unvisited: Vec<Pid> = roots.iter().copied().collect();
        let mut family = roots;
        while let Some(parent) = unvisited.pop() {
            for child in children.get(&parent).into_iter().flatten() {
                if family.insert(*child) {
                    unvisited.push(*child);
                }
            }
        }
        family
    }

    /// `pid`, its parent, the parent's parent, and so on.
    #[must_use]
    pub fn with_ancestors(&self, pid: Pid) -> BTreeSet<Pid> {
        let mut line = BTreeSet::new();
        let mut next = Some(pid);
        // A table is read bit by bit, so recycled pids may even close a circle in it.
        while let Some(pid) = next.filter(|pid| line.insert(*pid)) {
            next = self.get(pid).and_then(|process| process.ppid);
        }
        line
    }
}
