//! Journals as files: one append-only file per lease, each append written, fsynced and guarded by a file lock.
//!
//! ```text
//! DIR/installation                     the installation id
//! DIR/leases/SLUG.LEASE.jsonl          a live lease
//! DIR/archive/SLUG.LEASE.jsonl         a released one
//! DIR/archive/SLUG.LEASE.1.jsonl       an earlier life of one that was adopted after its end
//! DIR/locks/LEASE.operate | LEASE.use  who works on it; the content means nothing
//! DIR/open.lock                        held while a lease is opened
//! ```
//!
//! The slug stands in the file's name, so that finding a lease by its name reads one directory and no journal, and a
//! damaged journal can still be named.
//!
//! Calls block the thread for the time of one lock, read, write and fsync. There is no await point inside, so a
//! cancelled caller has either appended or not; a detour through a thread pool would lose that.

mod file;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use async_trait::async_trait;

use crate::claim::Claim;
use crate::entropy::{Entropy, OsEntropy};
use crate::error::{Effect, Error, ErrorKind, Result};
use crate::id::{InstallationId, LeaseId, Slug};
use crate::journal::{self, Event, Opened, Sequence};
use crate::state::Phase;
use crate::store::memory::{moved_on, not_live, not_released, slug_taken};
use crate::store::{Entry, LockGuard, LockKind, Store};
use crate::time::Timestamp;

use file::{create_private_dir, read_bounded, storage, sync_dir};

const SUFFIX: &str = ".jsonl";
const UNFINISHED: &str = ".unfinished";

/// A store in a directory that only its user can read.
#[derive(Clone, Debug)]
pub struct FsStore {
    leases: PathBuf,
    archive: PathBuf,
    locks: PathBuf,
    open_lock: PathBuf,
    installation: InstallationId,
}

impl FsStore {
    /// Opens the store in `dir`, and makes it if it is not there.
    ///
    /// # Errors
    /// When the directory cannot be made private, written and locked; the message names the path and the remedy.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(dir.as_ref(), &OsEntropy)
    }

    fn open_with(dir: &Path, entropy: &dyn Entropy) -> Result<Self> {
        let (leases, archive, locks) = (dir.join("leases"), dir.join("archive"), dir.join("locks"));
        for path in [dir, &leases, &archive, &locks] {
            create_private_dir(path)?;
        }
        let open_lock = dir.join("open.lock");
        let guard = lock_file(&open_lock)?;
        let installation = installation_of(dir, entropy)?;
        drop(guard);
        Ok(Self { leases, archive, locks, open_lock, installation })
    }

    fn live_files(&self) -> Result<Vec<(PathBuf, FileName)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.leases)
            .map_err(|error| storage("list the leases", &self.leases, error))?
        {
            let entry = entry.map_err(|error| storage("list the leases", &self.leases, error))?;
            let raw = entry.file_name();
            let text = raw.to_string_lossy();
            if !text.ends_with(UNFINISHED) {
                files.push((entry.path(), FileName::parse(&text)));
            }
        }
        files.sort();
        Ok(files)
    }

    /// Removes what processes that were killed left behind: journals that never got their name, and locks of leases that
    /// are not live. The caller holds the lock under which both are made, so nothing of a living process is among them. The
    /// lock of adoptions stays: it is taken before there is a lease.
    fn sweep(&self, live: &[(PathBuf, FileName)]) {
        let adoptions = LeaseId::of_adoptions();
        let is_live = |name: &str| {
            name.starts_with(adoptions.as_str())
                || live.iter().any(|(_, file)| match file {
                    FileName::Journal { lease, .. } => name.starts_with(lease.as_str()),
                    FileName::Other(_) => false,
                })
        };
        let entries =
            [&self.leases, &self.locks].map(|dir| fs::read_dir(dir).into_iter().flatten());
        for entry in entries.into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let unfinished = name.ends_with(UNFINISHED);
            let lock = entry.path().starts_with(&self.locks);
            if unfinished || (lock && !is_live(&name)) {
                // It is litter; the next one who opens a lease tries again.
                drop(fs::remove_file(entry.path()));
            }
        }
    }

    /// Gives the archived record of an earlier life of the lease, if there is one, a name with a number: a lease that was
    /// adopted after its end has two, and none of them is written over.
    fn set_aside(&self, lease: &LeaseId) -> Result<()> {
        const DOING: &str = "archive the lease";
        let Some(earlier) = find_file(&self.archive, lease)? else { return Ok(()) };
        let name = earlier.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let stem = name.strip_suffix(SUFFIX).unwrap_or(&name);
        let free = (1..=u32::MAX)
            .map(|number| self.archive.join(format!("{stem}.{number}{SUFFIX}")))
            .find(|it| !it.exists());
        let aside =
            free.ok_or_else(|| storage(DOING, &earlier, io::ErrorKind::AlreadyExists.into()))?;
        match fs::rename(&earlier, &aside) {
            // Another process archives the same lease, which is what was asked for.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            renamed => renamed.map_err(|error| storage(DOING, &earlier, error)),
        }
    }

    fn path_of(&self, lease: &LeaseId) -> Result<PathBuf> {
        find_file(&self.leases, lease)?.ok_or_else(|| not_live(lease))
    }
}

