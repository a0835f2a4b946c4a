//! A client that asks the emulator without a socket, and the words that the tests share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use lease_emulator::hetzner::{Access, Hetzner, Policy};
use lease_emulator::{Cloud as _, NoMachines, Served};
use serde_json::{Value, json};

pub(crate) const PROJECT: &str = "ours";

/// Public keys whose private halves nobody has.
pub(crate) const KEYS: [&str; 3] = [
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7HZKbi4Iy2RtwyH3VOzf3upTNvikab8jFdZ8D0xndX k1",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOJqzfb+iej682/IYcHpvmF7fhNoJc3p1bz47Xcegzjq k2",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE8livR/9mAEMkIuFP/yGCY46IneuAwdnhNPpqQAlD8/ k3",
];

/// An answer, read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    pub(crate) body: Value,
}

impl Answer {
    /// The status with the error's code.
    pub(crate) fn problem(&self) -> (u16, &str) {
        (self.status, self.body["error"]["code"].as_str().unwrap_or_default())
    }

    pub(crate) fn message(&self) -> &str {
        self.body["error"]["message"].as_str().unwrap_or_default()
    }

    /// The names in a list, in its order.
    pub(crate) fn names(&self, key: &str) -> Vec<String> {
        let entries = self.body[key].as_array().unwrap();
        entries.iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    pub(crate) fn expect_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }
}

/// A client of one project.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) cloud: Arc<Hetzner>,
    pub(crate) token: String,
}

impl Client {
    pub(crate) fn new(policy: Policy) -> Self {
        let cloud = Arc::new(Hetzner::new(Arc::new(NoMachines::default()), policy));
        Self::of(cloud)
    }

    pub(crate) fn of(cloud: Arc<Hetzner>) -> Self {
        let token = cloud.grant(PROJECT, Access::ReadWrite);
        Self { cloud, token }
    }

    pub(crate) async fn send(
        &self,
        (method, path): (Method, &str),
        token: Option<&str>,
        body: &str,
    ) -> Answer {
        let mut request = http::Request::builder().method(method).uri(format!("/v1{path}"));
        request = request.header("host", "emulator.test");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(Bytes::from(body.to_owned())).unwrap();
        let Served::Answer(response) = self.cloud.serve(request).await else {
            panic!("the emulator itself always answers");
        };
        let text = String::from_utf8(response.body().to_vec()).unwrap();
        Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: serde_json::from_str(&text).unwrap_or(Value::Null),
            text,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send((Method::GET, path), Some(&self.token), "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send((Method::POST, path), Some(&self.token), &body.to_string()).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send((Method::PUT, path), Some(&self.token), &body.to_string()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send((Method::DELETE, path), Some(&self.token), "").await
    }

    /// Creates a server and returns the answer's body.
    #[track_caller]
    pub(crate) fn create(&self, name: &str) -> impl Future<Output = Value> + '_ {
        let wish = wish(name);
        async move { self.post("/servers", &wish).await.expect_status(201).body }
    }

    pub(crate) async fn status(&self, id: u64) -> String {
        let server = self.get(&format!("/servers/{id}")).await.expect_status(200);
        server.body["server"]["status"].as_str().unwrap().to_owned()
    }
}

/// The smallest useful request for a server.
pub(crate) fn wish(name: &str) -> Value {
    json!({"name": name, "server_type": "cx23", "image": "debian-12", "location": "fsn1"})
}

/// The same with some fields set otherwise; null removes one.
pub(crate) fn wish_with(name: &str, other: Value) -> Value {
    let mut wish = wish(name);
    let Value::Object(other) = other else { panic!("fields are an object") };
    for (field, value) in other {
        wish[field] = value;
    }
    wish
}

pub(crate) fn id(value: &Value) -> u64 {
    value["id"].as_u64().unwrap()
}

pub(crate) fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) async fn pass(time: Duration) {
    tokio::time::advance(time).await;
}

pub(crate) const OK: u16 = StatusCode::OK.as_u16();
