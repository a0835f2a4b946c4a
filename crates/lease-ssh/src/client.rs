//! What is known on this machine about logging in: directories, the environment of ssh, and the verbs per lease.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lease_core::retry::Pace;

use crate::config;
use crate::endpoint::Endpoint;
use crate::error::{LoginFailure, Result, SshError};
use crate::files::private_directory;
use crate::keys::LeaseFiles;
use crate::pace;
use crate::run::LOG_BYTES_MAX;
use crate::session::{Link, Session, is_near};

/// Where things live and how long they may take.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// The directory of the leases' key directories; made with mode 0700 if its parent exists.
    pub keys: PathBuf,
    /// The directory of the control sockets; made with mode 0700 if its parent exists. Its path must be short.
    pub runtime: PathBuf,
    /// The environment that `ssh`, proxy commands and `git` get. `PATH` finds them, `TERM` and `LANG` matter for
    /// terminals, `HOME` for git's own configuration. Nothing else is inherited.
    pub environment: Vec<(OsString, OsString)>,
    /// How long one attempt to connect may take.
    pub connect_timeout: Duration,
    /// How long an unused connection stays open, so that a killed client leaves nothing behind for ever.
    pub persist: Duration,
    /// How long [`Session::take_up`] tries to reach the box again after a connection was lost.
    pub reconnect: Duration,
    /// How many bytes of each of a command's streams the box logs, rounded up to blocks of 512.
    pub log_bytes_max: u64,
    /// How long opening a session takes at most on a box that counts as near; see [`Session::open_ahead`].
    pub near: Duration,
    /// How long [`Client::keep_spare`] has a session wait for the next command; with zero none is used either.
    pub spare: Duration,
}

impl Settings {
    /// Settings with 15 seconds to connect, ten minutes of idle connection and of reconnecting, 64 MiB of log, 4
    /// milliseconds to a box that is near, and no session that waits.
    pub fn new(keys: impl Into<PathBuf>, runtime: impl Into<PathBuf>) -> Self {
        Self {
            keys: keys.into(),
            runtime: runtime.into(),
            environment: Vec::new(),
            connect_timeout: Duration::from_secs(15),
            persist: Duration::from_secs(600),
            reconnect: Duration::from_secs(600),
            log_bytes_max: LOG_BYTES_MAX,
            near: Duration::from_millis(4),
            spare: Duration::ZERO,
        }
    }
}

/// The way to log in to boxes. Cheap to clone; it holds no connection.
#[derive(Clone, Debug)]
pub struct Client {
    settings: Arc<Settings>,
}

impl Client {
    /// Makes a client; nothing is read or written yet.
    pub fn new(settings: Settings) -> Self {
        Self { settings: Arc::new(settings) }
    }

    /// What the client was made with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Makes the lease's key pair if there is none yet and returns the public line, `TYPE BASE64 LEASE`. What a login will
    /// need on this machine is looked for first, because a box that nobody can log in to costs money all the same.
    ///
    /// # Errors
    /// When the key cannot be stored, or the one that is there is not private; [`SshError::SshMissing`], and whatever is
    /// wrong with the runtime directory.
    pub fn prepare(&self, lease: &str) -> Result<String> {
        private_directory(&self.settings.keys)?;
        let link = self.link(lease)?;
        lease_process::find(&link.ssh()).map_err(SshError::of_ssh)?;
        LeaseFiles::new(&self.settings.keys, lease)?.prepare()
    }

