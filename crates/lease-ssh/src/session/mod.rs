//! One multiplexed connection to a box and the channels on it.

mod channel;
mod classify;
mod distance;
mod master;
mod noise;
mod stranger;

use std::sync::Arc;

pub(crate) use channel::{End, Ends3, REQUEST_BYTES_MAX, Reply, end_of, request};
pub(crate) use master::Link;
pub(crate) use noise::Mark;

use crate::error::{Result, SshError};

/// One multiplexed connection to a box. Cheap to clone.
///
/// Dropping it leaves the connection open for the next process, for as long as
/// [`Settings::persist`](crate::Settings::persist) says; [`Session::close`] ends it.
#[derive(Clone, Debug)]
pub struct Session {
    pub(crate) link: Link,
    pub(crate) mux: Arc<openssh::Session>,
}

impl Session {
    pub(crate) fn new(link: Link) -> Self {
        let mux = openssh::Session::resume_mux(link.control().into(), None);
        Self { link, mux: Arc::new(mux) }
    }

    /// The lease whose connection this is.
    pub fn lease(&self) -> &str {
        self.link.lease()
    }

    /// Runs `true` on the box.
    ///
    /// # Errors
    /// [`SshError::Lost`] when the connection does not carry it, [`SshError::Box`] when the box cannot run it.
    ///
    /// # Cancel safety
    /// It changes nothing.
    pub async fn check(&self) -> Result<()> {
        let reply = self.script("running `true`", b"true", &[], &[]).await?;
        reply.expect_success("running `true`").map(drop)
    }

    /// Opens the connection again after it was lost. The configuration of the last login applies.
    ///
    /// # Errors
    /// As [`Client::connect`](crate::Client::connect).
    ///
    /// # Cancel safety
    /// As [`Client::connect`](crate::Client::connect).
    pub async fn reconnect(&self) -> Result<()> {
        self.link.reopen().await
    }

    /// Ends the connection and proves that its process is gone. Commands that run on it lose their streams.
    ///
    /// # Errors
    /// [`SshError::StillConnected`] when the process survives.
    ///
    /// # Cancel safety
    /// Calling it again completes the work.
    pub async fn close(self) -> Result<()> {
        self.link.close().await
    }
}

impl From<openssh::Error> for SshError {
    fn from(error: openssh::Error) -> Self {
        Self::lost(&error)
    }
}
