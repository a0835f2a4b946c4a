//! Where journals live. The contract is small: open, append on top of what was read, read, lock, archive.

pub mod fs;
pub mod memory;
mod writer;

use std::any::Any;
use std::fmt;

use async_trait::async_trait;

use crate::claim::Claim;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{InstallationId, LeaseId, Slug};
use crate::journal::{Event, Opened, Sequence};
use crate::time::Timestamp;

pub use writer::LeaseWriter;

/// A durable set of journals.
///
/// # Contract
///
/// After `open` and `append` return `Ok`, the events survive a crash of the process and of the machine. After an error
/// they may or may not be there; the caller must not act on them, and reads again. `append` succeeds only on top of the
/// sequence it is given (invariant I10). What one journal holds never keeps another from being read.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync {
    /// The id of this installation; drawn once and kept.
    ///
    /// # Errors
    /// When it cannot be read or written durably.
    async fn installation(&self) -> Result<InstallationId>;

    /// Begins a journal with `opened` and the events `then` on top of it: with all of them, or not at all.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when a live lease has the slug or the id; nothing was recorded then.
    async fn open(&self, at: Timestamp, opened: Opened, then: &[Event]) -> Result<Claim>;

    /// Adds events on top of `expected`, all of them or a prefix of them after a crash.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when the journal has moved on; [`ErrorKind::NotFound`] when there is no such live lease.
    async fn append(
        &self,
        lease: &LeaseId,
        expected: Sequence,
        at: Timestamp,
        events: &[Event],
    ) -> Result<()>;

    /// Reads one lease.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], or what makes its journal unreadable.
    async fn load(&self, lease: &LeaseId) -> Result<Claim>;

    /// Reads all live leases. An unreadable one is an entry of its own and hides none.
    ///
    /// # Errors
    /// Only when the set itself cannot be listed.
    async fn scan(&self) -> Result<Vec<Entry>>;

    /// Names all live leases without reading them.
    ///
    /// # Errors
    /// When the set cannot be listed.
    async fn names(&self) -> Result<Vec<(LeaseId, Slug)>>;

    /// Moves a released lease out of the live set. Where an earlier life of the same lease was archived, that record
    /// stays beside it; [`Store::load`] reads the last one.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] when it is not released.
    async fn archive(&self, lease: &LeaseId) -> Result<()>;

    /// Takes a lock without waiting; `None` when another holder has it. It ends when the guard is dropped or its
    /// process dies.
    ///
    /// There need be no such lease: adopting is locked under an id of its own, before there is one.
    ///
    /// # Errors
    /// When locks do not work here.
    async fn lock(&self, lease: &LeaseId, kind: LockKind) -> Result<Option<LockGuard>>;
}

/// One live lease as it was found.
#[derive(Debug)]
pub struct Entry {
    /// What it is called, as far as that can be read.
    pub name: String,
    /// The lease, if its name can be read.
    pub lease: Option<LeaseId>,
    /// Its claim, or why that cannot be read.
    pub claim: Result<Claim>,
}

/// What a lock is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LockKind {
    /// Creating and destroying resources of the lease. Whoever holds it is the only one with a call in flight.
    Operate,
    /// Using the box: syncing and running.
    Use,
}

/// A held lock; dropping it gives it back.
pub struct LockGuard(
    #[expect(dead_code, reason = "it is held, not read")] Box<dyn Any + Send + Sync>,
);

impl LockGuard {
    /// Wraps whatever a store holds while the lock is taken.
    pub fn new(held: impl Any + Send + Sync) -> Self {
        Self(Box::new(held))
    }
}

impl fmt::Debug for LockGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LockGuard")
    }
}

/// The characters that every id begins with, and three of its own: shorter beginnings mean nothing.
const ID_PREFIX_CHARS: usize = "lse-".len() + 3;

