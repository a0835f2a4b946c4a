//! What can go wrong with a request on its way, as data.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response as HttpResponse, StatusCode, header};

use crate::exchange::{Request, Response, Served};

/// Which requests are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matching {
    method: Option<Method>,
    prefix: Option<String>,
}

impl Matching {
    /// Every request.
    pub fn all() -> Self {
        Self::default()
    }

    /// Requests with this method.
    pub fn method(method: Method) -> Self {
        Self { method: Some(method), prefix: None }
    }

    /// Requests whose path starts with `prefix`; the query does not count.
    pub fn path(prefix: impl Into<String>) -> Self {
        Self { method: None, prefix: Some(prefix.into()) }
    }

    /// Requests with this method whose path starts with `prefix`.
    pub fn request(method: Method, prefix: impl Into<String>) -> Self {
        Self { method: Some(method), prefix: Some(prefix.into()) }
    }

    /// Whether `request` is one of them.
    pub fn matches(&self, request: &Request) -> bool {
        self.method.as_ref().is_none_or(|it| it == request.method())
            && self.prefix.as_ref().is_none_or(|it| request.uri().path().starts_with(it.as_str()))
    }
}

/// One way for a request to go wrong. Before means that the cloud never sees the request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The request is answered with this and has no effect.
    RefusedBefore(Response),
    /// The connection is closed; there is no effect.
    LostBefore,
    /// The effect happens; then the connection is closed without an answer.
    LostAfter,
    /// The effect happens; the answer is a gateway's page of HTML with this status.
    ErrorAfter(StatusCode),
    /// The effect happens; the answer breaks off in the middle of its body. An answer without a body is lost.
    TruncatedAfter,
    /// The effect happens; the answer is a 200 whose body is not what its content type says.
    GarbledAfter,
    /// No answer ever comes, and there is no effect.
    HangBefore,
    /// The effect happens; no answer ever comes.
    HangAfter,
    /// The request arrives twice, one after the other; the second answer is returned.
    Twice,
    /// The client is turned away at once; the effect happens that much later.
    Late {
        /// How much later.
        by: Duration,
        /// What the client is told.
        told: Told,
    },
    /// 429 without an effect, with the headers that Hetzner documents (`RateLimit-Limit`, `RateLimit-Remaining`,
    /// `RateLimit-Reset`) and `Retry-After`. The span is rounded down to whole seconds.
    RateLimited(Duration),
    /// 503 without an effect, as a gateway says it.
    Unavailable,
}

/// What a client hears whose request lands late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The connection is closed.
    Nothing,
    /// A gateway's page of HTML with this status.
    Status(StatusCode),
}

impl Told {
    pub(super) fn served(self) -> Served {
        match self {
            Self::Nothing => Served::Dropped,
            Self::Status(status) => Served::Answer(page(status)),
        }
    }
}

/// How often a planned fault fires, once its turn has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// For so many requests.
    Count(u64),
    /// For every request until [`Scripted::cancel`](super::Scripted::cancel).
    Always,
    /// For every request within this span from the first one it fires on.
    For(Duration),
}

/// A fault and when it fires.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) fault: Fault,
    pub(super) matching: Matching,
    pub(super) from: u64,
    pub(super) times: Times,
}

impl Plan {
    /// `fault` at request number `number`, counted from 0 over all requests since the plan was made known.
    pub fn at(number: u64, fault: Fault) -> Self {
        Self { fault, matching: Matching::all(), from: number, times: Times::Count(1) }
    }

    /// Counts only those requests, and fires only on them.
    #[must_use]
    pub fn on(mut self, matching: Matching) -> Self {
        self.matching = matching;
        self
    }

    /// Goes on after the first time: an outage, a locked account.
    #[must_use]
    pub fn times(mut self, times: Times) -> Self {
        self.times = times;
        self
    }
}

/// An answer with a JSON body.
pub fn json(status: StatusCode, body: &serde_json::Value) -> Response {
    answer(status, "application/json", body.to_string())
}

/// What a gateway in front of a cloud says: a status and a page for people.
pub fn page(status: StatusCode) -> Response {
    let reason = status.canonical_reason().unwrap_or("Error");
    let code = status.as_str();
    let title = format!("{code} {reason}");
    let body =
        format!("<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>");
    answer(status, "text/html", body)
}

pub(super) fn rate_limited(wait: Duration) -> Response {
    let body = serde_json::json!({
        "error": { "type": "rate_limited", "code": "rate_limit_exceeded", "message": "Rate limit exceeded" }
    });
    let mut response = json(StatusCode::TOO_MANY_REQUESTS, &body);
    let headers = response.headers_mut();
    let seconds = wait.as_secs();
    headers.insert(header::RETRY_AFTER, seconds.into());
    headers.insert("ratelimit-limit", 3_600.into());
    headers.insert("ratelimit-remaining", 0.into());
    headers.insert("ratelimit-reset", seconds.into());
    response
}

pub(super) fn garbled() -> Response {
    answer(StatusCode::OK, "application/json", "{\"\u{fffd}\u{0}id\":[[}")
}

/// Builds an answer without the fallible builder: nothing in it can be refused.
fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = HttpResponse::new(body.into());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response
}
