//! One multiplexed connection to a box and the channels on it.

mod channel;
mod cipher;
mod classify;
mod descriptors;
mod distance;
mod master;
mod mux;
mod noise;
mod stranger;

pub(crate) use channel::{
    End, Ends3, Exec, Question, REQUEST_BYTES_MAX, Reply, Stdio, Underway, request,
};
pub(crate) use descriptors::{receive, send};
pub(crate) use distance::{is_near, pays_ahead};
pub(crate) use master::Link;
pub(crate) use mux::{Mux, Requested};
pub(crate) use noise::Mark;

use crate::error::Result;

/// One multiplexed connection to a box. Cheap to clone.
///
/// Dropping it leaves the connection open for the next process, for as long as
/// [`Settings::persist`](crate::Settings::persist) says; [`Session::close`] ends it.
#[derive(Clone, Debug)]
pub struct Session {
    pub(crate) link: Link,
}

impl Session {
    pub(crate) fn new(link: Link) -> Self {
        Self { link }
    }

    /// The lease whose connection this is.
    pub fn lease(&self) -> &str {
        self.link.lease()
    }

    /// Runs `true` on the box.
    ///
    /// # Errors
    /// [`SshError::Lost`](crate::SshError::Lost) when the connection does not carry it, [`SshError::Box`](crate::SshError::Box) when
    /// the box cannot run it.
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
    /// [`SshError::StillConnected`](crate::SshError::StillConnected) when the process survives.
    ///
    /// # Cancel safety
    /// Calling it again completes the work.
    pub async fn close(self) -> Result<()> {
        self.link.close().await
    }
}
