//! A store of this tool's own: all journals in one file, which is written anew for each change and renamed into place.
//!
//! A lock on the file beside it keeps every other process away for as long as the ledger is open, so the locks of leases
//! need only be kept in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use lease_core::journal::{self, Event, Opened, Sequence};
use lease_core::store::{Entry, LockGuard, LockKind};
use lease_core::{
    Claim, Error, ErrorKind, InstallationId, LeaseId, OsEntropy, Phase, Result, Slug, Store,
    Timestamp,
};

const DOING: &str = "keep the ledger";

/// The first line of the file names the installation; each journal begins with a line that names its lease.
const INSTALLATION: &str = "installation ";
const LIVE: &str = "live ";
const ARCHIVED: &str = "archived ";

/// The ledger, open.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    installation: InstallationId,
    pages: Mutex<Pages>,
    locks: Arc<Mutex<BTreeSet<(LeaseId, LockKind)>>>,
    _alone: File,
}

#[derive(Clone, Debug, Default)]
struct Pages {
    live: BTreeMap<LeaseId, Vec<u8>>,
    archived: Vec<(LeaseId, Vec<u8>)>,
}

impl Ledger {
    /// Opens the ledger at `path`, and begins one where there is none.
    pub fn open(path: PathBuf) -> Result<Self> {
        let alone = File::create(path.with_extension("lock")).map_err(storage)?;
        alone.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => {
                Error::harmless(ErrorKind::Busy, DOING, "another process has it open")
            }
            TryLockError::Error(error) => storage(error),
        })?;
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read.map_err(storage)?,
        };
        let (installation, pages) = read(&text)?;
        let is_new = installation.is_none();
        let installation = match installation {
            Some(installation) => installation,
            None => InstallationId::draw(&OsEntropy)?,
        };
        let (locks, pages) = (Arc::default(), Mutex::new(pages));
        let ledger = Self { path, installation, pages, locks, _alone: alone };
        if is_new {
            ledger.change(|_| Ok(()))?;
        }
        Ok(ledger)
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a change durable before anybody sees it.
    fn change<T>(&self, change: impl FnOnce(&mut Pages) -> Result<T>) -> Result<T> {
        let mut pages = self.pages();
        let mut next = pages.clone();
        let value = change(&mut next)?;
        write(&self.path, &text(&self.installation, &next)).map_err(storage)?;
        *pages = next;
        Ok(value)
    }
}

fn text(installation: &InstallationId, pages: &Pages) -> Vec<u8> {
    let mut text = format!("{INSTALLATION}{installation}\n").into_bytes();
    let live = pages.live.iter().map(|(lease, journal)| (LIVE, lease, journal));
    let archived = pages.archived.iter().map(|(lease, journal)| (ARCHIVED, lease, journal));
    for (mark, lease, journal) in live.chain(archived) {
        text.extend(format!("{mark}{lease}\n").into_bytes());
        text.extend(journal);
    }
    text
}

fn read(text: &str) -> Result<(Option<InstallationId>, Pages)> {
    let mut pages = Pages::default();
    let mut lines = text.split_inclusive('\n');
    let Some(first) = lines.next() else { return Ok((None, pages)) };
    let corrupt = || Error::harmless(ErrorKind::Corrupt, DOING, "it does not begin as one");
    let installation = first.trim_end().strip_prefix(INSTALLATION).ok_or_else(corrupt)?.parse()?;
    let mut page = &mut Vec::new();
    for line in lines {
        if let Some(lease) = line.strip_prefix(LIVE) {
            page = pages.live.entry(lease.trim_end().parse()?).or_default();
        } else if let Some(lease) = line.strip_prefix(ARCHIVED) {
            pages.archived.push((lease.trim_end().parse()?, Vec::new()));
            let Some((_, last)) = pages.archived.last_mut() else { return Err(corrupt()) };
            page = last;
        } else {
            page.extend(line.as_bytes());
        }
    }
    Ok((Some(installation), pages))
}

/// After a crash the file is the old one or the new one.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

