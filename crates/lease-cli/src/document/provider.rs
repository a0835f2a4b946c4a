//! Providers as JSON.

use lease_core::{Descriptor, Size};
use schemars::JsonSchema;
use serde::Serialize;

use super::lease::word;
use crate::catalog;

/// `lease providers`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct ProvidersDocument {
    #[schemars(extend("const" = Self::SCHEMA))]
    schema: &'static str,
    /// The providers of this build.
    pub(crate) providers: Vec<ProviderDescription>,
    /// The providers that other builds have, where all were asked for.
    pub(crate) not_built: Vec<AbsentProvider>,
}

impl ProvidersDocument {
    /// The schema's name.
    pub(crate) const SCHEMA: &'static str = "lease.providers/1";

    /// The document of these providers.
    pub(crate) fn of<'a>(descriptors: impl IntoIterator<Item = &'a Descriptor>) -> Self {
        Self {
            schema: Self::SCHEMA,
            providers: descriptors.into_iter().map(ProviderDescription::of).collect(),
            not_built: Vec::new(),
        }
    }

    /// The document of every provider there is, whether it is in this build or not.
    pub(crate) fn of_all() -> Self {
        let not_built = catalog::not_built().map(AbsentProvider::of).collect();
        Self { not_built, ..Self::of(catalog::descriptors()) }
    }
}

/// A provider that is not in this build.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct AbsentProvider {
    /// The registered name.
    pub(crate) name: String,
    /// `not in this build`.
    pub(crate) status: String,
    /// The command that adds it to the providers of this build, to be typed where the source is.
    pub(crate) install: String,
}

impl AbsentProvider {
    fn of(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            status: "not in this build".to_owned(),
            install: catalog::install_with(name),
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
    /// How long after it was sent a create without an answer may still take effect, in milliseconds.
    pub(crate) landing_ms: u64,
    /// Whether a resource shows the lease's deadline.
    pub(crate) shows_deadline: bool,
    /// The options that `--option` takes.
    pub(crate) options: Vec<OptionDescription>,
    /// The environment variables that the credential is read from, the first that is set; none where it needs none.
    pub(crate) credentials: Vec<String>,
    /// Whether the box isolates what runs on it.
    pub(crate) sandbox: bool,
    /// The kinds of resource it makes, in order of creation.
    pub(crate) resources: Vec<String>,
    /// What it cannot promise.
    pub(crate) caveat: String,
    /// `built in`.
    pub(crate) status: String,
}

/// An option of a provider.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct OptionDescription {
    /// Its key.
    pub(crate) name: String,
    /// What it does.
    pub(crate) about: String,
}

/// `lease providers sizes`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct SizesDocument {
    #[schemars(extend("const" = Self::SCHEMA))]
    schema: &'static str,
    /// The provider's registered name.
    pub(crate) provider: String,
    /// The machines that it has; empty where there is only one kind.
    pub(crate) sizes: Vec<SizeDescription>,
}

impl SizesDocument {
    /// The schema's name.
    pub(crate) const SCHEMA: &'static str = "lease.sizes/1";

    /// The document of these machines.
    pub(crate) fn new(provider: &str, sizes: &[Size]) -> Self {
        let sizes = sizes.iter().map(SizeDescription::of).collect();
        Self { schema: Self::SCHEMA, provider: provider.to_owned(), sizes }
    }
}

/// A machine that can be had.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct SizeDescription {
    /// The classes that lead to it.
    pub(crate) classes: Vec<String>,
    /// Its type in the provider's terms.
    pub(crate) machine_type: String,
    /// Its processor cores.
    pub(crate) cores: u32,
    /// Its memory in gibibytes.
    pub(crate) memory_gib: f64,
    /// What else distinguishes it.
    pub(crate) notes: String,
    /// What an hour costs; null where the provider does not say.
    pub(crate) price_per_hour: Option<PriceDescription>,
    /// Whether it can be had now; null where the provider does not say.
    pub(crate) available: Option<bool>,
}

/// An amount of money as the provider states it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct PriceDescription {
    /// The amount in decimal.
    pub(crate) amount: String,
    /// The currency's code.
    pub(crate) currency: String,
}

impl SizeDescription {
    fn of(size: &Size) -> Self {
        Self {
            classes: size.classes.clone(),
            machine_type: size.machine_type.clone(),
            cores: size.cores,
            memory_gib: size.memory_gib,
            notes: size.notes.clone(),
            price_per_hour: size.price_per_hour.as_ref().map(|it| PriceDescription {
                amount: it.amount.clone(),
                currency: it.currency.clone(),
            }),
            available: size.available,
        }
    }
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
            landing_ms: lease_core::time::millis(descriptor.landing),
            shows_deadline: descriptor.shows_deadline,
            options: catalog::options(descriptor.name)
                .iter()
                .map(|(name, about)| OptionDescription {
                    name: (*name).to_owned(),
                    about: (*about).to_owned(),
                })
                .collect(),
            credentials: owned(catalog::credentials(descriptor.name)),
            sandbox: descriptor.sandbox,
            resources: owned(descriptor.resources),
            caveat: descriptor.caveat.to_owned(),
            status: "built in".to_owned(),
        }
    }
}
