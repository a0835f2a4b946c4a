//! An emulated cloud on a real socket, where an answer can really be missing, late or cut off.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use lease_core::retry::pause;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::exchange::{Cloud, Served};
use crate::script::page;

/// The largest body that is read. The largest that a client of ours sends is user data of 32 KiB.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// How long nothing is accepted after a connection could not be.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// A cloud that is served over HTTP/1.1.
///
/// Dropping it closes the socket and every connection. A request whose client has gone is still served to its end, as
/// at a real cloud: leaving does not undo.
pub struct Server {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Serves `cloud` on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When no port can be opened.
    pub async fn start(cloud: Arc<dyn Cloud>) -> io::Result<Self> {
        Self::listen(cloud, SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Serves `cloud` at `address`; port 0 takes a free one.
    ///
    /// # Errors
    /// When the address cannot be opened, or is not loopback: an emulator has no business on a network.
    pub async fn listen(cloud: Arc<dyn Cloud>, address: SocketAddr) -> io::Result<Self> {
        if !address.ip().is_loopback() {
            let what =
                format!("{address} is not a loopback address; an emulator listens on no other");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { address, accepting: tokio::spawn(accept(listener, cloud)) })
    }

    /// What stands before the path in a URL of this cloud, as `http://127.0.0.1:PORT`.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The connections are tasks in a set that the accepting task owns, so they end with it.
        self.accepting.abort();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

async fn accept(listener: TcpListener, cloud: Arc<dyn Cloud>) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _peer)) => {
                connections.spawn(converse(stream, Arc::clone(&cloud)));
            }
            // What fails here is one connection that its client gave up, or a shortage that passes.
            Err(error) => {
                tracing::debug!(%error, "a connection was not accepted");
                pause(ACCEPT_PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn converse(stream: TcpStream, cloud: Arc<dyn Cloud>) {
    let service = service_fn(move |request| answer(Arc::clone(&cloud), request));
    // An error is how a connection is cut here, and how it ends when the client leaves.
    if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
    {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// An error of this makes hyper close the connection without another byte.
async fn answer(
    cloud: Arc<dyn Cloud>,
    request: http::Request<Incoming>,
) -> io::Result<Response<Answer>> {
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY_BYTES_MAX).collect().await else {
        return Ok(page(StatusCode::PAYLOAD_TOO_LARGE).map(Answer::whole));
    };
    let request = http::Request::from_parts(parts, body.to_bytes());
    let serving = tokio::spawn(async move { cloud.serve(request).await });
    match serving.await.map_err(io::Error::other)? {
        Served::Answer(response) => Ok(response.map(Answer::whole)),
        Served::Truncated(mut response, bytes) => {
            let promised = response.body().len().max(bytes.saturating_add(1));
            response.headers_mut().insert(header::CONTENT_LENGTH, promised.into());
            Ok(response.map(|body| Answer::cut(body.slice(..bytes.min(body.len())))))
        }
        Served::Dropped => Err(io::ErrorKind::ConnectionAborted.into()),
        Served::Hung => match std::future::pending::<Infallible>().await {},
    }
}

/// The body of an answer, which may break off.
struct Answer {
    bytes: Option<Bytes>,
    end: End,
}

/// How a body ends.
#[derive(Clone, Copy)]
enum End {
    Whole,
    /// It breaks off, once what came before it has been sent.
    Flushing,
    Cut,
}

impl Answer {
    fn whole(bytes: Bytes) -> Self {
        Self { bytes: Some(bytes).filter(|it| !it.is_empty()), end: End::Whole }
    }

    fn cut(bytes: Bytes) -> Self {
        Self { bytes: Some(bytes).filter(|it| !it.is_empty()), end: End::Flushing }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(bytes) = self.bytes.take() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        match self.end {
            End::Whole => Poll::Ready(None),
            End::Flushing => {
                // hyper writes out what it has when a body is not ready; after an error it would not.
                self.end = End::Cut;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            End::Cut => Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none() && matches!(self.end, End::Whole)
    }

    fn size_hint(&self) -> SizeHint {
        match self.end {
            End::Whole => SizeHint::with_exact(self.bytes.as_ref().map_or(0, |it| it.len() as u64)),
            End::Flushing | End::Cut => SizeHint::default(),
        }
    }
}
