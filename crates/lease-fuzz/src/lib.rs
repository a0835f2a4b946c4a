//! What the fuzzers do with an input, where the public interface is enough for it: one function each.
//!
//! A function here panics when a promise is broken and otherwise returns; what it is given is arbitrary. The real fuzzers
//! call it from `fuzz/`, and `tests/replay.rs` does with what they kept. What only a crate itself can reach is fuzzed by
//! its module `fuzzing`; `docs/decisions/0020-fuzzing-in-two-places.md` says why.

mod answers;
mod fal;
mod hetzner;
mod http;
mod intent;
mod journal;

pub use fal::fal;
pub use hetzner::hetzner;
pub use http::http;
pub use journal::journal;
