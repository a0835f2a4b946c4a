//! What the wire that is a network does with real sockets: one send, bounded, never elsewhere.

use std::io::ErrorKind as IoErrorKind;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use lease_core::{Effect, Error, ErrorKind, Secret};
use lease_http::{Answer, Call, Client, Credential, Failure, HttpWire, Limits, Stage, Wire};

use crate::server::{Act, Given, LONG, Server, TOKEN, call, client, client_with};

/// Sends one call to a server that does this.
async fn send(method: Method, act: Act) -> (Result<Answer, Failure>, Server) {
    let server = Server::start(&[act]).await;
    let outcome = client(&server.origin()).send(call(method)).await;
    (outcome, server)
}

#[tokio::test]
async fn whatever_goes_wrong_after_the_send_is_sent_once_and_lost() {
    let cases = [
        ("reset before the answer", Act::Reset("")),
        ("closed before the answer", Act::AnswerAndClose("")),
        ("reset in the head", Act::Reset("HTTP/1.1 200 OK\r\ncontent-")),
        ("closed in the head", Act::AnswerAndClose("HTTP/1.1 200 OK\r\ncontent-")),
        ("not HTTP", Act::AnswerAndClose("SSH-2.0-OpenSSH_9.9\r\n")),
        ("short body", Act::AnswerAndClose("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}")),
        (
            "chunks without an end",
            Act::AnswerAndClose("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n"),
        ),
        (
            "a broken chunk",
            Act::AnswerAndClose("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}"),
        ),
    ];
    for (name, act) in cases {
        for (method, effect) in [
            (Method::POST, Effect::Unknown),
            (Method::DELETE, Effect::Unknown),
            (Method::PUT, Effect::Unknown),
            (Method::GET, Effect::None),
        ] {
            let (outcome, server) = send(method.clone(), act).await;
            let failure = outcome.unwrap_err();
            assert_eq!(failure.stage(), Some(Stage::Lost), "{name}, {method}: {failure}");
            assert_eq!(failure.effect(), effect, "{name}, {method}: {failure}");
            assert_eq!(server.requests().len(), 1, "{name}, {method}");
            assert_eq!(server.connections(), 1, "{name}, {method}");
        }
    }
}

#[tokio::test]
async fn a_refusal_is_not_sent_again() {
    for (answer, status) in [
        ("HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n", 500),
        ("HTTP/1.1 502 Oh\r\ncontent-length: 0\r\n\r\n", 502),
        ("HTTP/1.1 503 Oh\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n", 503),
        ("HTTP/1.1 429 Oh\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n", 429),
        ("HTTP/1.1 408 Oh\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", 408),
        ("HTTP/1.1 421 Oh\r\ncontent-length: 0\r\n\r\n", 421),
        ("HTTP/1.1 425 Oh\r\ncontent-length: 0\r\n\r\n", 425),
    ] {
        for method in [Method::POST, Method::GET] {
            let (outcome, server) = send(method, Act::Answer(answer)).await;
            assert_eq!(outcome.unwrap_err().status().map(|it| it.as_u16()), Some(status));
            assert_eq!(server.requests().len(), 1, "{answer}");
        }
    }
}

#[tokio::test]
async fn a_mutation_never_travels_on_a_used_connection() {
    let server = Server::start(&[]).await;
    let client = client(&server.origin());
    for method in [Method::GET, Method::GET] {
        client.send(call(method)).await.unwrap();
    }
    assert_eq!(server.connections(), 1, "reads share a connection");
    for method in [Method::POST, Method::DELETE, Method::POST] {
        client.send(call(method)).await.unwrap();
    }
    assert_eq!(server.connections(), 4, "each mutation has its own");
    assert_eq!(server.requests().len(), 5);
}

