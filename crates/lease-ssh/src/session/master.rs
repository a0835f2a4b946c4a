//! The background ssh process that holds the connection: starting, finding and ending it.
//!
//! One process per lease, whoever asks first starts it, under a lock: two that start at once would leave one without a
//! socket, and nobody could end that one.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lease_core::retry::Pace;
use lease_process::{
    Exit, Limits, Liveness, Output, Pid, ProcessError, ProcessIdentity, Program, Stream, liveness,
    output, spawn,
};
use tokio::io::AsyncReadExt as _;

use super::classify::login_error;
use super::mux::{self, Master};
use crate::client::Settings;
use crate::config;
use crate::endpoint::Endpoint;
use crate::error::{LoginFailure, Result, SshError};
use crate::files::private_directory;
use crate::keys::LeaseFiles;
use crate::pace;
use crate::spare::Post;

/// The smallest `sun_path` among the systems we run on (macOS), without its NUL.
const SOCKET_PATH_BYTES_MAX: usize = 103;
/// While it starts, ssh binds a socket whose name has a dot and 16 random characters more.
const SSH_SUFFIX_BYTES: usize = 17;
/// How long a running connection process may take to answer on its socket.
pub(super) const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);
/// How long it may take to end after it was asked, and again after it was killed.
const END_TIME_MAX: Duration = Duration::from_secs(5);
/// How much is kept of what ssh says.
const SAID_BYTES_MAX: u64 = 64 * 1024;
/// What a login may take beyond the connect timeout: key exchange and authentication on a slow box.
const LOGIN_TIME_EXTRA: Duration = Duration::from_secs(30);

/// The place of one lease's connection, whether it is open or not.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) settings: Arc<Settings>,
    pub(super) files: LeaseFiles,
    control: PathBuf,
}

impl Link {
    pub(crate) fn new(settings: Arc<Settings>, files: LeaseFiles) -> Result<Self> {
        let control = control_path(&settings.runtime, files.lease())?;
        private_directory(&settings.runtime)?;
        Ok(Self { settings, files, control })
    }

    pub(crate) fn lease(&self) -> &str {
        self.files.lease()
    }

    /// The lease's own files.
    pub(crate) fn files(&self) -> &LeaseFiles {
        &self.files
    }

    pub(crate) fn control(&self) -> &Path {
        &self.control
    }

    /// Where the keeper of a waiting session is.
    pub(crate) fn post(&self) -> Post {
        Post::of(&self.control)
    }

    /// Whether a connection is open and its process answers.
    pub(crate) async fn answers(&self) -> bool {
        self.ask_master().await.is_some()
    }

    /// The process of a connection that is open, if it answers.
    pub(super) async fn ask_master(&self) -> Option<Master> {
        tokio::time::timeout(ANSWER_TIME_MAX, mux::ask(&self.control)).await.ok()?.ok()
    }

    /// Opens the connection unless it is open.
    pub(crate) async fn open(&self, endpoint: &Endpoint) -> Result<()> {
        endpoint.check()?;
        self.files.check()?;
        let _lock = self.lock().await?;
        if self.answers().await {
            return Ok(());
        }
        config::write(&self.files, endpoint, &self.control, self.settings.connect_timeout)?;
        self.login().await
    }

    /// Opens the connection again with the configuration that is there.
    pub(crate) async fn reopen(&self) -> Result<()> {
        self.files.check()?;
        let _lock = self.lock().await?;
        if self.answers().await { Ok(()) } else { self.login().await }
    }

    /// Ends the connection, if there is one, and proves that its process is gone.
    pub(crate) async fn close(&self) -> Result<()> {
        self.post().clear().await;
        let _lock = self.lock().await?;
        if let Some(identity) = self.master().await? {
            // That it refuses or is gone in between shows below.
            drop(self.control_command("exit").await);
            end(&identity).await?;
        }
        self.remove_socket()
    }

