//! Filling the directory of a new box. Everything reaches the disk before the box gets its name.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use lease_core::{Entropy, Intent};
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{LineEnding, PrivateKey, PublicKey};

use crate::config::LocalConfig;
use crate::error::LocalError;
use crate::record::{RECORD_FILE, Record};
use crate::{latch, removal, sshd};

/// Everything that a new box is made of.
#[derive(Debug)]
pub(crate) struct Blueprint {
    record: Record,
    files: Vec<(&'static str, Vec<u8>)>,
}

impl Blueprint {
    /// Draws a host key and writes the texts; nothing is touched yet.
    pub(crate) fn draw(
        config: &LocalConfig,
        intent: &Intent,
        record: Record,
        whole: &Path,
        entropy: &dyn Entropy,
    ) -> Result<Self, LocalError> {
        let authorized = authorized_key(intent.public_key())?;
        let (secret, host_key) = host_key(intent, entropy)?;
        let config_text = sshd::config_text(config, whole, intent.key());
        let connect = sshd::connect_text(config, &record.sshd, whole, record.containment)?;
        let files = vec![
            (sshd::CONFIG_FILE, config_text.into_bytes()),
            (sshd::HOST_KEY_FILE, secret.into_bytes()),
            (sshd::HOST_PUBLIC_KEY_FILE, format!("{host_key}\n").into_bytes()),
            (sshd::AUTHORIZED_KEYS_FILE, format!("{authorized}\n").into_bytes()),
            (sshd::CONNECT_FILE, connect.into_bytes()),
        ];
        Ok(Self { record, files })
    }

    /// Fills the locked directory `part`, which somebody may have died in before.
    pub(crate) fn build(&self, part: &Path) -> Result<(), LocalError> {
        removal::empty(part, &[latch::LOCK_FILE])?;
        write_file(&part.join(RECORD_FILE), &self.record.text()?)?;
        sync_directory(part)?;
        for (name, content) in &self.files {
            write_file(&part.join(name), content)?;
        }
        make_directory(&part.join(sshd::ROOT_DIRECTORY))?;
        sync_directory(part)
    }
}

/// Makes a private directory; says whether it was missing.
pub(crate) fn make_directory(path: &Path) -> Result<bool, LocalError> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(LocalError::file("making", path)(error)),
    }
}

/// Makes what is on the disk of a directory the same as what is seen in it.
pub(crate) fn sync_directory(path: &Path) -> Result<(), LocalError> {
    File::open(path).and_then(|it| it.sync_all()).map_err(LocalError::file("syncing", path))
}

/// Gives the complete box its name, unless something has that name already.
pub(crate) fn give_name(part: &Path, whole: &Path) -> Result<(), LocalError> {
    use rustix::fs::{CWD, RenameFlags};
    use rustix::io::Errno;
    let taken = || Err(LocalError::Taken(whole.to_owned()));
    match rustix::fs::renameat_with(CWD, part, CWD, whole, RenameFlags::NOREPLACE) {
        Ok(()) => {}
        Err(Errno::EXIST | Errno::NOTEMPTY) => return taken(),
        // A file system that cannot promise it: the look before is the best there is.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            if fs::symlink_metadata(whole).is_ok() {
                return taken();
            }
            fs::rename(part, whole).map_err(LocalError::file("naming", whole))?;
        }
        Err(errno) => return Err(LocalError::file("naming", whole)(errno)),
    }
    sync_directory(whole.parent().unwrap_or(whole))
}

/// Prepares the directory that boxes live in; returns its true path.
pub(crate) fn make_root(root: &Path) -> Result<PathBuf, LocalError> {
    let is_new = !root.exists();
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(root)
        .map_err(LocalError::file("making", root))?;
    if is_new {
        // The umask only takes away; a group bit that a parent's default gave would stay.
        fs::set_permissions(root, Permissions::from_mode(0o700))
            .map_err(LocalError::file("making", root))?;
    }
    fs::canonicalize(root).map_err(LocalError::file("looking at", root))
}

/// Writes a new private file so that it survives a crash.
pub(crate) fn write_file(path: &Path, content: &[u8]) -> Result<(), LocalError> {
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(content)?;
        file.sync_all()
    };
    write().map_err(LocalError::file("writing", path))
}

/// One key that may log in. Options in front of it, or a second line, would be refused here.
fn authorized_key(line: &str) -> Result<String, LocalError> {
    let key = PublicKey::from_openssh(line.trim()).map_err(|error| {
        LocalError::Request(format!("the public key of the lease does not parse: {error}"))
    })?;
    key.to_openssh().map_err(|error| {
        LocalError::Request(format!("the public key of the lease cannot be written: {error}"))
    })
}

/// A new host key: the private file's text and `TYPE BASE64`.
fn host_key(intent: &Intent, entropy: &dyn Entropy) -> Result<(String, String), LocalError> {
    let failed = |error: ssh_key::Error| {
        LocalError::Machine(format!("the host key could not be made: {error}"))
    };
    let mut seed = [0_u8; 32];
    entropy.fill(&mut seed).map_err(|error| LocalError::Machine(error.to_string()))?;
    let pair = KeypairData::from(Ed25519Keypair::from_seed(&seed));
    let key = PrivateKey::new(pair, intent.name().as_str()).map_err(failed)?;
    let secret = key.to_openssh(LineEnding::LF).map_err(failed)?.to_string();
    let mut public = key.public_key().clone();
    public.set_comment("");
    Ok((secret, public.to_openssh().map_err(failed)?.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_never_taken_from_somebody() {
        let directory = tempfile::tempdir().unwrap();
        let (part, whole) = (directory.path().join("part"), directory.path().join("whole"));
        for path in [&part, &whole] {
            assert!(make_directory(path).unwrap());
        }
        // An empty directory is what a plain rename would replace.
        assert!(matches!(give_name(&part, &whole), Err(LocalError::Taken(_))));
        assert!(part.exists());
        fs::remove_dir(&whole).unwrap();
        give_name(&part, &whole).unwrap();
        assert!(whole.exists() && !part.exists());
    }

    #[test]
    fn one_key_and_nothing_else_may_log_in() {
        let key =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
        assert_eq!(authorized_key(&format!("{key} a b\n")).unwrap(), format!("{key} a b"));
        for bad in ["", "nonsense", &format!("{key}\n{key}"), &format!("command=\"x\" {key}")] {
            authorized_key(bad).unwrap_err();
        }
    }
}
