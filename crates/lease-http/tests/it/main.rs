//! The door to HTTP against raw sockets on loopback, and its tables against answers that are given to it.
#![expect(clippy::unwrap_used, reason = "a failed expectation is the test")]

mod effects;
mod endpoint;
mod headers;
mod redaction;
mod server;
mod wire;
