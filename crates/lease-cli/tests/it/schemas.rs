//! Every `--json` output of the real program against the schema that the program prints for it.

use serde_json::Value;

use crate::home::{AT, Home, json};

/// Holds a value against a schema: the part of JSON Schema that the program's schemas use. Stricter than the standard in
/// one point: a property that the schema does not name is an error, because the schema is the documentation.
fn validate(root: &Value, schema: &Value, value: &Value, at: &str) {
    if schema == &Value::Bool(true) {
        return;
    }
    if let Some(reference) = schema["$ref"].as_str() {
        let target = root.pointer(reference.strip_prefix('#').unwrap()).unwrap();
        return validate(root, target, value, at);
    }
    if let Some(choices) = schema["anyOf"].as_array().or(schema["oneOf"].as_array()) {
        let fits =
            |choice: &Value| std::panic::catch_unwind(|| validate(root, choice, value, at)).is_ok();
        assert!(choices.iter().any(fits), "{at}: {value} fits none of {choices:?}");
        return;
    }
    if let Some(expected) = schema.get("const") {
        assert_eq!(value, expected, "{at}");
    }
    if let Some(words) = schema["enum"].as_array() {
        assert!(words.contains(value), "{at}: {value} is not one of {words:?}");
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().map(|it| it.as_str().unwrap()).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    };
    assert!(
        types.is_empty() || types.iter().any(|it| is_of(value, it)),
        "{at}: {value} is not of {types:?}"
    );
    if let Some(items) = value.as_array().filter(|_| schema.get("items").is_some()) {
        for (number, item) in items.iter().enumerate() {
            validate(root, &schema["items"], item, &format!("{at}/{number}"));
        }
    }
    if let Some(object) = value.as_object().filter(|_| schema.get("properties").is_some()) {
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        for name in required {
            assert!(object.contains_key(name.as_str().unwrap()), "{at}: {name} is missing");
        }
        for (name, it) in object {
            let property = schema["properties"].get(name);
            let property =
                property.unwrap_or_else(|| panic!("{at}: the schema does not know {name}"));
            validate(root, property, it, &format!("{at}/{name}"));
        }
    }
}

fn is_of(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the validator does not know {other}"),
    }
}

#[track_caller]
pub(crate) fn check(home: &Home, line: &str, schema: &str) {
    let ended = home.lease(&format!("{line} --json"));
    let text = if ended.stdout.is_empty() { &ended.stderr } else { &ended.stdout };
    fits(home, text, schema);
}

/// Holds one document against the schema that the program prints.
#[track_caller]
pub(crate) fn fits(home: &Home, text: &str, schema: &str) {
    let value = json(text);
    assert_eq!(value["schema"], schema, "{text}");
    let described = json(&home.lease(&format!("schema {schema}")).good());
    validate(&described, &described, &value, schema);
}

#[test]
fn outputs_are_what_their_schemas_say() {
    let home = Home::new();
    home.repository("providers:\n  local:\n    sshd: bin/x\n");
    check(&home, "config show", "lease.settings/1");
    check(&home, "trust", "lease.trust/1");
    home.record("calm-otter", "lse-aaaaaaaaaaaaaaaaaaaa", AT);
    home.record("bad-corrupt", "lse-bbbbbbbbbbbbbbbbbbbb", AT);
    std::fs::write(home.journal("bad-corrupt"), "{]\n").unwrap();
    check(&home, "list", "lease.list/1");
    check(&home, "show calm-otter", "lease.show/1");
    check(&home, "providers", "lease.providers/1");
    check(&home, "providers sizes local", "lease.sizes/1");
    check(&home, "doctor", "lease.doctor/1");
    check(&home, "history", "lease.history/1");
    check(&home, "cleanup --dry-run", "lease.plan/1");
    check(&home, "keep calm-otter", "lease.lease/1");
    check(&home, "release nobody", "lease.release/1");
    check(&home, "show nobody", "lease.error/1");
    check(&home, "reaper", "lease.reaper/1");
    check(&home, "schema", "lease.schemas/1");
}

#[test]
fn the_validator_refuses_what_does_not_fit() {
    let schema = serde_json::json!({"type": "object", "properties": {"a": {"type": ["string", "null"]}}, "required": ["a"]});
    let fits =
        |value: Value| std::panic::catch_unwind(|| validate(&schema, &schema, &value, "")).is_ok();
    assert!(fits(serde_json::json!({"a": null})));
    assert!(
        !fits(serde_json::json!({"a": 1}))
            && !fits(serde_json::json!({}))
            && !fits(serde_json::json!({"a": "", "b": 1}))
    );
}
