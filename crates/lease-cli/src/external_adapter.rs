//! The provider `external`: how it is made from its settings.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lease_core::descriptor::EndsAbandoned;
use lease_core::{InstallationId, OsEntropy, Provider as _};
use lease_external::conformance::Outcome;
use lease_external::lifecycle::{Connection, Lifecycle};
use lease_external::skeleton::SKELETONS;
use lease_external::{DESCRIPTOR, ExternalConfig, ExternalProvider, Form, Identity, Listener};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use super::{Member, set};
use crate::config::Settings;
use crate::config::keys::Value;
use crate::context::Base;
use crate::document::Told;
use crate::env::{Environment, SystemClock};
use crate::failure::Failure;
use crate::output::Progress;
use crate::reaper::Post;

const COMMAND: &str = "providers.external.command";
const ARGS: &str = "providers.external.args";
const LIFECYCLE: &str = "providers.external.lifecycle";
const CONNECTION: &str = "providers.external.connection";
const CONFIG: &str = "providers.external.config";
const DIRECTORY: &str = "providers.external.directory";

/// What must not reach an adapter: passwords of desktops, by the protocol, and what is only about this process.
const WITHHELD: &[&str] = &["LEASE_BOX"];

/// Shows what an adapter says for people while it says it.
#[derive(Debug)]
struct PassedOn(Arc<Progress>);

impl Listener for PassedOn {
    fn heard(&self, bytes: &[u8]) {
        self.0.pass_on(bytes);
    }
}

fn listener(base: &Base<'_>) -> Arc<PassedOn> {
    Arc::new(PassedOn(Arc::clone(base.output.progress())))
}

/// The provider, or one that says why it cannot be used.
pub(super) fn member(
    base: &Base<'_>,
    settings: &Settings,
    installation: &InstallationId,
) -> Member {
    let made = config(base.environment, settings).and_then(|mut config| {
        config.installation = Some(installation.clone());
        let parts = post_parts(&config);
        let longest = (config.longest_call(), config.longest_release());
        let provider = ExternalProvider::open(config, Arc::new(SystemClock), listener(base));
        provider.map(|it| (it, parts, longest)).map_err(|error| error.to_string())
    });
    match made {
        Ok((provider, parts, longest)) => {
            let parts: Vec<_> = parts.iter().map(String::as_bytes).collect();
            let post = Post::new(provider.descriptor().name, &parts);
            let (longest_call, longest_release) = longest;
            Member { longest_call, longest_release, ..Member::new(provider, Some(post)) }
        }
        Err(why) => Member::not_set_up(&DESCRIPTOR, why),
    }
}

/// What an adapter is held against the protocol with.
#[derive(Debug)]
pub(crate) struct Trial<'a> {
    /// The adapter program with its arguments.
    pub(crate) argv: &'a [String],
    /// What is passed to it as `config`.
    pub(crate) config: Map<String, Json>,
    /// Whether it declares that a repeated acquire makes nothing new.
    pub(crate) idempotent: bool,
    /// The public key that it is offered.
    pub(crate) public_key: &'a str,
}

/// Holds an adapter against the protocol: what is told of each rule, whether none is broken, and all of it for people.
pub(crate) async fn check(
    base: &Base<'_>,
    trial: Trial<'_>,
) -> Result<(Vec<Told>, bool, String), Failure> {
    let mut config = ExternalConfig::command(trial.argv.iter().cloned());
    config.environment = passed_on(base.environment);
    config.config = trial.config;
    config.idempotent_lease_id = trial.idempotent;
    let report =
        lease_external::conformance::check(config, listener(base), &OsEntropy, trial.public_key)
            .await?;
    let told = report.findings.iter().map(|it| {
        let outcome = match it.outcome {
            Outcome::Upheld => "upheld",
            Outcome::Broken => "broken",
            Outcome::Advice => "advice",
            Outcome::NotApplicable => "not_applicable",
        };
        [it.section, it.rule, outcome, &it.evidence].map(str::to_owned)
    });
    Ok((told.collect(), report.is_conforming(), report.to_string()))
}

