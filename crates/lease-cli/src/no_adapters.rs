//! Adapters in a build that has no provider for them: it says so.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::context::Base;
use crate::document::Told;
use crate::failure::Failure;

/// What an adapter would be held against the protocol with.
#[derive(Debug)]
#[expect(dead_code, reason = "this build reads nothing of it")]
pub(crate) struct Trial<'a> {
    pub(crate) argv: &'a [String],
    pub(crate) config: Map<String, Value>,
    pub(crate) idempotent: bool,
    pub(crate) public_key: &'a str,
}

/// Says that this build cannot hold an adapter against the protocol.
pub(crate) async fn check(
    _base: &Base<'_>,
    _trial: Trial<'_>,
) -> Result<(Vec<Told>, bool, String), Failure> {
    Err(missing())
}

/// Says that this build has no adapter to begin with.
pub(crate) fn write_skeletons(
    _directory: &Path,
    _language: Option<&str>,
) -> Result<Vec<PathBuf>, Failure> {
    Err(missing())
}

fn missing() -> Failure {
    super::missing("external").unwrap_or_else(|| Failure::tool("this build has no adapters"))
}
