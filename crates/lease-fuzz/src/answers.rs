//! A wire whose other side says what an input says, once for each request, and then nothing more.
//!
//! Answers are parted by a byte 0x1e. Each has a first line, which is a status, `lost` or `unsent`; then lines of headers,
//! an empty line, and the body.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use lease_core::Error;
use lease_http::{Wire, WireError};

/// The credential that no error may show.
pub(crate) const CREDENTIAL: &str = "Tf7dYq0wLr4uXk9zBn2mVc6sHj1gPa8e";

const SEPARATOR: u8 = 0x1e;

/// One request and what came back.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) method: Method,
    pub(crate) answer: Option<(StatusCode, Bytes)>,
    /// Whether it is known that the request was never sent.
    pub(crate) is_unsent: bool,
}

impl Exchange {
    /// The body as JSON, where the status is one of success.
    pub(crate) fn success(&self) -> Option<serde_json::Value> {
        let (status, _) = self.answer.as_ref()?;
        if status.is_success() { self.json() } else { None }
    }

    pub(crate) fn status(&self) -> Option<u16> {
        self.answer.as_ref().map(|(status, _)| status.as_u16())
    }

    /// The body as JSON, whatever the status.
    pub(crate) fn json(&self) -> Option<serde_json::Value> {
        // A field that nobody reads may hold what is no text: the id beside it must not be lost for that.
        serde_json::from_str(&String::from_utf8_lossy(&self.answer.as_ref()?.1)).ok()
    }
}

/// The other side.
pub(crate) struct Answers {
    left: Mutex<VecDeque<Vec<u8>>>,
    done: Mutex<Vec<Exchange>>,
}

impl Answers {
    pub(crate) fn new(input: &[u8]) -> Self {
        let left = input.split(|it| *it == SEPARATOR).map(<[u8]>::to_vec).collect();
        Self { left: Mutex::new(left), done: Mutex::default() }
    }

    /// What was asked so far.
    pub(crate) fn exchanges(&self) -> Vec<Exchange> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answers")
    }
}

#[async_trait]
impl Wire for Answers {
    async fn exchange(
        &self,
        request: Request<Bytes>,
        _deadline: Duration,
    ) -> Result<Response<Bytes>, WireError> {
        let next = self.left.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let answer = match next {
            Some(text) => read(&text),
            None => Err(WireError::lost("nothing more was said")),
        };
        let exchange = Exchange {
            method: request.method().clone(),
            answer: answer.as_ref().ok().map(|it| (it.status(), it.body().clone())),
            is_unsent: answer.as_ref().is_err_and(|it| it.stage == lease_http::Stage::NotSent),
        };
        self.done.lock().unwrap_or_else(PoisonError::into_inner).push(exchange);
        answer
    }
}

fn read(text: &[u8]) -> Result<Response<Bytes>, WireError> {
    let (first, mut rest) = line(text);
    match first {
        b"lost" => return Err(WireError::lost(String::from_utf8_lossy(rest))),
        b"unsent" => return Err(WireError::not_sent(String::from_utf8_lossy(rest))),
        _ => {}
    }
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::from_bytes(first).unwrap_or(StatusCode::OK);
    loop {
        let (header, after) = line(rest);
        rest = after;
        let Some(colon) = header.iter().position(|it| *it == b':') else { break };
        let (name, value) = (&header[..colon], header[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            response.headers_mut().append(name, value);
        }
    }
    *response.body_mut() = Bytes::copy_from_slice(rest);
    Ok(response)
}

/// The first line and what follows it.
fn line(text: &[u8]) -> (&[u8], &[u8]) {
    match text.iter().position(|it| *it == b'\n') {
        Some(end) => (&text[..end], &text[end + 1..]),
        None => (text, &[]),
    }
}

/// What is shown to people shows no credential, is one line, and is not endless.
pub(crate) fn is_presentable(error: &Error) {
    const CHARS_MAX: usize = 64 * 1024;
    for shown in [error.to_string(), format!("{error:?}")] {
        assert!(!shown.contains(CREDENTIAL), "an error shows the credential");
        assert!(shown.chars().count() < CHARS_MAX, "an error has no end");
    }
}

/// Runs a call in simulated time to its end.
pub(crate) fn block_on<T>(call: impl Future<Output = T>) -> Option<T> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().ok()?;
    Some(runtime.block_on(call))
}
