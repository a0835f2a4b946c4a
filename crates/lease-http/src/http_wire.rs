//! The wire that is a network: `reqwest` with everything turned off that could send a request twice or elsewhere.
//!
//! * No retries: neither the client's own ones nor those of the connection pool. A pooled connection that turns out to
//!   be dead makes the pool send again, so only requests that read are pooled; each mutation has its own connection.
//! * No redirects, cookies, compression or caches. A redirect is an answer like any other.
//! * No proxy: neither the environment nor the system is asked for one.
//! * TLS by rustls with ring, trusting what the platform trusts. On Linux those are the files of the distribution, or of
//!   `SSL_CERT_FILE` and `SSL_CERT_DIR`, which the library that loads them reads from the environment.

use std::error::Error;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{Request, Response, uri::Scheme};
use lease_core::ErrorKind;
use reqwest::{Client, ClientBuilder, redirect, retry};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::time::{Instant, timeout_at};

use crate::failure::is_read;
use crate::{Wire, WireError};

/// How the other side sees this program.
const USER_AGENT: &str = concat!("lease/", env!("CARGO_PKG_VERSION"));

/// The most time to connect, names and TLS included, if nobody says otherwise.
const CONNECT_SECS_MAX: u64 = 10;

/// The largest answer in bytes, if nobody says otherwise.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The longest deadline of a call; the clock has no end for what is longer than all time.
const DEADLINE_SECS_MAX: u64 = 24 * 60 * 60;

/// How long an unused connection is kept.
const IDLE_SECS_MAX: u64 = 30;

/// The most layers of a cause that an error message names.
const CAUSES_MAX: usize = 8;

/// The bounds of every exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long it may take to connect, names and TLS included. What ends here was provably not sent; what ends at the
    /// deadline of a call was perhaps sent. So this is shorter than the deadlines.
    pub connect: Duration,
    /// The largest body of an answer in bytes.
    pub answer_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(CONNECT_SECS_MAX), answer_bytes: ANSWER_BYTES_MAX }
    }
}

/// Sends over the network.
///
/// It is made without touching anything; certificates are loaded with the first request.
#[derive(Default)]
pub struct HttpWire {
    limits: Limits,
    clients: OnceLock<Result<Clients, String>>,
}

/// One client for each promise.
struct Clients {
    reads: Client,
    mutations: Client,
    /// Why no certificate can be trusted; loopback works without any.
    untrusting: Option<String>,
}

impl HttpWire {
    /// Makes a wire with these bounds.
    pub fn new(limits: Limits) -> Self {
        Self { limits, clients: OnceLock::new() }
    }

    async fn send(
        &self,
        request: Request<Bytes>,
        by: Instant,
    ) -> Result<Response<Bytes>, WireError> {
        let clients = self.clients.get_or_init(|| Clients::build(self.limits.connect));
        let clients = clients.as_ref().map_err(WireError::not_sent)?;
        let is_encrypted = request.uri().scheme() == Some(&Scheme::HTTPS);
        if let Some(why) = clients.untrusting.as_ref().filter(|_| is_encrypted) {
            return Err(WireError::not_sent(why));
        }
        let client = if is_read(request.method()) { &clients.reads } else { &clients.mutations };
        let host = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        let request = reqwest::Request::try_from(request)
            .map_err(|error| WireError::not_sent(describe(error)).with_kind(ErrorKind::Invalid))?;
        let sent = timeout_at(by, client.execute(request)).await;
        let answer = sent
            .map_err(|_| too_late(&format!("there was no answer from {host}")))?
            .map_err(|error| unanswered(error, &host))?;
        let read = timeout_at(by, self.read(answer)).await;
        read.map_err(|_| too_late("the answer was not complete"))?
    }