#[tokio::test]
async fn a_mutation_after_a_dead_pooled_connection_is_sent_once() {
    let ok = crate::server::OK;
    let server = Server::start(&[Act::Reset(ok), Act::Reset("")]).await;
    let client = client(&server.origin());
    client.send(call(Method::GET)).await.unwrap();
    let failure = client.send(call(Method::POST)).await.unwrap_err();
    assert_eq!((failure.stage(), failure.effect()), (Some(Stage::Lost), Effect::Unknown));
    let posts = server.requests().iter().filter(|it| it.starts_with("POST ")).count();
    assert_eq!(posts, 1);
}

#[tokio::test]
async fn no_redirect_is_followed_and_the_credential_goes_nowhere_else() {
    let elsewhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let other = format!("http://{}/things", elsewhere.local_addr().unwrap());
    for status in [300, 301, 302, 303, 307, 308] {
        for target in ["/elsewhere", other.as_str()] {
            for method in [Method::GET, Method::POST, Method::DELETE] {
                let answer = format!(
                    "HTTP/1.1 {status} Moved\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n"
                );
                let (outcome, server) = send(method, Act::Answer(answer.leak())).await;
                let failure = outcome.unwrap_err();
                assert_eq!(failure.status().map(|it| it.as_u16()), Some(status));
                assert_eq!(failure.kind(), ErrorKind::Protocol);
                assert_eq!(server.requests().len(), 1, "{status} to {target}");
            }
        }
    }
    let connected = elsewhere.accept().map(|_| ()).map_err(|error| error.kind());
    assert_eq!(connected, Err(IoErrorKind::WouldBlock));
}

#[tokio::test]
async fn the_request_is_what_the_call_says() {
    let server = Server::start(&[]).await;
    let origin = format!("{}/v1/", server.origin());
    let call = Call::new(Method::POST, "create", LONG)
        .path(["servers", "a/../b?c#d%2f é"])
        .query("label", "a=b&c")
        .query("page", 2)
        .header("Idempotency-Key", "k-1")
        .json(&serde_json::json!({"name": "box"}));
    client(&origin).send(call).await.unwrap();
    let request = server.requests().remove(0);
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let first = "POST /v1/servers/a%2F..%2Fb%3Fc%23d%252f%20%C3%A9?label=a%3Db%26c&page=2 HTTP/1.1";
    let lines: Vec<&str> = head.lines().collect();
    assert_eq!(lines.first(), Some(&first));
    for line in [
        format!("authorization: Bearer {TOKEN}"),
        "idempotency-key: k-1".to_owned(),
        "content-type: application/json".to_owned(),
        "accept: application/json".to_owned(),
        format!("host: {}", server.address),
        "content-length: 14".to_owned(),
    ] {
        assert!(lines.contains(&line.as_str()), "{line} is not in {head}");
    }
    assert!(head.contains("\r\nuser-agent: lease/"), "{head}");
    assert!(!head.contains("accept-encoding"), "{head}");
    assert_eq!(body, r#"{"name":"box"}"#);
}

#[tokio::test]
async fn a_call_that_cannot_be_sent_as_it_is_meant_is_not_sent() {
    let server = Server::start(&[]).await;
    let client = client(&server.origin());
    let calls = [
        call(Method::DELETE).path([""]),
        call(Method::DELETE).path(["."]),
        call(Method::DELETE).path([".."]),
        call(Method::POST).header("Authorization", "Bearer other"),
        call(Method::POST).header("Host", "elsewhere"),
        call(Method::POST).header("Content-Length", "0"),
        call(Method::POST).header("X-Name", "a\r\nX-Other: b"),
        call(Method::POST).header("not a name", "a"),
    ];
    for call in calls {
        let error: Error = client.send(call.clone()).await.unwrap_err().into();
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Invalid, Effect::None), "{call:?}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn an_answer_is_read_up_to_its_bound_and_no_further() {
    let fits = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n0123456789";
    let counted = "HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n0123456789a";
    let chunked = "HTTP/1.1 500 Oh\r\ntransfer-encoding: chunked\r\n\r\n6\r\n012345\r\n6\r\n012345\r\n0\r\n\r\n";
    // The server claims more than there is memory and goes on forever; the bound ends it.
    let endless = "HTTP/1.1 200 OK\r\ncontent-length: 9999999999999\r\n\r\n0123456789abcdef";
    let limits = Limits { answer_bytes: 10, ..Limits::default() };
    let server = Server::start(&[
        Act::Answer(fits),
        Act::Answer(counted),
        Act::Answer(chunked),
        Act::Hang(endless),
    ])
    .await;
    let client = client_with(&server.origin(), Arc::new(HttpWire::new(limits)));
    assert_eq!(client.send(call(Method::POST)).await.unwrap().body().len(), 10);
    for _ in 0..3 {
        let failure = client.send(call(Method::POST)).await.unwrap_err();
        assert_eq!(failure.stage(), Some(Stage::Lost));
        assert_eq!(failure.kind(), ErrorKind::Protocol);
        assert_eq!(failure.effect(), Effect::Unknown);
    }
}

#[tokio::test]
async fn a_deadline_ends_an_exchange_before_the_head_and_in_the_body() {
    for text in ["", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}"] {
        let server = Server::start(&[Act::Hang(text)]).await;
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = server.origin().parse().unwrap();
        let wire = HttpWire::new(Limits::default());
        // The wire is asked without a client, which would end the exchange as well.
        let exchange = wire.exchange(request, Duration::from_millis(300));
        let error = tokio::time::timeout(LONG, exchange).await.unwrap().unwrap_err();
        assert_eq!((error.kind, error.stage), (ErrorKind::Timeout, Stage::Lost), "{error}");
    }
}

