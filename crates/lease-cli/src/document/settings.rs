//! Settings and trust as JSON.

use schemars::JsonSchema;
use serde::Serialize;

use super::Time;
use crate::config::keys::{Repository, Value, find};
use crate::config::sourced::{Origin, OriginKind, Sourced};

/// `lease config show`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct SettingsDocument {
    #[schemars(extend("const" = Self::SCHEMA))]
    schema: &'static str,
    /// Every setting, by key.
    pub(crate) settings: Vec<SettingDescription>,
    /// The repository's file, if there is one.
    pub(crate) repository: Option<RepositoryDescription>,
}

impl SettingsDocument {
    /// The schema's name.
    pub(crate) const SCHEMA: &'static str = "lease.settings/1";

    /// The document of these settings.
    pub(crate) fn new(
        settings: Vec<SettingDescription>,
        repository: Option<RepositoryDescription>,
    ) -> Self {
        Self { schema: Self::SCHEMA, settings, repository }
    }
}

/// One setting.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct SettingDescription {
    /// Its path, with dots.
    pub(crate) key: String,
    /// Its value; null when it is not set.
    pub(crate) value: serde_json::Value,
    /// Where the value comes from.
    pub(crate) origin: OriginDescription,
    /// Whether lease.yaml may set it only after `lease trust`.
    pub(crate) needs_trust: bool,
}

impl SettingDescription {
    /// The description of a setting.
    pub(crate) fn of(key: &str, sourced: &Sourced<Value>) -> Self {
        Self {
            key: key.to_owned(),
            value: sourced.value.to_json(),
            origin: OriginDescription::of(&sourced.origin),
            needs_trust: find(key).is_some_and(|it| it.repository == Repository::NeedsTrust),
        }
    }
}

/// Where a value comes from.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct OriginDescription {
    /// The layer.
    pub(crate) kind: OriginKind,
    /// The flag or variable.
    pub(crate) name: Option<String>,
    /// The file.
    pub(crate) file: Option<String>,
    /// The line in the file.
    pub(crate) line: Option<usize>,
}

impl OriginDescription {
    fn of(origin: &Origin) -> Self {
        Self {
            kind: origin.kind,
            name: origin.name.clone(),
            file: origin.file.as_ref().map(|it| it.display().to_string()),
            line: origin.line,
        }
    }
}

/// The repository's file.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct RepositoryDescription {
    /// Where it is.
    pub(crate) path: String,
    /// `not_needed`, `given`, `stale` or `missing`.
    pub(crate) trust: String,
    /// The settings in it that need trust.
    pub(crate) needs_trust: Vec<String>,
}

/// `lease trust`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct TrustDocument {
    #[schemars(extend("const" = Self::SCHEMA))]
    schema: &'static str,
    /// The trusted files.
    pub(crate) files: Vec<TrustedFile>,
}

impl TrustDocument {
    /// The schema's name.
    pub(crate) const SCHEMA: &'static str = "lease.trust/1";

    /// The document of these files.
    pub(crate) fn new(files: Vec<TrustedFile>) -> Self {
        Self { schema: Self::SCHEMA, files }
    }
}

/// A trusted file.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct TrustedFile {
    /// Where it is.
    pub(crate) path: String,
    /// The BLAKE3 hash of the content that is trusted.
    pub(crate) hash: String,
    /// When it was trusted.
    pub(crate) trusted_at: Time,
}
