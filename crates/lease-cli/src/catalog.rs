//! The providers of this build. This is the only file that asks for a feature.

// Only one provider derives host keys, so only a build with it has them.
#[cfg(feature = "hetzner")]
#[path = "host_keys.rs"]
mod host_keys;

// And only one leaves its boxes with the environment of this machine.
#[cfg(feature = "local")]
#[path = "local_box.rs"]
mod local_box;

// These two have settings that nobody can do without, so there is a way of not being set up.
#[cfg(any(feature = "slurm", feature = "external"))]
#[path = "not_set_up.rs"]
mod not_set_up;

#[cfg(feature = "slurm")]
#[path = "slurm_cluster.rs"]
mod slurm;

#[cfg(feature = "external")]
#[path = "external_adapter.rs"]
mod external;

#[cfg(not(feature = "external"))]
#[path = "no_adapters.rs"]
mod external;

use std::sync::Arc;
use std::time::Duration;

use lease_core::{Descriptor, InstallationId, Provider};

use crate::config::Settings;
use crate::config::keys::Key;
use crate::context::Base;
use crate::env::Environment;
use crate::failure::Failure;
use crate::offers::{
    EXTERNAL_KEYS, FAL_KEYS, FAL_OPTIONS, HETZNER_KEYS, HETZNER_OPTIONS, LOCAL_KEYS, LOCAL_OPTIONS,
    SLURM_KEYS, SLURM_OPTIONS,
};
use crate::reaper::Post;
use crate::sealed::{Asking, Sealed};

pub(crate) use external::{Trial, check as check_adapter, write_skeletons};

/// The provider that is used when nothing else is said.
pub(crate) const DEFAULT_PROVIDER: &str = "local";

/// A provider of this build, configured.
#[derive(Debug)]
pub(crate) struct Member {
    /// The provider.
    pub(crate) provider: Arc<dyn Provider>,
    /// What a reaper with the same configuration is responsible for; none where it is not set up.
    pub(crate) post: Option<Post>,
    /// How to set it up, where it is not.
    pub(crate) remedy: String,
    /// How long a single call of it may take, where that may be longer than the engine waits by itself.
    pub(crate) longest_call: Duration,
    /// The same of a destroy.
    pub(crate) longest_release: Duration,
}

impl Member {
    fn new(provider: impl Provider + 'static, post: Option<Post>) -> Self {
        let variables = credentials(provider.descriptor().name).join(" or ");
        let remedy = format!("it is not set up; set {variables} to use it");
        let longest = Duration::ZERO;
        Self {
            provider: Arc::new(provider),
            post,
            remedy,
            longest_call: longest,
            longest_release: longest,
        }
    }

    /// A provider that its settings make nothing of.
    #[cfg(any(feature = "slurm", feature = "external"))]
    fn not_set_up(descriptor: &'static Descriptor, why: String) -> Self {
        let provider = not_set_up::NotSetUp::new(descriptor, why.clone());
        Self { remedy: why, ..Self::new(provider, None) }
    }
}

/// Sets `field` if the setting is set.
#[cfg(any(feature = "hetzner", feature = "fal", feature = "external"))]
fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

/// The variables that the credential of a provider is read from, the first that is set; none where it needs none.
pub(crate) fn credentials(provider: &str) -> &'static [&'static str] {
    match provider {
        "hetzner" => &["HCLOUD_TOKEN"],
        "fal" => &["LEASE_FAL_KEY", "FAL_KEY"],
        _ => &[],
    }
}

/// Whether the boxes of a provider are on this machine.
pub(crate) fn is_here(provider: &str) -> bool {
    provider == "local"
}

/// What may be configured and asked for, whether the provider is in this build or not. The feature that builds it has its
/// name.
struct Offer {
    name: &'static str,
    built: bool,
    keys: &'static [Key],
    options: &'static [(&'static str, &'static str)],
}

