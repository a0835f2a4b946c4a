//! What can go wrong on the way to a box, told apart where the caller acts differently.
//!
//! Every variant says what happened; [`SshError::next_step`] says what to do about it. Neither ever holds key material,
//! environment values or the arguments of a user's command.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use lease_process::ProcessError;
use thiserror::Error;

/// The result of everything in this crate that can fail.
pub type Result<T, E = SshError> = std::result::Result<T, E>;

/// Why a login did not come about, as far as ssh's own words tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LoginFailure {
    /// Nothing listens there yet.
    Refused,
    /// Nobody answered in time, or there is no route.
    Timeout,
    /// The host's name does not resolve.
    NameResolution,
    /// The host proved another key than the pinned one, or none that is known.
    HostKeyMismatch,
    /// The host does not accept the lease's key for that user.
    AuthRefused,
    /// The program that stands for the connection failed.
    ProxyFailed,
    /// The other side closed the connection before the login was complete.
    Closed,
    /// Something else; the detail has ssh's words.
    Other,
}

impl LoginFailure {
    /// Whether another attempt a moment later can succeed, as with a machine that is still booting.
    pub fn may_pass(self) -> bool {
        !matches!(self, Self::HostKeyMismatch)
    }

    fn words(self) -> &'static str {
        match self {
            Self::Refused => "the connection was refused",
            Self::Timeout => "the host did not answer in time",
            Self::NameResolution => "the host's name does not resolve",
            Self::HostKeyMismatch => "the host's key is not the one that is pinned for this lease",
            Self::AuthRefused => "the host refused the lease's key",
            Self::ProxyFailed => "the proxy command failed",
            Self::Closed => "the other side closed the connection during the login",
            Self::Other => "the login failed",
        }
    }
}

/// What went wrong between here and a box.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SshError {
    /// A value cannot be used; nothing was tried with it.
    #[error("{what} cannot be used: {why}")]
    Invalid {
        /// Which value.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A private file or directory can be read by others, or belongs to somebody else.
    #[error("{} has mode {mode:03o} and must be private: run `chmod {wanted:o} {}`", path.display(), path.display())]
    NotPrivate {
        /// The file or directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// The permission bits it must have.
        wanted: u32,
    },
    /// A local file or directory could not be read or written.
    #[error("{doing} {} failed: {source}", path.display())]
    Storage {
        /// What was being done.
        doing: &'static str,
        /// With which path.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The path of a control socket would not fit into a socket address.
    #[error("the runtime directory {} is too long for a socket: {bytes} bytes, at most {bytes_max}", path.display())]
    SocketPathTooLong {
        /// The directory that was given.
        path: PathBuf,
        /// How long the socket's path would be.
        bytes: usize,
        /// How long it may be.
        bytes_max: usize,
    },
    /// The `ssh` program is not installed, or not in the `PATH` that was given.
    #[error("the program `ssh` was not found")]
    SshMissing,
    /// A local program could not be run to its end.
    #[error("a local program failed: {0}")]
    Process(#[from] ProcessError),
    /// The login failed.
    #[error("{}{}", failure.words(), suffix(detail))]
    Login {
        /// What class of failure.
        failure: LoginFailure,
        /// What ssh or the proxy said, shortened; may be empty.
        detail: String,
    },
    /// The box did not become ready in time.
    #[error("the box was not ready within {within:?}; last: {last}")]
    NotReady {
        /// How long was waited.
        within: Duration,
        /// What the last attempt met.
        last: Box<SshError>,
    },
    /// The connection was lost, or could not be used for a new channel. Nothing is known about what was asked last.
    #[error("the connection to the box was lost{}", suffix(detail))]
    Lost {
        /// What was seen.
        detail: String,
    },
    /// The connection would not end.
    #[error("the connection process {pid} is still running")]
    StillConnected {
        /// Its process id on this machine.
        pid: i32,
    },
    /// A run of this id was started before; a command is started at most once per id.
    #[error("the run {run} was started before and is not started again")]
    AlreadyStarted {
        /// The run's id.
        run: String,
    },
    /// The command was not started, for a reason on the box.
    #[error("the command was not started{}", suffix(detail))]
    NotStarted {
        /// What the box said.
        detail: String,
    },
    /// The box has no room left.
    #[error("the box has no room left{}", suffix(detail))]
    BoxFull {
        /// What the box said.
        detail: String,
    },
    /// A program that this crate needs is missing on the box.
    #[error("the box has no `{program}`")]
    BoxLacks {
        /// The program's name.
        program: &'static str,
    },
    /// Files that the box made itself are in the way of files of the tree.
    #[error("files made on the box are in the way of the tree's: {}", listing(paths))]
    Blocked {
        /// The paths, relative to the tree.
        paths: Vec<PathBuf>,
    },
    /// Another sync of the same box overtook this one.
    #[error("another sync of the same box began in the meantime")]
    Superseded,
    /// The box answered something that does not make sense, or failed in an unforeseen way.
    #[error("the box failed while {doing}{}", suffix(detail))]
    Box {
        /// What was being done.
        doing: &'static str,
        /// What the box said, shortened.
        detail: String,
    },
    /// A command changed files of the tree on the box, and that was to be told rather than undone.
    #[error("the box has changed files of the tree: {}", listing(paths))]
    Drifted {
        /// The paths, relative to the tree.
        paths: Vec<PathBuf>,
    },
    /// The local tree could not be read.
    #[error(transparent)]
    Tree(#[from] lease_tree::TreeError),
}

impl SshError {
    /// What a person can do about it.
    pub fn next_step(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "correct the value",
            Self::NotPrivate { .. } => "run the chmod above, or remove the file if it is not yours",
            Self::Storage { .. } => "check that the disk is writable and has room",
            Self::SocketPathTooLong { .. } => "set a shorter runtime directory",
            Self::SshMissing => "install the OpenSSH client",
            Self::Process(_) => "check that the program is installed and can be run",
            Self::Login { failure, .. } => login_step(*failure),
            Self::NotReady { last, .. } => last.next_step(),
            Self::Lost { .. } => {
                "check the network; ask for the run's state before you start it again"
            }
            Self::StillConnected { .. } => "end that process",
            Self::AlreadyStarted { .. } => "attach to the run, or start a new one",
            Self::NotStarted { .. } => "check the directory and the disk on the box",
            Self::BoxFull { .. } => "free space on the box, or ask for a larger disk",
            Self::BoxLacks { .. } => "install it on the box",
            Self::Blocked { .. } => "move them away on the box, or add them to `.leaseignore`",
            Self::Superseded => "run the sync again when the other one has ended",
            Self::Box { .. } => "look at the box with an interactive login",
            Self::Drifted { .. } => {
                "fetch what you want to keep, and sync with `sync.drift` set to overwrite or keep"
            }
            Self::Tree(error) => error.next_step(),
        }
    }

    /// Whether another attempt a moment later can succeed without anybody doing anything.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Login { failure, .. } => failure.may_pass(),
            Self::Lost { .. } => true,
            Self::Process(error) => matches!(error, ProcessError::Deadline { .. }),
            Self::Invalid { .. }
            | Self::NotPrivate { .. }
            | Self::Storage { .. }
            | Self::SocketPathTooLong { .. }
            | Self::SshMissing
            | Self::NotReady { .. }
            | Self::StillConnected { .. }
            | Self::AlreadyStarted { .. }
            | Self::NotStarted { .. }
            | Self::BoxFull { .. }
            | Self::BoxLacks { .. }
            | Self::Blocked { .. }
            | Self::Superseded
            | Self::Box { .. }
            | Self::Drifted { .. }
            | Self::Tree(_) => false,
        }
    }

    /// A failure of the `ssh` program itself.
    pub(crate) fn of_ssh(error: ProcessError) -> Self {
        if matches!(error, ProcessError::NotFound { .. }) {
            Self::SshMissing
        } else {
            Self::Process(error)
        }
    }

    pub(crate) fn invalid(what: &'static str, why: impl Into<String>) -> Self {
        Self::Invalid { what, why: why.into() }
    }

    pub(crate) fn storage(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Storage { doing, path, source }
    }

    pub(crate) fn lost(cause: &dyn std::error::Error) -> Self {
        Self::Lost { detail: cause.to_string() }
    }

    /// Sorts the failure of a script on the box by what it said.
    pub(crate) fn from_box(doing: &'static str, code: i32, stderr: &[u8]) -> Self {
        let mut detail = shortened(stderr);
        if detail.is_empty() {
            detail = format!("it ended with {code} and said nothing");
        }
        // Scripts run with LC_ALL=C, so these are the words of every C library.
        let full = [
            "No space left on device",
            "Disk quota exceeded",
            "File too large",
            "exceeds file size limit",
        ];
        if full.iter().any(|words| detail.contains(words)) {
            return Self::BoxFull { detail };
        }
        Self::Box { doing, detail }
    }
}

