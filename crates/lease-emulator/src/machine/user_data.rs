//! What a machine makes of its user data: as much of cloud-init as the product uses, and nothing in silence.
//!
//! cloud-init ignores what it does not know with a warning in a log. Here that is a broken boot with a reason, so that
//! a test of the product fails where a real machine would quietly lack something. The product writes JSON, which is
//! YAML; other YAML is not read.

use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use ssh_key::{Algorithm, PrivateKey, PublicKey};

use super::shell::word;

/// The first line of a document that cloud-init reads as its configuration.
const HEADER: &str = "#cloud-config";

/// What Hetzner documents as the most that user data may have, in bytes.
pub const USER_DATA_BYTES_MAX: usize = 32 * 1024;

/// The part of a cloud-init document that is applied.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct UserData {
    ssh_keys: Option<HostKeys>,
    pub(super) ssh_authorized_keys: Vec<String>,
    /// Read so that it may be there; nothing is installed.
    packages: Vec<String>,
    /// As above: there is one host key, no password, and one account here.
    ssh_deletekeys: Option<bool>,
    ssh_pwauth: Option<bool>,
    disable_root: Option<bool>,
    package_update: Option<bool>,
    pub(super) write_files: Vec<WriteFile>,
    pub(super) runcmd: Vec<Command>,
    pub(super) bootcmd: Vec<Command>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HostKeys {
    ed25519_private: String,
    ed25519_public: String,
}

/// Shows nothing: one half is private.
impl std::fmt::Debug for HostKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HostKeys")
    }
}

/// A file to write, as text.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WriteFile {
    pub(super) path: PathBuf,
    pub(super) content: String,
    permissions: Option<String>,
}

/// A command: a list is an argument vector, a string is for the shell.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Command {
    Argv(Vec<String>),
    Shell(String),
}

impl UserData {
    /// Reads a document; `Err` says why a machine with it would not work.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > USER_DATA_BYTES_MAX {
            return Err(format!(
                "user data has {} bytes, more than {USER_DATA_BYTES_MAX}",
                text.len()
            ));
        }
        let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
        if first.trim_end() != HEADER {
            return Err(format!("user data does not start with a line {HEADER}"));
        }
        let data: Self = serde_json::from_str(rest).map_err(|error| {
            format!("user data is not the JSON that is understood here: {error}")
        })?;
        data.host_key()?;
        for file in &data.write_files {
            file.check()?;
        }
        Ok(data)
    }

    /// The private host key in OpenSSH's form, if there is one.
    pub(super) fn host_key(&self) -> Result<Option<String>, String> {
        let Some(keys) = &self.ssh_keys else { return Ok(None) };
        let private = PrivateKey::from_openssh(&keys.ed25519_private)
            .map_err(|error| format!("the private host key in the user data is none: {error}"))?;
        let public = PublicKey::from_openssh(&keys.ed25519_public)
            .map_err(|error| format!("the public host key in the user data is none: {error}"))?;
        if private.algorithm() != Algorithm::Ed25519 {
            return Err("the host key in the user data is not an ed25519 key".to_owned());
        }
        if private.public_key().key_data() != public.key_data() {
            return Err("the halves of the host key in the user data do not fit".to_owned());
        }
        Ok(Some(keys.ed25519_private.clone()))
    }

    /// How many packages would be installed.
    pub(super) fn packages(&self) -> usize {
        self.packages.len()
    }
}

impl WriteFile {
    fn check(&self) -> Result<(), String> {
        let plain = |it| matches!(it, Component::RootDir | Component::Normal(_));
        if !self.path.is_absolute() || !self.path.components().all(plain) {
            return Err(format!("{} is not a plain absolute path", self.path.display()));
        }
        let mode = self.mode();
        if mode.is_empty() || mode.len() > 5 || !mode.bytes().all(|it| (b'0'..=b'7').contains(&it))
        {
            return Err(format!("{mode:?} is no mode for {}", self.path.display()));
        }
        Ok(())
    }

    /// The mode in octal digits; cloud-init's default is 0644.
    pub(super) fn mode(&self) -> &str {
        self.permissions.as_deref().unwrap_or("0644")
    }

    pub(super) fn is_under(&self, directories: &[PathBuf]) -> bool {
        directories.iter().any(|it: &PathBuf| self.path.starts_with(Path::new(it)))
    }
}

impl Command {
    /// The command as a line for `sh`.
    pub(super) fn line(&self) -> String {
        match self {
            Self::Argv(argv) => argv.iter().map(|it| word(it)).collect::<Vec<_>>().join(" "),
            Self::Shell(line) => line.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, expect: &str) {
        let why = UserData::parse(text).unwrap_err();
        assert!(why.contains(expect), "{why:?} does not say {expect:?}");
    }

    #[test]
    fn what_is_not_understood_is_a_broken_boot() {
        refused("", "does not start with");
        refused("#!/bin/sh\ntrue\n", "does not start with");
        refused("#cloud-config\nruncmd: [true]\n", "not the JSON");
        refused("#cloud-config\n{\"snap\": {}}", "unknown field `snap`");
        refused(
            r#"#cloud-config
{"write_files": [{"path": "/a", "content": "", "owner": "x"}]}"#,
            "unknown field `owner`",
        );
        refused(
            r#"#cloud-config
{"write_files": [{"path": "/a/../b", "content": ""}]}"#,
            "plain absolute path",
        );
        refused(
            r#"#cloud-config
{"write_files": [{"path": "/a", "content": "", "permissions": "0644; true"}]}"#,
            "no mode",
        );
        refused(
            r#"#cloud-config
{"ssh_keys": {"ed25519_private": "x", "ed25519_public": "y"}}"#,
            "private host key",
        );
        let long =
            format!("#cloud-config\n{{\"runcmd\": [\"{}\"]}}", "x".repeat(USER_DATA_BYTES_MAX));
        refused(&long, "more than 32768");
    }

    #[test]
    fn a_list_is_an_argument_vector_and_a_string_is_for_the_shell() {
        let data = UserData::parse(
            "#cloud-config\n{\"runcmd\": [[\"echo\", \"it's $HOME\"], \"a && b\"], \"packages\": [\"git\"]}",
        )
        .unwrap();
        let lines: Vec<String> = data.runcmd.iter().map(Command::line).collect();
        assert_eq!(lines, [r"'echo' 'it'\''s $HOME'", "a && b"]);
        assert_eq!(data.packages(), 1);
    }
}
