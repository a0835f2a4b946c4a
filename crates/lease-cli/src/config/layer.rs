//! One layer of settings: what a file, the environment or the flags say, each value with its origin.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::keys::{self, Key, Repository, Value};
use crate::config::nearest::nearest;
use crate::config::seal::Seal;
use crate::config::sourced::{Origin, OriginKind, Sourced};
use crate::config::yaml::{self, Node, Wrong, Yaml};
use crate::durable::read_bounded;
use crate::env::Environment;
use crate::failure::{Failure, PROGRAM_HELP};

/// The settings that one source gives.
pub(crate) type Layer = BTreeMap<&'static str, Sourced<Value>>;

/// A configuration file as it was read.
#[derive(Clone, Debug)]
pub(crate) struct ConfigFile {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Its bytes, and those of the repository's files that it names, for the hash that trust is given to.
    pub(crate) bytes: Vec<u8>,
    /// What it sets.
    pub(crate) layer: Layer,
    /// What its settings that need trust name; empty for the user's own file.
    pub(crate) seals: Vec<Seal>,
}

/// The weakest layer.
pub(crate) fn defaults() -> Result<Layer, Failure> {
    let mut layer = Layer::new();
    for key in keys::all() {
        let value = match key.default {
            None => Value::Unset,
            Some(text) => Value::from_text(key.kind, text).map_err(|what| {
                Failure::tool(format!("the default of {} is wrong: {what}", key.path))
            })?,
        };
        layer.insert(key.path, Sourced { value, origin: Origin::default_value() });
    }
    Ok(layer)
}

/// What the variables of the environment set.
pub(crate) fn environment(environment: &Environment) -> Result<Layer, Failure> {
    let mut layer = Layer::new();
    for key in keys::all() {
        let Some(name) = key.variable else { continue };
        if let Some(text) = environment.text(name)? {
            let wrong = |what| {
                Failure::invalid(format!("{name}: {what}"), format!("unset {name}")).kind("config")
            };
            let value = Value::from_text(key.kind, text).map_err(wrong)?;
            layer.insert(
                key.path,
                Sourced { value, origin: Origin::named(OriginKind::Environment, name) },
            );
        }
    }
    Ok(layer)
}

/// A setting that was given as a flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FlagValue {
    /// The path of the setting.
    pub(crate) key: &'static str,
    /// The flag as it is typed.
    pub(crate) flag: &'static str,
    /// What was typed after it.
    pub(crate) text: String,
}

impl FlagValue {
    /// What `--allow-large` sets.
    pub(crate) fn allow_large() -> Self {
        Self { key: "sync.max_size", flag: "--allow-large", text: "none".to_owned() }
    }
}

/// What the flags set.
pub(crate) fn flags(given: &[FlagValue]) -> Result<Layer, Failure> {
    let mut layer = Layer::new();
    for FlagValue { key, flag, text } in given {
        let Some(key) = keys::find(key) else {
            return Err(Failure::tool(format!("{flag} sets no setting")));
        };
        let wrong = |what| Failure::invalid(format!("{flag}: {what}"), PROGRAM_HELP).kind("usage");
        let value = Value::from_text(key.kind, text).map_err(wrong)?;
        layer.insert(key.path, Sourced { value, origin: Origin::named(OriginKind::Flag, *flag) });
    }
    Ok(layer)
}

/// Reads a file; `None` when there is none.
pub(crate) fn file(path: &Path, kind: OriginKind) -> Result<Option<ConfigFile>, Failure> {
    let bytes = match read_bounded(path, yaml::BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error)
            if error.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(path).is_err() =>
        {
            return Ok(None);
        }
        Err(error) => {
            let failure = Failure::invalid(
                format!("{}: {error}", path.display()),
                format!("ls -l {}", path.display()),
            );
            return Err(failure.kind("config"));
        }
    };
    let layer = settings_of(&bytes, (path, kind))?;
    let (mut bytes, mut seals) = (bytes, Vec::new());
    if kind == OriginKind::Repository {
        // What is trusted is a program as it is, and not only its name.
        seals = Seal::all(path, &layer, |text, content| {
            bytes.push(0);
            bytes.extend_from_slice(text.as_bytes());
            bytes.push(0);
            bytes.extend_from_slice(content);
        });
    }
    Ok(Some(ConfigFile { path: path.to_owned(), bytes, layer, seals }))
}