const OFFERS: &[Offer] = &[
    Offer {
        name: "local",
        built: cfg!(feature = "local"),
        keys: LOCAL_KEYS,
        options: LOCAL_OPTIONS,
    },
    Offer {
        name: "hetzner",
        built: cfg!(feature = "hetzner"),
        keys: HETZNER_KEYS,
        options: HETZNER_OPTIONS,
    },
    Offer { name: "fal", built: cfg!(feature = "fal"), keys: FAL_KEYS, options: FAL_OPTIONS },
    Offer {
        name: "slurm",
        built: cfg!(feature = "slurm"),
        keys: SLURM_KEYS,
        options: SLURM_OPTIONS,
    },
    Offer {
        name: "external",
        built: cfg!(feature = "external"),
        keys: EXTERNAL_KEYS,
        options: &[],
    },
];

/// The options that a provider takes, with what each does.
pub(crate) fn options(provider: &str) -> &'static [(&'static str, &'static str)] {
    OFFERS.iter().find(|it| it.name == provider).map_or(&[], |it| it.options)
}

/// Whether the settings of a provider say where its machines are and a repository may set them, so that each lease
/// keeps those that it was made with.
pub(crate) fn keeps_setup(provider: &str) -> bool {
    matches!(provider, "slurm" | "external")
}

/// The settings of the providers of this build.
pub(crate) fn keys() -> impl Iterator<Item = &'static Key> {
    OFFERS.iter().filter(|it| it.built).flat_map(|it| it.keys)
}

/// The providers that are not in this build although one of their variables is set.
pub(crate) fn idle_credentials(environment: &Environment) -> Vec<&'static str> {
    let set = |it: &&Offer| matches!(environment.credential(credentials(it.name)), Ok(Some(_)));
    OFFERS.iter().filter(|it| !it.built).filter(set).map(|it| it.name).collect()
}

/// What the providers of this build can do and promise, without making any of them.
pub(crate) fn descriptors() -> Vec<&'static Descriptor> {
    vec![
        #[cfg(feature = "local")]
        &lease_local::DESCRIPTOR,
        #[cfg(feature = "hetzner")]
        &lease_hetzner::DESCRIPTOR,
        #[cfg(feature = "fal")]
        &lease_fal::DESCRIPTOR,
        #[cfg(feature = "slurm")]
        &lease_slurm::DESCRIPTOR,
        #[cfg(feature = "external")]
        &lease_external::DESCRIPTOR,
    ]
}

/// Makes every provider of this build from the settings. No machine is touched yet. What a repository's settings name is
/// looked at before each call.
pub(crate) fn providers(
    base: &Base<'_>,
    settings: &Settings,
    installation: &InstallationId,
) -> Result<Vec<Member>, Failure> {
    let mut members = made(base, settings, installation)?;
    for member in &mut members {
        let name = member.provider.descriptor().name;
        let asking = if name == "slurm" { Asking::RunsPrograms } else { Asking::RunsNothing };
        let (inner, seals) = (Arc::clone(&member.provider), settings.seals(name));
        member.provider = Sealed::around(inner, seals, base.trust()?, asking);
    }
    Ok(members)
}

#[cfg_attr(
    not(feature = "external"),
    expect(unused_variables, reason = "only one provider has to know the installation")
)]
#[cfg_attr(
    not(any(feature = "local", feature = "hetzner", feature = "fal")),
    expect(clippy::unnecessary_wraps, reason = "other builds have providers that can fail here")
)]
fn made(
    base: &Base<'_>,
    settings: &Settings,
    installation: &InstallationId,
) -> Result<Vec<Member>, Failure> {
    Ok(vec![
        #[cfg(feature = "local")]
        local::member(base, settings)?,
        #[cfg(feature = "hetzner")]
        hetzner::member(base, settings)?,
        #[cfg(feature = "fal")]
        fal::member(base, settings)?,
        #[cfg(feature = "slurm")]
        slurm::member(base, settings),
        #[cfg(feature = "external")]
        external::member(base, settings, installation),
    ])
}

