//! Adapters that lie, hang, die and come late; the forms, the documents and the samples.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is the test")]

mod bench;
mod conformance;
mod corpus;
mod documents;
mod ending;
mod hosts;
mod lifecycle;
