//! Every answer that is not a success, word for word as documented where it is.

use http::StatusCode;
use serde_json::json;

use crate::exchange::Response;
use crate::script::json as answer;

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Unauthenticated,
    Denied,
    Invalid,
    NotFound,
    /// Shape known from other hosts of fal only.
    Locked(String),
    /// Words known from another client only, status unknown.
    Money(StatusCode),
    /// Words and status made up.
    NoCapacity(StatusCode),
    KeyReused(StatusCode),
    InFlight,
    /// The documented body of 500, with any status of that class.
    Failed(StatusCode),
}

const MONEY: &str = "In order to start a compute instance, you have to have at least $500 in your fal credit balance \
                     per instance, as well as an automated top up with a trigger at $500.";

impl Refusal {
    pub(super) fn response(&self) -> Response {
        let (status, kind, message) = match self {
            Self::Unauthenticated => {
                (StatusCode::UNAUTHORIZED, "authorization_error", "Authentication required")
            }
            Self::Denied => (StatusCode::FORBIDDEN, "authorization_error", "Access denied"),
            Self::Invalid => {
                (StatusCode::BAD_REQUEST, "validation_error", "Invalid request parameters")
            }
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found", "Resource not found"),
            Self::Locked(reason) => {
                let detail = format!("User is locked. Reason: {reason}.");
                return answer(StatusCode::FORBIDDEN, &json!({ "detail": detail }));
            }
            Self::Money(status) => (*status, "validation_error", MONEY),
            Self::NoCapacity(status) => {
                (*status, "server_error", "No capacity is available for this instance type")
            }
            Self::KeyReused(status) => {
                (*status, "validation_error", "The idempotency key was used with another request")
            }
            Self::InFlight => {
                (StatusCode::CONFLICT, "validation_error", "A request with this key is in progress")
            }
            Self::Failed(status) => (*status, "server_error", "An unexpected error occurred"),
        };
        answer(status, &json!({ "error": { "type": kind, "message": message } }))
    }
}
