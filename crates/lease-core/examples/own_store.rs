//! A store and a clock of one's own: leases whose records live in a key-value service, and end after a crash.
//!
//! Everything that the engine needs of a store is built here on three verbs that most such services have: get, list, and
//! replace a value if nobody replaced it in between. The example then does what a store is for. A process leases two
//! boxes for an hour and dies; another one, two hours later, finds the records and gives both back.
//!
//! ```text
//! cargo run -p lease-core --example own_store
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod workshop;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use lease_core::engine::{Acquire, Outcome, plan};
use lease_core::journal::{self, Event, Opened, Sequence};
use lease_core::store::{Entry, LockGuard, LockKind};
use lease_core::{
    Claim, Clock, Engine, Error, ErrorKind, InstallationId, LeaseId, OsEntropy, Phase, Provider,
    Result, Slug, Spec, Steady, Store, Timestamp,
};

use workshop::{Here, WORKSHOP, WallClock, Workshop};

/// What a key-value service has to offer. Once `swap` returns, its effect must survive a crash of the service.
trait KeyValue: fmt::Debug + Send + Sync + 'static {
    fn get(&self, key: &str) -> Option<Vec<u8>>;
    /// Replaces the value of `key` if it is still `old`, and says whether it did. `None` stands for no value.
    fn swap(&self, key: &str, old: Option<&[u8]>, new: Option<&[u8]>) -> bool;
    /// The keys that begin with `prefix`, in order, without it.
    fn list(&self, prefix: &str) -> Vec<String>;
}

/// The service of this example. It outlives the engines, as a real one outlives processes.
#[derive(Debug, Default)]
struct Cabinet(Mutex<BTreeMap<String, Vec<u8>>>);

impl KeyValue for Cabinet {
    fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn swap(&self, key: &str, old: Option<&[u8]>, new: Option<&[u8]>) -> bool {
        let mut drawers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if drawers.get(key).map(Vec::as_slice) != old {
            return false;
        }
        match new {
            Some(new) => drop(drawers.insert(key.to_owned(), new.to_vec())),
            None => drop(drawers.remove(key)),
        }
        true
    }

    fn list(&self, prefix: &str) -> Vec<String> {
        let drawers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        drawers.keys().filter_map(|it| it.strip_prefix(prefix)).map(str::to_owned).collect()
    }
}

/// Journals in a key-value service.
///
/// ```text
/// installation         the installation id
/// slug/SLUG            the live lease that is called so
/// live/LEASE           its journal
/// lock/LEASE/KIND      there while somebody holds the lock
/// archive/LEASE/NUMBER the journals of a released lease, one for each of its lives
/// ```
#[derive(Clone, Debug)]
struct KeyValueStore<K: KeyValue> {
    service: Arc<K>,
}

impl<K: KeyValue> KeyValueStore<K> {
    fn new(service: Arc<K>) -> Self {
        Self { service }
    }

    fn journal(&self, lease: &LeaseId) -> Option<Vec<u8>> {
        self.service.get(&format!("live/{lease}"))
    }

    fn archived(&self, lease: &LeaseId) -> Option<Vec<u8>> {
        let lives = self.service.list(&format!("archive/{lease}/"));
        self.service.get(&format!("archive/{lease}/{}", lives.last()?))
    }

    /// Takes the slug for the lease. One that a crash left behind belongs to a lease without a journal, and is taken.
    fn reserve(&self, slug: &Slug, lease: &LeaseId) -> Result<()> {
        let key = format!("slug/{slug}");
        let holder = self.service.get(&key);
        let held = |holder: &[u8]| {
            let holder = String::from_utf8_lossy(holder);
            self.service.get(&format!("live/{holder}")).is_some()
        };
        if !holder.as_deref().is_some_and(held)
            && self.service.swap(&key, holder.as_deref(), Some(lease.as_str().as_bytes()))
        {
            return Ok(());
        }
        let message = format!("the slug {slug} belongs to a live lease");
        Err(Error::harmless(ErrorKind::Conflict, "open a lease", message))
    }
}

fn not_live(lease: &LeaseId) -> Error {
    Error::harmless(ErrorKind::NotFound, "read the lease", format!("{lease} is not a live lease"))
}

fn moved_on(lease: &LeaseId) -> Error {
    let message = format!("another process changed {lease} in between");
    Error::harmless(ErrorKind::Conflict, "record an event", message)
}

#[async_trait]
impl<K: KeyValue> Store for KeyValueStore<K> {
    async fn installation(&self) -> Result<InstallationId> {
        let drawn = InstallationId::draw(&OsEntropy)?;
        // Of several processes that are the first, one wins; all of them read what it wrote.
        self.service.swap("installation", None, Some(drawn.as_str().as_bytes()));
        let kept = self.service.get("installation").unwrap_or_default();
        String::from_utf8_lossy(&kept).parse()
    }

    async fn open(&self, at: Timestamp, opened: Opened, then: &[Event]) -> Result<Claim> {
        let (lease, slug) = (opened.lease.clone(), opened.slug.clone());
        let mut events = vec![Event::Opened(Box::new(opened))];
        events.extend_from_slice(then);
        let bytes = journal::encode(Sequence::FIRST, at, &events)?;
        let claim = Claim::try_fold(journal::decode(&bytes))?;
        self.reserve(&slug, &lease)?;
        if !self.service.swap(&format!("live/{lease}"), None, Some(&bytes)) {
            return Err(moved_on(&lease));
        }
        Ok(claim)
    }

