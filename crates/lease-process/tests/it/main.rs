//! The crate as its users see it, with real processes. One binary, because linking five costs more than running them.
#![expect(clippy::unwrap_used, reason = "a failed expectation is the test")]

mod child;
mod daemon;
mod ending;
mod running;
mod support;
