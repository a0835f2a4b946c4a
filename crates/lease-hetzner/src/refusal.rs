//! What an answer that is not a success means: the documented codes, each with its class and its effect.
//!
//! The codes and statuses are those of the error table of the Hetzner Cloud API; what is inferred says so. That nothing
//! happened is claimed only where the documents say that the request itself was refused.

use http::StatusCode;
use lease_core::error::Effect;
use lease_core::{Error, ErrorKind};
use lease_http::Failure;
use serde_json::Value;

/// What was asked for, as far as it changes what a refusal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// To see something.
    Read,
    /// To make a server.
    CreateServer,
    /// To change anything else.
    Change,
}

/// The error that an answer carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) code: String,
    pub(crate) message: String,
    /// The limits that were reached.
    limits: Vec<String>,
}

impl Said {
    /// What the answer says; `None` when it is not an answer of the interface, such as a gateway's page.
    pub(crate) fn read(failure: &Failure) -> Option<Self> {
        let body: Value = failure.json()?;
        let error = &body["error"];
        let limits = error["details"]["limits"].as_array().map(Vec::as_slice).unwrap_or_default();
        Some(Self {
            code: error["code"].as_str()?.to_owned(),
            message: error["message"].as_str().unwrap_or_default().to_owned(),
            limits: limits.iter().filter_map(|it| Some(it["name"].as_str()?.to_owned())).collect(),
        })
    }
}

/// Whether the interface itself said that there is no such resource. A gateway's page does not count, and neither does
/// the answer for a path that leads nowhere, which a wrong endpoint gets.
pub(crate) fn is_absence(failure: &Failure) -> bool {
    failure.status() == Some(StatusCode::NOT_FOUND)
        && Said::read(failure)
            .is_some_and(|it| it.code == "not_found" && !it.message.contains("route not found"))
}

/// The code of the answer, if it has one.
pub(crate) fn code(failure: &Failure) -> Option<String> {
    Said::read(failure).map(|it| it.code)
}

/// Whether a create may be turned down with this code because the same request arrived before and took effect: it has
/// the name and the address, reached the limit, or took the last one there was. Which of several reasons is told is not
/// documented.
pub(crate) fn may_be_caused_by_a_twin(code: &str) -> bool {
    matches!(
        code,
        "uniqueness_error"
            | "primary_ip_assigned"
            | "resource_limit_exceeded"
            | "resource_unavailable"
            | "placement_error"
    )
}

/// The error for the engine.
pub(crate) fn error(failure: &Failure, asked: Asked, capacity_phrases: &[String]) -> Error {
    let Some(status) = failure.status() else { return failure.to_error() };
    let Some(said) = Said::read(failure) else {
        let effect = if asked == Asked::Read { Effect::None } else { Effect::Unknown };
        // What somebody on the way says about a request is no judgement of the request.
        let passes = matches!(status.as_u16(), 408 | 429 | 500..);
        let kind = if passes { failure.kind() } else { ErrorKind::Protocol };
        let message = format!("the answer was {status} and not one of the interface");
        return failure.error(kind, effect, message);
    };
    let (kind, effect, advice) = meaning(status, &said, asked, capacity_phrases)
        .unwrap_or_else(|| (failure.kind(), failure.effect(), ""));
    let effect = if asked == Asked::Read { Effect::None } else { effect };
    let Said { code, message, limits } = said;
    let limits = if limits.is_empty() { String::new() } else { format!(": {}", limits.join(", ")) };
    let advice = if advice.is_empty() { String::new() } else { format!("; {advice}") };
    failure.error(kind, effect, format!("{message} ({code}{limits}){advice}"))
}

