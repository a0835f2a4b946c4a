//! The shape of everything that `--json` prints. These are versioned: a field may be added, and none is renamed or removed
//! without a new number in the schema's name.

mod adapter;
mod copying;
mod inventory;
mod lease;
mod provider;
mod run;
mod schema;
mod session;
mod settings;
mod work;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use lease_core::Timestamp;

pub(crate) use adapter::{AdapterFilesDocument, AdapterTestDocument, Told};
pub(crate) use copying::{CopyDocument, ForwardDocument};
pub(crate) use inventory::InventoryDocument;
pub(crate) use lease::{
    LeaseDetails, LeaseDocument, LeaseSummary, ListDocument, OpenRun, ShowDocument, UnreadableLease,
};
pub(crate) use provider::{ProviderDescription, ProvidersDocument, SizeDescription, SizesDocument};
pub(crate) use run::{
    HistoryDocument, LiftedLimits, LogsDocument, RecordedStream, RecorderProcess, RunPhases,
    RunRecord, RunStreams, TimingsDocument,
};
pub(crate) use schema::{SchemasDocument, schema_named, schemas};
pub(crate) use session::{PlannedChange, ReaperDocument, SyncDocument};
pub(crate) use settings::{
    RepositoryDescription, SettingDescription, SettingsDocument, TrustDocument, TrustedFile,
};
pub(crate) use work::{
    AdoptDocument, CheckDescription, CleanupDocument, DoctorDocument, ErrorDocument, PlanDocument,
    ReleaseDocument, ReleasedLease, StepDescription,
};

/// A time as RFC 3339 text in UTC, with milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("format" = "date-time"))]
pub(crate) struct Time(String);

impl Time {
    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Timestamp> for Time {
    fn from(at: Timestamp) -> Self {
        let ms = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
        let time = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX);
        Self(format!("{time:.3}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339() {
        assert_eq!(
            Time::from(Timestamp::from_millis(1_700_000_000_123)).as_str(),
            "2023-11-14T22:13:20.123Z"
        );
        assert!(Time::from(Timestamp::from_millis(u64::MAX)).as_str().starts_with("9999-"));
    }
}
