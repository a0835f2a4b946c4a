//! The few headers of an answer that a caller may act on, as plain values.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, StatusCode, header};

use crate::Redactor;

/// The longest wait that the other side can ask for.
const RETRY_AFTER_SECS_MAX: u64 = 15 * 60;

/// The longest wait that follows from the end of a rate limit's window. Such a window may last an hour while calls
/// become possible again second by second, so its end is a bound and not an appointment.
const RATE_LIMIT_WAIT_SECS_MAX: u64 = 60;

/// What a provider said about how many calls are left, as the bare numbers of its `RateLimit-*` headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimit {
    /// How many calls the window has: `RateLimit-Limit`.
    pub limit: Option<u64>,
    /// How many of them are left: `RateLimit-Remaining`.
    pub remaining: Option<u64>,
    /// When the window ends: `RateLimit-Reset`. Hetzner Cloud documents seconds since the Unix epoch.
    pub reset: Option<u64>,
}

/// The headers that are kept; every text in it is redacted.
#[derive(Clone, Debug)]
pub(crate) struct Heading {
    pub(crate) rate_limit: RateLimit,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) correlation_id: Option<String>,
    pub(crate) content_type: Option<String>,
    /// When the other side made the answer, by its own clock, in seconds since the Unix epoch.
    pub(crate) date_secs: Option<u64>,
}

impl Heading {
    pub(crate) fn read(status: StatusCode, headers: &HeaderMap, redactor: &Redactor) -> Self {
        let text = |name: &str| headers.get(name).and_then(|it| it.to_str().ok()).map(str::trim);
        let number = |name: &str| text(name).and_then(|it| it.parse().ok());
        let excerpt = |name: &HeaderName| {
            let value = String::from_utf8_lossy(headers.get(name)?.as_bytes());
            Some(redactor.excerpt(&value)).filter(|it| !it.is_empty())
        };
        let rate_limit = RateLimit {
            limit: number("ratelimit-limit"),
            remaining: number("ratelimit-remaining"),
            reset: number("ratelimit-reset"),
        };
        let date = text(header::DATE.as_str()).and_then(instant_secs);
        let asked = text(header::RETRY_AFTER.as_str()).and_then(|it| retry_after(it, date));
        let is_limited = status == StatusCode::TOO_MANY_REQUESTS;
        let window = || window(rate_limit.reset?, date?).filter(|_| is_limited);
        Self {
            rate_limit,
            retry_after: asked.or_else(window),
            correlation_id: excerpt(&HeaderName::from_static("x-correlation-id"))
                .or_else(|| excerpt(&HeaderName::from_static("x-request-id"))),
            content_type: excerpt(&header::CONTENT_TYPE),
            date_secs: date,
        }
    }
}

/// Reads `Retry-After`: a number of seconds, or a time that is measured from the answer's own date (RFC 9110, section
/// 10.2.3). Without that date a time says nothing, because this crate has no clock.
fn retry_after(value: &str, date: Option<u64>) -> Option<Duration> {
    let secs = if value.bytes().all(|it| it.is_ascii_digit()) && !value.is_empty() {
        // More digits than a number has room for are a wait beyond every bound.
        value.parse().unwrap_or(u64::MAX)
    } else {
        instant_secs(value)?.saturating_sub(date?)
    };
    Some(Duration::from_secs(secs.min(RETRY_AFTER_SECS_MAX)))
}

/// How long it is until the end of a rate limit's window.
fn window(reset: u64, date: u64) -> Option<Duration> {
    let secs = reset.checked_sub(date)?;
    Some(Duration::from_secs(secs.min(RATE_LIMIT_WAIT_SECS_MAX)))
}

/// A date of HTTP in seconds since the Unix epoch.
fn instant_secs(date: &str) -> Option<u64> {
    let at: SystemTime = httpdate::parse_http_date(date).ok()?;
    at.duration_since(UNIX_EPOCH).ok().map(|it| it.as_secs())
}