/// Writes adapters to begin with, in one language or in all of them.
pub(crate) fn write_skeletons(
    directory: &Path,
    language: Option<&str>,
) -> Result<Vec<PathBuf>, Failure> {
    let wanted = |it: &&lease_external::skeleton::Skeleton| {
        language.is_none_or(|language| it.language.eq_ignore_ascii_case(language))
    };
    let skeletons: Vec<_> = SKELETONS.iter().filter(wanted).copied().collect();
    Ok(lease_external::skeleton::write(directory, &skeletons)?)
}

/// Whoever runs the same adapter with the same configuration serves the same leases.
fn post_parts(config: &ExternalConfig) -> Vec<String> {
    let form = match &config.form {
        Form::Command { argv } => argv.join("\0"),
        Form::Lifecycle { lifecycle, connection } => format!("{lifecycle:?}{connection:?}"),
    };
    let directory = config.directory.as_deref().map(|it| it.display().to_string());
    let passed = Json::Object(config.config.clone()).to_string();
    vec![form, passed, config.account.clone().unwrap_or_default(), directory.unwrap_or_default()]
}

fn config(environment: &Environment, settings: &Settings) -> Result<ExternalConfig, String> {
    let mut config = match (settings.text(COMMAND), tree(settings, LIFECYCLE)) {
        (Some(_), Some(_)) => {
            return Err(format!("{COMMAND} and {LIFECYCLE} are both set; take one of them out"));
        }
        (None, None) => {
            return Err(format!(
                "it is not set up: set {COMMAND} in config.yaml to a program that speaks the \
                 protocol; `lease provider new DIR` writes one to begin with"
            ));
        }
        (Some(command), None) => {
            let program = std::iter::once(command.to_owned());
            let args = settings.list(ARGS).unwrap_or_default().iter().cloned();
            ExternalConfig::command(program.chain(args))
        }
        (None, Some(lifecycle)) => ExternalConfig::lifecycle(
            typed::<Lifecycle>(LIFECYCLE, lifecycle)?,
            typed::<Connection>(CONNECTION, tree(settings, CONNECTION).unwrap_or_default())?,
        ),
    };
    config.directory = directory(settings, &config.form);
    config.environment = passed_on(environment);
    config.config = tree(settings, CONFIG).unwrap_or_default();
    config.account = settings.get("providers.external.account");
    config.work_root = settings.get("providers.external.work_root");
    set(&mut config.touch, settings.get("providers.external.touch"));
    set(&mut config.settle, settings.get("providers.external.settle"));
    set(&mut config.landing, settings.get("providers.external.landing"));
    set(&mut config.acquire_deadline, settings.get("providers.external.acquire_deadline"));
    set(&mut config.release_deadline, settings.get("providers.external.release_deadline"));
    set(&mut config.call_deadline, settings.get("providers.external.call_deadline"));
    set(&mut config.output_bytes_max, settings.get("providers.external.output_bytes_max"));
    let trust = settings.get("providers.external.trust_provider_output");
    set(&mut config.trust_provider_output, trust);
    let fixed = settings.get("providers.external.idempotent_lease_id");
    set(&mut config.idempotent_lease_id, fixed);
    config.identity = match settings.text("providers.external.identity") {
        Some("answered") => Identity::Answered,
        _ => Identity::Kept,
    };
    config.ends_abandoned = match settings.text("providers.external.ends_abandoned") {
        Some("provider") => EndsAbandoned::Provider,
        Some("box") => EndsAbandoned::Box,
        _ => EndsAbandoned::Reaper,
    };
    Ok(config)
}

