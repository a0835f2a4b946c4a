//! Every documented answer, in tables.

use http::Method;
use lease_emulator::hetzner::{Policy, Refusal, UnknownReference};
use serde_json::{Value, json};

use crate::client::{Client, KEYS, OK, id, wish, wish_with};

#[tokio::test(start_paused = true)]
async fn every_refusal_has_its_documented_status_and_code() {
    let client = Client::new(Policy::immediate());
    let expected = [
        (403, "forbidden"),
        (403, "maintenance"),
        (409, "conflict"),
        (410, "deprecated_api_endpoint"),
        (412, "resource_unavailable"),
        (422, "service_error"),
        (422, "unsupported_error"),
        (422, "placement_error"),
        (423, "locked"),
        (500, "server_error"),
        (502, "bad_gateway"),
        (503, "unavailable"),
        (504, "timeout"),
    ];
    assert_eq!(Refusal::ALL.len(), expected.len());
    for (refusal, expected) in Refusal::ALL.into_iter().zip(expected) {
        client.cloud.next_refusal(refusal);
        let answer = client.post("/servers", &wish("refused")).await;
        assert_eq!(answer.problem(), expected);
        assert!(!answer.message().is_empty());
        assert!(answer.body["error"].as_object().unwrap().contains_key("details"));
    }
    let servers = client.get("/servers").await;
    assert_eq!(servers.names("servers"), Vec::<String>::new(), "a refusal has no effect");
    client.post("/servers", &wish("refused")).await.expect_status(201);
}