    /// The key that the lease's host is known by, `TYPE BASE64`, once it was pinned or learnt.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn host_key(&self, lease: &str) -> Result<Option<String>> {
        config::known_key(&LeaseFiles::new(&self.settings.keys, lease)?)
    }

    /// Whether a session on the lease's box was open at once when the last one was asked for: the box is near.
    ///
    /// # Errors
    /// When the lease's id is none.
    pub fn is_near(&self, lease: &str) -> Result<bool> {
        Ok(is_near(&LeaseFiles::new(&self.settings.keys, lease)?))
    }

    /// Opens the lease's connection, or takes up the one that another process left open.
    ///
    /// # Errors
    /// [`SshError::Login`] when the login fails.
    ///
    /// # Cancel safety
    /// A cancelled call leaves no process behind, unless the login was complete in that instant; that connection ends
    /// by itself after [`Settings::persist`], or with [`Client::forget`].
    pub async fn connect(&self, lease: &str, endpoint: &Endpoint) -> Result<Session> {
        let link = self.link(lease)?;
        link.open(endpoint).await?;
        Ok(Session::new(link))
    }

    /// Takes up the connection that this or another process left open, if there is one.
    ///
    /// # Errors
    /// When the runtime directory cannot be used.
    ///
    /// # Cancel safety
    /// It only looks.
    pub async fn resume(&self, lease: &str) -> Result<Option<Session>> {
        let link = self.link(lease)?;
        Ok(if link.answers().await { Some(Session::new(link)) } else { None })
    }

    /// Tries once whether the box is ready: a login in which the host proves its key and runs a command.
    ///
    /// # Errors
    /// What the attempt met; [`SshError::may_pass`] says whether another one makes sense.
    ///
    /// # Cancel safety
    /// As [`Client::connect`].
    pub async fn probe(&self, lease: &str, endpoint: &Endpoint) -> Result<Session> {
        let session = self.connect(lease, endpoint).await?;
        session.check().await?;
        Ok(session)
    }

    /// Tries the lease's key once on a machine that may be a stranger's. Nothing of the attempt is remembered.
    ///
    /// # Errors
    /// What the attempt met; a refused key is [`LoginFailure::AuthRefused`].
    ///
    /// # Cancel safety
    /// A cancelled call leaves no process behind.
    pub async fn try_stranger(&self, lease: &str, endpoint: &Endpoint) -> Result<()> {
        self.link(lease)?.try_stranger(endpoint).await
    }

    /// Probes until the box is ready, from every 100 ms growing to every 2 s.
    ///
    /// # Errors
    /// [`SshError::NotReady`] with what the last attempt met. What cannot pass, such as a wrong host key, is returned
    /// at once.
    ///
    /// # Cancel safety
    /// As [`Client::connect`].
    pub async fn ready(
        &self,
        lease: &str,
        endpoint: &Endpoint,
        within: Duration,
    ) -> Result<Session> {
        let mut pace = Pace::start(pace::attempts(within));
        let mut last = None;
        loop {
            match tokio::time::timeout(pace.left(), self.probe(lease, endpoint)).await {
                Ok(Ok(session)) => return Ok(session),
                Ok(Err(error)) if error.may_pass() => last = Some(error),
                Ok(Err(error)) => return Err(error),
                // What an earlier attempt met says more than that this one was cut off.
                Err(_elapsed) => {}
            }
            tracing::debug!(lease, ?last, "not ready yet");
            if !pace.wait(None).await || pace.left().is_zero() {
                let cut_off = || SshError::Login {
                    failure: LoginFailure::Timeout,
                    detail: "the first attempt was still going on".to_owned(),
                };
                return Err(SshError::NotReady {
                    within,
                    last: Box::new(last.unwrap_or_else(cut_off)),
                });
            }
        }
    }

    /// Ends the lease's connection and removes its keys. Forgetting twice is success.
    ///
    /// # Errors
    /// When the connection's process is still there or files cannot be removed.
    ///
    /// # Cancel safety
    /// Calling it again completes the work.
    pub async fn forget(&self, lease: &str) -> Result<()> {
        let files = LeaseFiles::new(&self.settings.keys, lease)?;
        // Where even the parent of the runtime directory is gone, as after a logout, no socket can be left in it.
        if self.settings.runtime.parent().is_none_or(Path::exists) {
            match self.link(lease) {
                // No socket can ever have been there.
                Err(SshError::SocketPathTooLong { .. }) => {}
                link => link?.forget().await?,
            }
        }
        files.remove()
    }

    pub(crate) fn link(&self, lease: &str) -> Result<Link> {
        Link::new(Arc::clone(&self.settings), LeaseFiles::new(&self.settings.keys, lease)?)
    }
}
