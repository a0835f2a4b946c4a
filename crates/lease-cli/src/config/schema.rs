//! The JSON schema of the configuration files, made from the table of settings.

use serde_json::{Map, Value, json};

use crate::config::keys::{self, Key, Kind, Repository};

/// The schema's name.
pub(crate) const NAME: &str = "lease.config/1";

/// The schema of config.yaml and lease.yaml.
pub(crate) fn schema() -> Value {
    let mut root = section();
    for key in keys::all() {
        insert(&mut root, key.path, key);
    }
    root["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    root["title"] = json!(NAME);
    root["description"] = json!("config.yaml of a user and lease.yaml of a repository");
    root
}

fn insert(node: &mut Value, path: &str, key: &Key) {
    let Some(properties) = node["properties"].as_object_mut() else { return };
    match path.split_once('.') {
        None => {
            properties.insert(path.to_owned(), setting(key));
        }
        Some((first, rest)) => insert(properties.entry(first).or_insert_with(section), rest, key),
    }
}

fn section() -> Value {
    json!({ "type": ["object", "null"], "additionalProperties": false, "properties": Map::new() })
}

fn setting(key: &Key) -> Value {
    let mut schema = match key.kind {
        Kind::Text | Kind::Path => json!({ "type": ["string", "null"], "minLength": 1 }),
        Kind::Limit => {
            json!({ "type": ["string", "null"], "pattern": "^(none|never|([0-9]+(ms|s|m|h|d|w) ?)+)$" })
        }
        Kind::Span => {
            json!({ "type": ["string", "null"], "pattern": "^([0-9]+(ms|s|m|h|d|w) ?)+$" })
        }
        Kind::Number(most) => json!({ "type": ["integer", "null"], "minimum": 0, "maximum": most }),
        Kind::Size => {
            json!({ "type": ["string", "null"], "pattern": "^(none|[0-9]+ *([KMGT]i?)?B)$" })
        }
        Kind::Switch => json!({ "type": ["boolean", "null"] }),
        Kind::Choice(words) => {
            json!({ "enum": words.iter().map(|it| json!(it)).chain([Value::Null]).collect::<Vec<_>>() })
        }
        Kind::List => json!({ "type": ["array", "null"], "items": { "type": "string" } }),
        Kind::Map => {
            json!({ "type": ["object", "null"], "additionalProperties": { "type": "string" } })
        }
        Kind::Tree => json!({ "type": ["object", "null"] }),
    };
    let trust = match key.repository {
        Repository::Free => "",
        Repository::NeedsTrust => "; in lease.yaml only after `lease trust`",
        Repository::Forbidden => "; not in lease.yaml",
    };
    schema["description"] = json!(format!("{}{trust}", key.about));
    if let Some(default) = key.default {
        schema["default"] = json!(default);
    }
    schema
}
