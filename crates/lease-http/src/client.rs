//! Turns a call into one request with the credential on it, and what comes back into an answer or a failure.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use lease_core::provider::Check;
use lease_core::{Error, ErrorKind, Secret, Timestamp};
use tokio::time::{Instant, timeout};

use crate::clock::{self, Told};
use crate::heading::Heading;
use crate::{Answer, Call, Endpoint, Failure, Redactor, Wire, WireError};

/// What proves to the other side who is calling.
#[derive(Clone, Debug)]
pub struct Credential {
    scheme: &'static str,
    secret: Secret,
}

impl Credential {
    /// A token in the scheme `Bearer` (RFC 6750).
    pub fn bearer(secret: Secret) -> Self {
        Self { scheme: "Bearer", secret }
    }

    /// A key in the scheme `Key`, which fal uses.
    pub fn key(secret: Secret) -> Self {
        Self { scheme: "Key", secret }
    }
}

/// A caller at one endpoint with one credential. Cloning it is cheap.
#[derive(Clone)]
pub struct Client {
    wire: Arc<dyn Wire>,
    endpoint: Endpoint,
    authorization: Option<HeaderValue>,
    redactor: Arc<Redactor>,
    told: Arc<Mutex<Option<Told>>>,
}

impl Client {
    /// Makes a client; nothing is sent.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a credential that is empty or cannot be sent in a header.
    pub fn new(
        wire: Arc<dyn Wire>,
        endpoint: Endpoint,
        credential: Option<&Credential>,
    ) -> Result<Self, Error> {
        let redactor = Arc::new(Redactor::new(credential.map(|it| &it.secret)));
        let authorization = credential.map(authorization).transpose()?;
        Ok(Self { wire, endpoint, authorization, redactor, told: Arc::default() })
    }

    /// Where calls go.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What removes this client's credential from text.
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Compares our clock with the other side's, as far as the `Date` of its last answer says (RFC 9110, section 6.6.1);
    /// `None` before the first answer, and where answers have no date. `now` is what our clock shows.
    pub fn clock_check(&self, now: Timestamp) -> Option<Check> {
        let told = *self.told.lock().unwrap_or_else(PoisonError::into_inner);
        Some(clock::compare(self.endpoint.host(), told?.by_now(), now))
    }

    /// Sends the call once.
    ///
    /// # Errors
    /// Whatever is not a complete answer with a 2xx status. A redirect is not followed and is a failure.
    ///
    /// # Cancel safety
    /// A dropped call may have been sent; its outcome is unknown unless it reads.
    pub async fn send(&self, call: Call) -> Result<Answer, Failure> {
        let (operation, method) = (call.operation(), call.method().clone());
        let redactor = || Arc::clone(&self.redactor);
        let mut request = match call.request(&self.endpoint) {
            Ok(request) => request,
            Err(error) => return Err(Failure::unsendable(method, &error, operation, redactor())),
        };
        if let Some(value) = &self.authorization {
            request.headers_mut().insert(header::AUTHORIZATION, value.clone());
        }
        match self.exchange(request, &call).await {
            Ok(response) => self.judge(&call, response),
            Err(error) => Err(Failure::wire(method, error, operation, redactor())),
        }
    }

    /// Sends the request and notes how it went.
    async fn exchange(
        &self,
        request: Request<Bytes>,
        call: &Call,
    ) -> Result<Response<Bytes>, WireError> {
        let began = Instant::now();
        let path = self.redactor.excerpt(request.uri().path());
        // The wire keeps the deadline itself and knows best what was reached by then; this holds for one that hangs.
        let sent = timeout(call.deadline(), self.wire.exchange(request, call.deadline())).await;
        let result = sent.unwrap_or_else(|_| {
            let message = format!("no answer within {:?}", call.deadline());
            Err(WireError::lost(message).with_kind(ErrorKind::Timeout))
        });
        tracing::debug!(
            method = %call.method(),
            path,
            status = result.as_ref().map(|it| it.status().as_u16()).ok(),
            stage = result.as_ref().err().map(|it| tracing::field::debug(it.stage)),
            elapsed = ?began.elapsed(),
            "sent a request"
        );
        result
    }

    fn judge(&self, call: &Call, response: Response<Bytes>) -> Result<Answer, Failure> {
        let (head, body) = response.into_parts();
        let heading = Heading::read(head.status, &head.headers, &self.redactor);
        if let Some(date_secs) = heading.date_secs {
            let told = Told::just_now(date_secs);
            *self.told.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
        }
        let answer = Answer {
            operation: call.operation(),
            method: call.method().clone(),
            status: head.status,
            heading,
            body,
            redactor: Arc::clone(&self.redactor),
        };
        if head.status.is_success() { Ok(answer) } else { Err(Failure::refusal(&answer)) }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("endpoint", &self.endpoint)
            .field("has_credential", &self.authorization.is_some())
            .finish_non_exhaustive()
    }
}

/// The header that carries the credential, marked so that nothing below prints or indexes it.
fn authorization(credential: &Credential) -> Result<HeaderValue, Error> {
    let secret = credential.secret.expose();
    let refused = |why: &str| Error::harmless(ErrorKind::Invalid, "read the credential", why);
    if secret.is_empty() {
        return Err(refused("the credential is empty"));
    }
    let plain = secret.bytes().all(|it| it.is_ascii_graphic());
    let value = HeaderValue::from_str(&format!("{} {secret}", credential.scheme));
    let mut value = value.ok().filter(|_| plain).ok_or_else(|| {
        refused("the credential holds a blank or another character that no header carries")
    })?;
    value.set_sensitive(true);
    Ok(value)
}