/// The last lines of what a program said, on one line and without control characters.
pub(crate) fn shortened(said: &[u8]) -> String {
    const LINES: usize = 4;
    const CHARS: usize = 400;
    let text = String::from_utf8_lossy(said);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = lines[lines.len().saturating_sub(LINES)..].join("; ");
    let clean = last.chars().map(|it| if it.is_control() { ' ' } else { it });
    clean.take(CHARS).collect()
}

fn login_step(failure: LoginFailure) -> &'static str {
    match failure {
        LoginFailure::Refused | LoginFailure::Timeout | LoginFailure::Closed => {
            "wait until the box has booted, and check the firewall"
        }
        LoginFailure::NameResolution => "check the host's name and the network",
        LoginFailure::HostKeyMismatch => {
            "release the lease: somebody else may be answering at that address"
        }
        LoginFailure::AuthRefused => "wait until the key is in place, and check the user's name",
        LoginFailure::ProxyFailed => "run the proxy command by hand",
        LoginFailure::Other => "read what ssh said",
    }
}

fn suffix(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(": {detail}") }
}

fn listing(paths: &[PathBuf]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<String> = paths
        .iter()
        .take(SHOWN)
        .map(|path| path.to_string_lossy().escape_debug().to_string())
        .collect();
    let more = paths.len().saturating_sub(SHOWN);
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_full_disk_are_understood() {
        let full = b"tar: work/a: Wrote only 512 of 10240 bytes\ntar: x: Cannot write: No space left on device\n";
        assert!(matches!(SshError::from_box("unpacking", 1, full), SshError::BoxFull { .. }));
        assert!(matches!(SshError::from_box("unpacking", 1, b"odd"), SshError::Box { .. }));
    }

    #[test]
    fn what_a_box_says_cannot_move_the_cursor() {
        assert_eq!(shortened(b"\n one\x1b[2J \ntwo\n"), "one [2J; two");
        assert!(shortened(&[b'x'; 9_000]).len() <= 400);
    }
}
