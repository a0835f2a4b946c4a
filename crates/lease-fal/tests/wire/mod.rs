//! The wire that is a function call: an emulated cloud without sockets, so that a paused clock governs everything.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use lease_core::ErrorKind;
use lease_emulator::{Cloud, Served};
use lease_http::{Wire, WireError};
use tokio::time::timeout;

/// Asks a cloud directly. As over a network, a request goes on when whoever sent it has left.
#[derive(Debug)]
pub(crate) struct InProcess<C: Cloud + 'static>(pub(crate) Arc<C>);

#[async_trait]
impl<C: Cloud + 'static> Wire for InProcess<C> {
    async fn exchange(
        &self,
        request: Request<Bytes>,
        deadline: Duration,
    ) -> Result<Response<Bytes>, WireError> {
        let cloud = Arc::clone(&self.0);
        let serving = tokio::spawn(async move { cloud.serve(request).await });
        let late = || WireError::lost("no answer in time").with_kind(ErrorKind::Timeout);
        let served = timeout(deadline, serving).await.map_err(|_| late())?;
        match served.map_err(|error| WireError::lost(error.to_string()))? {
            Served::Answer(response) => Ok(response),
            Served::Truncated(_, bytes) => {
                Err(WireError::lost(format!("the answer broke off after {bytes} bytes")))
            }
            Served::Dropped => Err(WireError::lost("the connection was closed")),
            Served::Hung => {
                timeout(deadline, std::future::pending()).await.unwrap_or_else(|_| Err(late()))
            }
        }
    }
}
