//! Judging what a process of an adapter left: status, then output, then its own words, then the version.

use lease_core::error::Effect;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::call::Said;
use crate::error::ExternalError;
use crate::wire::{Response, VERSION};

/// How much of what an adapter says to people is repeated in an error.
const SAID_CHARS_MAX: usize = 2000;

/// Reads the answer of an adapter program.
pub(crate) fn judge(operation: &'static str, said: &Said) -> Result<Response, ExternalError> {
    if !said.status.success() {
        return Err(failed(said));
    }
    // The reader would take an array for the fields in their order.
    let value: Value = document(operation, &said.stdout)?;
    if !value.is_object() {
        return Err(ExternalError::answer(operation, "it is not a JSON object"));
    }
    let response: Response = document(operation, &said.stdout)?;
    if let Some(error) = response.error.as_deref().filter(|it| !it.trim().is_empty()) {
        return Err(ExternalError::Refused {
            said: shortened(error),
            effect: effect_of(response.effect.as_deref()),
        });
    }
    match &response.protocol_version {
        Some(Value::Number(version)) if version.as_u64() == Some(VERSION) => Ok(response),
        found => {
            let found = found.as_ref().map_or_else(|| "none".to_owned(), Value::to_string);
            let why = format!(
                "its `protocolVersion` is {}, and {VERSION} is spoken here",
                shortened(&found)
            );
            Err(ExternalError::answer(operation, why))
        }
    }
}

/// Refuses a status other than 0, for commands without an answer.
pub(crate) fn succeeded(said: &Said) -> Result<(), ExternalError> {
    if said.status.success() { Ok(()) } else { Err(failed(said)) }
}

/// Reads exactly one JSON document.
pub(crate) fn document<T: DeserializeOwned>(
    operation: &'static str,
    stdout: &[u8],
) -> Result<T, ExternalError> {
    let wrong = |why: String| Err(ExternalError::answer(operation, why));
    let Ok(text) = std::str::from_utf8(stdout) else {
        return wrong("it is not UTF-8".to_owned());
    };
    // A byte order mark and blanks that JSON does not know are no document either.
    if text.trim().is_empty() {
        return wrong("it is empty".to_owned());
    }
    match serde_json::from_str(text) {
        Ok(value) => Ok(value),
        Err(error) if error.is_eof() => wrong(format!("the JSON breaks off: {error}")),
        Err(error) if error.to_string().starts_with("trailing characters") => {
            wrong(format!("something follows the JSON document: {error}"))
        }
        Err(error) => wrong(format!("it is not the JSON of the protocol: {error}")),
    }
}

fn failed(said: &Said) -> ExternalError {
    let words = [&said.stderr, &said.stdout]
        .map(|it| String::from_utf8_lossy(it).trim().to_owned())
        .into_iter()
        .find(|it| !it.is_empty());
    // An adapter may fail by its status and still declare that nothing was changed, in an object as everywhere.
    let declared: Option<Map<String, Value>> = serde_json::from_slice(&said.stdout).ok();
    let effect = declared.as_ref().and_then(|it| it.get("effect"));
    let effect = effect_of(effect.and_then(Value::as_str));
    ExternalError::Failed {
        status: said.status,
        said: words.map_or_else(|| "it said nothing".to_owned(), |it| shortened(&it)),
        effect,
    }
}

fn effect_of(declared: Option<&str>) -> Effect {
    if declared == Some("none") { Effect::None } else { Effect::Unknown }
}

/// One line for an error: without control characters, and not endless.
pub(crate) fn shortened(text: &str) -> String {
    let plain = text.trim().chars().map(|it| if it.is_control() { ' ' } else { it });
    let mut short: String = plain.take(SAID_CHARS_MAX).collect();
    if short.len() < text.trim().len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use lease_process::Exit;

    use super::*;

    #[track_caller]
    fn check(status: i32, stdout: &str, stderr: &str, expect: &str) {
        let said = Said {
            status: Exit::Code(status),
            stdout: stdout.as_bytes().to_vec(),
            stderr: stderr.as_bytes().to_vec(),
        };
        let judged = judge("list", &said).map(|_| "fine".to_owned());
        let judged = judged.unwrap_or_else(|error| error.to_string());
        assert!(judged.contains(expect), "{judged:?} does not say {expect:?}");
    }

    #[test]
    fn the_status_comes_first_and_its_words_are_those_for_people() {
        check(1, r#"{"error":"machine words"}"#, "human words", "exit status 1: human words");
        check(1, r#"{"error":"machine words"}"#, " ", "machine words");
        check(7, "", "", "exit status 7: it said nothing");
        check(0, r#"{"protocolVersion":1}"#, "noise", "fine");
    }

    #[test]
    fn an_error_needs_no_version_and_a_blank_error_is_none() {
        check(0, r#"{"error":"no room"}"#, "", "refused: no room");
        check(0, r#"{"protocolVersion":1,"error":"  "}"#, "", "fine");
        check(0, r#"{"protocolVersion":2}"#, "", "`protocolVersion` is 2");
        check(0, r#"{"protocolVersion":"1"}"#, "", "`protocolVersion` is \"1\"");
        check(0, "{}", "", "`protocolVersion` is none");
    }

    #[test]
    fn there_is_exactly_one_document() {
        check(0, " \n{\"protocolVersion\":1}\n\n", "", "fine");
        check(0, "{\"protocolVersion\":1}{\"protocolVersion\":1}", "", "something follows");
        check(0, "{\"protocolVersion\":1} done", "", "something follows");
        check(0, "{\"protocolVersion\":1", "", "breaks off");
        check(0, " \n", "", "it is empty");
        check(0, "[]", "", "not a JSON object");
    }
}
