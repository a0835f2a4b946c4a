//! Tokens and projects, and what becomes of a token while it is in use.

use http::Method;
use lease_emulator::hetzner::{Access, Policy, TOKEN_CHARS};
use serde_json::json;

use crate::client::{Client, KEYS, OK, PROJECT, id, wish};

#[tokio::test(start_paused = true)]
async fn a_request_without_a_valid_token_is_unauthorized() {
    let client = Client::new(Policy::immediate());
    assert_eq!(client.token.len(), TOKEN_CHARS);
    let get = (Method::GET, "/servers");
    let none = client.send(get.clone(), None, "").await;
    assert_eq!(none.problem(), (401, "unauthorized"));
    assert_eq!(none.message(), "token is required");
    let wrong = client.send(get, Some("wrong"), "").await;
    assert_eq!(wrong.problem(), (401, "unauthorized"));
    assert_eq!(wrong.message(), "the token you have provided is invalid");
    let no_such_method = client.send((Method::PUT, "/servers"), None, "").await;
    assert_eq!(no_such_method.problem(), (401, "unauthorized"), "who asks comes before what");
}

#[tokio::test(start_paused = true)]
async fn a_read_only_token_reads_and_does_not_write() {
    let client = Client::new(Policy::immediate());
    let server = id(&client.create("one").await["server"]);
    client.cloud.restrict(&client.token, Access::ReadOnly);
    let token = client.token.clone();
    let path = format!("/servers/{server}");
    let poweroff = format!("{path}/actions/poweroff");
    for (method, path) in [
        (Method::POST, "/servers"),
        (Method::PUT, path.as_str()),
        (Method::DELETE, path.as_str()),
        (Method::POST, poweroff.as_str()),
        (Method::POST, "/ssh_keys"),
    ] {
        let answer = client.send((method, path), Some(&token), "{}").await;
        assert_eq!(answer.problem(), (401, "token_readonly"), "{path}");
    }
    client.get(&path).await.expect_status(OK);
    client.cloud.restrict(&client.token, Access::ReadWrite);
    client.delete(&path).await.expect_status(OK);
}

#[tokio::test(start_paused = true)]
async fn a_revoked_token_is_invalid() {
    let client = Client::new(Policy::immediate());
    client.get("/servers").await.expect_status(OK);
    client.cloud.revoke(&client.token);
    let answer = client.get("/servers").await;
    assert_eq!(answer.problem(), (401, "unauthorized"));
}

#[tokio::test(start_paused = true)]
async fn projects_do_not_see_each_other() {
    let client = Client::new(Policy::immediate());
    let made = client.create("one").await;
    let key = json!({"name": "key", "public_key": KEYS[0]});
    let key = client.post("/ssh_keys", &key).await.expect_status(201).body;
    let paths = [
        format!("/servers/{}", id(&made["server"])),
        format!("/actions/{}", id(&made["action"])),
        format!("/ssh_keys/{}", id(&key["ssh_key"])),
        format!("/primary_ips/{}", id(&made["server"]["public_net"]["ipv4"])),
    ];
    client.cloud.admit(&client.token, "theirs", Access::ReadWrite);
    for path in &paths {
        let answer = client.get(path).await;
        assert_eq!(answer.problem(), (404, "not_found"), "a token that has moved: {path}");
    }
    for list in ["servers", "ssh_keys", "primary_ips"] {
        assert_eq!(client.get(&format!("/{list}")).await.body[list], json!([]));
    }
    assert_eq!(client.get("/servers/actions").await.body["actions"], json!([]));
    client.post("/servers", &wish("one")).await.expect_status(201);
    client.cloud.admit(&client.token, PROJECT, Access::ReadWrite);
    for path in &paths {
        client.get(path).await.expect_status(OK);
    }
}
