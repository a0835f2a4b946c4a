//! What a server is born with: its host key, the lease's key, its directory, and a file that says when it is set up.
//!
//! It is a cloud-init document in JSON, which is YAML, so nothing in it has to be quoted by hand.

use lease_core::{LeaseId, Nonce};
use serde_json::json;

use crate::config::HetznerConfig;
use crate::error::HetznerError;
use crate::host_key::HostKey;

/// The documented limit (Hetzner Cloud API, `POST /servers`, `user_data`).
const USER_DATA_BYTES_MAX: usize = 32 * 1024;

/// What lease's own work on a box needs.
const PACKAGES: [&str; 3] = ["git", "rsync", "tar"];

/// The directory of a lease. It depends on nothing that somebody could rename.
pub(crate) fn root(config: &HetznerConfig, lease: &LeaseId) -> String {
    format!("{}/{lease}", config.work_root)
}

/// The file that the server makes once it is set up. It lies beside the directory, so that a tree never meets it.
pub(crate) fn ready_file(config: &HetznerConfig, lease: &LeaseId) -> String {
    format!("{}.ready", root(config, lease))
}

/// The document. It depends on its arguments alone, so a repeated create sends the same one.
pub(crate) fn render(
    config: &HetznerConfig,
    (lease, nonce): (&LeaseId, &Nonce),
    public_key: &str,
) -> Result<String, HetznerError> {
    let host_key = HostKey::derive(&config.host_key_secret, nonce)?;
    let root = root(config, lease);
    let packages: Vec<&str> =
        PACKAGES.into_iter().chain(config.packages.iter().map(String::as_str)).collect();
    let document = json!({
        // The only host key is the one given here; those of the image are removed.
        "ssh_deletekeys": true,
        "ssh_keys": {
            "ed25519_private": host_key.private()?,
            "ed25519_public": host_key.public()?,
        },
        "ssh_authorized_keys": [public_key],
        "ssh_pwauth": false,
        "disable_root": config.user != "root",
        "package_update": true,
        "packages": packages,
        // Commands run after the packages are there; the marker comes last.
        "runcmd": [
            ["mkdir", "-p", config.work_root],
            ["install", "-d", "-m", "0700", "-o", config.user, root],
            ["touch", ready_file(config, lease)],
        ],
    });
    let text = format!("#cloud-config\n{document}\n");
    if text.len() > USER_DATA_BYTES_MAX {
        let why = format!(
            "the user data has {} bytes and may have {USER_DATA_BYTES_MAX}; configure fewer packages",
            text.len()
        );
        return Err(HetznerError::Config { what: "packages", why });
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use lease_core::Secret;

    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIM lease";

    fn config() -> HetznerConfig {
        HetznerConfig::new(None, Secret::new("0123456789abcdef0123456789abcdef"))
    }

    fn rendered(config: &HetznerConfig) -> Result<String, HetznerError> {
        let lease: LeaseId = "lse-abcdefghij2345672345".parse().unwrap();
        let nonce: Nonce = "abcdefghijklmnopqrstuvwxyz".parse().unwrap();
        render(config, (&lease, &nonce), KEY)
    }

    #[test]
    fn the_document_is_what_cloud_init_reads_and_its_marker_comes_last() {
        let mut config = config();
        config.packages = vec!["build-essential".to_owned()];
        let text = rendered(&config).unwrap();
        let (first, rest) = text.split_once('\n').unwrap();
        assert_eq!(first, "#cloud-config");
        let mut document: serde_json::Value = serde_json::from_str(rest).unwrap();
        let keys = document["ssh_keys"].take();
        let private = keys["ed25519_private"].as_str().unwrap();
        assert!(private.starts_with("-----BEGIN OPENSSH PRIVATE KEY-----\n"), "not a key");
        assert!(keys["ed25519_public"].as_str().unwrap().starts_with("ssh-ed25519 "));
        let root = "/srv/lease/lse-abcdefghij2345672345";
        assert_eq!(
            document,
            json!({
                "ssh_deletekeys": true,
                "ssh_keys": null,
                "ssh_authorized_keys": [KEY],
                "ssh_pwauth": false,
                "disable_root": false,
                "package_update": true,
                "packages": ["git", "rsync", "tar", "build-essential"],
                "runcmd": [
                    ["mkdir", "-p", "/srv/lease"],
                    ["install", "-d", "-m", "0700", "-o", "root", root],
                    ["touch", format!("{root}.ready")],
                ],
            })
        );
    }

    #[test]
    fn the_same_intent_gives_the_same_bytes() {
        assert_eq!(rendered(&config()).unwrap(), rendered(&config()).unwrap());
    }

    #[test]
    fn what_is_too_long_for_hetzner_is_refused_before_anything_is_sent() {
        let mut config = config();
        config.packages = vec!["a".repeat(USER_DATA_BYTES_MAX)];
        assert!(matches!(rendered(&config), Err(HetznerError::Config { what: "packages", .. })));
    }
}
