//! What travels between an adapter and us, with the names of protocol version 1.

use std::collections::BTreeMap;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::ExternalError;

/// The version of the protocol that is spoken here.
pub(crate) const VERSION: u64 = 1;

/// The operations by their wire names.
pub(crate) mod operation {
    pub(crate) const DOCTOR: &str = "doctor";
    pub(crate) const ACQUIRE: &str = "acquire";
    pub(crate) const RESOLVE: &str = "resolve";
    pub(crate) const LIST: &str = "list";
    pub(crate) const RELEASE: &str = "release";
    pub(crate) const TOUCH: &str = "touch";
    pub(crate) const CLEANUP: &str = "cleanup";
}

/// The repository that the caller works in; each field is left out when it is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Repo {
    /// The directory of the working tree.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub root: String,
    /// Its name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Where it is fetched from.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remote_url: String,
    /// The commit that is checked out.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub head: String,
    /// What it is compared with.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub base_ref: String,
}

/// The answer of an adapter program. Fields that are not known here are ignored.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Response {
    #[serde(default)]
    pub(crate) protocol_version: Option<Value>,
    #[serde(default)]
    pub(crate) lease: Option<WireLease>,
    #[serde(default)]
    pub(crate) leases: Option<Vec<WireLease>>,
    #[serde(default)]
    pub(crate) message: Option<String>,
    #[serde(default)]
    pub(crate) error: Option<String>,
    /// An extension: `none` beside an error says that the operation changed nothing.
    #[serde(default)]
    pub(crate) effect: Option<String>,
}

/// A lease as an adapter tells it. Everything is optional on the wire.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WireLease {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lease_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) slug: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cloud_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) server_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) labels: Option<BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ssh: Option<WireSsh>,
    /// What we do not know is given back to the adapter as it came.
    #[serde(flatten)]
    pub(crate) rest: Map<String, Value>,
}

/// How to log in, as an adapter tells it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WireSsh {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) host: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    #[serde(default, deserialize_with = "port", skip_serializing_if = "Option::is_none")]
    pub(crate) port: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fallback_ports: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ssh_config_proxy: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) proxy_command: Option<String>,
    /// An extension: the host's public key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) host_key: Option<String>,
    /// `readyCheck`, `authSecret`, `noControlMaster` and whatever else there is.
    #[serde(flatten)]
    pub(crate) rest: Map<String, Value>,
}

impl WireLease {
    /// The login, if it says anything at all. An empty object, which adapters send while they wait, says nothing.
    pub(crate) fn login(&self) -> Option<&WireSsh> {
        self.ssh.as_ref().filter(|it| **it != WireSsh::default())
    }

    pub(crate) fn label(&self, name: &str) -> Option<&str> {
        self.labels.as_ref()?.get(name).map(String::as_str)
    }
}

/// Reads a port as text, or as the number that some encoders write.
fn port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    struct Port;

    impl Visitor<'_> for Port {
        type Value = Option<String>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a port as a string")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok(Some(text.to_owned()))
        }

        fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
            Ok(Some(number.to_string()))
        }

        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
    }

    deserializer.deserialize_any(Port)
}

/// A request that is being put together: version and operation first, and nothing that is empty.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) operation: &'static str,
    fields: Map<String, Value>,
}

impl Request {
    pub(crate) fn new(operation: &'static str) -> Self {
        let mut fields = Map::new();
        fields.insert("protocolVersion".to_owned(), VERSION.into());
        fields.insert("operation".to_owned(), operation.into());
        Self { operation, fields }
    }

    /// Adds a field, unless it is empty.
    pub(crate) fn with(mut self, name: &str, value: impl Serialize) -> Result<Self, ExternalError> {
        let value = serde_json::to_value(value)
            .map_err(|error| ExternalError::Request(format!("`{name}` is no JSON: {error}")))?;
        let is_empty = match &value {
            Value::Null => true,
            Value::Bool(it) => !it,
            Value::String(it) => it.is_empty(),
            Value::Array(it) => it.is_empty(),
            Value::Object(it) => it.is_empty(),
            Value::Number(_) => false,
        };
        if !is_empty {
            self.fields.insert(name.to_owned(), value);
        }
        Ok(self)
    }

    /// The lease id that is asked for.
    pub(crate) fn lease_id(&self) -> Option<&str> {
        self.fields.get("desired")?.get("leaseId")?.as_str()
    }

    /// The one line that the adapter reads.
    pub(crate) fn line(&self) -> Vec<u8> {
        let mut line = Value::Object(self.fields.clone()).to_string().into_bytes();
        line.push(b'\n');
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_one_line_without_empty_fields() {
        let request = Request::new("list").with("all", true).unwrap().with("refresh", false);
        let request = request.unwrap().with("config", Map::new()).unwrap();
        let line = String::from_utf8(request.line()).unwrap();
        assert_eq!(line, "{\"all\":true,\"operation\":\"list\",\"protocolVersion\":1}\n");
    }

    #[test]
    fn what_is_not_known_comes_back_as_it_went() {
        let text = r#"{"leaseId":"a","zone":{"n":[1,2.5]},"ssh":{"host":"h","readyCheck":"true"}}"#;
        let lease: WireLease = serde_json::from_str(text).unwrap();
        assert_eq!(
            serde_json::to_value(&lease).unwrap(),
            serde_json::from_str::<Value>(text).unwrap()
        );
    }

    #[test]
    fn a_port_is_text_or_a_number() {
        let port = |text: &str| serde_json::from_str::<WireSsh>(text).ok().map(|it| it.port);
        assert_eq!(port(r#"{"port":"22"}"#), Some(Some("22".into())));
        assert_eq!(port(r#"{"port":2222}"#), Some(Some("2222".into())));
        assert_eq!(port(r#"{"port":null}"#), Some(None));
        assert_eq!(port(r#"{"port":22.5}"#), None);
        assert_eq!(port(r#"{"port":[22]}"#), None);
    }
}