    /// Reads a body that is as large as it wants to be, up to the bound.
    async fn read(&self, mut answer: reqwest::Response) -> Result<Response<Bytes>, WireError> {
        let mut body = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(broken_off)? {
            if body.len().saturating_add(chunk.len()) > self.limits.answer_bytes {
                let message =
                    format!("the answer has more than {} bytes", self.limits.answer_bytes);
                return Err(WireError::lost(message).with_kind(ErrorKind::Protocol));
            }
            body.extend_from_slice(&chunk);
        }
        let mut response = Response::new(body.freeze());
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(response)
    }
}

#[async_trait]
impl Wire for HttpWire {
    async fn exchange(
        &self,
        request: Request<Bytes>,
        deadline: Duration,
    ) -> Result<Response<Bytes>, WireError> {
        let deadline = deadline.min(Duration::from_secs(DEADLINE_SECS_MAX));
        self.send(request, Instant::now() + deadline).await
    }
}

impl fmt::Debug for HttpWire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpWire").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Clients {
    fn build(connect: Duration) -> Result<Self, String> {
        let (tls, untrusting) = tls()?;
        let client = |idle| {
            let built = quiet(connect, tls.clone()).pool_max_idle_per_host(idle).build();
            built.map_err(|error| format!("the HTTP client cannot be made: {}", describe(error)))
        };
        Ok(Self { reads: client(1)?, mutations: client(0)?, untrusting })
    }
}

/// A client builder with everything off that acts on its own. What a feature of a crate elsewhere could turn on is
/// turned off by name.
#[expect(clippy::disallowed_methods, reason = "this is the door that the rule names")]
fn quiet(connect: Duration, tls: ClientConfig) -> ClientBuilder {
    Client::builder()
        .tls_backend_preconfigured(tls)
        .http1_only()
        .no_proxy()
        .retry(retry::never())
        .redirect(redirect::Policy::none())
        .referer(false)
        .no_gzip()
        .no_brotli()
        .no_deflate()
        .no_zstd()
        .user_agent(USER_AGENT)
        .connect_timeout(connect)
        .pool_idle_timeout(Duration::from_secs(IDLE_SECS_MAX))
}

/// The configuration of TLS, and why it trusts nobody if the platform has no certificates.
fn tls() -> Result<(ClientConfig, Option<String>), String> {
    let builder = || {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        builder.with_safe_default_protocol_versions().map_err(|error| format!("no TLS: {error}"))
    };
    match builder()?.with_platform_verifier() {
        Ok(trusting) => Ok((trusting.with_no_client_auth(), None)),
        Err(error) => {
            let why = format!("no certificate authority is known here, install them: {error}");
            let nobody = builder()?.with_root_certificates(RootCertStore::empty());
            Ok((nobody.with_no_client_auth(), Some(why)))
        }
    }
}

fn too_late(what: &str) -> WireError {
    WireError::lost(format!("{what} by the deadline")).with_kind(ErrorKind::Timeout)
}

/// The failure of a request that got no head of an answer. Only what failed while connecting was provably not sent.
fn unanswered(error: reqwest::Error, host: &str) -> WireError {
    let kind = if error.is_timeout() { ErrorKind::Timeout } else { ErrorKind::Unavailable };
    let failed = if error.is_connect() {
        // Why there is no connection is said by the last cause; the others say only that there is none.
        let why = causes(&error).last().map(ToString::to_string);
        let why = why.unwrap_or_else(|| error.without_url().to_string());
        WireError::not_sent(format!("{host} cannot be reached: {why}"))
    } else {
        WireError::lost(format!("no answer from {host}: {}", describe(error)))
    };
    failed.with_kind(kind)
}

fn broken_off(error: reqwest::Error) -> WireError {
    WireError::lost(format!("the answer broke off: {}", describe(error)))
}

/// The error with its causes and without its address, which the caller knows.
fn describe(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    for it in causes(&error) {
        text.push_str(": ");
        text.push_str(&it.to_string());
    }
    text
}

/// What led to it, the nearest first.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    fn next<'a>(it: &&'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
        (*it).source()
    }
    std::iter::successors(error.source(), next).take(CAUSES_MAX)
}