#[async_trait]
impl Store for FsStore {
    async fn installation(&self) -> Result<InstallationId> {
        Ok(self.installation.clone())
    }

    async fn open(&self, at: Timestamp, opened: Opened, then: &[Event]) -> Result<Claim> {
        let guard = lock_file(&self.open_lock)?;
        let live = self.live_files()?;
        for (path, name) in &live {
            if let FileName::Journal { slug, lease } = name
                && (*slug == opened.slug || *lease == opened.lease)
            {
                tracing::debug!(path = %path.display(), "the name is taken");
                return Err(slug_taken(&opened.slug, lease));
            }
        }
        self.sweep(&live);
        let name = FileName::journal(&opened.slug, &opened.lease);
        let mut events = vec![Event::Opened(Box::new(opened))];
        events.extend_from_slice(then);
        let bytes = journal::encode(Sequence::FIRST, at, &events)?;
        let claim = Claim::try_fold(journal::decode(&bytes))?;
        // A journal appears under its name only when its first events are durable. What an earlier crash left
        // unfinished is overwritten or stays invisible; it never was a lease.
        file::write_new(&self.leases, &name, &format!("{name}{UNFINISHED}"), &bytes)?;
        drop(guard);
        Ok(claim)
    }

    async fn append(
        &self,
        lease: &LeaseId,
        expected: Sequence,
        at: Timestamp,
        events: &[Event],
    ) -> Result<()> {
        const DOING: &str = "record an event";
        let path = self.path_of(lease)?;
        let opened = OpenOptions::new().read(true).write(true).open(&path);
        let mut file = opened.map_err(|error| missing_or(DOING, lease, &path, error))?;
        lock(&file, &path)?;
        let bytes = read_bounded(&mut file, &path)?;
        let Some((last, complete_bytes)) = journal::decode_tail(&bytes)? else {
            return Err(Error::harmless(
                ErrorKind::Corrupt,
                DOING,
                format!("{} holds no event", path.display()),
            ));
        };
        if last != expected || !path.exists() {
            return Err(moved_on(lease));
        }
        let lines = journal::encode(expected.plus(1), at, events)?;
        file::append_at(&mut file, complete_bytes, &lines)
            .map_err(|error| storage(DOING, &path, error))
    }

    async fn load(&self, lease: &LeaseId) -> Result<Claim> {
        if let Some(path) = find_file(&self.leases, lease)? {
            match read_claim(&path, lease) {
                // It was archived between the look and the read.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                result => return result,
            }
        }
        let path = find_file(&self.archive, lease)?.ok_or_else(|| not_live(lease))?;
        read_claim(&path, lease)
    }

    async fn scan(&self) -> Result<Vec<Entry>> {
        let files = self.live_files()?;
        Ok(file::map_in_parallel(&files, |(path, name)| entry_of(path, name))
            .into_iter()
            .flatten()
            .collect())
    }

    async fn names(&self) -> Result<Vec<(LeaseId, Slug)>> {
        let named = |(_, name)| match name {
            FileName::Journal { slug, lease } => Some((lease, slug)),
            FileName::Other(_) => None,
        };
        Ok(self.live_files()?.into_iter().filter_map(named).collect())
    }

    async fn archive(&self, lease: &LeaseId) -> Result<()> {
        const DOING: &str = "archive the lease";
        let Some(from) = find_file(&self.leases, lease)? else { return Ok(()) };
        // From here on another process may archive it at any time, which is what was asked for.
        let file = match File::open(&from) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(storage(DOING, &from, error)),
        };
        lock(&file, &from)?;
        match read_claim(&from, lease) {
            Ok(claim) if claim.phase() == Phase::Released => {}
            Ok(_) => return Err(not_released(lease)),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        }
        self.set_aside(lease)?;
        let to = self.archive.join(from.file_name().unwrap_or_default());
        match fs::rename(&from, &to) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(storage(DOING, &from, error)),
        }
        sync_dir(&self.archive)?;
        sync_dir(&self.leases)?;
        for kind in [LockKind::Operate, LockKind::Use] {
            // The lock of a released lease guards nothing; a leftover file costs nothing.
            drop(fs::remove_file(self.locks.join(lock_name(lease, kind))));
        }
        Ok(())
    }

    async fn lock(&self, lease: &LeaseId, kind: LockKind) -> Result<Option<LockGuard>> {
        let path = self.locks.join(lock_name(lease, kind));
        let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = opened.map_err(|error| storage("lock the lease", &path, error))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(LockGuard::new(file))),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(no_locks(&path, error)),
        }
    }
}

