//! What a caller wants to send: a method, a path in pieces, and at most one body.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, header};
use lease_core::{Error, ErrorKind};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::Endpoint;

/// What is escaped in a path or a query: everything but the unreserved characters of RFC 3986, section 2.3.
pub(crate) const SEGMENT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// One request to come.
///
/// Pieces of the path and of the query are escaped here, so an id from outside cannot lead to another resource. `Debug`
/// shows the form of the call and none of its values.
#[derive(Clone)]
pub struct Call {
    method: Method,
    operation: &'static str,
    deadline: Duration,
    segments: Vec<String>,
    query: Vec<(String, String)>,
    headers: Vec<(&'static str, String)>,
    body: Option<Bytes>,
}

impl Call {
    /// Begins a call. The operation is what a person reads in front of an error, such as `create the server`; the
    /// deadline is for everything from the connection to the last byte of the answer.
    pub fn new(method: Method, operation: &'static str, deadline: Duration) -> Self {
        Self {
            method,
            operation,
            deadline,
            segments: Vec::new(),
            query: Vec::new(),
            headers: Vec::new(),
            body: None,
        }
    }

    /// Adds pieces of the path, each of which becomes exactly one segment.
    #[must_use]
    pub fn path<I>(mut self, segments: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.segments.extend(segments.into_iter().map(Into::into));
        self
    }

    /// Adds a pair to the query.
    #[must_use]
    pub fn query(mut self, name: impl Into<String>, value: impl fmt::Display) -> Self {
        self.query.push((name.into(), value.to_string()));
        self
    }

    /// Adds a header, such as `Idempotency-Key`. The credential is not given here but to the [`Client`](crate::Client).
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Sets a JSON body.
    #[must_use]
    pub fn json(self, body: &serde_json::Value) -> Self {
        self.body(body.to_string())
    }

    /// Sets a body that is JSON already, for whoever has to send the same bytes twice.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// What is being done.
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// How long the exchange may take.
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// The request as it goes on the wire, but for the credential.
    pub(crate) fn request(&self, endpoint: &Endpoint) -> Result<Request<Bytes>, Error> {
        let mut address = endpoint.to_string();
        for segment in &self.segments {
            // An escape does not hide dots from whoever resolves the path, so they cannot be sent at all.
            if matches!(segment.as_str(), "" | "." | "..") {
                return Err(self.invalid(format!("{segment:?} cannot be a piece of a path")));
            }
            address.push('/');
            address.extend(utf8_percent_encode(segment, SEGMENT));
        }
        for (index, (name, value)) in self.query.iter().enumerate() {
            address.push(if index == 0 { '?' } else { '&' });
            address.extend(utf8_percent_encode(name, SEGMENT));
            address.push('=');
            address.extend(utf8_percent_encode(value, SEGMENT));
        }
        let mut request = Request::new(self.body.clone().unwrap_or_default());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() =
            address.parse().map_err(|error| self.invalid(format!("bad address: {error}")))?;
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        if self.body.is_some() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        for (name, value) in &self.headers {
            let name: HeaderName =
                name.parse().map_err(|_| self.invalid(format!("{name:?} is no header name")))?;
            if is_ours(&name) {
                return Err(self.invalid(format!("the header {name} is not the caller's to set")));
            }
            let Ok(value) = HeaderValue::from_str(value) else {
                return Err(self.invalid(format!("the value of {name} cannot be sent in a header")));
            };
            headers.insert(name, value);
        }
        Ok(request)
    }

    fn invalid(&self, message: String) -> Error {
        Error::harmless(ErrorKind::Invalid, self.operation, message)
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("method", &self.method)
            .field("operation", &self.operation)
            .field("deadline", &self.deadline)
            .field("segments", &self.segments.len())
            .field("query", &self.query.len())
            .field("headers", &self.headers.len())
            .field("body_bytes", &self.body.as_ref().map(Bytes::len))
            .finish()
    }
}

/// Headers by which a caller could send a credential elsewhere or make one request look like two.
fn is_ours(name: &HeaderName) -> bool {
    let ours = [
        header::AUTHORIZATION,
        header::HOST,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::CONNECTION,
    ];
    ours.contains(name)
}
