//! The shapes of fal's answers. What is documented as required and needed here is required; everything else may be
//! missing, and what is unknown is passed over.

use std::collections::BTreeMap;

use lease_core::ResourceId;
use serde::{Deserialize, Deserializer};

/// An instance as fal shows it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Instance {
    pub(crate) id: ResourceId,
    #[serde(rename = "instance_type")]
    pub(crate) machine: String,
    /// One of the documented words, or a new one.
    pub(crate) status: String,
    /// Documented as there once the instance is ready.
    #[serde(default)]
    pub(crate) ip: Option<String>,
}

/// A page of a listing. All three fields are documented as required: a page that lacks one proves nothing.
#[derive(Debug, Deserialize)]
pub(crate) struct Page {
    pub(crate) instances: Vec<Instance>,
    pub(crate) has_more: bool,
    #[serde(deserialize_with = "present")]
    pub(crate) next_cursor: Option<String>,
}

/// The account, as `GET /account/billing` shows it.
#[derive(Debug, Deserialize)]
pub(crate) struct Billing {
    pub(crate) username: String,
    #[serde(default)]
    pub(crate) credits: Option<Credits>,
}

/// The balance, which is shown on request.
#[derive(Debug, Deserialize)]
pub(crate) struct Credits {
    pub(crate) current_balance: f64,
    #[serde(default)]
    pub(crate) currency: String,
}

/// The answer to a create as far as it can be read: the id is what must not be lost.
#[derive(Debug, Deserialize)]
pub(crate) struct Made {
    pub(crate) id: ResourceId,
}

/// Why something was refused: fal's documented form, or the one that its other hosts use.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Complaint {
    #[serde(default)]
    error: Option<Documented>,
    #[serde(default)]
    detail: Option<Detail>,
}

#[derive(Debug, Deserialize)]
struct Documented {
    #[serde(default)]
    message: String,
    #[serde(default)]
    request_id: Option<String>,
}

/// `detail` is text, or a list of what is wrong with which field.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Detail {
    Text(String),
    List(Vec<Fault>),
    Other(serde_json::Value),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Fault {
    Field {
        msg: String,
        #[serde(default)]
        loc: Vec<serde_json::Value>,
    },
    Text(String),
    Other(BTreeMap<String, serde_json::Value>),
}

impl Complaint {
    /// The complaint in one line; `None` when it says nothing.
    pub(crate) fn words(&self) -> Option<String> {
        let documented = self.error.as_ref().map(|it| match &it.request_id {
            Some(id) => format!("{} (request {id})", it.message),
            None => it.message.clone(),
        });
        let words = documented.or_else(|| self.detail.as_ref().map(Detail::words));
        words.filter(|it| !it.trim().is_empty())
    }
}

impl Detail {
    fn words(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::List(list) => list.iter().map(Fault::words).collect::<Vec<_>>().join("; "),
            Self::Other(value) => value.to_string(),
        }
    }
}

impl Fault {
    fn words(&self) -> String {
        match self {
            Self::Field { msg, loc } => {
                let place =
                    loc.last().map(|it| it.as_str().map_or_else(|| it.to_string(), str::to_owned));
                place.map_or_else(|| msg.clone(), |it| format!("{it}: {msg}"))
            }
            Self::Text(text) => text.clone(),
            Self::Other(value) => format!("{value:?}"),
        }
    }
}

/// Reads a field that may be null but has to be there.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::deserialize(deserializer)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check_page(text: &serde_json::Value, is_good: bool) {
        let read: Result<Page, _> = serde_json::from_value(text.clone());
        assert_eq!(read.is_ok(), is_good, "{text}: {read:?}");
    }

    #[test]
    fn a_page_that_lacks_anything_is_no_page() {
        let one = json!({"id": "inst_a", "instance_type": "gpu_1x_h100_sxm5", "region": "us-west", "status": "ready"});
        check_page(&json!({"instances": [], "has_more": false, "next_cursor": null}), true);
        check_page(&json!({"instances": [one], "has_more": true, "next_cursor": "Mg=="}), true);
        check_page(&json!({"instances": [], "has_more": false}), false);
        check_page(&json!({"instances": [], "next_cursor": null}), false);
        check_page(&json!({"has_more": false, "next_cursor": null}), false);
        check_page(&json!({"instances": null, "has_more": false, "next_cursor": null}), false);
        check_page(&json!({"instances": [], "has_more": null, "next_cursor": null}), false);
        check_page(&json!({"instances": [], "has_more": false, "next_cursor": 2}), false);
        check_page(&json!([]), false);
    }

    #[test]
    fn an_instance_without_an_id_or_a_status_makes_the_page_unreadable() {
        for bad in [
            json!({"id": "", "instance_type": "t", "status": "ready"}),
            json!({"instance_type": "t", "status": "ready"}),
            json!({"id": "a", "instance_type": "t"}),
            json!({"id": "a b", "instance_type": "t", "status": "ready"}),
        ] {
            check_page(&json!({"instances": [bad], "has_more": false, "next_cursor": null}), false);
        }
    }

    #[track_caller]
    fn check_words(body: &serde_json::Value, expected: Option<&str>) {
        let read: Complaint = serde_json::from_value(body.clone()).unwrap();
        assert_eq!(read.words().as_deref(), expected, "{body}");
    }

    #[test]
    fn complaints_are_read_in_every_form_that_fal_is_known_to_use() {
        let error = json!({"type": "not_found", "message": "Resource not found"});
        check_words(&json!({ "error": error }), Some("Resource not found"));
        let error = json!({"type": "server_error", "message": "Oops", "request_id": "r-1"});
        check_words(&json!({ "error": error }), Some("Oops (request r-1)"));
        check_words(&json!({"detail": "User is locked."}), Some("User is locked."));
        let list =
            json!([{"loc": ["body", "ssh_key"], "msg": "field required", "type": "missing"}]);
        check_words(&json!({ "detail": list }), Some("ssh_key: field required"));
        check_words(&json!({"detail": ["a", "b"]}), Some("a; b"));
        check_words(&json!({"detail": {"a": 1}}), Some("{\"a\":1}"));
        check_words(&json!({"error": {"type": "server_error", "message": ""}}), None);
        check_words(&json!({}), None);
    }
}