    async fn append(
        &self,
        lease: &LeaseId,
        expected: Sequence,
        at: Timestamp,
        events: &[Event],
    ) -> Result<()> {
        let old = self.journal(lease).ok_or_else(|| not_live(lease))?;
        if journal::decode_tail(&old)?.map(|(last, _)| last) != Some(expected) {
            return Err(moved_on(lease));
        }
        let mut new = old.clone();
        new.extend(journal::encode(expected.plus(1), at, events)?);
        // The sequence was read before, so it is the swap that keeps two writers apart.
        if self.service.swap(&format!("live/{lease}"), Some(&old), Some(&new)) {
            Ok(())
        } else {
            Err(moved_on(lease))
        }
    }

    async fn load(&self, lease: &LeaseId) -> Result<Claim> {
        let bytes = self.journal(lease).or_else(|| self.archived(lease));
        Claim::try_fold(journal::decode(&bytes.ok_or_else(|| not_live(lease))?))
    }

    async fn scan(&self) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for name in self.service.list("live/") {
            // A lease that was archived since the keys were listed is not live any more.
            let Some(bytes) = self.service.get(&format!("live/{name}")) else { continue };
            let claim = Claim::try_fold(journal::decode(&bytes));
            entries.push(Entry { lease: name.parse().ok(), name, claim });
        }
        Ok(entries)
    }

    async fn names(&self) -> Result<Vec<(LeaseId, Slug)>> {
        let mut names = Vec::new();
        for slug in self.service.list("slug/") {
            let holder = self.service.get(&format!("slug/{slug}")).unwrap_or_default();
            let lease: LeaseId = String::from_utf8_lossy(&holder).parse()?;
            if self.journal(&lease).is_some() {
                names.push((lease, slug.parse()?));
            }
        }
        Ok(names)
    }

    async fn archive(&self, lease: &LeaseId) -> Result<()> {
        let Some(bytes) = self.journal(lease) else { return Ok(()) };
        let claim = Claim::try_fold(journal::decode(&bytes))?;
        if claim.phase() != Phase::Released {
            let message = format!("{lease} is not released");
            return Err(Error::harmless(ErrorKind::Refused, "archive the lease", message));
        }
        // The copy comes first: whoever is cut off in between makes no second one, and does the rest.
        if self.archived(lease).as_ref() != Some(&bytes) {
            let lives = self.service.list(&format!("archive/{lease}/")).len();
            self.service.swap(&format!("archive/{lease}/{lives:06}"), None, Some(&bytes));
        }
        self.service.swap(&format!("live/{lease}"), Some(&bytes), None);
        let holder = lease.as_str().as_bytes();
        self.service.swap(&format!("slug/{}", claim.slug()), Some(holder), None);
        Ok(())
    }

    async fn lock(&self, lease: &LeaseId, kind: LockKind) -> Result<Option<LockGuard>> {
        let key = format!("lock/{lease}/{kind:?}");
        if !self.service.swap(&key, None, Some(b"held")) {
            return Ok(None);
        }
        // The guard ends with its process here, because the service does. A service on a network needs a key that it
        // drops by itself when its holder is gone: a session, or a time to live that the holder renews.
        Ok(Some(LockGuard::new(Held { service: Arc::clone(&self.service), key })))
    }
}

#[derive(Debug)]
struct Held<K: KeyValue> {
    service: Arc<K>,
    key: String,
}

impl<K: KeyValue> Drop for Held<K> {
    fn drop(&mut self) {
        self.service.swap(&self.key, Some(b"held"), None);
    }
}

/// The clock of this machine, moved forward: what a test of a tool's own deadlines needs.
#[derive(Debug, Default)]
struct MovedClock {
    by_ms: AtomicU64,
}

impl MovedClock {
    fn advance(&self, span: Duration) {
        self.by_ms.fetch_add(lease_core::time::millis(span), Ordering::Relaxed);
    }
}

impl Clock for MovedClock {
    fn now(&self) -> Timestamp {
        WallClock.now().after(Duration::from_millis(self.by_ms.load(Ordering::Relaxed)))
    }

    fn steady(&self) -> Option<Steady> {
        WallClock.steady()
    }
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (cabinet, clock) = (Arc::new(Cabinet::default()), Arc::new(MovedClock::default()));
    let workshop = Arc::new(Workshop::new(WORKSHOP));
    let engine = || {
        let store = Arc::new(KeyValueStore::new(Arc::clone(&cabinet)));
        let clock = Arc::clone(&clock) as Arc<dyn Clock>;
        let provider = Arc::clone(&workshop) as Arc<dyn Provider>;
        Engine::builder(store, Arc::new(Here), clock).provider(provider).build()
    };

    let first = engine();
    for _ in 0..2 {
        let mut wish = Acquire::new(Spec::new("workshop"));
        wish.total = Some(HOUR);
        let claim = first.acquire(wish).await?;
        println!("leased {} for an hour", claim.slug());
    }
    drop(first);

    clock.advance(2 * HOUR);
    let second = engine();
    let steps = plan(&second.observe(None).await?, clock.now());
    println!("two hours later another process plans {} steps", steps.len());
    for done in second.execute(&steps).await.done {
        match done.result? {
            Outcome::Released => println!("released {}", done.slug),
            Outcome::Kept(_) | Outcome::Pending(_) => println!("not released: {}", done.slug),
        }
    }
    for key in cabinet.list("") {
        println!("  the cabinet holds {key}");
    }
    let left = workshop.list().await?.items.len();
    if left > 0 || !second.store().scan().await?.is_empty() {
        return Err(format!("{left} benches are still taken").into());
    }
    Ok(())
}
