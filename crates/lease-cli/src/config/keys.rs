//! Every setting, defined once: its key, its kind, its variable, its default, and whether a repository could abuse it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::catalog;
use crate::config::nearest::nearest;
use crate::config::yaml::{Node, Wrong, Yaml};
use crate::config::{size, span};

/// A setting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    /// Its path in the file, with dots.
    pub(crate) path: &'static str,
    /// What it holds.
    pub(crate) kind: Kind,
    /// The variable that sets it.
    pub(crate) variable: Option<&'static str>,
    /// Its default as text; `None` is unset.
    pub(crate) default: Option<&'static str>,
    /// What a repository's lease.yaml may do with it.
    pub(crate) repository: Repository,
    /// What it does.
    pub(crate) about: &'static str,
}

/// What a repository's lease.yaml may do with a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repository {
    /// Set it.
    Free,
    /// Set it after `lease trust`: it can run a program, or move data or credentials.
    NeedsTrust,
    /// Nothing: it says where machines are, and whoever releases them, from whatever directory, must read the same.
    Forbidden,
}

/// What a setting holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Any text but the empty one.
    Text,
    /// A span of time, or `none`.
    Limit,
    /// A span of time.
    Span,
    /// A whole number of at most so much.
    Number(u64),
    /// A size in bytes, or `none`.
    Size,
    /// `true` or `false`.
    Switch,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A path; a relative one is relative to the directory of its file.
    Path,
    /// A list of texts.
    List,
    /// Names with texts.
    Map,
    /// Names with whatever values, as deep as they go.
    Tree,
}

/// What a setting is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// Nothing.
    Unset,
    /// A text, a choice or a path.
    Text(String),
    /// A limit; `None` is no limit.
    Limit(Option<Duration>),
    /// A span.
    Span(Duration),
    /// A number.
    Number(u64),
    /// A size in bytes; `None` is no limit.
    Size(Option<u64>),
    /// A switch.
    Switch(bool),
    /// A list.
    List(Vec<String>),
    /// Names with texts.
    Map(BTreeMap<String, String>),
    /// Names with values.
    Tree(serde_json::Map<String, serde_json::Value>),
}

const fn key(path: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { path, kind, variable: None, default: None, repository: Repository::Free, about }
}

impl Key {
    const fn variable(mut self, name: &'static str) -> Self {
        self.variable = Some(name);
        self
    }

    /// The same with a default.
    pub(crate) const fn default(mut self, text: &'static str) -> Self {
        self.default = Some(text);
        self
    }

    /// A key that a repository sets as it likes.
    pub(crate) const fn free(path: &'static str, kind: Kind, about: &'static str) -> Self {
        key(path, kind, about)
    }

    /// A key that a repository sets only with trust.
    pub(crate) const fn trusted(path: &'static str, kind: Kind, about: &'static str) -> Self {
        Self { repository: Repository::NeedsTrust, ..key(path, kind, about) }
    }

    /// A key that a repository never sets.
    pub(crate) const fn own(path: &'static str, kind: Kind, about: &'static str) -> Self {
        Self { repository: Repository::Forbidden, ..key(path, kind, about) }
    }
}

/// The settings of the command itself; those of the providers are in the catalog.
pub(crate) const KEYS: &[Key] = &[
    key("provider", Kind::Text, "where boxes come from")
        .variable("LEASE_PROVIDER")
        .default(catalog::DEFAULT_PROVIDER),
    key("class", Kind::Text, "a size by name; the provider knows what it means")
        .variable("LEASE_CLASS"),
    key(
        "type",
        Kind::Text,
        "one exact machine type; it overrides `class` of the same or a weaker origin",
    )
    .variable("LEASE_TYPE"),
    key("idle_timeout", Kind::Limit, "a box is released after so long without use")
        .variable("LEASE_IDLE_TIMEOUT")
        .default("30m"),
    key("max_age", Kind::Limit, "a box is released after so long in any case")
        .variable("LEASE_MAX_AGE")
        .default("12h"),
    key(
        "ready_timeout",
        Kind::Span,
        "a new box that cannot be logged in to after so long is given up",
    )
    .variable("LEASE_READY_TIMEOUT")
    .default("10m"),
    key(
        "read_patience",
        Kind::Span,
        "how long a question is asked again, before anything is created, while a provider is busy",
    )
    .variable("LEASE_READ_PATIENCE")
    .default("30s"),
    key(
        "keep",
        Kind::Choice(&["never", "on-failure", "always"]),
        "whether `lease run` leaves its box behind",
    )
    .variable("LEASE_KEEP")
    .default("never"),
    key(
        "run.reconnect",
        Kind::Limit,
        "how long a run whose connection was lost is tried to be taken up again (`none` for not at all)",
    )
    .variable("LEASE_RUN_RECONNECT")
    .default("10m"),
    key(
        "run.log_mib",
        Kind::Number(1024 * 1024),
        "how many MiB of each of a command's streams the box logs, to take it up from",
    )
    .default("64"),
    key(
        "run.spare",
        Kind::Limit,
        "how long a session waits on a leased box for its next run, which then costs one round trip (`none` for not at all)",
    )
    .variable("LEASE_RUN_SPARE")
    .default("10m"),
    Key::trusted(
        "artifacts",
        Kind::List,
        "files on the box, as paths or patterns, that `lease run` fetches into the tree after its command",
    ),
    key(
        "sync.ignore",
        Kind::List,
        "what is not synced, in the syntax of .gitignore, beside .leaseignore",
    ),
    key(
        "sync.drift",
        Kind::Choice(&["overwrite", "keep", "fail"]),
        "what is done about files of the tree that a command has changed on the box",
    )
    .default("overwrite"),
    key(
        "sync.max_size",
        Kind::Size,
        "a first sync that would send more stops before anything is sent (`none` for no limit)",
    )
    .default("2GiB"),
    Key::trusted(
        "sync.seed",
        Kind::Size,
        "a box that has nothing fetches the files that the tree's `origin` has, over https and without anybody's \
         credentials, where they are at least so many bytes; the rest is sent (`none` for never)",
    )
    .default("none"),
];

