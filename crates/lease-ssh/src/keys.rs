//! The key pair of a lease: made here, used by nobody else, removed with the lease.
//!
//! `<root>/<lease id>/` has mode 0700 and holds `id_ed25519` (0600), `id_ed25519.pub`, and what [`crate::config`]
//! generates: `config`, `known_hosts` and, where there is a proxy command, `proxy`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{LineEnding, PrivateKey};

use crate::error::{Result, SshError};
use crate::files::{
    check_private, create_private, private_directory, read_if_there, sync_parent, write_private,
};

/// The private directory of one lease.
#[derive(Clone, Debug)]
pub(crate) struct LeaseFiles {
    lease: String,
    directory: PathBuf,
}

impl LeaseFiles {
    /// Names the directory; nothing is made yet.
    pub(crate) fn new(root: &Path, lease: &str) -> Result<Self> {
        check_lease(lease)?;
        Ok(Self { lease: lease.to_owned(), directory: root.join(lease) })
    }

    pub(crate) fn lease(&self) -> &str {
        &self.lease
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn private_key(&self) -> PathBuf {
        self.directory.join("id_ed25519")
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.directory.join("config")
    }

    pub(crate) fn stranger_config(&self) -> PathBuf {
        self.directory.join("stranger")
    }

    pub(crate) fn known_hosts(&self) -> PathBuf {
        self.directory.join("known_hosts")
    }

    pub(crate) fn proxy(&self) -> PathBuf {
        self.directory.join("proxy")
    }

    pub(crate) fn proxy_log(&self) -> PathBuf {
        self.directory.join("proxy.log")
    }

    /// Makes the key pair if there is none yet and returns the public line, `TYPE BASE64 LEASE`.
    ///
    /// The public line is derived from the private key each time, so the two cannot differ.
    pub(crate) fn prepare(&self) -> Result<String> {
        private_directory(&self.directory)?;
        let key = match self.load()? {
            Some(key) => key,
            None => self.make()?,
        };
        let public = key.public_key().to_openssh().map_err(unusable)?;
        let path = self.directory.join("id_ed25519.pub");
        if read_if_there(&path)?.is_none_or(|text| text.trim_end() != public) {
            write_private(&path, format!("{public}\n").as_bytes())?;
        }
        Ok(public)
    }

    /// Checks that the key is there and private; ssh's own words about that name no remedy.
    pub(crate) fn check(&self) -> Result<()> {
        private_directory(&self.directory)?;
        match self.load()? {
            Some(_) => Ok(()),
            None => Err(SshError::storage("reading", self.private_key())(
                io::ErrorKind::NotFound.into(),
            )),
        }
    }

    /// Removes the directory and what is in it. That there is none is success.
    pub(crate) fn remove(&self) -> Result<()> {
        match fs::remove_dir_all(&self.directory) {
            Ok(()) => {
                sync_parent(&self.directory).map_err(SshError::storage("removing", &self.directory))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(SshError::storage("removing", &self.directory)(error)),
        }
    }

    /// Writes a key that no host was ever told of, and says where.
    ///
    /// What a process that was killed has left there is as good as a new one: nobody was ever asked to let it in.
    pub(crate) fn make_throwaway(&self) -> Result<PathBuf> {
        let path = self.directory.join("throwaway");
        create_private(
            &path,
            self.draw()?.to_openssh(LineEnding::LF).map_err(unusable)?.as_bytes(),
        )?;
        Ok(path)
    }

    fn load(&self) -> Result<Option<PrivateKey>> {
        let path = self.private_key();
        let meta = match fs::symlink_metadata(&path) {
            Ok(meta) => meta,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(SshError::storage("reading", path)(error)),
        };
        check_private(&path, &meta, 0o600)?;
        let text = fs::read_to_string(&path).map_err(SshError::storage("reading", &path))?;
        PrivateKey::from_openssh(text).map(Some).map_err(unusable)
    }

    fn draw(&self) -> Result<PrivateKey> {
        let mut seed = [0_u8; 32];
        getrandom::fill(&mut seed)
            .map_err(|error| SshError::invalid("the random source", error.to_string()))?;
        let pair = KeypairData::from(Ed25519Keypair::from_seed(&seed));
        PrivateKey::new(pair, self.lease.as_str()).map_err(unusable)
    }

    fn make(&self) -> Result<PrivateKey> {
        let key = self.draw()?;
        let text = key.to_openssh(LineEnding::LF).map_err(unusable)?;
        create_private(&self.private_key(), text.as_bytes())?;
        // Another process may have been first; the file decides.
        Ok(self.load()?.unwrap_or(key))
    }
}

fn check_lease(lease: &str) -> Result<()> {
    let plain = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-';
    if lease.is_empty() || lease.len() > 64 || lease.starts_with('-') || !lease.bytes().all(plain) {
        return Err(SshError::invalid(
            "the lease id",
            "use 1 to 64 lower-case letters, digits and inner hyphens",
        ));
    }
    Ok(())
}

#[expect(clippy::needless_pass_by_value, reason = "it is used as the argument of map_err")]
fn unusable(error: ssh_key::Error) -> SshError {
    SshError::invalid("the lease's key", error.to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_key_is_made_once_and_is_private() {
        let root = tempfile::tempdir().unwrap();
        let files = LeaseFiles::new(root.path(), "lse-a").unwrap();
        let line = files.prepare().unwrap();
        assert!(line.starts_with("ssh-ed25519 ") && line.ends_with(" lse-a"), "{line}");
        assert_eq!(files.prepare().unwrap(), line);
        assert_eq!((mode(&files.directory), mode(&files.private_key())), (0o700, 0o600));
        files.remove().unwrap();
        files.remove().unwrap();
        assert!(!files.directory.exists());
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_with_the_remedy() {
        let root = tempfile::tempdir().unwrap();
        let files = LeaseFiles::new(root.path(), "lse-a").unwrap();
        files.prepare().unwrap();
        fs::set_permissions(files.private_key(), fs::Permissions::from_mode(0o644)).unwrap();
        let said = files.prepare().unwrap_err().to_string();
        assert!(said.contains("chmod 600") && said.contains("id_ed25519"), "{said}");
        assert!(!said.contains("PRIVATE KEY"));
    }

    #[test]
    fn a_lease_id_cannot_leave_the_directory() {
        for bad in ["", "..", "../x", "a/b", "-a", "A", "a b", &"a".repeat(65)] {
            assert!(LeaseFiles::new(Path::new("/x"), bad).is_err(), "{bad}");
        }
    }
}