/// The registered name of the provider that `name` means.
pub(crate) fn resolve(name: &str) -> Result<&'static str, Failure> {
    let named = |it: &&&'static Descriptor| it.name == name || it.aliases.contains(&name);
    if let Some(descriptor) = descriptors().iter().find(named) {
        return Ok(descriptor.name);
    }
    Err(missing(name).unwrap_or_else(|| {
        let hint = crate::config::nearest(name, OFFERS.iter().map(|it| it.name));
        let hint = hint.map(|it| format!("; did you mean {it:?}?")).unwrap_or_default();
        let what = format!("there is no provider {name:?}{hint}; this build has: {}", listed());
        Failure::invalid(what, "lease providers")
            .meaning(crate::failure::Meaning::NothingCreated)
            .kind("unsupported")
    }))
}

/// The providers that other builds have, by name.
pub(crate) fn not_built() -> impl Iterator<Item = &'static str> {
    OFFERS.iter().filter(|it| !it.built).map(|it| it.name)
}

/// Says how to get a provider that is known and not in this build.
pub(crate) fn not_built_in(name: &str) -> Option<String> {
    let what = format!("{}; add it with `{}`", absent(name)?, install_with(name));
    Some(what)
}

/// The same as a failure, whose next command adds it.
fn missing(name: &str) -> Option<Failure> {
    let failure = Failure::invalid(absent(name)?, install_with(name));
    Some(failure.meaning(crate::failure::Meaning::NothingCreated).kind("unsupported"))
}

fn absent(name: &str) -> Option<String> {
    let known = not_built().any(|it| it == name);
    known.then(|| format!("the provider {name:?} is not in this build, which has: {}", listed()))
}

/// The command that installs `lease` with the providers of this build and `name`, from its source directory: an install
/// replaces the one before, so the others are named as well.
pub(crate) fn install_with(name: &str) -> String {
    let wanted =
        |it: &&str| OFFERS.iter().any(|offer| offer.name == *it && offer.built) || *it == name;
    install(&OFFERS.iter().map(|it| it.name).filter(wanted).collect::<Vec<_>>())
}

fn install(names: &[&str]) -> String {
    const COMMAND: &str = "cargo install --path crates/lease-cli";
    if names.len() == OFFERS.len() {
        return format!("{COMMAND} --features full");
    }
    let (default, added): (Vec<&str>, Vec<&str>) =
        names.iter().partition(|it| **it == DEFAULT_PROVIDER);
    let without = if default.is_empty() { " --no-default-features" } else { "" };
    format!("{COMMAND}{without} --features {}", added.join(","))
}

fn listed() -> String {
    let names: Vec<_> = descriptors().iter().map(|it| it.name).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(not(any(
    feature = "local",
    feature = "hetzner",
    feature = "fal",
    feature = "slurm",
    feature = "external"
)))]
compile_error!("a build without any provider can lease nothing: enable a feature such as `local`");

/// The provider `local`: how it is made from its settings.
#[cfg(feature = "local")]
mod local {
    use std::os::unix::ffi::OsStrExt as _;
    use std::path::PathBuf;
    use std::sync::Arc;

    use lease_core::OsEntropy;
    use lease_local::{Contain, LocalConfig, LocalProvider};

    use super::Member;
    use crate::config::Settings;
    use crate::config::keys::Value;
    use crate::context::Base;
    use crate::env::SystemClock;
    use crate::failure::Failure;
    use crate::reaper::Post;

