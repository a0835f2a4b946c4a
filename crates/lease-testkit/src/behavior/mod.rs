//! The behaviour suite: every numbered sentence in the documentation of [`lease_core::Provider`] as one test.
//!
//! A third party writes a [`Harness`] and one line, `lease_testkit::behavior_tests!(harness)`, which expands to one
//! test per sentence. Whoever prefers data calls [`run_all`].
//!
//! A sentence that does not apply to a provider is never skipped in silence: its test asserts the opposite, by what the
//! descriptor says and by what the harness is able to do, and the verdict carries the reason.

mod bench;
mod create;
mod destroy;
mod harness;
mod listing;
mod lookup;
mod planning;
mod sentences;

use std::fmt;

pub use harness::{Harness, SimHarness};
pub use sentences::{DESCRIPTOR_TESTS, SENTENCES, assert_upheld, run_all};

use lease_core::Error;

/// What became of one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verdict {
    /// The sentence's name.
    pub sentence: &'static str,
    /// How it went.
    pub result: Result<Held, Broken>,
}

/// How a sentence was upheld.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// The provider did what the sentence says.
    Shown,
    /// The sentence does not apply, and that was asserted.
    DoesNotApply {
        /// Why, as it was found out.
        because: String,
    },
}

/// How a sentence was broken, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken(pub String);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.result {
            Ok(Held::Shown) => write!(f, "{}: ok", self.sentence),
            Ok(Held::DoesNotApply { because }) => {
                write!(f, "{}: does not apply: {because}", self.sentence)
            }
            Err(broken) => write!(f, "{}: BROKEN: {broken}", self.sentence),
        }
    }
}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Self(format!("{error} [{}]", error.kind()))
    }
}

/// What a sentence's body returns.
type Proof = Result<Held, Broken>;

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err(Broken(otherwise())) }
}

fn does_not_apply(because: impl Into<String>) -> Held {
    Held::DoesNotApply { because: because.into() }
}
