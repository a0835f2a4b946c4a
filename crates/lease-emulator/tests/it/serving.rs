//! The server, spoken to with plain sockets, so that no client library smooths over what is broken.

use std::sync::Arc;
use std::time::Duration;

use lease_emulator::script::{Fault, Plan, Scripted};
use lease_emulator::{Cloud, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::asking::Counter;

const LONG: Duration = Duration::from_secs(20);

async fn serving(fault: Option<Fault>) -> (Server, Arc<Scripted<Counter>>) {
    let cloud = Arc::new(Scripted::new(Arc::new(Counter::default())));
    if let Some(fault) = fault {
        cloud.plan(Plan::at(0, fault));
    }
    let served: Arc<dyn Cloud> = Arc::<Scripted<Counter>>::clone(&cloud);
    (Server::start(served).await.unwrap(), cloud)
}

async fn connected(server: &Server, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Everything that the server sends until it closes the connection. A reset counts as closing.
async fn exchange(server: &Server, request: &str) -> String {
    let mut stream = connected(server, request).await;
    let mut said = Vec::new();
    drop(timeout(LONG, stream.read_to_end(&mut said)).await.unwrap());
    String::from_utf8_lossy(&said).into_owned()
}

fn post(body: &str) -> String {
    let length = body.len();
    format!(
        "POST /things?a=b HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

fn content_length(said: &str) -> usize {
    let head = said.to_ascii_lowercase();
    let line = head.lines().find_map(|it| it.strip_prefix("content-length: ")).unwrap();
    line.trim().parse().unwrap()
}

#[tokio::test]
async fn a_request_reaches_the_cloud_whole_and_its_answer_comes_back_whole() {
    let (server, cloud) = serving(None).await;
    let said = exchange(&server, &post("{\"a\":1}")).await;
    assert!(said.starts_with("HTTP/1.1 200 OK\r\n"), "{said}");
    let (_, body) = said.split_once("\r\n\r\n").unwrap();
    assert_eq!(content_length(&said), body.len());
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["body"], "{\"a\":1}");
    assert_eq!(*cloud.inner().0.lock().unwrap(), ["POST /things?a=b"]);
    assert!(server.origin().starts_with("http://127.0.0.1:"));
}

#[tokio::test]
async fn a_dropped_answer_is_a_connection_that_closes_without_a_byte() {
    let (server, cloud) = serving(Some(Fault::LostAfter)).await;
    assert_eq!(exchange(&server, &post("")).await, "");
    assert_eq!(cloud.inner().effects(), 1);
    assert!(exchange(&server, &post("")).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_truncated_answer_promises_more_than_it_sends() {
    let (server, _cloud) = serving(Some(Fault::TruncatedAfter)).await;
    let said = exchange(&server, &post("some body")).await;
    let (head, body) = said.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    assert!(!body.is_empty());
    assert_eq!(content_length(&said) / 2, body.len());
}

#[tokio::test]
async fn a_hung_request_is_never_answered_and_disturbs_nobody() {
    let (server, cloud) = serving(Some(Fault::HangAfter)).await;
    let mut hung = connected(&server, &post("")).await;
    let answer = exchange(&server, &post("")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(cloud.inner().effects(), 2);
    let mut byte = [0_u8; 1];
    // That nothing ever comes cannot be awaited; that nothing has come is what can be seen.
    let so_far = hung.try_read(&mut byte).unwrap_err();
    assert_eq!(so_far.kind(), std::io::ErrorKind::WouldBlock);
    drop(server);
    let closed = timeout(LONG, hung.read(&mut byte)).await.unwrap();
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
}

#[tokio::test]
async fn a_body_without_end_is_refused() {
    let (server, cloud) = serving(None).await;
    let body = "x".repeat(1024 * 1024 + 1);
    let said = exchange(&server, &post(&body)).await;
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 413"), "{said}");
    assert_eq!(cloud.inner().effects(), 0);
}

#[tokio::test]
async fn an_emulator_is_served_on_loopback_only() {
    let address = "0.0.0.0:0".parse().unwrap();
    let error = Server::listen(Arc::new(Counter::default()), address).await.unwrap_err();
    assert!(error.to_string().contains("loopback"), "{error}");
}
