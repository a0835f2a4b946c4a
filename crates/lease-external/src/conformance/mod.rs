//! An adapter held against the protocol: one finding for each rule, with what was seen.
//!
//! The checks make up to two real leases and give them back. They speak the protocol itself and know nothing of the
//! engine, so a finding names the message that was wrong.

mod rules;

use std::fmt;
use std::sync::Arc;

use lease_core::{Entropy, Result};

use crate::call::Listener;
use crate::config::ExternalConfig;

/// How one rule of the protocol came out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// Which operation the rule is about.
    pub section: &'static str,
    /// The rule, as a sentence.
    pub rule: &'static str,
    /// How it came out.
    pub outcome: Outcome,
    /// What was seen.
    pub evidence: String,
}

/// How a rule came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The adapter did what the rule says.
    Upheld,
    /// It did something else.
    Broken,
    /// It works, and a lease is poorer for it.
    Advice,
    /// The rule is about something that this adapter does not do.
    NotApplicable,
}

/// Everything that was found about one adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The findings in the order of a lease's life.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether no rule is broken.
    pub fn is_conforming(&self) -> bool {
        self.count(Outcome::Broken) == 0
    }

    /// How many rules came out so.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.findings.iter().filter(|it| it.outcome == outcome).count()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Upheld => "ok",
            Self::Broken => "BROKEN",
            Self::Advice => "advice",
            Self::NotApplicable => "n/a",
        })
    }
}

/// A table for people, with a line that sums it up.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut section = "";
        for finding in &self.findings {
            if finding.section != section {
                section = finding.section;
                writeln!(f, "{section}")?;
            }
            writeln!(f, "  {:<7} {}", finding.outcome, finding.rule)?;
            if !finding.evidence.is_empty() {
                writeln!(f, "          {}", finding.evidence)?;
            }
        }
        write!(
            f,
            "{} rules: {} ok, {} broken, {} advice, {} not applicable",
            self.findings.len(),
            self.count(Outcome::Upheld),
            self.count(Outcome::Broken),
            self.count(Outcome::Advice),
            self.count(Outcome::NotApplicable),
        )
    }
}

/// Holds the adapter of `config` against the protocol. `public_key` is offered to it as that of the test leases.
///
/// # Errors
/// When the configuration cannot be used, names no program that there is, or is a lifecycle, whose commands speak no
/// protocol. What an adapter does wrong is a finding.
///
/// # Cancel safety
/// A cancelled check leaves the test leases that it had made; the adapter's own list names them.
pub async fn check(
    config: ExternalConfig,
    listener: Arc<dyn Listener>,
    entropy: &dyn Entropy,
    public_key: &str,
) -> Result<Report> {
    rules::check(config, listener, entropy, public_key).await
}
