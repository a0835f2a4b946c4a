//! What a test decides about its machines.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use lease_process::ProcessError;

/// What all machines of one [`SshdMachines`](super::SshdMachines) have in common.
#[derive(Clone, Debug, Default)]
pub struct SshdSettings {
    /// The port that every machine listens on; a free one is chosen if there is none. On systems with one loopback
    /// address, such as macOS, each machine has a port of its own instead: see [`port_of`](super::SshdMachines::port_of).
    pub port: Option<u16>,
    /// How long a machine boots before anybody can log in.
    pub boot_delay: Duration,
    /// What is set in every session, such as `PATH` and `HOME`: sshd by itself sets little. On the machine's `PATH`
    /// a directory is in front in which `shutdown`, `systemctl` and the like only take notes.
    pub environment: Vec<(String, String)>,
    /// Directories that `write_files` of user data may write to, since a machine has the file system of its host.
    /// The machine's own directory and the system's temporary one are always among them.
    pub writable: Vec<PathBuf>,
    /// The directory in which the machines' own directories are made, instead of the system's temporary one.
    pub directory: Option<PathBuf>,
    /// How a machine is kept together.
    pub containment: Containment,
}

/// How what runs on a machine is kept together, so that it can be ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Containment {
    /// By a PID namespace for the superuser where the kernel makes one, and otherwise by [`Scan`](Self::Scan).
    #[default]
    Auto,
    /// By a mark in the environment and by descent. Who drops the mark and is an orphan is not found.
    Scan,
}

impl SshdSettings {
    /// Sets one variable in every session.
    #[must_use]
    pub fn with_environment(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Lets machines boot that long.
    #[must_use]
    pub fn with_boot_delay(mut self, delay: Duration) -> Self {
        self.boot_delay = delay;
        self
    }

    /// Lets user data write to files in `directory`.
    #[must_use]
    pub fn with_writable(mut self, directory: impl Into<PathBuf>) -> Self {
        self.writable.push(directory.into());
        self
    }
}

/// How a machine can be logged in to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// With the keys that it was given.
    #[default]
    Granted,
    /// It never answers.
    Unreachable,
    /// It answers and refuses every key.
    KeyRefused,
    /// Its host key is not the one that its user data named.
    OtherHostKey,
}

/// How far a machine is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It boots.
    Booting,
    /// Its first process was told to let people in; a login may work a moment later.
    Up,
    /// It will never be reached, for this reason.
    Broken(String),
}

/// Why there are no machines.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// This system lacks something.
    #[error("{0}")]
    System(String),
    /// A file could not be made.
    #[error("could not prepare a machine's files: {0}")]
    Files(#[from] io::Error),
    /// A process could not be run.
    #[error(transparent)]
    Process(#[from] ProcessError),
}
