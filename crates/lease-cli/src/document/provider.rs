//! Providers as JSON.

use lease_core::Descriptor;
use schemars::JsonSchema;
use serde::Serialize;

use super::lease::word;

/// `lease providers`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct ProvidersDocument {
    #[schemars(extend("const" = Self::SCHEMA))]
    schema: &'static str,
    /// The providers of this build.
    pub(crate) providers: Vec<ProviderDescription>,
}

impl ProvidersDocument {
    /// The schema's name.
    pub(crate) const SCHEMA: &'static str = "lease.providers/1";

    /// The document of these providers.
    pub(crate) fn of<'a>(descriptors: impl IntoIterator<Item = &'a Descriptor>) -> Self {
        Self {
            schema: Self::SCHEMA,
            providers: descriptors.into_iter().map(ProviderDescription::of).collect(),
        }
    }
}

/// What one provider can do and promises.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct ProviderDescription {
    /// The registered name.
    pub(crate) name: String,
    /// Other names it answers to.
    pub(crate) aliases: Vec<String>,
    /// One line for people.
    pub(crate) summary: String,
    /// Who ends an abandoned lease: `provider`, `box` or `reaper`.
    pub(crate) ends_abandoned: String,
    /// What proves that a resource is ours: `marks` or `create_answer`.
    pub(crate) ownership: String,
    /// How the host key is known: `pinned` or `first_use`.
    pub(crate) host_key: String,
    /// Whether a create may be repeated: `never`, `unique_name`, or `{"key": {"window_ms": …}}`.
    pub(crate) replay: serde_json::Value,
    /// How long an accepted create may stay invisible, in milliseconds.
    pub(crate) settle_ms: u64,
    /// Whether the box isolates what runs on it.
    pub(crate) sandbox: bool,
    /// The kinds of resource it makes, in order of creation.
    pub(crate) resources: Vec<String>,
    /// What it cannot promise.
    pub(crate) caveat: String,
    /// `built in`.
    pub(crate) status: String,
}

impl ProviderDescription {
    /// The description of a descriptor.
    pub(crate) fn of(descriptor: &Descriptor) -> Self {
        let owned = |texts: &[&str]| texts.iter().map(|it| (*it).to_owned()).collect();
        Self {
            name: descriptor.name.to_owned(),
            aliases: owned(descriptor.aliases),
            summary: descriptor.summary.to_owned(),
            ends_abandoned: word(&descriptor.ends_abandoned),
            ownership: word(&descriptor.ownership),
            host_key: word(&descriptor.host_key),
            replay: serde_json::to_value(descriptor.replay).unwrap_or_default(),
            settle_ms: lease_core::time::millis(descriptor.settle),
            sandbox: descriptor.sandbox,
            resources: owned(descriptor.resources),
            caveat: descriptor.caveat.to_owned(),
            status: "built in".to_owned(),
        }
    }
}
