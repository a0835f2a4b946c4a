//! The settings that a lease was made with, kept for as long as it lives.
//!
//! Where a provider says by its settings where its machines are, and a repository may set them after `lease trust`,
//! whoever gives the lease back stands in another directory, or comes after the file was edited. So the settings are
//! written down before anything is created, by the account they lead to.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lease_core::{Claim, Scope, Timestamp};
use serde::{Deserialize, Serialize};

use crate::catalog;
use crate::config::Settings;
use crate::config::keys::{self, Value};
use crate::config::layer::Layer;
use crate::config::seal::Seal;
use crate::config::sourced::{Origin, OriginKind, Sourced};
use crate::durable;
use crate::failure::Failure;

const FORMAT: u32 = 1;
const RECORD_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// What separates these hashes from every other use of the same function.
const CONTEXT: &str = "lease 2026-11 the account that settings lead to";
const NAME_CHARS: usize = 16;

/// How long settings are kept at least that no lease needs: one may be about to be opened.
const KEPT_FOR: Duration = Duration::from_secs(24 * 3600);

/// The settings of one provider that lead to one account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Setup {
    v: u32,
    /// The account.
    pub(crate) scope: Scope,
    settings: Vec<Setting>,
    /// What those of a repository named when they were trusted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    seals: Vec<Seal>,
    at: Timestamp,
}

/// One setting as it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Setting {
    key: String,
    value: serde_json::Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
}

impl Setup {
    /// The settings of the provider of `scope`; none where they say nothing about where its machines are.
    pub(crate) fn of(scope: &Scope, settings: &Settings, at: Timestamp) -> Option<Self> {
        let set = Self::settings_of(scope, settings.values())?;
        let seals = settings.seals(&scope.provider);
        Some(Self { v: FORMAT, scope: scope.clone(), settings: set, seals, at })
    }

    fn settings_of(scope: &Scope, values: &Layer) -> Option<Vec<Setting>> {
        if !catalog::keeps_setup(&scope.provider) {
            return None;
        }
        let prefix = format!("providers.{}.", scope.provider);
        let set = values.iter().filter(|(key, it)| {
            key.starts_with(&prefix)
                && it.value != Value::Unset
                && it.origin.kind != OriginKind::Default
        });
        let settings = set.map(|(key, it)| Setting {
            key: (*key).to_owned(),
            value: it.value.to_json(),
            file: it.origin.file.clone(),
        });
        Some(settings.collect())
    }

    /// What the settings of a repository named when they were trusted.
    pub(crate) fn seals(&self) -> &[Seal] {
        &self.seals
    }

    /// What the record is called.
    pub(crate) fn name(&self) -> String {
        name_of(&self.scope)
    }

    /// Whether the settings of its provider are these.
    pub(crate) fn is_in(&self, values: &Layer) -> bool {
        Self::settings_of(&self.scope, values).is_some_and(|it| it == self.settings)
    }

    /// `values`, with these settings of its provider instead of those that are there.
    pub(crate) fn put_into(&self, mut values: Layer) -> Layer {
        let prefix = format!("providers.{}.", self.scope.provider);
        for key in keys::all().filter(|it| it.path.starts_with(&prefix)) {
            let kept = self.settings.iter().find(|it| it.key == key.path);
            let read = kept.and_then(|it| Some((it, Value::from_json(key.kind, &it.value)?)));
            let sourced = match read {
                Some((kept, value)) => {
                    let origin = Origin {
                        kind: OriginKind::UserConfig,
                        name: None,
                        file: kept.file.clone(),
                        line: None,
                    };
                    Sourced { value, origin }
                }
                None => Sourced {
                    value: key
                        .default
                        .and_then(|it| Value::from_text(key.kind, it).ok())
                        .unwrap_or(Value::Unset),
                    origin: Origin::default_value(),
                },
            };
            values.insert(key.path, sourced);
        }
        values
    }

    /// Writes it down. What is there of the same account gives way.
    pub(crate) fn keep(&self, state_dir: &Path) -> Result<(), Failure> {
        let path = directory(state_dir).join(format!("{}.json", self.name()));
        let same = |it: &Self| (&it.settings, &it.seals) == (&self.settings, &self.seals);
        if read(&path).is_ok_and(|it| same(&it)) {
            return Ok(());
        }
        let text = serde_json::to_vec(self)
            .map_err(|error| Failure::tool(format!("write the settings of a lease: {error}")))?;
        let written = durable::create_private_dir(&directory(state_dir))
            .and_then(|()| durable::replace(&path, &text));
        written.map_err(|error| storage("keep the settings of a lease", &path, &error))
    }

    /// The settings that are kept for an account.
    pub(crate) fn for_scope(state_dir: &Path, scope: &Scope) -> Option<Self> {
        Self::named(state_dir, &name_of(scope)).filter(|it| it.scope == *scope)
    }