/// Finds the one live lease that `name` means: an id, a slug, or the beginning of an id that no other has.
/// The beginning of a slug is not enough: `ci-1` must never mean `ci-10`.
///
/// # Errors
/// [`ErrorKind::NotFound`] when there is none; [`ErrorKind::Invalid`] when several could be meant, with their names.
///
/// # Cancel safety
/// It only reads.
pub async fn resolve(store: &dyn Store, name: &str) -> Result<LeaseId> {
    let names = store.names().await?;
    if let Some((lease, _)) =
        names.iter().find(|(lease, slug)| lease.as_str() == name || slug.as_str() == name)
    {
        return Ok(lease.clone());
    }
    let begins =
        |it: &&(LeaseId, Slug)| name.len() >= ID_PREFIX_CHARS && it.0.as_str().starts_with(name);
    let meant: Vec<_> = names.iter().filter(begins).collect();
    match meant.as_slice() {
        [(lease, _)] => Ok(lease.clone()),
        [] => {
            let message = format!("no live lease is called {name:?}");
            Err(Error::harmless(ErrorKind::NotFound, "find the lease", message))
        }
        several => {
            let list: Vec<_> =
                several.iter().take(8).map(|(lease, slug)| format!("{slug} ({lease})")).collect();
            let message =
                format!("{name:?} could be {} leases: {}", several.len(), list.join(", "));
            Err(Error::harmless(ErrorKind::Invalid, "find the lease", message))
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeSet;

    use super::fs::FsStore;
    use super::memory::MemoryStore;
    use super::*;
    use crate::entropy::OsEntropy;
    use crate::scope::Scope;
    use crate::spec::{Deadlines, Retention, Spec};

    /// How some lease of that name begins.
    pub(crate) fn opened(slug: &str) -> Opened {
        Opened {
            lease: LeaseId::draw(&OsEntropy).unwrap(),
            slug: slug.parse().unwrap(),
            installation: InstallationId::draw(&OsEntropy).unwrap(),
            scope: Scope { provider: "p".into(), endpoint: "e".into(), account: "a".into() },
            spec: Spec::new("p"),
            owner: None,
            retention: Retention::UntilDeadline,
            deadlines: Deadlines::default(),
            purpose: String::new(),
        }
    }

    #[tokio::test]
    async fn a_name_is_an_id_a_slug_or_the_beginning_of_one_id() {
        let dir = tempfile::tempdir().unwrap();
        check_names(&MemoryStore::new().unwrap()).await;
        check_names(&FsStore::open(dir.path()).unwrap()).await;
    }

    #[tokio::test]
    async fn both_stores_keep_the_contract() {
        let dir = tempfile::tempdir().unwrap();
        check_contract(&FsStore::open(dir.path()).unwrap()).await;
        let store = MemoryStore::new().unwrap();
        let lease = check_contract(&store).await;
        let archived = store.archived();
        assert_eq!((archived.len(), &archived[0].0, archived[0].1.len()), (1, &lease, 3));
    }

    /// Goes through the life of a lease, which is archived then, beside that of another one.
    async fn check_contract(store: &dyn Store) -> LeaseId {
        let at = Timestamp::from_millis;
        let kind = |it: Error| it.kind();
        let claim = store.open(at(1), opened("calm-otter"), &[]).await.unwrap();
        let (lease, first) = (claim.lease().clone(), claim.sequence());
        let other = store.open(at(1), opened("swift-lynx"), &[]).await.unwrap();
        for taken in [
            Opened { lease: lease.clone(), ..opened("bold-crane") },
            Opened { slug: claim.slug().clone(), ..opened("bold-crane") },
        ] {
            let refused = store.open(at(2), taken, &[]).await.map_err(kind);
            assert_eq!(refused.unwrap_err(), ErrorKind::Conflict);
        }
        let names = |it: Vec<(LeaseId, Slug)>| -> BTreeSet<String> {
            it.into_iter().map(|(_, slug)| slug.to_string()).collect()
        };
        let both = BTreeSet::from(["calm-otter".to_owned(), "swift-lynx".to_owned()]);
        assert_eq!(names(store.names().await.unwrap()), both);
        assert_eq!(store.scan().await.unwrap().len(), 2);

        let kept = Event::Kept { why: "a test".to_owned() };
        let releasing = Event::Releasing { why: "a test".to_owned(), ends_keep: true };
        store.append(&lease, first, at(3), &[kept.clone(), releasing]).await.unwrap();
        let late = store.append(&lease, first, at(4), std::slice::from_ref(&kept)).await;
        assert_eq!(late.map_err(kind).unwrap_err(), ErrorKind::Conflict);
        let nobody = LeaseId::draw(&OsEntropy).unwrap();
        let missing = store.append(&nobody, first, at(4), &[kept]).await.map_err(kind);
        assert_eq!(missing.unwrap_err(), ErrorKind::NotFound);
        let loaded = store.load(&lease).await.unwrap();
        assert_eq!((loaded.sequence(), loaded.updated_at()), (first.plus(2), at(3)));

        check_locks(store, &lease, other.lease()).await;
        let unreleased = store.archive(other.lease()).await.map_err(kind);
        assert_eq!(unreleased.unwrap_err(), ErrorKind::Refused);
        // Nothing was ever made for it, so it is released at once.
        store.archive(&lease).await.unwrap();
        store.archive(&lease).await.unwrap();
        assert_eq!(names(store.names().await.unwrap()), BTreeSet::from(["swift-lynx".to_owned()]));
        assert_eq!(store.load(&lease).await.unwrap().sequence(), first.plus(2));
        let gone = store.load(&nobody).await.map_err(kind);
        assert_eq!(gone.unwrap_err(), ErrorKind::NotFound);
        lease
    }

    async fn check_locks(store: &dyn Store, one: &LeaseId, other: &LeaseId) {
        let take = async |lease, kind| store.lock(lease, kind).await.unwrap();
        let held = take(one, LockKind::Use).await;
        assert!(held.is_some());
        assert!(take(one, LockKind::Use).await.is_none(), "two hold one lock");
        assert!(take(one, LockKind::Operate).await.is_some());
        assert!(take(other, LockKind::Use).await.is_some());
        drop(held);
        assert!(take(one, LockKind::Use).await.is_some(), "it was not given back");
    }

    async fn check_names(store: &dyn Store) {
        let named = [
            ("lse-aaaaaaaaaaaaaaaaaaaa", "ci-1"),
            ("lse-aaabaaaaaaaaaaaaaaaa", "ci-10"),
            ("lse-baaaaaaaaaaaaaaaaaaa", "calm-otter"),
        ];
        for (lease, slug) in named {
            let opened = Opened { lease: lease.parse().unwrap(), ..opened(slug) };
            store.open(Timestamp::from_millis(1), opened, &[]).await.unwrap();
        }
        let found = async |name| resolve(store, name).await.map(|it| it.to_string());
        for (name, index) in [
            ("ci-1", 0),
            ("ci-10", 1),
            ("calm-otter", 2),
            ("lse-aaaaaaaaaaaaaaaaaaaa", 0),
            ("lse-aaaa", 0),
            ("lse-aaab", 1),
            ("lse-baa", 2),
        ] {
            assert_eq!(found(name).await.unwrap(), named[index].0, "{name}");
        }
        // One character less could be anybody's soon.
        for name in ["lse-ba", "lse-", "", "calm", "ci-", "lse-c"] {
            assert_eq!(found(name).await.unwrap_err().kind(), ErrorKind::NotFound, "{name:?}");
        }
        let several = found("lse-aaa").await.unwrap_err();
        assert_eq!(several.kind(), ErrorKind::Invalid);
        for (lease, slug) in &named[..2] {
            assert!(several.message().contains(&format!("{slug} ({lease})")), "{several}");
        }
    }
}
