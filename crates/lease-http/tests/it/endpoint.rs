//! Which addresses are an endpoint.

use lease_core::{Effect, ErrorKind};
use lease_http::Endpoint;

#[test]
fn a_plain_address_is_an_endpoint() {
    for (text, origin, path) in [
        ("https://api.example.com", "https://api.example.com", ""),
        ("https://api.example.com/", "https://api.example.com", ""),
        ("https://api.example.com/v1", "https://api.example.com", "/v1"),
        ("https://api.example.com/a/b-c/", "https://api.example.com", "/a/b-c"),
        ("https://API.Example.com:443/v1", "https://api.example.com", "/v1"),
        ("https://api.example.com:8443", "https://api.example.com:8443", ""),
        ("http://127.0.0.1:8080/v1", "http://127.0.0.1:8080", "/v1"),
        ("http://127.9.9.9", "http://127.9.9.9", ""),
        ("http://localhost:1", "http://localhost:1", ""),
        ("http://[::1]:1/v1", "http://[::1]:1", "/v1"),
    ] {
        let endpoint: Endpoint = text.parse().unwrap();
        assert_eq!((endpoint.origin(), endpoint.path()), (origin, path), "{text}");
    }
}

#[test]
fn everything_else_is_refused_without_being_repeated() {
    for text in [
        "",
        "api.example.com",
        "https:api.example.com",
        "https:/api.example.com",
        "https:///api.example.com",
        "ftp://api.example.com",
        "file:///etc/passwd",
        "http://api.example.com",
        "http://10.0.0.1",
        "http://128.0.0.1",
        "http://0.0.0.0",
        "http://[::]",
        "http://[::2]",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
        "https://hunter2hunter2@api.example.com",
        "https://user:hunter2hunter2@api.example.com",
        "https://:hunter2hunter2@api.example.com",
        "https://@api.example.com",
        "https://api.example.com?token=hunter2hunter2",
        "https://api.example.com/v1?",
        "https://api.example.com/#hunter2hunter2",
        "https://api.example.com/v1#",
        "https://api.example.com/%2e%2e/v1",
        "https://api.example.com/a%2fb",
        "https://api.example.com/../v1",
        "https://api.example.com/a/./b",
        "https://api.example.com//v1",
        "https://api.example.com/a//b",
        "https://api.example.com\\v1",
        "https://api.example.com/a b",
        "https://api.example.com/é",
        " https://api.example.com",
        "https://api.example.com\n",
        "https://api.example.com/\u{7f}",
    ] {
        let error = text.parse::<Endpoint>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
        assert_eq!(error.effect(), Effect::None, "{text}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
