//! A server that speaks raw bytes and counts what reaches it, and a wire that has its answer already.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, Response};
use lease_core::Secret;
use lease_http::{Call, Client, Credential, HttpWire, Limits, Wire, WireError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A token of the length that Hetzner Cloud's have; no part of it occurs in any other text.
pub(crate) const TOKEN: &str = "Zq7mA0xKc2RtV9wLpE4sHbN6uYjD1gFoQzW3iXkT8rBvC5nMeSaPlGhJdUyIoZtR";

/// A deadline that no passing test reaches.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// What the server does with a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// Sends this and waits for the next request on the connection.
    Answer(&'static str),
    /// Sends this and closes the connection.
    AnswerAndClose(&'static str),
    /// Sends this and resets the connection.
    Reset(&'static str),
    /// Sends this and keeps the connection open without a word.
    Hang(&'static str),
}

/// What reached the server.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) connections: usize,
    pub(crate) requests: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

impl Server {
    /// Serves one act for each request. What comes after the last is answered with success, so that a request which is
    /// sent again is seen as a success.
    pub(crate) async fn start(acts: &[Act]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let acts: Arc<Mutex<Vec<Act>>> = Arc::new(Mutex::new(acts.iter().rev().copied().collect()));
        let shared = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                shared.lock().unwrap().connections += 1;
                tokio::spawn(serve(stream, Arc::clone(&shared), Arc::clone(&acts)));
            }
        });
        Self { address, seen, task }
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.seen.lock().unwrap().requests.clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, seen: Arc<Mutex<Seen>>, acts: Arc<Mutex<Vec<Act>>>) {
    while let Some(request) = read_request(&mut stream).await {
        seen.lock().unwrap().requests.push(request);
        let act = acts.lock().unwrap().pop().unwrap_or(Act::Answer(OK));
        match act {
            Act::Answer(text) => stream.write_all(text.as_bytes()).await.unwrap(),
            Act::AnswerAndClose(text) => return stream.write_all(text.as_bytes()).await.unwrap(),
            Act::Reset(text) => {
                stream.write_all(text.as_bytes()).await.unwrap();
                stream.set_zero_linger().unwrap();
                return;
            }
            Act::Hang(text) => {
                stream.write_all(text.as_bytes()).await.unwrap();
                return std::future::pending().await;
            }
        }
    }
}

/// An answer of success.
pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|it| it.strip_prefix("content-length: "));
        if body.len() >= length.map_or(0, |it| it.parse().unwrap()) {
            return Some(text);
        }
    }
}

/// A client of the real wire that sends the token.
pub(crate) fn client(origin: &str) -> Client {
    client_with(origin, Arc::new(HttpWire::new(Limits::default())))
}

pub(crate) fn client_with(origin: &str, wire: Arc<dyn Wire>) -> Client {
    let credential = Credential::bearer(Secret::new(TOKEN));
    Client::new(wire, origin.parse().unwrap(), Some(&credential)).unwrap()
}

pub(crate) fn call(method: Method) -> Call {
    Call::new(method, "touch the thing", LONG).path(["things"])
}

/// A wire whose answer or error is given beforehand.
#[derive(Debug)]
pub(crate) struct Given {
    outcome: Mutex<Option<Result<Response<Bytes>, WireError>>>,
    pub(crate) request: Mutex<Option<Request<Bytes>>>,
}

impl Given {
    pub(crate) fn new(outcome: Result<Response<Bytes>, WireError>) -> Arc<Self> {
        Arc::new(Self { outcome: Mutex::new(Some(outcome)), request: Mutex::new(None) })
    }

    /// An answer of this status, these headers and this body.
    pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Arc<Self> {
        let mut response = Response::builder().status(status);
        for &(name, value) in headers {
            response = response.header(name, value);
        }
        Self::new(Ok(response.body(Bytes::copy_from_slice(body.as_bytes())).unwrap()))
    }

    pub(crate) fn client(self: Arc<Self>) -> Client {
        client_with("https://api.example.com/v1", self)
    }
}

#[async_trait]
impl Wire for Given {
    async fn exchange(
        &self,
        request: Request<Bytes>,
        _deadline: Duration,
    ) -> Result<Response<Bytes>, WireError> {
        *self.request.lock().unwrap() = Some(request);
        let outcome = self.outcome.lock().unwrap().take();
        match outcome {
            Some(outcome) => outcome,
            None => std::future::pending().await,
        }
    }
}