    pub(super) fn member(base: &Base<'_>, settings: &Settings) -> Result<Member, Failure> {
        let environment = base.environment;
        let root = match settings.text("providers.local.root") {
            Some(root) => PathBuf::from(root),
            None => base.state_dir()?.join("boxes"),
        };
        let post = Post::new(lease_local::DESCRIPTOR.name, &[root.as_os_str().as_bytes()]);
        let uid = rustix::process::getuid().as_raw();
        let mut config = LocalConfig::new(root, super::local_box::login_name(environment)?, uid);
        config.sshd = settings.text("providers.local.sshd").map(PathBuf::from);
        config.contain = match settings.text("providers.local.contain") {
            Some("namespace") => Contain::Namespace,
            Some("scan") => Contain::Scan,
            _ => Contain::Auto,
        };
        let mut variables = super::local_box::passed_on(environment);
        if let Some(Value::Map(added)) = settings.value("providers.local.environment") {
            variables.extend(added.clone());
        }
        config.environment = variables.into_iter().collect();
        let provider = LocalProvider::open(config, Arc::new(SystemClock), Arc::new(OsEntropy))?;
        Ok(Member::new(provider, Some(post)))
    }
}

/// What the providers have in common that are reached over HTTP.
#[cfg(any(feature = "hetzner", feature = "fal"))]
mod cloud {
    use lease_core::{Descriptor, Secret};

    use crate::env::Environment;
    use crate::failure::Failure;
    use crate::reaper::Post;

    /// The credential of a provider, if one of its variables is set.
    pub(super) fn credential(
        environment: &Environment,
        descriptor: &Descriptor,
    ) -> Result<Option<Secret>, Failure> {
        environment.credential(super::credentials(descriptor.name))
    }

    /// Who can serve what that credential made there.
    pub(super) fn post(
        descriptor: &'static Descriptor,
        endpoint: &str,
        credential: Option<&Secret>,
    ) -> Option<Post> {
        let credential = credential?.expose().as_bytes();
        Some(Post::new(descriptor.name, &[endpoint.as_bytes(), credential]))
    }
}

/// The provider `hetzner`: how it is made from its settings.
#[cfg(feature = "hetzner")]
mod hetzner {
    use std::sync::Arc;

    use lease_core::Secret;
    use lease_hetzner::{Architecture, DESCRIPTOR, Family, HetznerConfig, HetznerProvider};
    use lease_http::HttpWire;

    use super::cloud::{credential, post};
    use super::{Member, host_keys, set};
    use crate::config::Settings;
    use crate::context::Base;
    use crate::env::SystemClock;
    use crate::failure::Failure;

    pub(super) fn member(base: &Base<'_>, settings: &Settings) -> Result<Member, Failure> {
        let token = credential(base.environment, &DESCRIPTOR)?;
        let host_key_secret = match token {
            Some(_) => host_keys::secret(&base.state_dir()?)?,
            // Without a token nothing is ever made, so nothing is made for it here either.
            None => Secret::new("0".repeat(64)),
        };
        let mut config = HetznerConfig::new(token.clone(), host_key_secret);
        set(&mut config.endpoint, settings.get("providers.hetzner.endpoint"));
        set(&mut config.locations, settings.get("providers.hetzner.locations"));
        set(&mut config.image, settings.get("providers.hetzner.image"));
        set(&mut config.packages, settings.get("providers.hetzner.packages"));
        set(&mut config.networks, settings.get("providers.hetzner.networks"));
        set(&mut config.user, settings.get("providers.hetzner.user"));
        set(&mut config.port, settings.get("providers.hetzner.port"));
        set(&mut config.work_root, settings.get("providers.hetzner.work_root"));
        set(&mut config.settle, settings.get("providers.hetzner.settle"));
        set(&mut config.landing, settings.get("providers.hetzner.landing"));
        set(&mut config.read_deadline, settings.get("providers.hetzner.read_deadline"));
        set(&mut config.write_deadline, settings.get("providers.hetzner.write_deadline"));
        set(&mut config.request_reserve, settings.get("providers.hetzner.request_reserve"));
        set(&mut config.capacity_phrases, settings.get("providers.hetzner.capacity_phrases"));
        set(&mut config.ipv4, settings.get("providers.hetzner.ipv4").map(family));
        set(&mut config.ipv6, settings.get("providers.hetzner.ipv6").map(family));
        config.ssh_key = settings.get("providers.hetzner.ssh_key");
        config.architecture = match settings.text("providers.hetzner.architecture") {
            Some("x86") => Architecture::X86,
            Some("arm") => Architecture::Arm,
            _ => config.architecture,
        };
        let post = post(&DESCRIPTOR, &config.endpoint, token.as_ref());
        let provider = HetznerProvider::open(config, Arc::new(HttpWire::default()))?
            .with_clock(Arc::new(SystemClock));
        Ok(Member::new(provider, post))
    }

