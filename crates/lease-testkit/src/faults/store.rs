//! A store whose disk misbehaves as the script says.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use lease_core::error::Effect;
use lease_core::journal::{Event, Opened, Sequence};
use lease_core::store::{Entry, LockGuard, LockKind};
use lease_core::{Claim, InstallationId, LeaseId, Result, Slug, Store, Timestamp};

use super::point::{Fault, Point};
use super::script::{Script, error};

/// Wraps any store.
#[derive(Clone, Debug)]
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    script: Script,
    files: Option<PathBuf>,
}

impl FaultyStore {
    /// Wraps `inner`.
    pub fn new(inner: Arc<dyn Store>, script: Script) -> Self {
        Self { inner, script, files: None }
    }

    /// The journals of the inner store are files in this directory, so that a torn write can leave real half a line.
    #[must_use]
    pub fn with_files(mut self, dir: PathBuf) -> Self {
        self.files = Some(dir);
        self
    }

    fn check_disk(&self, point: Point) -> Result<()> {
        if self.script.disk_is_full() {
            Err(error(point, Effect::None, "no space left on device"))
        } else {
            Ok(())
        }
    }

    /// Records what a power failure would leave: a prefix of the events, and after it half a line.
    async fn tear(
        &self,
        lease: &LeaseId,
        expected: Sequence,
        at: Timestamp,
        events: &[Event],
    ) -> Result<()> {
        if let [kept @ .., _] = events
            && !kept.is_empty()
        {
            self.inner.append(lease, expected, at, kept).await?;
        }
        let ending = format!(".{lease}.jsonl");
        let entries = self
            .files
            .as_ref()
            .and_then(|it| fs::read_dir(it).ok())
            .into_iter()
            .flatten()
            .flatten();
        for path in entries.map(|it| it.path()).filter(|it| it.to_string_lossy().ends_with(&ending))
        {
            if let Ok(mut bytes) = fs::read(&path) {
                bytes.extend_from_slice(b"{\"v\":1,\"seq\":99,\"at\":1,\"ev");
                drop(fs::write(&path, bytes));
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Store for FaultyStore {
    async fn installation(&self) -> Result<InstallationId> {
        self.inner.installation().await
    }

    async fn open(&self, at: Timestamp, opened: Opened, then: &[Event]) -> Result<Claim> {
        let fault = self.script.arrive(Point::Open, None);
        let action = async {
            self.check_disk(Point::Open)?;
            self.inner.open(at, opened, then).await
        };
        self.script.meet(Point::Open, fault, action).await
    }

    async fn append(
        &self,
        lease: &LeaseId,
        expected: Sequence,
        at: Timestamp,
        events: &[Event],
    ) -> Result<()> {
        let fault = self.script.arrive(Point::Append, None);
        let action = async {
            self.check_disk(Point::Append)?;
            if fault == Some(Fault::TornWrite) {
                return self.tear(lease, expected, at, events).await;
            }
            self.inner.append(lease, expected, at, events).await
        };
        self.script.meet(Point::Append, fault, action).await
    }

    async fn load(&self, lease: &LeaseId) -> Result<Claim> {
        let fault = self.script.arrive(Point::Load, None);
        self.script.meet(Point::Load, fault, self.inner.load(lease)).await
    }

    async fn scan(&self) -> Result<Vec<Entry>> {
        let fault = self.script.arrive(Point::Scan, None);
        self.script.meet(Point::Scan, fault, self.inner.scan()).await
    }

    async fn names(&self) -> Result<Vec<(LeaseId, Slug)>> {
        self.inner.names().await
    }

    async fn archive(&self, lease: &LeaseId) -> Result<()> {
        let fault = self.script.arrive(Point::Archive, None);
        let action = async {
            self.check_disk(Point::Archive)?;
            self.inner.archive(lease).await
        };
        self.script.meet(Point::Archive, fault, action).await
    }

    async fn lock(&self, lease: &LeaseId, kind: LockKind) -> Result<Option<LockGuard>> {
        match self.script.arrive(Point::Lock, None) {
            // A refused lock is one that another process holds.
            Some(Fault::RefusedBefore) => Ok(None),
            fault => self.script.meet(Point::Lock, fault, self.inner.lock(lease, kind)).await,
        }
    }
}