fn storage(error: io::Error) -> Error {
    // The change may be on the disk or not; the engine reads again before it acts on either.
    Error::unsettled(ErrorKind::Storage, DOING, error.to_string()).with_source(error)
}

fn not_live(lease: &LeaseId) -> Error {
    Error::harmless(ErrorKind::NotFound, DOING, format!("{lease} is not a live lease"))
}

fn conflict(message: String) -> Error {
    Error::harmless(ErrorKind::Conflict, DOING, message)
}

fn fold(journal: &[u8]) -> Result<Claim> {
    Claim::try_fold(journal::decode(journal))
}

#[async_trait]
impl Store for Ledger {
    async fn installation(&self) -> Result<InstallationId> {
        Ok(self.installation.clone())
    }

    async fn open(&self, at: Timestamp, opened: Opened, then: &[Event]) -> Result<Claim> {
        let (lease, slug) = (opened.lease.clone(), opened.slug.clone());
        let mut events = vec![Event::Opened(Box::new(opened))];
        events.extend_from_slice(then);
        let journal = journal::encode(Sequence::FIRST, at, &events)?;
        let claim = fold(&journal)?;
        self.change(|pages| {
            let taken = |it: &Vec<u8>| fold(it).is_ok_and(|other| *other.slug() == slug);
            if pages.live.contains_key(&lease) || pages.live.values().any(taken) {
                return Err(conflict(format!("{slug} or {lease} belongs to a live lease")));
            }
            pages.live.insert(lease, journal);
            Ok(claim)
        })
    }

    async fn append(
        &self,
        lease: &LeaseId,
        expected: Sequence,
        at: Timestamp,
        events: &[Event],
    ) -> Result<()> {
        self.change(|pages| {
            let journal = pages.live.get_mut(lease).ok_or_else(|| not_live(lease))?;
            if journal::decode_tail(journal)?.map(|(last, _)| last) != Some(expected) {
                return Err(conflict(format!("{lease} has changed in between")));
            }
            journal.extend(journal::encode(expected.plus(1), at, events)?);
            Ok(())
        })
    }

    async fn load(&self, lease: &LeaseId) -> Result<Claim> {
        let pages = self.pages();
        let archived = || pages.archived.iter().rev().find(|(of, _)| of == lease).map(|(_, it)| it);
        let journal = pages.live.get(lease).or_else(archived);
        fold(journal.ok_or_else(|| not_live(lease))?)
    }

    async fn scan(&self) -> Result<Vec<Entry>> {
        let pages = self.pages();
        let entry = |(lease, journal): (&LeaseId, &Vec<u8>)| Entry {
            name: lease.to_string(),
            lease: Some(lease.clone()),
            claim: fold(journal),
        };
        Ok(pages.live.iter().map(entry).collect())
    }

    async fn names(&self) -> Result<Vec<(LeaseId, Slug)>> {
        let claims = self.scan().await?.into_iter().filter_map(|it| it.claim.ok());
        Ok(claims.map(|it| (it.lease().clone(), it.slug().clone())).collect())
    }

    async fn archive(&self, lease: &LeaseId) -> Result<()> {
        self.change(|pages| {
            let Some(journal) = pages.live.remove(lease) else { return Ok(()) };
            if fold(&journal)?.phase() != Phase::Released {
                let message = format!("{lease} is not released");
                return Err(Error::harmless(ErrorKind::Refused, DOING, message));
            }
            pages.archived.push((lease.clone(), journal));
            Ok(())
        })
    }

    async fn lock(&self, lease: &LeaseId, kind: LockKind) -> Result<Option<LockGuard>> {
        let key = (lease.clone(), kind);
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        if !locks.insert(key.clone()) {
            return Ok(None);
        }
        Ok(Some(LockGuard::new(Held { locks: Arc::clone(&self.locks), key })))
    }
}

#[derive(Debug)]
struct Held {
    locks: Arc<Mutex<BTreeSet<(LeaseId, LockKind)>>>,
    key: (LeaseId, LockKind),
}

impl Drop for Held {
    fn drop(&mut self) {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}