/// The name of a file in the set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum FileName {
    Journal { slug: Slug, lease: LeaseId },
    Other(String),
}

impl FileName {
    fn parse(text: &str) -> Self {
        let parts = text.strip_suffix(SUFFIX).and_then(|it| it.split_once('.'));
        let parsed =
            parts.and_then(|(slug, lease)| Some((slug.parse().ok()?, lease.parse().ok()?)));
        match parsed {
            Some((slug, lease)) => Self::Journal { slug, lease },
            None => Self::Other(text.to_owned()),
        }
    }

    fn journal(slug: &Slug, lease: &LeaseId) -> String {
        format!("{slug}.{lease}{SUFFIX}")
    }
}

fn entry_of(path: &Path, name: &FileName) -> Option<Entry> {
    match name {
        FileName::Journal { slug, lease } => match read_claim(path, lease) {
            // It was archived between the listing and the read.
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            claim => Some(Entry { name: slug.to_string(), lease: Some(lease.clone()), claim }),
        },
        FileName::Other(text) => Some(Entry {
            name: text.clone(),
            lease: None,
            claim: Err(Error::harmless(
                ErrorKind::Corrupt,
                "read the leases",
                format!("{} is not a journal of this store; move it away", path.display()),
            )),
        }),
    }
}

fn read_claim(path: &Path, lease: &LeaseId) -> Result<Claim> {
    const DOING: &str = "read the lease";
    let mut file = File::open(path).map_err(|error| missing_or(DOING, lease, path, error))?;
    let bytes = read_bounded(&mut file, path)?;
    let located = |error: Error| {
        let message = format!("{}: {}", path.display(), error.message());
        Error::new(error.kind(), error.effect(), DOING, message).with_source(error)
    };
    let claim = Claim::try_fold(journal::decode(&bytes)).map_err(located)?;
    if claim.lease() != lease {
        let message = format!("{}: it is the journal of {}", path.display(), claim.lease());
        return Err(Error::harmless(ErrorKind::Corrupt, DOING, message));
    }
    Ok(claim)
}

fn find_file(dir: &Path, lease: &LeaseId) -> Result<Option<PathBuf>> {
    let ending = format!(".{lease}{SUFFIX}");
    for entry in fs::read_dir(dir).map_err(|error| storage("find the lease", dir, error))? {
        let entry = entry.map_err(|error| storage("find the lease", dir, error))?;
        if entry.file_name().to_string_lossy().ends_with(&ending) {
            return Ok(Some(entry.path()));
        }
    }
    Ok(None)
}

fn installation_of(dir: &Path, entropy: &dyn Entropy) -> Result<InstallationId> {
    let path = dir.join("installation");
    match fs::read_to_string(&path) {
        Ok(text) => text.trim_end().parse().map_err(|error: Error| {
            Error::harmless(
                ErrorKind::Corrupt,
                "read the installation id",
                format!("{}: {error}", path.display()),
            )
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let id = InstallationId::draw(entropy)?;
            file::write_new(
                dir,
                "installation",
                "installation.unfinished",
                format!("{id}\n").as_bytes(),
            )?;
            Ok(id)
        }
        Err(error) => Err(storage("read the installation id", &path, error)),
    }
}

fn lock_name(lease: &LeaseId, kind: LockKind) -> String {
    match kind {
        LockKind::Operate => format!("{lease}.operate"),
        LockKind::Use => format!("{lease}.use"),
    }
}

fn lock_file(path: &Path) -> Result<File> {
    let opened = OpenOptions::new().create(true).truncate(false).write(true).open(path);
    let file = opened.map_err(|error| storage("lock the state directory", path, error))?;
    lock(&file, path)?;
    Ok(file)
}

fn lock(file: &File, path: &Path) -> Result<()> {
    file.lock().map_err(|error| no_locks(path, error))
}

fn no_locks(path: &Path, error: io::Error) -> Error {
    let message = format!(
        "{}: file locks do not work here; set LEASE_STATE_DIR to a directory on a local file system",
        path.display()
    );
    Error::new(ErrorKind::Storage, Effect::None, "lock the state directory", message)
        .with_source(error)
}

fn missing_or(doing: &'static str, lease: &LeaseId, path: &Path, error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::NotFound {
        not_live(lease)
    } else {
        storage(doing, path, error)
    }
}

#[cfg(test)]
mod tests;
