//! A value together with where it comes from; precedence is written down once, here.

use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;

/// A value and its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sourced<T> {
    /// The value.
    pub(crate) value: T,
    /// Where it comes from.
    pub(crate) origin: Origin,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The layer.
    pub(crate) kind: OriginKind,
    /// The flag or the variable, where it is one.
    pub(crate) name: Option<String>,
    /// The file, where it is one.
    pub(crate) file: Option<PathBuf>,
    /// The line in the file.
    pub(crate) line: Option<usize>,
}

/// The layers, weakest first: a later one overrides an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OriginKind {
    /// Built in.
    Default,
    /// The user's config.yaml.
    UserConfig,
    /// The repository's lease.yaml.
    Repository,
    /// A variable of the environment.
    Environment,
    /// A flag on the command line.
    Flag,
}

impl Origin {
    /// The origin of what is built in.
    pub(crate) fn default_value() -> Self {
        Self { kind: OriginKind::Default, name: None, file: None, line: None }
    }

    /// A flag or a variable.
    pub(crate) fn named(kind: OriginKind, name: impl Into<String>) -> Self {
        Self { kind, name: Some(name.into()), file: None, line: None }
    }

    /// A line of a file.
    pub(crate) fn in_file(kind: OriginKind, file: impl Into<PathBuf>, line: usize) -> Self {
        Self { kind, name: None, file: Some(file.into()), line: Some(line) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, &self.name) {
            (Some(file), _) => match self.line {
                Some(line) => write!(f, "{}:{line}", file.display()),
                None => write!(f, "{}", file.display()),
            },
            (None, Some(name)) => f.write_str(name),
            (None, None) => f.write_str("default"),
        }
    }
}
