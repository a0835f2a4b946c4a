//! Every error answer of the API: its status, its code, and the shape of its details.

use http::StatusCode;
use serde_json::{Value, json};

/// An error answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) details: Value,
}

impl Problem {
    pub(super) fn body(&self) -> Value {
        json!({"error": {"code": self.code, "message": self.message, "details": self.details}})
    }
}

/// An error answer that a test orders by its documented code. It has no effect on any resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 403 `forbidden`.
    Forbidden,
    /// 403 `maintenance`.
    Maintenance,
    /// 409 `conflict`.
    Conflict,
    /// 410 `deprecated_api_endpoint`.
    DeprecatedApiEndpoint,
    /// 412 `resource_unavailable`.
    ResourceUnavailable,
    /// 422 `service_error`.
    ServiceError,
    /// 422 `unsupported_error`.
    UnsupportedError,
    /// 422 `placement_error`.
    PlacementError,
    /// 423 `locked`.
    Locked,
    /// 500 `server_error`.
    ServerError,
    /// 502 `bad_gateway`, which is in the vendor's client and not in the documents.
    BadGateway,
    /// 503 `unavailable`.
    Unavailable,
    /// 504 `timeout`.
    Timeout,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Forbidden,
        Self::Maintenance,
        Self::Conflict,
        Self::DeprecatedApiEndpoint,
        Self::ResourceUnavailable,
        Self::ServiceError,
        Self::UnsupportedError,
        Self::PlacementError,
        Self::Locked,
        Self::ServerError,
        Self::BadGateway,
        Self::Unavailable,
        Self::Timeout,
    ];

    pub(super) fn problem(self) -> Problem {
        let (status, code, message) = match self {
            Self::Forbidden => (403, "forbidden", "insufficient permissions for this request"),
            Self::Maintenance => (403, "maintenance", "not possible during maintenance"),
            Self::Conflict => (409, "conflict", "the resource has changed, please retry"),
            Self::DeprecatedApiEndpoint => return removed("datacenters"),
            Self::ResourceUnavailable => return resource_unavailable(),
            Self::ServiceError => (422, "service_error", "error within a service"),
            Self::UnsupportedError => (422, "unsupported_error", "action is not supported"),
            Self::PlacementError => return placement_error(),
            Self::Locked => return locked(),
            Self::ServerError => (500, "server_error", "error within the API backend"),
            Self::BadGateway => (502, "bad_gateway", "bad gateway"),
            Self::Unavailable => (503, "unavailable", "service is currently not available"),
            Self::Timeout => (504, "timeout", "the request timed out, please retry"),
        };
        plain(status, code, message)
    }
}

fn plain(status: u16, code: &'static str, message: impl Into<String>) -> Problem {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Problem { status, code, message: message.into(), details: Value::Null }
}

fn detailed(status: u16, code: &'static str, message: &str, details: Value) -> Problem {
    Problem { details, ..plain(status, code, message) }
}

pub(super) fn json_error() -> Problem {
    plain(400, "json_error", "invalid JSON input in the request")
}

pub(super) fn token_missing() -> Problem {
    plain(401, "unauthorized", "token is required")
}

pub(super) fn token_invalid() -> Problem {
    plain(401, "unauthorized", "the token you have provided is invalid")
}

pub(super) fn token_readonly() -> Problem {
    plain(401, "token_readonly", "the token is only allowed to perform GET requests")
}

/// `kind` is a noun such as `server`.
pub(super) fn not_found(kind: &str) -> Problem {
    plain(404, "not_found", format!("{kind} not found"))
}

pub(super) fn no_route() -> Problem {
    plain(404, "not_found", "api route not found")
}

pub(super) fn method_not_allowed() -> Problem {
    plain(405, "method_not_allowed", "the request method is not allowed")
}

/// An endpoint that the vendor has taken away.
pub(super) fn removed(endpoint: &str) -> Problem {
    let announcement = format!("https://docs.hetzner.cloud/changelog#{endpoint}");
    let details = json!({"announcement": announcement});
    detailed(410, "deprecated_api_endpoint", "API functionality was removed", details)
}

pub(super) fn server_name_used() -> Problem {
    detailed(409, "uniqueness_error", "server name is already used", json!({}))
}

pub(super) fn key_name_used() -> Problem {
    let details = json!({"fields": [{"name": "name"}]});
    detailed(409, "uniqueness_error", "SSH key name is already used", details)
}

pub(super) fn key_material_used() -> Problem {
    let details = json!({"fields": [{"name": "public_key"}]});
    let message = "SSH key with the same fingerprint already exists";
    detailed(409, "uniqueness_error", message, details)
}

pub(super) fn ip_name_used() -> Problem {
    let details = json!({"fields": [{"name": "name"}]});
    detailed(409, "uniqueness_error", "primary IP name is already used", details)
}

/// `limit` is its name on the wire, such as `server_limit`.
pub(super) fn limit_exceeded(limit: &str, message: &str) -> Problem {
    let details = json!({"limits": [{"name": limit}]});
    detailed(403, "resource_limit_exceeded", message, details)
}

pub(super) fn resource_unavailable() -> Problem {
    plain(412, "resource_unavailable", "error during placement")
}

pub(super) fn placement_error() -> Problem {
    plain(422, "placement_error", "error during placement")
}

pub(super) fn ip_version_mismatch() -> Problem {
    plain(412, "primary_ip_version_mismatch", "primary IP has the wrong version")
}

pub(super) fn ip_assigned() -> Problem {
    plain(422, "primary_ip_assigned", "primary IP is already assigned")
}

pub(super) fn ip_elsewhere() -> Problem {
    plain(422, "primary_ip_datacenter_mismatch", "primary IP is in another location")
}

pub(super) fn must_be_unassigned() -> Problem {
    plain(422, "must_be_unassigned", "primary IP must be unassigned first")
}

pub(super) fn locked() -> Problem {
    plain(423, "locked", "cannot perform operation because resource is locked")
}

pub(super) fn protected(kind: &str) -> Problem {
    plain(423, "protected", format!("{kind} deletion is protected"))
}

/// The vendor's message carries the first half of the token, which its documents call not secret.
pub(super) fn rate_limited(limit: u32, token: &str) -> Problem {
    let head: String = token.chars().take(32).collect();
    let message = format!("Limit of '{limit}' requests per hour for token '{head}...' reached.");
    plain(429, "rate_limit_exceeded", message)
}

/// Input that is wrong in one or more fields: each with what is wrong with it.
pub(super) fn invalid_input(fields: &[(&str, String)]) -> Problem {
    let message = if let [(name, message)] = fields {
        format!("invalid input in field '{name}': {message}")
    } else {
        let names: Vec<_> = fields.iter().map(|(name, _)| format!("'{name}'")).collect();
        format!("invalid input in fields {}", names.join(", "))
    };
    let fields: Vec<_> =
        fields.iter().map(|(name, message)| json!({"name": name, "messages": [message]})).collect();
    detailed(422, "invalid_input", &message, json!({ "fields": fields }))
}

/// Input that is wrong in one field.
pub(super) fn invalid(field: &str, message: impl Into<String>) -> Problem {
    invalid_input(&[(field, message.into())])
}