    fn family(on: bool) -> Family {
        if on { Family::On } else { Family::Off }
    }
}

/// The provider `fal`: how it is made from its settings.
#[cfg(feature = "fal")]
mod fal {
    use std::sync::Arc;

    use lease_fal::{DESCRIPTOR, FalConfig, FalProvider};
    use lease_http::HttpWire;

    use super::cloud::{credential, post};
    use super::{Member, set};
    use crate::config::Settings;
    use crate::context::Base;
    use crate::env::SystemClock;
    use crate::failure::Failure;

    pub(super) fn member(base: &Base<'_>, settings: &Settings) -> Result<Member, Failure> {
        let key = credential(base.environment, &DESCRIPTOR)?;
        let mut config = FalConfig::new(key.clone());
        set(&mut config.endpoint, settings.get("providers.fal.endpoint"));
        set(&mut config.instance_type, settings.get("providers.fal.instance_type"));
        set(&mut config.user, settings.get("providers.fal.user"));
        set(&mut config.port, settings.get("providers.fal.port"));
        set(&mut config.work_root, settings.get("providers.fal.work_root"));
        set(&mut config.settle, settings.get("providers.fal.settle"));
        set(&mut config.landing, settings.get("providers.fal.landing"));
        set(&mut config.replay_window, settings.get("providers.fal.replay_window"));
        set(&mut config.read_deadline, settings.get("providers.fal.read_deadline"));
        set(&mut config.write_deadline, settings.get("providers.fal.write_deadline"));
        config.sector = settings.get("providers.fal.sector");
        let post = post(&DESCRIPTOR, &config.endpoint, key.as_ref());
        let provider = FalProvider::open(config, Arc::new(HttpWire::default()))?
            .with_clock(Arc::new(SystemClock));
        Ok(Member::new(provider, post))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(names: &[&str], expected: &str) {
        assert_eq!(install(names), format!("cargo install --path crates/lease-cli{expected}"));
    }

    #[test]
    fn the_command_that_adds_a_provider_takes_none_away() {
        check(&["local", "hetzner"], " --features hetzner");
        check(&["local", "hetzner", "slurm"], " --features hetzner,slurm");
        check(&["fal"], " --no-default-features --features fal");
        check(&OFFERS.iter().map(|it| it.name).collect::<Vec<_>>(), " --features full");
        for name in not_built() {
            let said = install_with(name);
            let full = said.ends_with("full");
            assert!(
                full || descriptors().iter().all(|it| it.name == "local" || said.contains(it.name)),
                "{said}"
            );
            assert!(full || said.contains(name), "{said}");
        }
    }

    #[test]
    fn a_feature_has_the_name_of_its_provider() {
        let manifest = include_str!("../Cargo.toml");
        let features = manifest.split("[features]").nth(1).unwrap();
        for it in OFFERS {
            assert!(features.contains(&format!("\n{} = [", it.name)), "{}", it.name);
        }
        let quoted: Vec<_> = OFFERS.iter().map(|it| format!("{:?}", it.name)).collect();
        assert!(features.contains(&format!("full = [{}]", quoted.join(", "))));
        assert!(features.contains(&format!("default = [{DEFAULT_PROVIDER:?}]")));
    }

    #[test]
    fn a_misspelt_provider_of_another_build_is_recognised() {
        let failure = resolve("hetzer").unwrap_err().to_string();
        assert!(failure.contains("did you mean \"hetzner\"?"), "{failure}");
    }
}