/// All settings of this build.
pub(crate) fn all() -> impl Iterator<Item = &'static Key> {
    KEYS.iter().chain(catalog::keys())
}

/// The setting of that path.
pub(crate) fn find(path: &str) -> Option<&'static Key> {
    all().find(|it| it.path == path)
}

impl Value {
    /// Reads a value that came as text, from a flag, a variable or a default.
    pub(crate) fn from_text(kind: Kind, text: &str) -> Result<Self, String> {
        match kind {
            Kind::Text | Kind::Path if text.is_empty() => Err("it is empty".to_owned()),
            Kind::Text | Kind::Path => Ok(Self::Text(text.to_owned())),
            Kind::Limit => span::parse_limit(text).map(Self::Limit),
            Kind::Span => span::parse(text).map(Self::Span),
            Kind::Number(most) => number(text, most),
            Kind::Size => size::parse_limit(text).map(Self::Size),
            Kind::Switch => match text {
                "true" => Ok(Self::Switch(true)),
                "false" => Ok(Self::Switch(false)),
                _ => Err(format!("{text:?} is neither true nor false")),
            },
            Kind::Choice(words) => choose(words, text),
            Kind::List | Kind::Map | Kind::Tree => Err("it can only be set in a file".to_owned()),
        }
    }

    /// Reads a value of a file in `directory`.
    pub(crate) fn from_node(kind: Kind, node: &Node, directory: &Path) -> Result<Self, Wrong> {
        let wrong = |what: String| Wrong::at(node.place, what);
        let expected = |what: &str| {
            wrong(format!("{what} is expected here, and this is {}", node.value.kind()))
        };
        match (kind, &node.value) {
            (Kind::List, Yaml::List(items)) => {
                items.iter().map(text_of).collect::<Result<_, _>>().map(Self::List)
            }
            (Kind::List, _) => Err(expected("a list of texts")),
            (Kind::Map, Yaml::Map(entries)) => {
                let pairs =
                    entries.iter().map(|(key, value)| Ok((key.text.clone(), text_of(value)?)));
                pairs.collect::<Result<_, _>>().map(Self::Map)
            }
            (Kind::Map, _) => Err(expected("a mapping of names to texts")),
            (Kind::Tree, Yaml::Map(entries)) => {
                let pairs = entries.iter().map(|(key, value)| (key.text.clone(), tree_of(value)));
                Ok(Self::Tree(pairs.collect()))
            }
            (Kind::Tree, _) => Err(expected("a mapping")),
            (Kind::Path, Yaml::Scalar { text, .. }) if !text.is_empty() => {
                let path = directory.join(text);
                let text =
                    path.to_str().ok_or_else(|| wrong("the path is not UTF-8".to_owned()))?;
                Ok(Self::Text(text.to_owned()))
            }
            (Kind::Text | Kind::Choice(_), Yaml::Scalar { text, plain: true })
                if not_text(text) =>
            {
                Err(wrong(format!("{text} is not a text; put it in quotes if it is meant as one")))
            }
            (kind, Yaml::Scalar { text, .. }) => Self::from_text(kind, text).map_err(wrong),
            (Kind::Limit | Kind::Span, _) => Err(expected("a span such as 15m")),
            (Kind::Number(_), _) => Err(expected("a number")),
            (Kind::Size, _) => Err(expected("a size such as 500MiB")),
            (Kind::Switch, _) => Err(expected("true or false")),
            (Kind::Text | Kind::Choice(_) | Kind::Path, _) => Err(expected("a text")),
        }
    }

