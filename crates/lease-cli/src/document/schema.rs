//! The JSON schemas, made from the types that are printed.

use std::collections::BTreeMap;

use schemars::{JsonSchema, schema_for};
use serde::Serialize;
use serde_json::Value;

use super::{
    AdapterFilesDocument, AdapterTestDocument, AdoptDocument, CleanupDocument, CopyDocument,
    DoctorDocument, ErrorDocument, ForwardDocument, HistoryDocument, InventoryDocument,
    LeaseDocument, ListDocument, LogsDocument, PlanDocument, ProvidersDocument, ReaperDocument,
    ReleaseDocument, SettingsDocument, ShowDocument, SizesDocument, SyncDocument, TimingsDocument,
    TrustDocument,
};
use crate::config::schema as config_schema;

/// `lease schema`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct SchemasDocument {
    #[schemars(extend("const" = Self::SCHEMA))]
    schema: &'static str,
    /// The schemas by name.
    pub(crate) schemas: BTreeMap<String, Value>,
}

impl SchemasDocument {
    /// The schema's name.
    pub(crate) const SCHEMA: &'static str = "lease.schemas/1";

    /// All schemas.
    pub(crate) fn all() -> Self {
        let schemas = schemas().into_iter().map(|(name, schema)| (name.to_owned(), schema));
        Self { schema: Self::SCHEMA, schemas: schemas.collect() }
    }
}

/// Every schema with its name.
pub(crate) fn schemas() -> Vec<(&'static str, Value)> {
    vec![
        (AdapterFilesDocument::SCHEMA, schema_for!(AdapterFilesDocument).to_value()),
        (AdapterTestDocument::SCHEMA, schema_for!(AdapterTestDocument).to_value()),
        (AdoptDocument::SCHEMA, schema_for!(AdoptDocument).to_value()),
        (CleanupDocument::SCHEMA, schema_for!(CleanupDocument).to_value()),
        (config_schema::NAME, config_schema::schema()),
        (CopyDocument::SCHEMA, schema_for!(CopyDocument).to_value()),
        (DoctorDocument::SCHEMA, schema_for!(DoctorDocument).to_value()),
        (ErrorDocument::SCHEMA, schema_for!(ErrorDocument).to_value()),
        (ForwardDocument::SCHEMA, schema_for!(ForwardDocument).to_value()),
        (HistoryDocument::SCHEMA, schema_for!(HistoryDocument).to_value()),
        (InventoryDocument::SCHEMA, schema_for!(InventoryDocument).to_value()),
        (LeaseDocument::SCHEMA, schema_for!(LeaseDocument).to_value()),
        (ListDocument::SCHEMA, schema_for!(ListDocument).to_value()),
        (LogsDocument::SCHEMA, schema_for!(LogsDocument).to_value()),
        (PlanDocument::SCHEMA, schema_for!(PlanDocument).to_value()),
        (ProvidersDocument::SCHEMA, schema_for!(ProvidersDocument).to_value()),
        (ReaperDocument::SCHEMA, schema_for!(ReaperDocument).to_value()),
        (ReleaseDocument::SCHEMA, schema_for!(ReleaseDocument).to_value()),
        (SchemasDocument::SCHEMA, schema_for!(SchemasDocument).to_value()),
        (SettingsDocument::SCHEMA, schema_for!(SettingsDocument).to_value()),
        (ShowDocument::SCHEMA, schema_for!(ShowDocument).to_value()),
        (SizesDocument::SCHEMA, schema_for!(SizesDocument).to_value()),
        (SyncDocument::SCHEMA, schema_for!(SyncDocument).to_value()),
        (TimingsDocument::SCHEMA, schema_for!(TimingsDocument).to_value()),
        (TrustDocument::SCHEMA, schema_for!(TrustDocument).to_value()),
    ]
}

/// The schema of that name.
pub(crate) fn schema_named(name: &str) -> Option<Value> {
    schemas().into_iter().find(|(known, _)| *known == name).map(|(_, schema)| schema)
}
