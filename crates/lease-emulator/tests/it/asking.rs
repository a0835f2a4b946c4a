//! Asking a cloud without a socket, and a cloud that is small enough to be seen through.

use std::sync::Mutex;

use bytes::Bytes;
use http::{Method, StatusCode};
use lease_emulator::script::json;
use lease_emulator::{Cloud, LedgerEntry, Request, Response, Served};
use serde_json::{Value, json};

pub(crate) fn request(method: Method, path: &str, body: &str) -> Request {
    http::Request::builder().method(method).uri(path).body(Bytes::from(body.to_owned())).unwrap()
}

#[track_caller]
pub(crate) fn answered(served: Served) -> Response {
    match served {
        Served::Answer(response) => response,
        other @ (Served::Truncated(..) | Served::Dropped | Served::Hung) => {
            panic!("no answer but {other:?}")
        }
    }
}

pub(crate) fn value(response: &Response) -> Value {
    serde_json::from_slice(response.body()).unwrap_or(Value::Null)
}

/// Counts its requests and says what it was asked.
#[derive(Debug, Default)]
pub(crate) struct Counter(pub(crate) Mutex<Vec<String>>);

impl Counter {
    pub(crate) fn effects(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

#[async_trait::async_trait]
impl Cloud for Counter {
    async fn serve(&self, request: Request) -> Served {
        let mut effects = self.0.lock().unwrap();
        effects.push(format!("{} {}", request.method(), request.uri()));
        let body = String::from_utf8_lossy(request.body()).into_owned();
        let said = json!({ "count": effects.len(), "path": request.uri().path(), "body": body });
        Served::Answer(json(StatusCode::OK, &said))
    }

    fn ledger(&self) -> Vec<LedgerEntry> {
        Vec::new()
    }
}
