//! Which repository files may set what could run programs or move data: their hashes, given by `lease trust`.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use lease_core::Timestamp;
use serde::{Deserialize, Serialize};

use crate::durable;
use crate::failure::Failure;

const FORMAT: u32 = 1;
const RECORD_BYTES_MAX: u64 = 64 * 1024;

/// What is recorded of a trusted file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TrustRecord {
    v: u32,
    /// The file, for people; the record's name identifies it.
    pub(crate) path: String,
    /// The BLAKE3 hash of its content.
    pub(crate) hash: String,
    /// When it was trusted.
    pub(crate) at: Timestamp,
}

/// Whether a file is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// As it is now.
    Given,
    /// As it was; it has changed since.
    Stale,
    /// Never.
    Missing,
}

/// The records of trust in a state directory.
#[derive(Clone, Debug)]
pub(crate) struct TrustStore {
    directory: PathBuf,
}

impl TrustStore {
    /// The store below `state`; nothing is read or made yet.
    pub(crate) fn new(state: &Path) -> Self {
        Self { directory: state.join("trust") }
    }

    /// Whether `file` with this content is trusted.
    pub(crate) fn check(&self, file: &Path, bytes: &[u8]) -> Result<Trust, Failure> {
        let record = match read(&self.record_of(file)?) {
            Ok(record) => record,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Trust::Missing),
            // A record that cannot be read gives no trust, and does not stop anything either.
            Err(_unreadable) => return Ok(Trust::Missing),
        };
        Ok(if record.hash == hash(bytes) { Trust::Given } else { Trust::Stale })
    }

    /// Trusts `file` with this content.
    pub(crate) fn give(&self, file: &Path, bytes: &[u8], at: Timestamp) -> Result<(), Failure> {
        let record = TrustRecord {
            v: FORMAT,
            path: canonical(file)?.display().to_string(),
            hash: hash(bytes),
            at,
        };
        let text = serde_json::to_vec(&record)
            .map_err(|error| Failure::tool(format!("write the trust: {error}")))?;
        let path = self.record_of(file)?;
        let written = durable::create_private_dir(&self.directory)
            .and_then(|()| durable::replace(&path, &text));
        written.map_err(|error| storage("record the trust", &path, &error))
    }

    /// Takes the trust back; whether there was any.
    pub(crate) fn revoke(&self, file: &Path) -> Result<bool, Failure> {
        let path = self.record_of(file)?;
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(storage("take the trust back", &path, &error)),
        }
    }

    /// All records that can be read, by path.
    pub(crate) fn list(&self) -> Result<Vec<TrustRecord>, Failure> {
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(storage("list the trust", &self.directory, &error)),
        };
        let mut records: Vec<_> = entries.filter_map(|it| read(&it.ok()?.path()).ok()).collect();
        records.sort_by(|one, two| one.path.cmp(&two.path));
        Ok(records)
    }

    fn record_of(&self, file: &Path) -> Result<PathBuf, Failure> {
        let name = hash(canonical(file)?.as_os_str().as_bytes());
        Ok(self.directory.join(format!("{}.json", &name[..32])))
    }
}

fn read(path: &Path) -> io::Result<TrustRecord> {
    let bytes = durable::read_bounded(path, RECORD_BYTES_MAX)?;
    let record: TrustRecord = serde_json::from_slice(&bytes)?;
    if record.v == FORMAT { Ok(record) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// The file without symlinks. A file that was deleted still names its record by its directory.
fn canonical(file: &Path) -> Result<PathBuf, Failure> {
    let whole = file.canonicalize();
    let found = whole.or_else(|error| match (file.parent(), file.file_name()) {
        (Some(parent), Some(name)) => parent.canonicalize().map(|it| it.join(name)),
        _ => Err(error),
    });
    found.map_err(|error| storage("find the file", file, &error))
}

fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

fn storage(doing: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::tool(format!("{doing}: {}: {error}", path.display())).kind("storage")
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::from_millis(1_000);

    #[test]
    fn trust_belongs_to_one_content_of_one_file() {
        let dir = tempfile::tempdir().unwrap();
        let (file, other) = (dir.path().join("lease.yaml"), dir.path().join("other.yaml"));
        fs::write(&file, "a").unwrap();
        fs::write(&other, "a").unwrap();
        let store = TrustStore::new(&dir.path().join("state"));
        assert_eq!(store.check(&file, b"a").unwrap(), Trust::Missing);
        store.give(&file, b"a", AT).unwrap();
        assert_eq!(store.check(&file, b"a").unwrap(), Trust::Given);
        assert_eq!(store.check(&file, b"b").unwrap(), Trust::Stale);
        assert_eq!(store.check(&other, b"a").unwrap(), Trust::Missing);
        assert_eq!(store.list().unwrap().len(), 1);
        assert!(store.revoke(&file).unwrap());
        assert!(!store.revoke(&file).unwrap());
        assert_eq!(store.check(&file, b"a").unwrap(), Trust::Missing);
    }

    #[test]
    fn a_symlink_is_the_file_it_leads_to() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("lease.yaml"), dir.path().join("link.yaml"));
        fs::write(&file, "a").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let store = TrustStore::new(&dir.path().join("state"));
        store.give(&link, b"a", AT).unwrap();
        assert_eq!(store.check(&file, b"a").unwrap(), Trust::Given);
    }

    #[test]
    fn a_damaged_record_gives_no_trust() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("lease.yaml");
        fs::write(&file, "a").unwrap();
        let store = TrustStore::new(&dir.path().join("state"));
        store.give(&file, b"a", AT).unwrap();
        fs::write(store.record_of(&file).unwrap(), "{\"v\":2}").unwrap();
        assert_eq!(store.check(&file, b"a").unwrap(), Trust::Missing);
        assert!(store.list().unwrap().is_empty());
    }
}