/// The class, the effect and what to do. `None` for what is not documented, where the status decides.
fn meaning(
    status: StatusCode,
    said: &Said,
    asked: Asked,
    capacity_phrases: &[String],
) -> Option<(ErrorKind, Effect, &'static str)> {
    use Effect::{None as Nothing, Unknown};
    if status.is_server_error() {
        let kind = if status == StatusCode::GATEWAY_TIMEOUT {
            ErrorKind::Timeout
        } else {
            ErrorKind::Unavailable
        };
        return Some((kind, Unknown, ""));
    }
    let said_so = |phrase: &String| said.code.contains(phrase) || said.message.contains(phrase);
    if asked == Asked::CreateServer && capacity_phrases.iter().any(said_so) {
        return Some((ErrorKind::Capacity, Nothing, ""));
    }
    Some(match said.code.as_str() {
        "json_error" => (ErrorKind::Invalid, Nothing, ""),
        "unauthorized" => {
            (ErrorKind::Denied, Nothing, "set HCLOUD_TOKEN to a token of the project")
        }
        "token_readonly" => (
            ErrorKind::Denied,
            Nothing,
            "the token may only read; set HCLOUD_TOKEN to a read-and-write token of the same project",
        ),
        "forbidden" => (ErrorKind::Denied, Nothing, ""),
        "maintenance" => (ErrorKind::Unavailable, Nothing, "try again later"),
        "resource_limit_exceeded" => limit(said, asked),
        "not_found" => (ErrorKind::NotFound, Nothing, ""),
        "method_not_allowed" => (ErrorKind::Unsupported, Nothing, ""),
        "deprecated_api_endpoint" => {
            (ErrorKind::Unsupported, Nothing, "this version of lease is too old for the interface")
        }
        "uniqueness_error" => (ErrorKind::Conflict, Unknown, ""),
        // It asks to try again: something else changed the resource at the same time.
        "conflict" => (ErrorKind::Unavailable, Unknown, ""),
        "resource_unavailable" | "placement_error" if asked == Asked::CreateServer => {
            (ErrorKind::Capacity, Nothing, "")
        }
        "resource_unavailable" | "placement_error" => (ErrorKind::Unavailable, Nothing, ""),
        // Nobody but the lease gives this address to a server, so a delivery of the same request may have done it.
        "primary_ip_assigned" => {
            (ErrorKind::Conflict, Unknown, "something uses the address of the lease")
        }
        "primary_ip_version_mismatch" | "primary_ip_datacenter_mismatch" => {
            (ErrorKind::Conflict, Nothing, "the address of the lease does not fit the server")
        }
        // The server that used it is still going; that it is not assigned again is ours to see to.
        "must_be_unassigned" => (ErrorKind::Busy, Nothing, ""),
        "invalid_input" => (ErrorKind::Invalid, Nothing, ""),
        "unsupported_error" => (ErrorKind::Unsupported, Nothing, ""),
        // Which service failed, and after what, is not documented.
        "service_error" => (ErrorKind::Unavailable, Unknown, ""),
        // A create may meet the lock of the address that was just made; to settle it costs a look and no machine.
        "locked" | "resource_locked" => (ErrorKind::Busy, Unknown, ""),
        "protected" => (
            ErrorKind::Refused,
            Nothing,
            "somebody protected it from deletion; take the protection away in the Hetzner console",
        ),
        "rate_limit_exceeded" => (ErrorKind::Unavailable, Unknown, ""),
        _ => return None,
    })
}

