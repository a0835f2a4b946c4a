//! The providers of this build. This is the only file that asks for a feature.

use std::sync::Arc;

use lease_core::{Descriptor, Provider};

use crate::config::Settings;
use crate::config::keys::Key;
use crate::context::Base;
use crate::failure::Failure;

/// The provider that is used when nothing else is said.
pub(crate) const DEFAULT_PROVIDER: &str = "local";

/// A provider as it can be asked for: whether it is in this build or not.
#[derive(Debug)]
struct Known {
    name: &'static str,
    feature: &'static str,
}

/// Providers that other builds, or later versions, have.
const KNOWN: &[Known] = &[Known { name: "local", feature: "local" }];

/// Providers that are intended and that no version has yet.
const INTENDED: &[&str] = &["fal", "hetzner", "slurm", "external"];

/// The settings of the providers of this build.
pub(crate) fn keys() -> impl Iterator<Item = &'static Key> {
    let parts: &'static [&'static [Key]] = &[
        #[cfg(feature = "local")]
        local::KEYS,
    ];
    parts.iter().copied().flatten()
}

/// What the providers of this build can do and promise, without making any of them.
pub(crate) fn descriptors() -> Vec<&'static Descriptor> {
    vec![
        #[cfg(feature = "local")]
        &lease_local::DESCRIPTOR,
    ]
}

/// Makes every provider of this build from the settings. No machine is touched yet.
pub(crate) fn providers(
    base: &Base<'_>,
    settings: &Settings,
) -> Result<Vec<Arc<dyn Provider>>, Failure> {
    Ok(vec![
        #[cfg(feature = "local")]
        local::provider(base, settings)?,
    ])
}

/// The registered name of the provider that `name` means.
pub(crate) fn resolve(name: &str) -> Result<&'static str, Failure> {
    let named = |it: &&&'static Descriptor| it.name == name || it.aliases.contains(&name);
    if let Some(descriptor) = descriptors().iter().find(named) {
        return Ok(descriptor.name);
    }
    let what = not_built_in(name).unwrap_or_else(|| {
        let there: Vec<_> = descriptors().iter().map(|it| it.name).collect();
        let hint = crate::config::nearest(name, there.iter().copied());
        let hint = hint.map(|it| format!("; did you mean {it:?}?")).unwrap_or_default();
        format!("there is no provider {name:?}{hint}; this build has: {}", listed(&there))
    });
    Err(Failure::invalid(what, "lease providers")
        .meaning(crate::failure::Meaning::NothingCreated)
        .kind("unsupported"))
}

/// Says how to get a provider that is known and not in this build.
pub(crate) fn not_built_in(name: &str) -> Option<String> {
    let there: Vec<_> = descriptors().iter().map(|it| it.name).collect();
    if there.contains(&name) {
        return None;
    }
    if let Some(known) = KNOWN.iter().find(|it| it.name == name) {
        return Some(format!(
            "the provider {name:?} is not in this build, which has: {}; build it with `cargo build -p lease-cli --features {}`",
            listed(&there),
            known.feature
        ));
    }
    let intended = INTENDED.contains(&name);
    intended.then(|| {
        format!(
            "the provider {name:?} is planned and not there yet; this build has: {}",
            listed(&there)
        )
    })
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(not(any(feature = "local")))]
compile_error!("a build without any provider can lease nothing: enable a feature such as `local`");

/// The provider `local`: its settings and how it is made from them.
#[cfg(feature = "local")]
mod local {
    use std::path::PathBuf;
    use std::sync::Arc;

    use lease_core::{OsEntropy, Provider};
    use lease_local::{Contain, LocalConfig, LocalProvider};

    use crate::config::Settings;
    use crate::config::keys::{Key, Kind, Value};
    use crate::context::Base;
    use crate::env::SystemClock;
    use crate::failure::Failure;

    const CONTAIN: &[&str] = &["auto", "namespace", "scan"];

    pub(super) const KEYS: &[Key] = &[
        Key::own("providers.local.root", Kind::Path, "the directory that boxes live in"),
        Key::trusted(
            "providers.local.contain",
            Kind::Choice(CONTAIN),
            "whether a box has a PID namespace, or its processes are searched when it ends",
        ),
        Key::trusted("providers.local.sshd", Kind::Path, "the sshd that a box runs"),
        Key::trusted(
            "providers.local.environment",
            Kind::Map,
            "variables that commands on a box see, beside PATH, HOME and where toolchains are",
        ),
    ];

    pub(super) fn provider(
        base: &Base<'_>,
        settings: &Settings,
    ) -> Result<Arc<dyn Provider>, Failure> {
        let environment = base.environment;
        let root = match settings.text("providers.local.root") {
            Some(root) => PathBuf::from(root),
            None => base.state_dir()?.join("boxes"),
        };
        let uid = rustix::process::getuid().as_raw();
        let mut config = LocalConfig::new(root, environment.login_name()?, uid);
        config.sshd = settings.text("providers.local.sshd").map(PathBuf::from);
        config.contain = match settings.text("providers.local.contain") {
            Some("namespace") => Contain::Namespace,
            Some("scan") => Contain::Scan,
            _ => Contain::Auto,
        };
        let mut variables = environment.passed_on();
        if let Some(Value::Map(added)) = settings.value("providers.local.environment") {
            variables.extend(added.clone());
        }
        config.environment = variables.into_iter().collect();
        Ok(Arc::new(LocalProvider::open(config, Arc::new(SystemClock), Arc::new(OsEntropy))?))
    }
}
