//! What was found about an adapter, and what was written to begin one, as JSON.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;

/// `lease provider test`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct AdapterTestDocument {
    #[schemars(extend("const" = Self::SCHEMA))]
    schema: &'static str,
    /// Whether no rule is broken.
    pub(crate) conforming: bool,
    /// One finding for each rule, in the order of a lease's life.
    pub(crate) findings: Vec<AdapterFinding>,
    /// The same for people.
    #[serde(skip)]
    pub(crate) text: String,
}

/// How one rule of the protocol came out.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct AdapterFinding {
    /// Which operation the rule is about.
    pub(crate) section: String,
    /// The rule, as a sentence.
    pub(crate) rule: String,
    /// `upheld`, `broken`, `advice` or `not_applicable`.
    pub(crate) outcome: String,
    /// What was seen; empty where that says nothing.
    pub(crate) evidence: String,
}

impl AdapterTestDocument {
    /// The schema's name.
    pub(crate) const SCHEMA: &'static str = "lease.adapter-test/1";

    /// The document of what was found.
    pub(crate) fn new(told: Vec<Told>, conforming: bool, text: String) -> Self {
        let finding = |[section, rule, outcome, evidence]: Told| AdapterFinding {
            section,
            rule,
            outcome,
            evidence,
        };
        let findings = told.into_iter().map(finding).collect();
        Self { schema: Self::SCHEMA, conforming, findings, text }
    }
}

/// What is told of one rule: the operation, the rule, how it came out, and what was seen.
pub(crate) type Told = [String; 4];

/// `lease provider new`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct AdapterFilesDocument {
    #[schemars(extend("const" = Self::SCHEMA))]
    schema: &'static str,
    /// The files that were written.
    pub(crate) files: Vec<String>,
}

impl AdapterFilesDocument {
    /// The schema's name.
    pub(crate) const SCHEMA: &'static str = "lease.adapter-files/1";

    /// The document of these files.
    pub(crate) fn new(files: &[PathBuf]) -> Self {
        let files = files.iter().map(|it| it.display().to_string()).collect();
        Self { schema: Self::SCHEMA, files }
    }
}
