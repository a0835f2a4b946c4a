//! What a provider lists, as JSON.

use lease_core::{Found, Inventory};
use schemars::JsonSchema;
use serde::Serialize;

use super::Time;

/// `lease providers inventory`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct InventoryDocument {
    #[schemars(extend("const" = Self::SCHEMA))]
    schema: &'static str,
    /// The provider.
    pub(crate) provider: String,
    /// Where its interface is.
    pub(crate) endpoint: String,
    /// The account that was asked.
    pub(crate) account: String,
    /// What carries marks of this tool; where there are no marks, everything.
    pub(crate) resources: Vec<ResourceDescription>,
}

/// One resource as the provider shows it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct ResourceDescription {
    /// Its kind in the provider's terms.
    pub(crate) kind: String,
    /// The provider's id.
    pub(crate) id: String,
    /// Its name, if it has one.
    pub(crate) name: Option<String>,
    /// How it is doing: `starting`, `running`, `stopping` or `failed`.
    pub(crate) status: String,
    /// The lease that its marks name.
    pub(crate) lease: Option<String>,
    /// The installation that its marks name.
    pub(crate) installation: Option<String>,
    /// When the provider says it was created.
    pub(crate) created_at: Option<Time>,
    /// The short name of the live lease here that has it; null when none has.
    pub(crate) claimed_by: Option<String>,
}

impl InventoryDocument {
    /// The schema's name.
    pub(crate) const SCHEMA: &'static str = "lease.inventory/1";

    /// The document of a listing; `claimed_by` names the lease that has a resource.
    pub(crate) fn new(
        inventory: &Inventory,
        claimed_by: impl Fn(&Found) -> Option<String>,
    ) -> Self {
        let describe = |found: &Found| ResourceDescription {
            kind: found.kind.clone(),
            id: found.id.to_string(),
            name: found.name.as_ref().map(ToString::to_string),
            status: status(found).to_owned(),
            lease: found.marks.as_ref().map(|it| it.lease.to_string()),
            installation: found.marks.as_ref().map(|it| it.installation.to_string()),
            created_at: found.created_at.map(Time::from),
            claimed_by: claimed_by(found),
        };
        Self {
            schema: Self::SCHEMA,
            provider: inventory.scope.provider.clone(),
            endpoint: inventory.scope.endpoint.clone(),
            account: inventory.scope.account.clone(),
            resources: inventory.items.iter().map(describe).collect(),
        }
    }
}

fn status(found: &Found) -> &'static str {
    match found.status {
        lease_core::Status::Starting { .. } => "starting",
        lease_core::Status::Running => "running",
        lease_core::Status::Stopping => "stopping",
        lease_core::Status::Failed { .. } => "failed",
    }
}
