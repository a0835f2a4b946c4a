//! The settings: flags over environment over the repository's lease.yaml over the user's config.yaml over defaults.
//!
//! Files are strict, because a misspelt limit costs money. What a repository could abuse takes effect only after
//! `lease trust`; until then a command that needs the settings is refused, so nothing is ever quietly ignored.

pub(crate) mod keys;
pub(crate) mod layer;
mod nearest;
pub(crate) mod schema;
pub(crate) mod seal;
pub(crate) mod size;
pub(crate) mod sourced;
pub(crate) mod span;
pub(crate) mod trust;
pub(crate) mod yaml;

use std::path::{Path, PathBuf};
use std::time::Duration;

use lease_ssh::Drift;

use crate::catalog;
use crate::config::keys::{FromValue, Repository, Value};
use crate::config::layer::{ConfigFile, FlagValue, Layer};
use crate::config::seal::Seal;
use crate::config::sourced::{OriginKind, Sourced};
use crate::config::trust::{Trust, TrustStore};
use crate::env::Environment;
use crate::failure::{Failure, Meaning};
use crate::setup::Setup;

pub(crate) use nearest::nearest;

/// The name of the repository's file.
const REPOSITORY_FILE: &str = "lease.yaml";

/// The resolved settings.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    values: Layer,
    /// What settings of a repository name, as it was when they were trusted.
    seals: Vec<Seal>,
}

/// Whether `lease run` leaves its box behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeepPolicy {
    /// The box is released.
    Never,
    /// The box is kept when the command fails.
    OnFailure,
    /// The box is kept.
    Always,
}

/// All layers, before they are put on top of each other.
#[derive(Clone, Debug)]
pub(crate) struct Layers {
    /// The user's file, if there is one.
    pub(crate) user: Option<ConfigFile>,
    /// The repository's file, if there is one.
    pub(crate) repository: Option<ConfigFile>,
    environment: Layer,
    flags: Layer,
}

impl Layers {
    /// Reads every layer.
    pub(crate) fn read(environment: &Environment, flags: &[FlagValue]) -> Result<Self, Failure> {
        let repository = match repository_file(environment.directory()?) {
            Some(path) => layer::file(&path, OriginKind::Repository)?,
            None => None,
        };
        Ok(Self { repository, ..Self::read_own(environment, flags)? })
    }

    /// Reads every layer but the repository's.
    fn read_own(environment: &Environment, flags: &[FlagValue]) -> Result<Self, Failure> {
        Ok(Self {
            user: layer::file(
                &environment.config_dir()?.join("config.yaml"),
                OriginKind::UserConfig,
            )?,
            repository: None,
            environment: layer::environment(environment)?,
            flags: layer::flags(flags)?,
        })
    }

    /// The settings of the repository's file that need trust, with their lines.
    pub(crate) fn need_trust(&self) -> Vec<(&'static str, usize)> {
        let Some(file) = &self.repository else { return Vec::new() };
        need_trust(file)
    }

    /// Whether the repository's file is trusted; a file without such settings needs no trust.
    pub(crate) fn trust(&self, store: &TrustStore) -> Result<Trust, Failure> {
        match &self.repository {
            Some(file) if !need_trust(file).is_empty() => store.check(&file.path, &file.bytes),
            _ => Ok(Trust::Given),
        }
    }

    /// Puts the layers on top of each other.
    pub(crate) fn resolve(&self) -> Result<Settings, Failure> {
        let mut values = layer::defaults()?;
        let files = [&self.user, &self.repository].into_iter().flatten().map(|it| &it.layer);
        for layer in files.chain([&self.environment, &self.flags]) {
            values.extend(layer.iter().map(|(key, value)| (*key, value.clone())));
        }
        let seals = self.repository.iter().flat_map(|it| it.seals.iter().cloned()).collect();
        Ok(Settings { values, seals })
    }
}

