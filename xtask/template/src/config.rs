//! What the provider is given: where the vendor's interface is and who logs in. It looks up nothing by itself.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::SampleError;

/// The configuration of [`SampleProvider`](crate::SampleProvider).
///
/// VENDOR: a credential becomes a field of the type `lease_core::Secret`, which no log and no error shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SampleConfig {
    /// Where the interface is: for the stand-in, an absolute directory.
    pub endpoint: PathBuf,
    /// Who logs in to a machine.
    #[serde(default = "default_user")]
    pub user: String,
    /// The absolute directory on a machine below which each lease gets one.
    #[serde(default = "default_work_root")]
    pub work_root: String,
}

impl SampleConfig {
    /// A configuration with defaults for everything that has one.
    pub fn new(endpoint: impl Into<PathBuf>) -> Self {
        Self { endpoint: endpoint.into(), user: default_user(), work_root: default_work_root() }
    }

    /// Refuses what could not be used, before anything is made.
    pub(crate) fn check(&self) -> Result<(), SampleError> {
        let refuse = |what, why: &str| Err(SampleError::Config { what, why: why.to_owned() });
        if !self.endpoint.is_absolute() {
            return refuse("endpoint", "it is not an absolute path");
        }
        let is_plain = |it: char| it.is_ascii_alphanumeric() || "._-".contains(it);
        if self.user.is_empty() || self.user.starts_with('-') || !self.user.chars().all(is_plain) {
            return refuse("user", "it is not a login name");
        }
        if !self.work_root.starts_with('/') || self.work_root.chars().any(char::is_control) {
            return refuse("work_root", "it is not an absolute path on a machine");
        }
        Ok(())
    }
}

fn default_user() -> String {
    "root".to_owned()
}

fn default_work_root() -> String {
    "/var/lib/lease".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(change: impl FnOnce(&mut SampleConfig), good: bool) {
        let mut config = SampleConfig::new("/srv/sample");
        change(&mut config);
        assert_eq!(config.check().is_ok(), good, "{config:?}");
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        check(|_| {}, true);
        check(|it| it.endpoint = "srv".into(), false);
        check(|it| it.user = "-oProxyCommand=x".to_owned(), false);
        check(|it| it.user = String::new(), false);
        check(|it| it.work_root = "lease".to_owned(), false);
        check(|it| it.work_root = "/a\nb".to_owned(), false);
    }

    #[test]
    fn a_misspelt_setting_is_an_error() {
        let wrong = serde_json::json!({ "endpoint": "/srv/sample", "usr": "ann" });
        serde_json::from_value::<SampleConfig>(wrong).unwrap_err();
    }
}
