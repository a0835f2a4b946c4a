//! No credential leaves in any text, whatever the other side prints back.

use std::io::Write;
use std::sync::{Arc, Mutex};

use http::{Method, header};
use lease_core::{ErrorKind, Secret};
use lease_http::{Client, Credential, Redactor, WireError};

use crate::server::{Given, TOKEN, call};

/// The shortest run of a credential's characters that counts as a leak.
const LEAK_CHARS: usize = 16;

#[track_caller]
fn assert_clean(text: &str) {
    for start in 0..=TOKEN.len() - LEAK_CHARS {
        let part = &TOKEN[start..start + LEAK_CHARS];
        // The second half alone is not looked for by value.
        if start < TOKEN.len() / 2 {
            assert!(!text.contains(part), "{part} is in {text}");
        }
    }
}

#[test]
fn every_form_of_a_credential_is_removed() {
    let pair = "0f8e7d6c-key:s3cr3t/va\"lue+é";
    let half = &TOKEN[..32];
    let more = &TOKEN[..47];
    for (secret, text, expected) in [
        (TOKEN, format!("a {TOKEN} b {TOKEN}"), "a [redacted] b [redacted]".to_owned()),
        (TOKEN, format!("token {half} is limited"), "token [redacted] is limited".to_owned()),
        (TOKEN, format!("token {more}… is limited"), "token [redacted]… is limited".to_owned()),
        (TOKEN, format!("{half}{TOKEN}"), "[redacted][redacted]".to_owned()),
        (TOKEN, TOKEN[..31].to_owned(), TOKEN[..31].to_owned()),
        (pair, format!("key {pair}!"), "key [redacted]!".to_owned()),
        (pair, "id 0f8e7d6c-key?".to_owned(), "id [redacted]?".to_owned()),
        (pair, "was s3cr3t/va\"lue+é.".to_owned(), "was [redacted].".to_owned()),
        (pair, r#"{"k":"s3cr3t/va\"lue+é"}"#.to_owned(), r#"{"k":"[redacted]"}"#.to_owned()),
        (pair, r#"{"k":"s3cr3t\/va\"lue+é"}"#.to_owned(), r#"{"k":"[redacted]"}"#.to_owned()),
        (pair, "?k=s3cr3t%2Fva%22lue%2B%C3%A9&x".to_owned(), "?k=[redacted]&x".to_owned()),
        (pair, "?k=s3cr3t%2fva%22lue%2b%c3%a9&x".to_owned(), "?k=[redacted]&x".to_owned()),
        (pair, "/0f8e7d6c-key%3As3cr3t%2Fva%22lue%2B%C3%A9".to_owned(), "/[redacted]".to_owned()),
        ("short:sec", "short sec short:sec".to_owned(), "short sec [redacted]".to_owned()),
        ("", "nothing".to_owned(), "nothing".to_owned()),
    ] {
        let redactor = Redactor::new([&Secret::new(secret)]);
        assert_eq!(redactor.redact(&text), expected);
        assert!(!format!("{redactor:?}").contains("s3cr3t"));
    }
}

#[test]
fn a_credential_at_the_cut_is_removed_before_the_cut() {
    let redactor = Redactor::new([&Secret::new(TOKEN)]);
    for length in 230..310 {
        assert_clean(&redactor.excerpt(&format!("{}{TOKEN}", "x".repeat(length))));
    }
}

#[tokio::test]
async fn nothing_public_shows_a_credential_that_was_printed_back() {
    let half = &TOKEN[..32];
    let body = format!(r#"{{"error": "token {TOKEN} and {half}"}}"#);
    let correlation = format!("c-{half}");
    let kind = format!("text/{TOKEN}");
    let headers = [
        ("x-correlation-id", correlation.as_str()),
        ("content-type", kind.as_str()),
        ("location", kind.as_str()),
        ("x-echo", TOKEN),
    ];
    let wire = Given::answer(429, &headers, &body);
    let client = Arc::clone(&wire).client();
    assert_clean(&format!("{client:?} {:?}", client.redactor()));
    let call =
        call(Method::POST).path([TOKEN]).query(TOKEN, TOKEN).header("X-Key", TOKEN).body(TOKEN);
    assert_clean(&format!("{call:?}"));
    let failure = client.send(call).await.unwrap_err();
    let sent = wire.request.lock().unwrap().take().unwrap();
    assert!(sent.headers()[header::AUTHORIZATION].is_sensitive());
    assert_clean(&format!("{failure:?} {failure:#?} {failure} {}", failure.body()));
    assert_clean(failure.correlation_id().unwrap());
    let error = failure.error(ErrorKind::Unavailable, failure.effect(), TOKEN);
    assert_clean(&format!("{error:?} {error} {:?}", failure.to_error()));

    let client = Given::answer(200, &headers, &body).client();
    let answer = client.send(crate::server::call(Method::GET)).await.unwrap();
    assert_clean(&format!("{answer:?} {answer:#?} {:?}", answer.unusable(TOKEN)));
    assert_clean(&format!("{:?} {:?}", answer.content_type(), answer.correlation_id()));
    let text = Given::answer(200, &[], &format!("{TOKEN:?}")).client();
    let answer = text.send(crate::server::call(Method::GET)).await.unwrap();
    assert_clean(&format!("{:?}", answer.json::<u64>().unwrap_err()));

    let client = Given::new(Err(WireError::lost(format!("to {TOKEN}")))).client();
    let failure = client.send(crate::server::call(Method::GET)).await.unwrap_err();
    assert_clean(&format!("{failure:?} {failure}"));
}

#[test]
fn a_credential_that_no_header_carries_is_refused_without_being_repeated() {
    for secret in ["", "two words-s3cr3t", "line\ns3cr3t", "s3cr3t\u{e9}"] {
        let credential = Credential::key(Secret::new(secret));
        assert!(!format!("{credential:?}").contains("s3cr3t"));
        let endpoint = "https://api.example.com".parse().unwrap();
        let error =
            Client::new(Given::answer(200, &[], ""), endpoint, Some(&credential)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(!format!("{error:?}").contains("s3cr3t"));
    }
}

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn each_send_is_logged_without_secrets() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    // It is the subscriber of the whole process: one of this thread alone would miss what another thread's test had
    // looked up first.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    tracing::callsite::rebuild_interest_cache();
    let server = crate::server::Server::start(&[]).await;
    let client = crate::server::client(&server.origin());
    client.send(call(Method::POST).path([TOKEN]).query("k", TOKEN)).await.unwrap();
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let sent = "sent a request method=POST path=\"/things/[redacted]\" status=200 elapsed=";
    assert!(text.contains(sent), "{sent} is not in {text}");
    assert_clean(&text);
}