    /// Ends the connection for good: what remains in the runtime directory goes too. Nobody opens it again, because the
    /// lease and its keys are going.
    pub(crate) async fn forget(&self) -> Result<()> {
        self.close().await?;
        let path = self.control.with_extension("lock");
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(SshError::storage("removing", &path)(error))
            }
            _ => Ok(()),
        }
    }

    /// `ssh` with the lease's configuration and nothing else.
    pub(crate) fn ssh(&self) -> Program {
        self.ssh_with(&self.files.config())
    }

    pub(super) fn ssh_with(&self, config: &Path) -> Program {
        // The shell that ssh hands a proxy command to must be one that reads our quoting.
        Program::new("ssh")
            .inherit_env(self.settings.environment.iter().cloned())
            .env("SHELL", "/bin/sh")
            .arg("-F")
            .arg(config)
    }

    /// How long one login may take at the most.
    pub(super) fn login_time_max(&self) -> Duration {
        self.settings.connect_timeout + LOGIN_TIME_EXTRA
    }

    async fn login(&self) -> Result<()> {
        // What stands there belongs to a process that does not answer; with it in place ssh would go unshared.
        self.remove_socket()?;
        drop(fs::remove_file(self.files.proxy_log()));
        let persist = format!("ControlPersist={}", self.settings.persist.as_secs().max(1));
        let cipher = self.fast_cipher().await;
        let options = ["-o", persist.as_str()]
            .into_iter()
            .chain(cipher.into_iter().flat_map(|it| ["-o", it]));
        let program =
            self.ssh().args(["-M", "-N", "-f", "-T"]).args(options).args(["--", self.lease()]);
        let deadline = self.login_time_max();
        let (status, said) = into_background(&program, deadline).await?;
        if !status.success() {
            let proxy_said = fs::read(self.files.proxy_log()).unwrap_or_default();
            let has_proxy = self.files.proxy().exists();
            return Err(login_error(&said, &proxy_said, has_proxy));
        }
        if self.answers().await {
            return Ok(());
        }
        let detail = "ssh logged in but does not answer on its socket".to_owned();
        Err(SshError::Login { failure: LoginFailure::Other, detail })
    }

    /// The process that holds the connection, if one answers.
    async fn master(&self) -> Result<Option<ProcessIdentity>> {
        if !self.control.exists() || !self.files.config().exists() {
            return Ok(None);
        }
        let said = self.control_command("check").await?;
        let text = String::from_utf8_lossy(&said.stderr).into_owned();
        let number =
            text.split_once("pid=").map(|(_, rest)| rest.chars().take_while(char::is_ascii_digit));
        let pid = number.and_then(|it| it.collect::<String>().parse().ok()).and_then(Pid::new);
        pid.map_or(Ok(None), |pid| Ok(ProcessIdentity::of(pid)?))
    }

    async fn control_command(&self, verb: &str) -> Result<Output> {
        run(&self.ssh().args(["-O", verb, "--", self.lease()]), ANSWER_TIME_MAX).await
    }

    fn remove_socket(&self) -> Result<()> {
        match fs::remove_file(&self.control) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(SshError::storage("removing", &self.control)(error))
            }
            _ => Ok(()),
        }
    }

    /// Waits for the other processes of this user that open or close the same connection.
    async fn lock(&self) -> Result<File> {
        let path = self.control.with_extension("lock");
        let failed = |error| SshError::storage("locking", &path)(error);
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let file = file.map_err(failed)?;
        let longest = self.settings.connect_timeout + LOGIN_TIME_EXTRA + END_TIME_MAX;
        let mut pace = Pace::start(pace::looks(longest));
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(fs::TryLockError::WouldBlock) => {}
                Err(fs::TryLockError::Error(error)) => {
                    return Err(SshError::storage("locking", &path)(error));
                }
            }
            if !pace.wait(None).await {
                return Err(SshError::storage("locking", &path)(io::ErrorKind::TimedOut.into()));
            }
        }
    }
}

/// Runs an `ssh` that goes to the background once it is logged in; returns how it ended here and what it said.
///
/// The background process leads a session of its own, but its proxy command stays in the group that was started here,
/// so on success the group is let go, and it is killed in every other case.
async fn into_background(program: &Program, deadline: Duration) -> Result<(Exit, Vec<u8>)> {
    let mut child = spawn(&program.clone().stdout(Stream::Null)).map_err(SshError::of_ssh)?;
    let stderr = child.take_stderr();
    let ended = async {
        let mut said = Vec::new();
        if let Some(stderr) = stderr {
            let read = stderr.take(SAID_BYTES_MAX).read_to_end(&mut said).await;
            tracing::trace!(?read, "ssh closed its error output");
        }
        Ok::<_, SshError>((child.wait().await?, said))
    };
    let (status, said) = match tokio::time::timeout(deadline, ended).await {
        Ok(ended) => ended?,
        Err(_elapsed) => {
            let detail = format!("ssh did not end within {deadline:?}");
            return Err(SshError::Login { failure: LoginFailure::Timeout, detail });
        }
    };
    if status.success() {
        child.detach();
    }
    Ok((status, said))
}

pub(super) async fn run(program: &Program, deadline: Duration) -> Result<Output> {
    let limits = Limits { deadline, ..Limits::default() };
    output(program, limits).await.map_err(|error| {
        if let ProcessError::Deadline { after, .. } = error {
            let detail = format!("ssh did not end within {after:?}");
            return SshError::Login { failure: LoginFailure::Timeout, detail };
        }
        SshError::of_ssh(error)
    })
}

/// Waits until the process is gone; kills it, by its own id, when asking did not help.
async fn end(identity: &ProcessIdentity) -> Result<()> {
    let gone = || !matches!(liveness(identity), Liveness::Alive | Liveness::Unknown);
    let interval = Duration::from_millis(10);
    if lease_process::wait::until(END_TIME_MAX, interval, gone).await {
        return Ok(());
    }
    if let Some(pid) = rustix::process::Pid::from_raw(identity.pid.get()) {
        let killed = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        tracing::debug!(
            ?killed,
            pid = identity.pid.get(),
            "killed a connection that would not end"
        );
    }
    if lease_process::wait::until(END_TIME_MAX, interval, gone).await {
        return Ok(());
    }
    Err(SshError::StillConnected { pid: identity.pid.get() })
}

/// A short name per lease in the private runtime directory.
fn control_path(runtime: &Path, lease: &str) -> Result<PathBuf> {
    let path = runtime.join(format!("{:016x}", fnv1a(lease.as_bytes())));
    let bytes = path.as_os_str().as_bytes().len() + SSH_SUFFIX_BYTES;
    if bytes > SOCKET_PATH_BYTES_MAX {
        let path = runtime.to_owned();
        return Err(SshError::SocketPathTooLong { path, bytes, bytes_max: SOCKET_PATH_BYTES_MAX });
    }
    Ok(path)
}

/// 64-bit FNV-1a. Lease ids are random, so nobody can choose two that collide.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_path_that_ssh_cannot_bind_is_refused_before() {
        let longest = format!("/{}", "r".repeat(SOCKET_PATH_BYTES_MAX - SSH_SUFFIX_BYTES - 16 - 2));
        assert!(control_path(Path::new(&longest), "lse-a").is_ok());
        let said = control_path(Path::new(&format!("{longest}r")), "lse-a").unwrap_err();
        assert!(matches!(said, SshError::SocketPathTooLong { bytes: 104, .. }), "{said}");
    }

    #[test]
    fn leases_do_not_share_a_socket() {
        assert_ne!(fnv1a(b"lse-a"), fnv1a(b"lse-b"));
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
    }
}