#[tokio::test]
async fn the_credential_is_sent_in_its_scheme_or_not_at_all() {
    let secret = || Secret::new("k:s");
    for (credential, expected) in [
        (Some(Credential::bearer(secret())), Some("Bearer k:s")),
        (Some(Credential::key(secret())), Some("Key k:s")),
        (None, None),
    ] {
        let wire = Given::answer(200, &[], "");
        let endpoint = "https://api.example.com".parse().unwrap();
        let shared: Arc<dyn Wire> = Arc::<Given>::clone(&wire);
        let client = Client::new(shared, endpoint, credential.as_ref()).unwrap();
        client.send(call(Method::GET)).await.unwrap();
        let request = wire.request.lock().unwrap().take().unwrap();
        let sent = request.headers().get("authorization").map(|it| it.to_str().unwrap());
        assert_eq!(sent, expected);
    }
}

#[tokio::test]
async fn a_refused_connection_sent_nothing() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let failure = client(&origin).send(call(Method::POST)).await.unwrap_err();
    assert_eq!(failure.stage(), Some(Stage::NotSent), "{failure}");
    assert_eq!(failure.kind(), ErrorKind::Unavailable);
    assert_eq!(failure.effect(), Effect::None);
}

#[tokio::test]
async fn a_failed_handshake_sent_nothing() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("https://{}", listener.local_addr().unwrap());
    let client = client(&origin);
    let close = async { drop(listener.accept().await.unwrap()) };
    let (outcome, ()) = tokio::join!(client.send(call(Method::POST)), async {
        // Without certificates on this machine nobody connects, which is the same promise.
        let _ended = tokio::time::timeout(Duration::from_secs(5), close).await;
    });
    let failure = outcome.unwrap_err();
    assert_eq!(failure.stage(), Some(Stage::NotSent), "{failure}");
    assert_eq!(failure.effect(), Effect::None);
}

#[tokio::test]
async fn success_is_every_status_of_its_class() {
    for (answer, status) in [
        ("HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n{}", StatusCode::CREATED),
        ("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n", StatusCode::ACCEPTED),
        ("HTTP/1.1 204 No Content\r\n\r\n", StatusCode::NO_CONTENT),
    ] {
        let (outcome, _server) = send(Method::DELETE, Act::Answer(answer)).await;
        assert_eq!(outcome.unwrap().status(), status);
    }
}