#[tokio::test(start_paused = true)]
async fn a_path_that_is_none_is_not_found_even_without_a_token() {
    let client = Client::new(Policy::immediate());
    for path in ["/nothing", "/servers/", "/servers/abc", "/servers/0", "/servers/1/actions/dance"]
    {
        let answer = client.send((Method::GET, path), None, "").await;
        assert_eq!(answer.problem(), (404, "not_found"), "{path}");
        assert_eq!(answer.message(), "api route not found");
        assert!(
            answer.text.contains("\n  \"error\""),
            "another program prints this: {}",
            answer.text
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_method_that_is_none_is_not_allowed_and_a_removed_endpoint_says_so() {
    let client = Client::new(Policy::immediate());
    let token = client.token.clone();
    for (method, path) in [
        (Method::PUT, "/servers"),
        (Method::DELETE, "/server_types"),
        (Method::POST, "/pricing"),
        (Method::PATCH, "/ssh_keys"),
    ] {
        let answer = client.send((method, path), Some(&token), "{}").await;
        assert_eq!(answer.problem(), (405, "method_not_allowed"), "{path}");
    }
    let answer = client.get("/datacenters").await;
    assert_eq!(answer.problem(), (410, "deprecated_api_endpoint"));
    assert!(answer.body["error"]["details"]["announcement"].is_string());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_no_json_object_is_a_json_error() {
    let client = Client::new(Policy::immediate());
    let token = client.token.clone();
    for path in ["/servers", "/ssh_keys"] {
        for body in ["", "{", "[]", "null", "name=x"] {
            let answer = client.send((Method::POST, path), Some(&token), body).await;
            assert_eq!(answer.problem(), (400, "json_error"), "{path} {body}");
        }
    }
}

/// The names of the fields that an answer finds fault with.
fn faulty(error: &Value) -> Vec<&str> {
    let fields = error["details"]["fields"].as_array().unwrap();
    fields.iter().map(|field| field["name"].as_str().unwrap()).collect()
}

async fn check_invalid(client: &Client, body: &Value, fields: &[&str]) {
    let answer = client.post("/servers", body).await;
    assert_eq!(answer.problem(), (422, "invalid_input"), "{body}");
    assert_eq!(faulty(&answer.body["error"]), fields, "{body}");
    for field in answer.body["error"]["details"]["fields"].as_array().unwrap() {
        assert!(field["messages"][0].is_string(), "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_cannot_be_meant_is_invalid_input_with_its_fields() {
    let client = Client::new(Policy::immediate());
    let long = "a".repeat(64);
    for name in ["-a", "a-", "a_b", "a b", "ä", ".a", "a..b", long.as_str()] {
        check_invalid(&client, &wish(name), &["name"]).await;
    }
    let data = "x".repeat(32 * 1024 + 1);
    let cases = [
        (json!({"name": null}), "name"),
        (json!({"name": ""}), "name"),
        (json!({"server_type": null}), "server_type"),
        (json!({"server_type": "cx99"}), "server_type"),
        (json!({"server_type": "cx22"}), "server_type"),
        (json!({"image": null}), "image"),
        (json!({"image": "plan-9"}), "image"),
        (json!({"image": 114_690_389}), "image"),
        (json!({"location": "moon"}), "location"),
        (json!({"location": "ash"}), "location"),
        (json!({"ssh_keys": ["nobody"]}), "ssh_keys"),
        (json!({"ssh_keys": "nobody"}), "ssh_keys"),
        (json!({"labels": {"a b": "c"}}), "labels"),
        (json!({"labels": {"a": 1}}), "labels"),
        (json!({"labels": ["a"]}), "labels"),
        (json!({"labels": {"hetzner.cloud/a": "b"}}), "labels"),
        (json!({"user_data": data}), "user_data"),
        (json!({"user_data": 1}), "user_data"),
        (json!({"start_after_create": "yes"}), "start_after_create"),
        (json!({"public_net": {"enable_ipv4": false, "enable_ipv6": false}}), "public_net"),
    ];
    for (other, field) in cases {
        check_invalid(&client, &wish_with("fine", other), &[field]).await;
    }
    check_invalid(&client, &json!({}), &["name", "server_type", "image"]).await;
    let answer = client.post("/servers", &wish("a_b")).await;
    let message = "invalid input in field 'name': must be a valid hostname";
    assert_eq!(answer.message(), message);
    assert_eq!(client.get("/servers").await.names("servers"), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_can_be_meant_is_made_whichever_way_it_is_said() {
    let client = Client::new(Policy::immediate());
    let key = json!({"name": "key", "public_key": KEYS[0]});
    let key = client.post("/ssh_keys", &key).await.expect_status(201).body;
    let key = id(&key["ssh_key"]);
    let limit = "x".repeat(32 * 1024);
    let long = "a".repeat(63);
    let cases = [
        json!({"name": long, "labels": {"a": "", "example.com/b": "c"}}),
        json!({"name": "a.example.com"}),
        json!({"name": "by-ids", "server_type": 114, "image": 114_690_387, "location": 1, "ssh_keys": [key]}),
        json!({"name": "by-texts", "server_type": "114", "image": "114690387", "location": "1"}),
        json!({"name": "by-key-text", "ssh_keys": [key.to_string()]}),
        json!({"name": "by-key-name", "ssh_keys": ["key"]}),
        json!({"name": "anywhere", "location": null}),
        json!({"name": "arm", "server_type": "cax11"}),
        json!({"name": "far", "server_type": "cpx22", "location": "sin"}),
        json!({"name": "large", "user_data": limit}),
        json!({"name": "unknown-field", "datacenter": "fsn1-dc14", "shoe_size": 46}),
    ];
    for case in cases {
        let wish = wish_with("", case.clone());
        let made = client.post("/servers", &wish).await;
        assert_eq!(made.status, 201, "{case}: {}", made.text);
        let server = &made.body["server"];
        assert_eq!(server["image"]["architecture"], server["server_type"]["architecture"]);
        assert!(!made.text.contains("xxxx"), "user data is never returned");
        let with_key = case.get("ssh_keys").is_some();
        assert_eq!(made.body["root_password"].is_null(), with_key, "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reference_to_nothing_is_a_404_where_the_policy_says_so() {
    let policy = Policy { unknown_reference: UnknownReference::NotFound, ..Policy::immediate() };
    let client = Client::new(policy);
    for other in [
        json!({"server_type": "x"}),
        json!({"image": "x"}),
        json!({"location": "x"}),
        json!({"ssh_keys": ["x"]}),
    ] {
        let answer = client.post("/servers", &wish_with("fine", other)).await;
        assert_eq!(answer.problem(), (404, "not_found"));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_not_found() {
    let client = Client::new(Policy::immediate());
    let token = client.token.clone();
    for (method, path) in [
        (Method::GET, "/servers/7"),
        (Method::PUT, "/servers/7"),
        (Method::DELETE, "/servers/7"),
        (Method::POST, "/servers/7/actions/poweroff"),
        (Method::GET, "/servers/7/actions"),
        (Method::GET, "/ssh_keys/7"),
        (Method::PUT, "/ssh_keys/7"),
        (Method::DELETE, "/ssh_keys/7"),
        (Method::GET, "/primary_ips/7"),
        (Method::DELETE, "/primary_ips/7"),
        (Method::GET, "/actions/7"),
        (Method::GET, "/server_types/7"),
        (Method::GET, "/locations/7"),
        (Method::GET, "/images/7"),
    ] {
        let answer = client.send((method, path), Some(&token), "{}").await;
        assert_eq!(answer.problem(), (404, "not_found"), "{path}");
        assert_ne!(answer.message(), "api route not found", "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_is_unique_until_its_server_is_deleted() {
    let client = Client::new(Policy::immediate());
    let first = client.create("one").await;
    let again = client.post("/servers", &wish("one")).await;
    assert_eq!(again.problem(), (409, "uniqueness_error"));
    assert_eq!(again.message(), "server name is already used");
    assert_eq!(again.body["error"]["details"], json!({}));
    client.create("ONE").await;
    let other = client.create("two").await;
    let path = format!("/servers/{}", id(&other["server"]));
    let renamed = client.put(&path, &json!({"name": "one"})).await;
    assert_eq!(renamed.problem(), (409, "uniqueness_error"));
    client.put(&path, &json!({"name": "two"})).await.expect_status(OK);
    client.delete(&format!("/servers/{}", id(&first["server"]))).await.expect_status(OK);
    client.create("one").await;
}

#[tokio::test(start_paused = true)]
async fn every_answer_carries_its_correlation_and_the_budget() {
    let client = Client::new(Policy::immediate());
    let mut seen = std::collections::BTreeSet::new();
    for (path, token) in
        [("/servers", Some(client.token.as_str())), ("/servers", None), ("/nothing", None)]
    {
        let answer = client.send((Method::GET, path), token, "").await;
        for header in ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"] {
            assert!(answer.header(header).parse::<u64>().is_ok(), "{header} of {path}");
        }
        assert!(seen.insert(answer.header("x-correlation-id").to_owned()));
        assert_eq!(answer.header("content-type"), "application/json");
    }
}