/// What the bytes of a file at this path set.
pub(crate) fn settings_of(
    bytes: &[u8],
    (path, kind): (&Path, OriginKind),
) -> Result<Layer, Failure> {
    let located = |wrong: Wrong| {
        let what = format!("{}:{}: {}", path.display(), wrong.place, wrong.what);
        Failure::invalid(what, format!("${{EDITOR:-vi}} {}", path.display())).kind("config")
    };
    let root = yaml::parse(bytes).map_err(located)?;
    let mut layer = Layer::new();
    let source = Source { path, kind };
    match &root.value {
        Yaml::Null => {}
        Yaml::Map(_) => source.collect(&root, "", &mut layer).map_err(located)?,
        other @ (Yaml::Scalar { .. } | Yaml::List(_)) => {
            let what =
                format!("the file must hold a mapping of settings, and this is {}", other.kind());
            return Err(located(Wrong::at(root.place, what)));
        }
    }
    Ok(layer)
}

struct Source<'a> {
    path: &'a Path,
    kind: OriginKind,
}

impl Source<'_> {
    fn collect(&self, node: &Node, prefix: &str, layer: &mut Layer) -> Result<(), Wrong> {
        let Yaml::Map(entries) = &node.value else {
            let what = format!(
                "{prefix} must be a mapping of settings, and this is {}",
                node.value.kind()
            );
            return Err(Wrong::at(node.place, what));
        };
        for (name, value) in entries {
            let path = if prefix.is_empty() {
                name.text.clone()
            } else {
                format!("{prefix}.{}", name.text)
            };
            if let Some(key) = keys::find(&path) {
                self.set(key, value, layer)?;
            } else if is_section(&path) {
                if value.value != Yaml::Null {
                    self.collect(value, &path, layer)?;
                }
            } else {
                return Err(Wrong::at(name.place, unknown(prefix, &path, &name.text)));
            }
        }
        Ok(())
    }

    fn set(&self, key: &'static Key, node: &Node, layer: &mut Layer) -> Result<(), Wrong> {
        if self.kind == OriginKind::Repository && key.repository == Repository::Forbidden {
            let what = format!(
                "{} can only be set in your own config.yaml: it says where machines are",
                key.path
            );
            return Err(Wrong::at(node.place, what));
        }
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        let value = match node.value {
            Yaml::Null => return Ok(()),
            Yaml::Scalar { .. } | Yaml::List(_) | Yaml::Map(_) => {
                Value::from_node(key.kind, node, directory)
            }
        };
        let value = value
            .map_err(|wrong| Wrong::at(wrong.place, format!("{}: {}", key.path, wrong.what)))?;
        layer.insert(
            key.path,
            Sourced { value, origin: Origin::in_file(self.kind, self.path, node.place.line) },
        );
        Ok(())
    }
}

/// Whether settings live below that path.
fn is_section(path: &str) -> bool {
    path == "providers"
        || keys::all()
            .any(|key| key.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}

fn unknown(prefix: &str, path: &str, name: &str) -> String {
    if prefix == "providers"
        && let Some(other) = crate::catalog::not_built_in(name)
    {
        return other;
    }
    if let Some(variables) = prefix.strip_prefix("providers.").map(crate::catalog::credentials)
        && !variables.is_empty()
        && is_credential(name)
    {
        return format!(
            "{path} cannot be set in a file: a credential comes from the environment only; take it out of the file and set {}",
            variables.join(" or ")
        );
    }
    let below = |key: &'static Key| {
        let rest = if prefix.is_empty() {
            key.path
        } else {
            key.path.strip_prefix(prefix)?.strip_prefix('.')?
        };
        rest.split('.').next()
    };
    let hint = nearest(name, keys::all().filter_map(below));
    let hint = hint.map(|it| format!("; did you mean {it:?}?")).unwrap_or_default();
    format!("unknown key {path:?}{hint}")
}

/// Whether people call credentials so.
fn is_credential(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["token", "key", "secret", "password", "credential"].iter().any(|it| name.contains(it))
}