/// Of the limits, only the one of dedicated cores leaves room for another server type.
fn limit(said: &Said, asked: Asked) -> (ErrorKind, Effect, &'static str) {
    let only_dedicated = said.limits.iter().all(|it| it == "dedicated_core_limit");
    if asked == Asked::CreateServer && !said.limits.is_empty() && only_dedicated {
        (ErrorKind::Capacity, Effect::None, "")
    } else {
        let advice = "no other machine helps: delete what the project does not need, or ask Hetzner for a higher limit";
        (ErrorKind::Unavailable, Effect::None, advice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check((status, code): (u16, &str), asked: Asked, expected: Option<(ErrorKind, Effect)>) {
        let (code, limit) = code.split_once(':').unwrap_or((code, ""));
        let said = Said {
            code: code.to_owned(),
            message: limit.strip_prefix("says ").unwrap_or_default().to_owned(),
            limits: limit
                .split(',')
                .filter(|it| it.ends_with("limit"))
                .map(str::to_owned)
                .collect(),
        };
        let phrases = ["unsupported location for server type".to_owned()];
        let found = meaning(StatusCode::from_u16(status).unwrap(), &said, asked, &phrases);
        assert_eq!(found.map(|it| (it.0, it.1)), expected, "{status} {code} {limit} {asked:?}");
    }

    #[test]
    fn each_documented_code_has_its_class_and_its_effect() {
        use Effect::{None as Nothing, Unknown};
        use ErrorKind as K;
        let change = Asked::Change;
        for (answer, kind, effect) in [
            ((400, "json_error"), K::Invalid, Nothing),
            ((401, "unauthorized"), K::Denied, Nothing),
            ((401, "token_readonly"), K::Denied, Nothing),
            ((403, "forbidden"), K::Denied, Nothing),
            ((403, "maintenance"), K::Unavailable, Nothing),
            ((404, "not_found"), K::NotFound, Nothing),
            ((405, "method_not_allowed"), K::Unsupported, Nothing),
            ((409, "uniqueness_error"), K::Conflict, Unknown),
            ((409, "conflict"), K::Unavailable, Unknown),
            ((410, "deprecated_api_endpoint"), K::Unsupported, Nothing),
            ((412, "primary_ip_version_mismatch"), K::Conflict, Nothing),
            ((422, "primary_ip_assigned"), K::Conflict, Unknown),
            ((422, "primary_ip_datacenter_mismatch"), K::Conflict, Nothing),
            ((422, "must_be_unassigned"), K::Busy, Nothing),
            ((422, "invalid_input"), K::Invalid, Nothing),
            ((422, "service_error"), K::Unavailable, Unknown),
            ((422, "unsupported_error"), K::Unsupported, Nothing),
            ((423, "locked"), K::Busy, Unknown),
            ((423, "protected"), K::Refused, Nothing),
            ((429, "rate_limit_exceeded"), K::Unavailable, Unknown),
            ((500, "server_error"), K::Unavailable, Unknown),
            ((502, "bad_gateway"), K::Unavailable, Unknown),
            ((503, "unavailable"), K::Unavailable, Unknown),
            ((504, "timeout"), K::Timeout, Unknown),
            // A code is believed only as far as its status allows.
            ((500, "invalid_input"), K::Unavailable, Unknown),
        ] {
            check(answer, change, Some((kind, effect)));
            check(answer, Asked::CreateServer, Some((kind, effect)));
        }
        check((422, "what_nobody_documented"), change, None);
    }

    #[test]
    fn only_a_stock_out_or_a_limit_on_the_type_lets_another_candidate_be_tried() {
        let capacity = Some((ErrorKind::Capacity, Effect::None));
        let unavailable = Some((ErrorKind::Unavailable, Effect::None));
        for (answer, of_a_server, of_others) in [
            ((412, "resource_unavailable"), capacity, unavailable),
            ((422, "placement_error"), capacity, unavailable),
            ((403, "resource_limit_exceeded:dedicated_core_limit"), capacity, unavailable),
            ((403, "resource_limit_exceeded:server_limit"), unavailable, unavailable),
            ((403, "resource_limit_exceeded:primary_ip_limit"), unavailable, unavailable),
            (
                (403, "resource_limit_exceeded:dedicated_core_limit,server_limit"),
                unavailable,
                unavailable,
            ),
            ((403, "resource_limit_exceeded"), unavailable, unavailable),
            (
                (422, "invalid_input:says unsupported location for server type"),
                capacity,
                Some((ErrorKind::Invalid, Effect::None)),
            ),
        ] {
            check(answer, Asked::CreateServer, of_a_server);
            check(answer, Asked::Change, of_others);
        }
    }
}
