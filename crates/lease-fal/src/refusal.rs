//! What an answer that is not a success means: its class, and whether the call may have changed something.
//!
//! fal documents 400, 401, 403, 404, 429 and 500 for Compute, and nothing of what they leave behind. Only what says that
//! the request itself was looked at and turned down counts as harmless; 429 does not, because nothing proves that it is
//! said before anything is made. Whoever is on the way to fal may say no as well, but cannot know what fal did: of such an
//! answer, which is not fal's JSON, only that nobody was let in is believed.

use http::StatusCode;
use lease_core::{Effect, Error, ErrorKind};
use lease_http::Failure;

use crate::wire::Complaint;

/// What fal says when the balance does not allow another instance. The sentence was seen by another client of the
/// interface (third party); its status is unknown, so it is recognised by its words.
const MONEY: &str = "at least $500";

/// What fal's other hosts say when the account is locked (third party); whether this one does is unknown.
const LOCKED: &str = "user is locked";

/// The rule behind [`MONEY`], for people.
pub(crate) const MONEY_RULE: &str = "fal starts an instance only with $500 of credit for each one and an automatic \
                                     top-up that is triggered at $500; set both in fal's billing settings";

/// What kind of call was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// It reads.
    Read,
    /// It creates.
    Create,
    /// It deletes.
    Delete,
}

/// The error for a call that failed, by what fal documents.
pub(crate) fn judge(failure: &Failure, asked: Asked) -> Error {
    let Some(status) = failure.status() else { return failure.to_error() };
    let words = words(failure);
    let lower = words.to_lowercase();
    let effect = effect(status, asked, is_of_fal(failure));
    if lower.contains(MONEY) {
        return failure.error(
            ErrorKind::Refused,
            effect,
            format!("{MONEY_RULE}; fal said: {words}"),
        );
    }
    if lower.contains(LOCKED) {
        let message = format!(
            "fal locked the account, and what is leased goes on costing money until it is unlocked; fal said: {words}"
        );
        return failure.error(ErrorKind::Denied, effect, message);
    }
    // What to do stands before what fal said, which may be long and is cut.
    let hint = match status {
        StatusCode::UNAUTHORIZED => "FAL_KEY is no valid API key; it said: ",
        StatusCode::FORBIDDEN => {
            "Compute needs an API key of admin scope and an account that fal gave access to Compute; it said: "
        }
        StatusCode::PAYMENT_REQUIRED => "look at fal's billing settings; it said: ",
        _ => "",
    };
    let message = format!("fal answered {}: {hint}{words}", status.as_u16());
    failure.error(kind(status), effect, message)
}

/// Whether fal itself says it, and nobody on the way: its own answers are JSON. A 404 speaks of the instance then, and not
/// of the address.
pub(crate) fn is_of_fal(failure: &Failure) -> bool {
    failure.json::<Complaint>().is_some_and(|it| it.words().is_some())
}

/// What the answer says, in one line.
fn words(failure: &Failure) -> String {
    let said = failure.json::<Complaint>().and_then(|it| it.words());
    said.unwrap_or_else(|| match failure.body().trim() {
        "" => "nothing more".to_owned(),
        body => body.to_owned(),
    })
}

fn effect(status: StatusCode, asked: Asked, is_of_fal: bool) -> Effect {
    match (asked, status.as_u16()) {
        (Asked::Read, _) | (_, 401 | 403 | 407) => Effect::None,
        (_, 400..=406 | 410 | 411 | 413..=415 | 422 | 431) if is_of_fal => Effect::None,
        (Asked::Create | Asked::Delete, _) => Effect::Unknown,
    }
}

fn kind(status: StatusCode) -> ErrorKind {
    match status.as_u16() {
        400 | 406 | 411 | 413..=415 | 422 | 431 => ErrorKind::Invalid,
        401 | 403 | 407 => ErrorKind::Denied,
        // A balance is a person's matter, whatever the words.
        402 => ErrorKind::Refused,
        404 | 410 => ErrorKind::NotFound,
        405 => ErrorKind::Unsupported,
        408 | 504 => ErrorKind::Timeout,
        409 => ErrorKind::Conflict,
        425 | 429 | 500..=599 => ErrorKind::Unavailable,
        _ => ErrorKind::Protocol,
    }
}