/// Where the adapter starts: where it is said, or where the file is that names a relative program; a reaper, which
/// starts elsewhere, must find the same one.
fn directory(settings: &Settings, form: &Form) -> Option<PathBuf> {
    if let Some(directory) = settings.text(DIRECTORY) {
        return Some(PathBuf::from(directory));
    }
    let is_relative = |program: &str| program.contains('/') && !program.starts_with('/');
    let (key, relative) = match form {
        Form::Command { argv } => (COMMAND, argv.first().is_some_and(|it| is_relative(it))),
        Form::Lifecycle { lifecycle, .. } => {
            (LIFECYCLE, lifecycle.programs().into_iter().any(is_relative))
        }
    };
    let (_, sourced) = settings.iter().find(|(it, _)| *it == key)?;
    sourced.origin.file.as_deref().and_then(Path::parent).filter(|_| relative).map(Path::to_owned)
}

/// The whole environment, as the protocol wants it, but for passwords of desktops.
fn passed_on(environment: &Environment) -> Vec<(String, String)> {
    let is_withheld = |name: &str| {
        let name = name.to_ascii_uppercase();
        WITHHELD.contains(&name.as_str()) || (name.contains("DESKTOP") && name.contains("PASSWORD"))
    };
    let pairs = environment.all_variables().iter();
    let texts =
        pairs.filter_map(|(name, value)| Some((name.to_str()?.to_owned(), value.to_str()?)));
    texts.filter(|(name, _)| !is_withheld(name)).map(|(name, it)| (name, it.to_owned())).collect()
}

fn tree(settings: &Settings, key: &str) -> Option<Map<String, Json>> {
    match settings.value(key) {
        Some(Value::Tree(entries)) => Some(entries.clone()),
        _ => None,
    }
}

fn typed<T: DeserializeOwned>(key: &str, entries: Map<String, Json>) -> Result<T, String> {
    serde_json::from_value(Json::Object(entries)).map_err(|error| format!("{key}: {error}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::args::GlobalArgs;
    use crate::config::layer::FlagValue;
    use crate::config::trust::TrustStore;
    use crate::context::patience;
    use crate::output::Output;

    const HOURS: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn the_engine_waits_for_whatever_an_adapter_is_given() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().to_str().unwrap();
        let lines = "command: /bin/true\n    acquire_deadline: 2h\n    call_deadline: 3m\n    landing: 10m\n";
        let text = format!("provider: exec-provider\nproviders:\n  external:\n    {lines}");
        std::fs::write(dir.path().join("config.yaml"), text).unwrap();
        let variables = [("HOME", home), ("USER", "ann"), ("LEASE_CONFIG_DIR", home)];
        let environment = Environment::of(&variables, dir.path());
        let output = Output::new(&GlobalArgs::default(), &environment);
        let base = Base { environment: &environment, output: &output };
        let load = |flags: &[FlagValue]| {
            Settings::load(&environment, flags, &TrustStore::new(dir.path())).unwrap()
        };
        let settings = load(&[]);
        let members = base.providers(&settings).await.unwrap();
        let it = patience(&settings, &members);
        assert!(it.call_timeout > 2 * HOURS, "{it:?}");
        assert!(it.settle_budget > Duration::from_secs(600), "{it:?}");
        assert!(it.release_budget > Duration::from_secs(600), "{it:?}");
        assert_eq!(it.ready_timeout, HOURS);
        let text = "7m".to_owned();
        let given = [FlagValue { key: "ready_timeout", flag: "--ready-timeout", text }];
        assert_eq!(patience(&load(&given), &members).ready_timeout, Duration::from_secs(420));
    }

    #[test]
    fn an_adapter_gets_the_environment_without_passwords_of_desktops() {
        let given =
            [("HOME", "/h"), ("TOKEN", "t"), ("X_Desktop_Password", "p"), ("LEASE_BOX", "b")];
        let passed = passed_on(&Environment::of(&given, Path::new("/")));
        let names: Vec<_> = passed.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["HOME", "TOKEN"]);
    }
}
