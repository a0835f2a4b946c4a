//! A session that is opened before its command is known, so that the command costs fewer round trips.
//!
//! OpenSSH needs one round trip to open a session and one to use it. On a near box a run opens its session before it looks
//! at the tree, so that the one goes on beside the other ([`Ahead`]).
//!
//! Better still is a session that waits from before. A process of its own, the keeper, holds one open
//! session of a lease, whose program waits for its parameters on standard input. Whoever runs the next command asks the
//! keeper over a Unix socket and is handed the session's descriptors, with the connection to ssh's own master among them;
//! from then on the keeper has no part in it. What runs then is the same check, change and wrapper with the same run id
//! and nonce as without it, and where anything is odd nobody gets a session and all is done in the ordinary way.
//!
//! The parameters travel on standard input, which nobody but the box's shell sees, so the environment goes with them.

mod ahead;
mod keeper;
mod post;
mod script;
mod waiting;

use std::io;

use tokio::net::UnixStream;
use tokio::task::JoinHandle;

pub use self::ahead::Ahead;
pub(crate) use self::post::Post;
use crate::session::{End, Exec, Link, Mux};

/// The channel of a command.
#[derive(Debug)]
pub(crate) enum Channel {
    /// It was opened for this command.
    Opened(Exec),
    /// It was opened before the command was known.
    Ahead(Early),
}

/// A channel that was opened before its command was known.
#[derive(Debug)]
pub(crate) enum Early {
    /// It is being opened, or is open by now.
    Opening(JoinHandle<io::Result<Mux>>),
    /// It had waited.
    Waited {
        mux: Mux,
        /// The keeper sees when this is dropped, and opens the next one.
        keeper: UnixStream,
    },
}

impl Channel {
    /// Waits for its end, whose streams have ended before.
    pub(crate) async fn end(self, link: &Link) -> End {
        match self {
            Self::Opened(exec) => exec.end().await,
            Self::Ahead(Early::Waited { mux, keeper }) => {
                let end = link.end_of(mux).await;
                drop(keeper);
                end
            }
            Self::Ahead(Early::Opening(opening)) => match opening.await {
                Ok(Ok(mux)) => link.end_of(mux).await,
                Ok(Err(error)) => End::Broken(error.to_string()),
                Err(error) => End::Broken(error.to_string()),
            },
        }
    }

    /// Whether it was opened before the command was known.
    pub(crate) fn is_ahead(&self) -> bool {
        matches!(self, Self::Ahead(_))
    }
}