    /// Reads back what [`Value::to_json`] wrote.
    pub(crate) fn from_json(kind: Kind, json: &serde_json::Value) -> Option<Self> {
        use serde_json::Value as Json;
        match (kind, json) {
            (_, Json::Null) => Some(Self::Unset),
            (Kind::List, Json::Array(_)) => {
                serde_json::from_value(json.clone()).ok().map(Self::List)
            }
            (Kind::Map, Json::Object(_)) => {
                serde_json::from_value(json.clone()).ok().map(Self::Map)
            }
            (Kind::Tree, Json::Object(entries)) => Some(Self::Tree(entries.clone())),
            (_, Json::String(text)) => Self::from_text(kind, text).ok(),
            (_, Json::Bool(_) | Json::Number(_)) => Self::from_text(kind, &json.to_string()).ok(),
            (_, Json::Array(_) | Json::Object(_)) => None,
        }
    }

    /// The value as JSON.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Unset => serde_json::Value::Null,
            Self::Limit(None) | Self::Size(None) => "none".into(),
            Self::Size(Some(bytes)) => size::format(*bytes).into(),
            Self::Limit(Some(span)) | Self::Span(span) => span::format(*span).into(),
            Self::Number(number) => (*number).into(),
            Self::Switch(on) => (*on).into(),
            Self::Text(text) => text.as_str().into(),
            Self::List(items) => items.as_slice().into(),
            Self::Map(entries) => {
                let pairs = entries
                    .iter()
                    .map(|(name, text)| (name.clone(), serde_json::Value::from(text.as_str())));
                pairs.collect()
            }
            Self::Tree(entries) => entries.clone().into(),
        }
    }
}

/// What a setting can be read as.
pub(crate) trait FromValue: Sized {
    /// The value, if it is of that kind.
    fn from_value(value: &Value) -> Option<Self>;
}

impl FromValue for String {
    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Text(text) = value { Some(text.clone()) } else { None }
    }
}

impl FromValue for Vec<String> {
    fn from_value(value: &Value) -> Option<Self> {
        if let Value::List(items) = value { Some(items.clone()) } else { None }
    }
}

impl FromValue for Duration {
    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Span(span) = value { Some(*span) } else { None }
    }
}

impl FromValue for bool {
    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Switch(on) = value { Some(*on) } else { None }
    }
}

impl FromValue for u16 {
    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Number(number) = value { Self::try_from(*number).ok() } else { None }
    }
}

impl FromValue for u64 {
    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Number(number) = value { Some(*number) } else { None }
    }
}

impl FromValue for usize {
    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Number(number) = value { Self::try_from(*number).ok() } else { None }
    }
}

fn number(text: &str, most: u64) -> Result<Value, String> {
    let read = text.parse().ok().filter(|it| *it <= most);
    read.map(Value::Number)
        .ok_or_else(|| format!("{text:?} is not a whole number from 0 to {most}"))
}

fn choose(words: &[&str], text: &str) -> Result<Value, String> {
    if words.contains(&text) {
        return Ok(Value::Text(text.to_owned()));
    }
    let hint = nearest(text, words.iter().copied())
        .map(|it| format!("; did you mean {it:?}?"))
        .unwrap_or_default();
    Err(format!("{text:?} is not one of {}{hint}", words.join(", ")))
}

fn text_of(node: &Node) -> Result<String, Wrong> {
    match &node.value {
        Yaml::Scalar { text, .. } => Ok(text.clone()),
        other @ (Yaml::Null | Yaml::List(_) | Yaml::Map(_)) => Err(Wrong::at(
            node.place,
            format!("a text is expected here, and this is {}", other.kind()),
        )),
    }
}

/// A value of a file as JSON, as every reader of YAML takes it: a bare word may be a truth value or a number.
fn tree_of(node: &Node) -> serde_json::Value {
    match &node.value {
        Yaml::Null => serde_json::Value::Null,
        Yaml::Scalar { text, plain: true } if not_text(text) => match text.as_str() {
            "true" | "True" | "TRUE" => true.into(),
            "false" | "False" | "FALSE" => false.into(),
            // What JSON has no number for, such as `.5` or `inf`, stays what was written.
            number => serde_json::from_str::<serde_json::Number>(number)
                .map_or_else(|_| number.into(), serde_json::Value::Number),
        },
        Yaml::Scalar { text, .. } => text.as_str().into(),
        Yaml::List(items) => items.iter().map(tree_of).collect(),
        Yaml::Map(entries) => {
            entries.iter().map(|(key, value)| (key.text.clone(), tree_of(value))).collect()
        }
    }
}

/// Whether other readers of YAML take the bare word for a number or a truth value.
fn not_text(text: &str) -> bool {
    matches!(text, "true" | "false" | "True" | "False" | "TRUE" | "FALSE")
        || text.parse::<f64>().is_ok()
}