/// The settings of a file that need trust, with their lines.
pub(crate) fn need_trust(file: &ConfigFile) -> Vec<(&'static str, usize)> {
    let sensitive = |key: &str| keys::find(key).is_none_or(|it| it.repository != Repository::Free);
    let entries = file.layer.iter().filter(|(key, _)| sensitive(key));
    entries.map(|(key, sourced)| (*key, sourced.origin.line.unwrap_or(1))).collect()
}

impl Settings {
    /// Reads and resolves the settings, and refuses a repository's file that needs trust and has none.
    pub(crate) fn load(
        environment: &Environment,
        flags: &[FlagValue],
        trust: &TrustStore,
    ) -> Result<Self, Failure> {
        let layers = Layers::read(environment, flags)?;
        let state = layers.trust(trust)?;
        if let (Some(file), Some((key, line)), true) =
            (&layers.repository, layers.need_trust().first(), state != Trust::Given)
        {
            let changed =
                if state == Trust::Stale { "has changed since it was trusted, and " } else { "" };
            let what = format!(
                "{} {changed}sets {key} in line {line}, which a repository could abuse; read the file before you trust it",
                file.path.display()
            );
            let failure = Failure::invalid(what, format!("lease trust {}", file.path.display()));
            return Err(failure.meaning(Meaning::NothingCreated).kind("untrusted"));
        }
        layers.resolve()
    }

    /// Reads and resolves the settings without the repository's file. What is leased is found and released with these,
    /// so no repository can stand in the way of that.
    pub(crate) fn load_own(environment: &Environment) -> Result<Self, Failure> {
        Layers::read_own(environment, &[])?.resolve()
    }

    /// These settings, with those that a lease was made with instead of those of its provider.
    pub(crate) fn with(&self, setup: &Setup) -> Self {
        let prefix = format!("providers.{}.", setup.scope.provider);
        let others = self.seals.iter().filter(|it| !it.key.starts_with(&prefix));
        let seals = others.chain(setup.seals()).cloned().collect();
        Self { values: setup.put_into(self.values.clone()), seals }
    }

    /// What settings of a repository name for that provider, as it was when they were trusted.
    pub(crate) fn seals(&self, provider: &str) -> Vec<Seal> {
        let prefix = format!("providers.{provider}.");
        self.seals.iter().filter(|it| it.key.starts_with(&prefix)).cloned().collect()
    }

    /// Settings as a test puts them together.
    #[cfg(test)]
    pub(crate) fn of(values: Layer, seals: Vec<Seal>) -> Self {
        Self { values, seals }
    }

    /// Every setting, by key.
    pub(crate) fn values(&self) -> &Layer {
        &self.values
    }