    /// The settings of that name.
    pub(crate) fn named(state_dir: &Path, name: &str) -> Option<Self> {
        let is_plain = name.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'-');
        if !is_plain {
            return None;
        }
        let path = directory(state_dir).join(format!("{name}.json"));
        match read(&path) {
            Ok(setup) => Some(setup),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the settings of a lease cannot be read");
                None
            }
        }
    }

    /// The settings that these leases were made with, each account once.
    pub(crate) fn for_claims<'a>(
        state_dir: &Path,
        claims: impl IntoIterator<Item = &'a Claim>,
    ) -> Vec<Self> {
        let mut found: Vec<Self> = Vec::new();
        for scope in claims.into_iter().map(Claim::scope) {
            if catalog::keeps_setup(&scope.provider) && !found.iter().any(|it| it.scope == *scope) {
                found.extend(Self::for_scope(state_dir, scope));
            }
        }
        found
    }

    /// Removes what no live lease needs any more. Nothing depends on its success.
    pub(crate) fn prune(state_dir: &Path, live: &[Scope], now: Timestamp) {
        let Ok(entries) = fs::read_dir(directory(state_dir)) else { return };
        for path in entries.filter_map(|it| Some(it.ok()?.path())) {
            let Ok(setup) = read(&path) else { continue };
            if now.since(setup.at) >= KEPT_FOR && !live.contains(&setup.scope) {
                drop(fs::remove_file(path));
            }
        }
    }
}

fn directory(state_dir: &Path) -> PathBuf {
    state_dir.join("setups")
}

fn name_of(scope: &Scope) -> String {
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    for part in [&scope.provider, &scope.endpoint, &scope.account] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let hash = hasher.finalize().to_hex();
    let hash: String = hash.chars().take(NAME_CHARS).collect();
    format!("{}-{hash}", scope.provider)
}

fn read(path: &Path) -> io::Result<Setup> {
    let bytes = durable::read_bounded(path, RECORD_BYTES_MAX)?;
    let setup: Setup = serde_json::from_slice(&bytes)?;
    if setup.v == FORMAT { Ok(setup) } else { Err(io::ErrorKind::InvalidData.into()) }
}

fn storage(doing: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::tool(format!("{doing}: {}: {error}", path.display())).kind("storage")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::layer;

    const AT: Timestamp = Timestamp::from_millis(1_000);

    fn scope(provider: &str, account: &str) -> Scope {
        Scope {
            provider: provider.to_owned(),
            endpoint: "/x/adapter".to_owned(),
            account: account.to_owned(),
        }
    }

    /// The keys of the first provider of this build whose settings are kept.
    fn provider() -> Option<&'static str> {
        catalog::descriptors().iter().map(|it| it.name).find(|it| catalog::keeps_setup(it))
    }

    fn settings(provider: &str, text: &str) -> Settings {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.yaml");
        fs::write(&path, format!("providers:\n  {provider}:\n{text}")).unwrap();
        let mut values = layer::defaults().unwrap();
        let file = layer::file(&path, OriginKind::Repository).unwrap().unwrap();
        values.extend(file.layer);
        Settings::of(values, file.seals)
    }

    #[test]
    fn settings_come_back_as_they_were_and_replace_those_that_are_there_now() {
        let Some(provider) = provider() else { return };
        let name = format!("providers.{provider}.account");
        let other = format!("providers.{provider}.work_root");
        let made_with = settings(provider, "    account: one\n    ready_timeout: 90m\n");
        let then = made_with.values();
        let dir = tempfile::tempdir().unwrap();
        let kept = Setup::of(&scope(provider, "a"), &made_with, AT).unwrap();
        kept.keep(dir.path()).unwrap();
        let read = Setup::for_scope(dir.path(), &scope(provider, "a")).unwrap();
        assert_eq!(read, kept);
        assert!(Setup::for_scope(dir.path(), &scope(provider, "b")).is_none());
        assert!(read.is_in(then));
        assert_eq!(read.seals(), made_with.seals(provider), "and what they named is sealed");
        assert!(!read.seals().is_empty());
        let now = settings(provider, "    account: two\n    work_root: /srv/x\n").values().clone();
        assert!(!read.is_in(&now));
        let restored = read.put_into(now);
        assert!(read.is_in(&restored));
        assert_eq!(restored[name.as_str()].value, Value::Text("one".to_owned()));
        assert_eq!(restored[name.as_str()].origin.file, then[name.as_str()].origin.file);
        assert_eq!(restored[other.as_str()].value, Value::Unset);
    }

    #[test]
    fn what_no_lease_needs_goes_after_a_day() {
        let Some(provider) = provider() else { return };
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (scope(provider, "one"), scope(provider, "two"));
        for scope in [&one, &two] {
            Setup::of(scope, &settings(provider, "    account: x\n"), AT)
                .unwrap()
                .keep(dir.path())
                .unwrap();
        }
        Setup::prune(dir.path(), std::slice::from_ref(&one), AT.after(Duration::from_secs(60)));
        assert!(Setup::for_scope(dir.path(), &two).is_some(), "it is young");
        Setup::prune(dir.path(), std::slice::from_ref(&one), AT.after(KEPT_FOR));
        assert!(Setup::for_scope(dir.path(), &two).is_none());
        assert!(Setup::for_scope(dir.path(), &one).is_some(), "a lease needs it");
    }

    #[test]
    fn a_damaged_or_foreign_record_is_none() {
        let dir = tempfile::tempdir().unwrap();
        durable::create_private_dir(&directory(dir.path())).unwrap();
        fs::write(directory(dir.path()).join("external-00.json"), "{\"v\":9}").unwrap();
        for name in ["external-00", "../x", "", "external-11"] {
            assert!(Setup::named(dir.path(), name).is_none(), "{name}");
        }
    }
}
