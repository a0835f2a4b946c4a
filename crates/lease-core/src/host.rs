//! How a box is reached, and what one gets to run on.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::id::LeaseId;

/// Where and how to log in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Reach {
    /// Host name or address.
    pub host: String,
    /// TCP port; unused where `proxy` is given.
    pub port: u16,
    /// Login name.
    pub user: String,
    /// A program, as argv, whose standard streams are the connection; empty for plain TCP.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proxy: Vec<String>,
    /// What is known of the host's key.
    pub host_key: HostKey,
    /// The absolute directory on the box that belongs to the lease.
    pub root: String,
    /// A file that the box makes once it is set up; a login before that is too early. Absolute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_file: Option<String>,
    /// A private key file on this machine that may log in beside the lease's own key, for a machine that nobody told
    /// about the latter. Absolute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_file: Option<String>,
}

impl Reach {
    /// A login over plain TCP to port 22, with the lease's own key.
    pub fn new(
        host: impl Into<String>,
        user: impl Into<String>,
        host_key: HostKey,
        root: impl Into<String>,
    ) -> Self {
        Self {
            host: host.into(),
            port: 22,
            user: user.into(),
            proxy: Vec::new(),
            host_key,
            root: root.into(),
            ready_file: None,
            identity_file: None,
        }
    }
}

/// What is known of a host's key (invariant I13).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostKey {
    /// Known over a trusted path before the first contact: `TYPE BASE64`.
    Pinned(String),
    /// Learnt at the first contact and strict afterwards.
    FirstUse,
}

/// What one attempt to log in showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// A login with the lease's key ran a command; the host proved the key in it (`TYPE BASE64`).
    Ready {
        /// The key that the host proved.
        host_key: String,
    },
    /// It does not answer yet; another attempt may succeed.
    NotYet {
        /// What the attempt met.
        why: String,
    },
    /// Another attempt would meet the same refusal, for instance a host key that is not the pinned one.
    Never {
        /// What the attempt met.
        why: String,
    },
}

/// What a login with the lease's key to a machine of unknown owner showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recognition {
    /// It took the key.
    Ours,
    /// It answers, knows the login method, and refused the key.
    NotOurs {
        /// What the attempt met.
        why: String,
    },
    /// It does not answer, or not so that anything could be concluded.
    Unclear {
        /// What the attempt met.
        why: String,
    },
}

/// The way to log in to boxes: keys per lease, probes, connections.
///
/// The engine calls it and never opens a connection itself.
#[async_trait]
pub trait Transport: fmt::Debug + Send + Sync {
    /// Makes the lease's key pair if there is none yet and returns the public key (`TYPE BASE64 COMMENT`).
    ///
    /// # Errors
    /// When the key cannot be stored safely.
    ///
    /// # Cancel safety
    /// Calling it again after a cancelled call completes the work; no second key is made.
    async fn prepare(&self, lease: &LeaseId) -> Result<String>;

    /// Tries once to log in. It changes nothing on the box but its logs.
    ///
    /// # Errors
    /// When the attempt could not be made at all on this side; an attempt that failed is a [`Probe`].
    ///
    /// # Cancel safety
    /// A cancelled attempt leaves no process behind.
    async fn probe(&self, lease: &LeaseId, reach: &Reach) -> Result<Probe>;

    /// Tries the lease's key once on a machine that may or may not be the lease's. Unlike [`Transport::probe`] it
    /// remembers nothing, neither the host's key nor a connection, and runs no command but `true`.
    ///
    /// # Errors
    /// When the attempt could not be made at all on this side, for instance because the key is gone.
    ///
    /// # Cancel safety
    /// A cancelled attempt leaves no process behind.
    async fn recognise(&self, lease: &LeaseId, reach: &Reach) -> Result<Recognition>;

    /// Opens a connection to run commands on.
    ///
    /// # Errors
    /// When the login fails; the message says at which step.
    ///
    /// # Cancel safety
    /// A cancelled call leaves no process behind.
    async fn connect(&self, lease: &LeaseId, reach: &Reach) -> Result<Box<dyn Host>>;

    /// Ends connections of the lease and removes its keys. The engine calls it only after every resource of the lease
    /// is proven gone (invariant I8). Forgetting twice is success.
    ///
    /// # Errors
    /// When something stays behind.
    ///
    /// # Cancel safety
    /// Calling it again completes the work.
    async fn forget(&self, lease: &LeaseId) -> Result<()>;
}

/// A machine to run on.
#[async_trait]
pub trait Host: fmt::Debug + Send + Sync {
    /// Runs one command, at most once (invariant I15), and collects its output.
    ///
    /// # Errors
    /// When the command could not be started, its output exceeded the bound, or the connection was lost; the effect
    /// says whether the command may have run.
    ///
    /// # Cancel safety
    /// A cancelled call ends the connection's wait; the command may go on until the lease is released.
    async fn output(&self, command: &Command) -> Result<Output>;
}

/// A command for a [`Host`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Command {
    /// The program and its arguments; they arrive exactly as they are, no shell reads them.
    pub argv: Vec<String>,
    /// What the command reads on its standard input.
    pub stdin: Vec<u8>,
    /// How long it may take.
    pub deadline: Option<Duration>,
    /// The most bytes that are collected of each output stream; zero stands for the transport's own limit.
    pub output_bytes_max: usize,
}

impl Command {
    /// A command of these words that reads nothing, may take as long as it likes, and may print as much as the
    /// transport allows.
    pub fn new<W: Into<String>>(argv: impl IntoIterator<Item = W>) -> Self {
        Self { argv: argv.into_iter().map(Into::into).collect(), ..Self::default() }
    }
}

/// What a command left.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Output {
    /// The exit code as a shell would report it: 128 and the signal number for a killed command.
    pub code: i32,
    /// Everything written to standard output.
    pub stdout: Vec<u8>,
    /// Everything written to standard error.
    pub stderr: Vec<u8>,
}

impl Output {
    /// What a command left that ended with `code`.
    pub fn new(code: i32, stdout: Vec<u8>, stderr: Vec<u8>) -> Self {
        Self { code, stdout, stderr }
    }
}