    /// Every setting with its origin, by key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, &Sourced<Value>)> {
        self.values.iter().map(|(key, sourced)| (*key, sourced))
    }

    /// The provider's name or alias.
    pub(crate) fn provider(&self) -> &str {
        self.text("provider").unwrap_or_default()
    }

    /// The class of machine, unless a type of the same or a stronger origin overrides it.
    pub(crate) fn class(&self) -> Option<&str> {
        if self.machine_type().is_some() { None } else { self.text("class") }
    }

    /// The exact machine type, unless a class of a stronger origin overrides it.
    pub(crate) fn machine_type(&self) -> Option<&str> {
        let class = self.text("class").and(self.origin("class"));
        let own = self.origin("type");
        self.text("type").filter(|_| class.is_none_or(|class| own >= Some(class)))
    }

    /// The idle limit.
    pub(crate) fn idle_timeout(&self) -> Option<Duration> {
        self.limit("idle_timeout")
    }

    /// How long a new box may take until a login works. Where nobody said, a provider with queues has its own idea.
    pub(crate) fn ready_timeout(&self) -> Option<Duration> {
        let general = self.get("ready_timeout");
        if self.origin("ready_timeout") != Some(OriginKind::Default) {
            return general;
        }
        let provider = catalog::resolve(self.provider()).ok();
        let own = provider.and_then(|it| self.get(&format!("providers.{it}.ready_timeout")));
        own.or(general)
    }

    /// How long a question is asked again while a provider is busy.
    pub(crate) fn read_patience(&self) -> Option<Duration> {
        self.get("read_patience")
    }

    /// How long a run whose connection was lost is tried to be taken up again; zero for not at all.
    pub(crate) fn run_reconnect(&self) -> Duration {
        self.limit("run.reconnect").unwrap_or_default()
    }

    /// How many bytes of each of a command's streams the box logs.
    pub(crate) fn run_log_bytes(&self) -> u64 {
        self.get::<u64>("run.log_mib").unwrap_or(64) * 1024 * 1024
    }

    /// How long a session waits on a leased box for its next run; zero for not at all.
    pub(crate) fn run_spare(&self) -> Duration {
        self.limit("run.spare").unwrap_or_default()
    }

    /// The limit in any case.
    pub(crate) fn max_age(&self) -> Option<Duration> {
        self.limit("max_age")
    }

    /// Whether `lease run` leaves its box behind.
    pub(crate) fn keep(&self) -> KeepPolicy {
        match self.text("keep") {
            Some("always") => KeepPolicy::Always,
            Some("on-failure") => KeepPolicy::OnFailure,
            _ => KeepPolicy::Never,
        }
    }

    /// What is not synced.
    pub(crate) fn sync_ignore(&self) -> &[String] {
        self.list("sync.ignore").unwrap_or_default()
    }

    /// What is fetched from a box after a command.
    pub(crate) fn artifacts(&self) -> &[String] {
        self.list("artifacts").unwrap_or_default()
    }

    /// What is done about files that a command has changed on the box.
    pub(crate) fn sync_drift(&self) -> Drift {
        match self.text("sync.drift") {
            Some("keep") => Drift::Keep,
            Some("fail") => Drift::Fail,
            _ => Drift::Overwrite,
        }
    }

    /// How many bytes a first sync may send.
    pub(crate) fn sync_max_size(&self) -> Option<u64> {
        match self.value("sync.max_size") {
            Some(Value::Size(most)) => *most,
            _ => None,
        }
    }

    /// How many bytes of a first sync have to be at the tree's origin for the box to fetch them from there.
    pub(crate) fn sync_seed(&self) -> Option<u64> {
        match self.value("sync.seed") {
            Some(Value::Size(least)) => *least,
            _ => None,
        }
    }

    /// The text of a setting.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match self.value(key) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The value of a setting, if it is set and of that kind.
    pub(crate) fn get<T: FromValue>(&self, key: &str) -> Option<T> {
        self.value(key).and_then(T::from_value)
    }

    /// The texts of a setting.
    pub(crate) fn list(&self, key: &str) -> Option<&[String]> {
        match self.value(key) {
            Some(Value::List(items)) => Some(items),
            _ => None,
        }
    }

    /// The value of a setting; `None` when there is no such setting.
    pub(crate) fn value(&self, key: &str) -> Option<&Value> {
        self.values.get(key).map(|it| &it.value)
    }

    fn origin(&self, key: &str) -> Option<OriginKind> {
        self.values.get(key).map(|it| it.origin.kind)
    }

    fn limit(&self, key: &str) -> Option<Duration> {
        match self.value(key) {
            Some(Value::Limit(limit)) => *limit,
            _ => None,
        }
    }
}

/// The nearest lease.yaml from `directory` up to the root of the git tree. Outside of one only `directory` itself
/// counts: a directory that many users share must not decide for them.
pub(crate) fn repository_file(directory: &Path) -> Option<PathBuf> {
    let root = directory
        .ancestors()
        .find(|it| it.join(".git").symlink_metadata().is_ok())
        .unwrap_or(directory);
    let searched = directory.ancestors().take_while(|it| it.starts_with(root));
    searched.map(|it| it.join(REPOSITORY_FILE)).find(|it| it.symlink_metadata().is_ok())
}

#[cfg(test)]
mod tests;
