//! What one reaper can be responsible for: the leases of one provider that one set of credentials can give back.

use std::path::{Path, PathBuf};

/// What separates these fingerprints from every other use of the same hash.
const CONTEXT: &str = "lease 2026-11 the fingerprint of what a reaper can serve";
/// How many characters of the fingerprint are in a file's name.
const FINGERPRINT_CHARS: usize = 16;

/// A provider together with a fingerprint of what it was configured with. Two processes with the same credentials have
/// equal posts, and nobody learns a credential from one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Post {
    provider: &'static str,
    fingerprint: String,
}

impl Post {
    /// The post of `provider` with the parts of its configuration that decide which leases it can serve.
    pub(crate) fn new(provider: &'static str, parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        for part in [provider.as_bytes()].iter().chain(parts) {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        let mut fingerprint = hasher.finalize().to_hex().to_string();
        fingerprint.truncate(FINGERPRINT_CHARS);
        Self { provider, fingerprint }
    }

    /// The provider's registered name.
    pub(crate) fn provider(&self) -> &'static str {
        self.provider
    }

    /// The lock that is held for as long as somebody is at the post.
    pub(super) fn path_in(&self, state_dir: &Path) -> PathBuf {
        state_dir.join(format!("reaper.{}-{}.lock", self.provider, self.fingerprint))
    }
}

/// The provider whose post a file is the lock of.
pub(super) fn provider_of(path: &Path) -> Option<&str> {
    let name = path.file_name()?.to_str()?.strip_prefix("reaper.")?.strip_suffix(".lock")?;
    let (provider, fingerprint) = name.rsplit_once('-')?;
    (fingerprint.len() == FINGERPRINT_CHARS).then_some(provider)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_tells_credentials_apart_and_shows_none() {
        let post = |parts: &[&[u8]]| Post::new("cloud", parts);
        assert_eq!(post(&[b"https://a", b"planted-55"]), post(&[b"https://a", b"planted-55"]));
        let others: [&[&[u8]]; 3] = [
            &[b"https://a", b"planted-56"],
            &[b"https://b", b"planted-55"],
            &[b"https://aplanted-55"],
        ];
        for other in others {
            assert_ne!(post(&[b"https://a", b"planted-55"]), post(other));
        }
        let path = post(&[b"planted-55"]).path_in(Path::new("/state"));
        assert!(!path.to_str().unwrap().contains("planted"));
        assert_eq!(provider_of(&path), Some("cloud"));
    }

    #[test]
    fn other_files_are_no_locks() {
        for name in ["reaper.log", "reaper.lock", "reaper.cloud-12.lock", "installation"] {
            assert_eq!(provider_of(Path::new(name)), None, "{name}");
        }
    }
}
