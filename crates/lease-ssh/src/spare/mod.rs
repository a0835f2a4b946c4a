//! A session that was opened beforehand and waits on the box, so that the next command costs one round trip.
//!
//! OpenSSH needs one round trip to open a session and one to use it. So a process of its own, the keeper, holds one open
//! session of a lease, whose script waits for its parameters on standard input. Whoever runs the next command asks the
//! keeper over a Unix socket and is handed the session's descriptors, with the connection to ssh's own master among them;
//! from then on the keeper has no part in it. What runs then is the same check, change and wrapper with the same run id
//! and nonce as without it, and where anything is odd nobody gets a session and all is done in the ordinary way.
//!
//! The parameters travel on standard input, which nobody but the box's shell sees, so the environment goes with them.

mod descriptors;
mod keeper;
mod mux;
mod post;
mod script;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use openssh::Child;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::net::unix::pipe::Receiver;

use self::mux::Mux;
pub(crate) use self::post::Post;
use self::script::{Mode, end_line, kind, parameters, script};
use self::waiting::{HEAD, Handed};
use crate::box_root::BoxRoot;
use crate::run::{JobState, Writer};
use crate::session::{End, Session, end_of};

/// What is written to a waiting session at the most: its shell reads byte after byte, and a pipe takes so much at once.
const PARAMETERS_BYTES_MAX: usize = 48 * 1024;
/// How long a keeper may take. It has nothing to do but to hand over, so one that takes longer is stopped or dead.
const HANDOVER_TIME_MAX: Duration = Duration::from_millis(250);

/// The channel of a command.
#[derive(Debug)]
pub(crate) enum Channel {
    /// It was opened for this command.
    Opened(Child<Arc<openssh::Session>>),
    /// It had waited.
    Waited(Waited),
}

/// A channel that had waited.
#[derive(Debug)]
pub(crate) struct Waited {
    mux: Mux,
    /// The keeper sees when this is dropped, and opens the next one.
    keeper: UnixStream,
}

/// A command that was started over a session that had waited.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) channel: Channel,
    pub(crate) stdin: Writer,
    pub(crate) stdout: Receiver,
    pub(crate) stderr: Receiver,
}

impl Channel {
    /// Waits for its end.
    pub(crate) async fn end(self) -> End {
        match self {
            Self::Opened(child) => end_of(child).await,
            Self::Waited(Waited { mux, keeper }) => {
                let end = mux.end().await;
                drop(keeper);
                end
            }
        }
    }

    /// Whether it had waited.
    pub(crate) fn has_waited(&self) -> bool {
        matches!(self, Self::Waited(_))
    }
}

impl Session {
    /// Has a session that waits do what a request would: a part of the script that precedes the wrapper, all arguments,
    /// and what the wrapper is to read as its setup, if anything. `None` when nothing was started by that.
    pub(crate) async fn take_spare(
        &self,
        before: &[u8],
        args: &[&[u8]],
        setup: Option<&[u8]>,
    ) -> Option<Taken> {
        let settings = &self.link.settings;
        if settings.spare.is_zero() {
            return None;
        }
        let mut text = parameters(Mode::of(before)?, setup.unwrap_or_default(), args);
        if text.len() > PARAMETERS_BYTES_MAX {
            return None;
        }
        let wanted = kind(&script(settings.log_bytes_max));
        let handed = tokio::time::timeout(HANDOVER_TIME_MAX, self.ask_keeper(&wanted)).await;
        let (handed, keeper) = match handed {
            Ok(Ok((Some(handed), keeper))) => (handed, keeper),
            other => {
                tracing::debug!(?other, "no session waits");
                return None;
            }
        };
        text.extend(end_line(&handed.name));
        let mut stdin = Writer::from_owned_fd(handed.stdin).ok()?;
        let stdout = Receiver::from_owned_fd(handed.stdout).ok()?;
        let stderr = Receiver::from_owned_fd(handed.stderr).ok()?;
        // A session that does not take all of it has not got the last line, and starts nothing.
        if let Err(error) = stdin.write_all(&text).await {
            tracing::debug!(%error, "the session that waited is gone");
            return None;
        }
        tracing::debug!("a session that waited is used");
        let channel = Channel::Waited(Waited { mux: handed.mux, keeper });
        Some(Taken { channel, stdin, stdout, stderr })
    }

    /// Whether the box is still reached and has no record of any attempt at that run.
    pub(crate) async fn is_untouched(&self, root: &BoxRoot, run: &str) -> bool {
        self.link.answers().await && matches!(self.job(root, run).await, Ok(JobState::Absent))
    }

    async fn ask_keeper(&self, wanted: &str) -> std::io::Result<(Option<Handed>, UnixStream)> {
        let mut keeper = self.link.post().visit().await?;
        keeper.write_all(format!("{HEAD} want {wanted}\n").as_bytes()).await?;
        Ok((Handed::take(&keeper).await?, keeper))
    }
}
