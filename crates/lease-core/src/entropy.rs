//! Random bytes for ids and nonces, behind a trait so that a simulation can be replayed.

use std::fmt;

use crate::error::{Effect, Error, ErrorKind, Result};

/// A source of random bytes.
pub trait Entropy: fmt::Debug + Send + Sync {
    /// Fills `bytes` with random data.
    ///
    /// # Errors
    /// When the source has no randomness to give; nothing is created with a guessable id.
    fn fill(&self, bytes: &mut [u8]) -> Result<()>;
}

/// The operating system's random source.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<()> {
        getrandom::fill(bytes).map_err(|error| {
            Error::new(ErrorKind::Internal, Effect::None, "draw random bytes", error.to_string())
        })
    }
}
