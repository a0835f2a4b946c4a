//! The host key of a server, made here from a secret of the installation, so that it is known before the first contact.
//!
//! Nothing is stored: whoever has the secret computes the key again from the nonce in the server's labels.

use lease_core::{Nonce, Secret};
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{LineEnding, PrivateKey};

use crate::error::HetznerError;

/// Separates these keys from everything else that is derived from the same secret.
const CONTEXT: &str = "lease-hetzner 2026-11 ssh host key of a server";

/// A host key. It has no `Debug`: one half is private.
pub(crate) struct HostKey(PrivateKey);

impl HostKey {
    /// The key of the server with this nonce.
    pub(crate) fn derive(secret: &Secret, nonce: &Nonce) -> Result<Self, HetznerError> {
        let key = blake3::derive_key(CONTEXT, secret.expose().as_bytes());
        let seed = blake3::keyed_hash(&key, nonce.as_str().as_bytes());
        let pair = Ed25519Keypair::from_seed(seed.as_bytes());
        PrivateKey::new(KeypairData::Ed25519(pair), "")
            .map(Self)
            .map_err(|error| HetznerError::Record(format!("no host key can be made: {error}")))
    }

    /// The private half in OpenSSH's form.
    pub(crate) fn private(&self) -> Result<String, HetznerError> {
        let text = self.0.to_openssh(LineEnding::LF);
        text.map(|it| it.as_str().to_owned())
            .map_err(|error| HetznerError::Record(format!("no host key can be written: {error}")))
    }

    /// The public half as `TYPE BASE64`.
    pub(crate) fn public(&self) -> Result<String, HetznerError> {
        let text = self.0.public_key().to_openssh();
        text.map(|it| it.trim().to_owned())
            .map_err(|error| HetznerError::Record(format!("no host key can be written: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &str = "abcdefghijklmnopqrstuvwxyz";

    fn derive(secret: &str, nonce: &str) -> (String, String) {
        let key = HostKey::derive(&Secret::new(secret), &nonce.parse().unwrap()).unwrap();
        (key.private().unwrap(), key.public().unwrap())
    }

    #[test]
    fn the_same_secret_and_nonce_give_the_same_key_and_others_another() {
        let key = derive("s", NONCE);
        assert_eq!(key, derive("s", NONCE));
        assert_ne!(key, derive("t", NONCE));
        assert_ne!(key, derive("s", "bbcdefghijklmnopqrstuvwxyz"));
    }

    /// A change here makes every server that runs unreachable: its key would be another one than it has.
    #[test]
    fn the_derivation_never_changes() {
        let (_, public) = derive("a secret of the installation", NONCE);
        assert_eq!(
            public,
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEI1Fpl9daFT1Mxr6wdml4+L8/EbDzPwI0ooBGtkf6dn"
        );
    }

    #[test]
    fn the_private_half_belongs_to_the_public_one() {
        let (private, public) = derive("s", NONCE);
        let read = PrivateKey::from_openssh(&private).unwrap();
        assert_eq!(read.public_key().to_openssh().unwrap().trim(), public);
        assert_eq!(public.split(' ').count(), 2, "{public}");
    }
}
