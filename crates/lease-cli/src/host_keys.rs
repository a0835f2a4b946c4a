//! The secret that the host keys of new machines are made from: drawn once for a state directory, and private to it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use lease_core::entropy::{Entropy, OsEntropy};
use lease_core::{ErrorKind, Secret};

use crate::durable;
use crate::failure::Failure;

const FILE: &str = "host-key-secret";
const SECRET_BYTES: usize = 32;

/// Reads the secret, and makes it if there is none yet. Two processes that make it at once get the same one.
pub(crate) fn secret(state_dir: &Path) -> Result<Secret, Failure> {
    let path = state_dir.join(FILE);
    if let Err(error) = fs::symlink_metadata(&path) {
        if error.kind() != io::ErrorKind::NotFound {
            return Err(failed(&path, &error));
        }
        make(state_dir, &path).map_err(|error| failed(&path, &error))?;
    }
    read(&path)
}

/// The file gets its name only with its whole content, and never replaces one that is there: machines live by that.
fn make(state_dir: &Path, path: &Path) -> io::Result<()> {
    durable::create_private_dir(state_dir)?;
    let mut bytes = [0_u8; SECRET_BYTES];
    OsEntropy.fill(&mut bytes).map_err(io::Error::other)?;
    let digit = |it: u8| char::from_digit(u32::from(it), 16).unwrap_or('0');
    let text: String = bytes.iter().flat_map(|it| [digit(it >> 4), digit(it & 15)]).collect();
    let unfinished = path.with_file_name(format!("{FILE}.{}.unfinished", std::process::id()));
    let made = (|| {
        let mut file = durable::create_private_file(&unfinished)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        match fs::hard_link(&unfinished, path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            Ok(()) | Err(_) => fs::File::open(state_dir)?.sync_all(),
        }
    })();
    drop(fs::remove_file(&unfinished));
    made
}

fn read(path: &Path) -> Result<Secret, Failure> {
    let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let metadata = file.and_then(|it| it.metadata()).map_err(|error| failed(path, &error))?;
    let refused = |what: &str, next: String| {
        let what = format!("{}: {what}", path.display());
        Failure::invalid(what, next).kind(ErrorKind::Refused.name())
    };
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        let what = "it belongs to another user, and whoever can read it can pose as your machines";
        return Err(refused(what, "export LEASE_STATE_DIR=DIR".to_owned()));
    }
    if metadata.mode() & 0o077 != 0 {
        let what = "others can read it, and whoever can read it can pose as your machines";
        return Err(refused(what, format!("chmod 600 {}", path.display())));
    }
    let bytes = durable::read_bounded(path, 2 * SECRET_BYTES as u64 + 1)
        .map_err(|error| failed(path, &error))?;
    let text = String::from_utf8(bytes).unwrap_or_default();
    let text = text.trim_end();
    if text.len() != 2 * SECRET_BYTES || !text.bytes().all(|it| it.is_ascii_hexdigit()) {
        let what = "it does not hold a secret any more; without leases you may remove it";
        return Err(refused(what, "lease list".to_owned()));
    }
    Ok(Secret::new(text))
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::tool(format!("{}: {error}", path.display())).kind(ErrorKind::Storage.name())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn it_is_made_once_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let first = secret(&state).unwrap();
        assert_eq!(first.expose().len(), 64);
        assert_eq!(secret(&state).unwrap(), first);
        assert_eq!(fs::metadata(state.join(FILE)).unwrap().mode() & 0o777, 0o600);
        assert_ne!(secret(&dir.path().join("other")).unwrap(), first);
        let names: Vec<_> = state.read_dir().unwrap().map(|it| it.unwrap().file_name()).collect();
        assert_eq!(names, [FILE], "nothing unfinished is left");
    }

    #[test]
    fn of_two_makers_the_first_wins() {
        let dir = tempfile::tempdir().unwrap();
        let first = secret(dir.path()).unwrap();
        make(dir.path(), &dir.path().join(FILE)).unwrap();
        assert_eq!(secret(dir.path()).unwrap(), first);
    }

    #[test]
    fn what_others_can_read_or_what_is_no_secret_is_refused_without_being_shown() {
        let dir = tempfile::tempdir().unwrap();
        let made = secret(dir.path()).unwrap();
        let path = dir.path().join(FILE);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let failure = secret(dir.path()).unwrap_err().to_string();
        assert!(
            failure.contains("run: chmod 600") && !failure.contains(made.expose()),
            "{failure}"
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "planted-81").unwrap();
        let failure = secret(dir.path()).unwrap_err().to_string();
        assert!(
            failure.contains("does not hold a secret") && !failure.contains("planted"),
            "{failure}"
        );
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", &path).unwrap();
        assert!(secret(dir.path()).is_err(), "a link is not followed");
    }
}
