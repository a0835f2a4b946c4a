//! What the provider is given: where boxes live, who logs in, what sessions see. It looks up nothing by itself.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::containment::Contain;
use crate::error::LocalError;

/// The configuration of [`LocalProvider`](crate::LocalProvider).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct LocalConfig {
    /// The absolute directory that boxes live in. It is made, with mode 0700, when it is missing.
    pub root: PathBuf,
    /// The caller's login name, the only one that a box lets in.
    pub user: String,
    /// The caller's numeric user id.
    pub uid: u32,
    /// The server to run; searched in the usual places when it is not given.
    #[serde(default)]
    pub sshd: Option<PathBuf>,
    /// What sessions find in their environment, usually `PATH`, `HOME`, `LANG` and where toolchains live. A bash
    /// that runs a command there does not read `~/.bashrc`, unless `SHLVL` is among them.
    #[serde(default)]
    pub environment: Vec<(String, String)>,
    /// Whether a box has a PID namespace.
    #[serde(default)]
    pub contain: Contain,
}

impl LocalConfig {
    /// A configuration with defaults for everything that has one.
    pub fn new(root: impl Into<PathBuf>, user: impl Into<String>, uid: u32) -> Self {
        Self {
            root: root.into(),
            user: user.into(),
            uid,
            sshd: None,
            environment: Vec::new(),
            contain: Contain::Auto,
        }
    }

    /// Whether the caller is the superuser.
    pub fn is_root(&self) -> bool {
        self.uid == 0
    }

    /// Refuses what could not be written into the files that sshd and `sh` read.
    pub(crate) fn check(&self) -> Result<(), LocalError> {
        check_path("root", &self.root)?;
        if let Some(sshd) = &self.sshd {
            check_path("sshd", sshd)?;
        }
        // sshd reads `*`, `?`, `!` and `@` as patterns.
        let is_plain = |it: char| it.is_alphanumeric() || "._-+$".contains(it);
        if self.user.is_empty() || self.user.starts_with('-') || !self.user.chars().all(is_plain) {
            return Err(LocalError::config(
                "user",
                "it is not a login name that sshd can be given",
            ));
        }
        self.environment.iter().try_for_each(|(name, value)| check_variable(name, value))
    }
}

/// The variable by which processes of a box are recognised.
pub(crate) const MARK: &str = "LEASE_BOX";

fn check_path(what: &'static str, path: &Path) -> Result<(), LocalError> {
    let refuse = |why: &str| Err(LocalError::config(what, format!("{} {why}", path.display())));
    let Some(text) = path.to_str() else { return refuse("is not valid UTF-8") };
    if !path.is_absolute() {
        return refuse("is not absolute");
    }
    if text.chars().any(|it| it.is_control() || it == '"' || it == '\\') {
        return refuse(
            "has a control character, a quote or a backslash, which sshd cannot be given",
        );
    }
    Ok(())
}

/// The message never shows the value: it may be a credential.
fn check_variable(name: &str, value: &str) -> Result<(), LocalError> {
    let refuse = |why: &str| Err(LocalError::config("environment", format!("{name:?} {why}")));
    let is_word = |it: char| it.is_ascii_alphanumeric() || it == '_';
    let starts_well = name.starts_with(|it: char| is_word(it) && !it.is_ascii_digit());
    if !starts_well || !name.chars().all(is_word) {
        return refuse("is not the name of a variable");
    }
    if name == MARK {
        return refuse("is set by the box itself");
    }
    if value.chars().any(char::is_control) {
        return refuse("has a control character in its value, which sshd cannot be given");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(change: impl FnOnce(&mut LocalConfig), good: bool) {
        let mut config = LocalConfig::new("/srv/boxes", "ann", 1000);
        change(&mut config);
        assert_eq!(config.check().is_ok(), good, "{config:?}");
    }

    fn variable(name: &str, value: &str) -> impl FnOnce(&mut LocalConfig) {
        let pair = (name.to_owned(), value.to_owned());
        move |config| config.environment = vec![pair]
    }

    #[test]
    fn refuses_what_sshd_would_misread() {
        check(|_| {}, true);
        check(|it| it.root = "boxes".into(), false);
        check(|it| it.root = "/srv/a b/boxes".into(), true);
        check(|it| it.root = "/srv/a\nb".into(), false);
        check(|it| it.root = "/srv/a\"b".into(), false);
        check(|it| it.user = "-oProxyCommand=x".into(), false);
        check(|it| it.user = "ann bob".into(), false);
        check(|it| it.user = "*".into(), false);
        check(variable("PATH", "/usr/bin:/a b"), true);
        check(variable("RUSTFLAGS", r#"--cfg f="x\y""#), true);
        check(variable("PATH", "/usr/bin\nPermitRootLogin yes"), false);
        check(variable("A B", ""), false);
        check(variable("", "x"), false);
        check(variable("1A", ""), false);
        check(variable("LEASE_BOX", "x"), false);
    }

    #[test]
    fn a_refusal_does_not_show_the_value() {
        let mut config = LocalConfig::new("/srv/boxes", "ann", 1000);
        variable("TOKEN", "planted-77\n")(&mut config);
        assert!(!config.check().unwrap_err().to_string().contains("planted-77"));
    }
}
