//! The contract, method by method. What a box is made of, and how it is removed, is in the other files.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use lease_core::journal::Disposition;
use lease_core::provider::{Check, refuse_unknown_options};
use lease_core::{
    Candidate, Clock, Created, Descriptor, Entropy, Error, ErrorKind, Held, Intent, Inventory,
    Marks, Owned, Provider, ResourceId, ResourceName, Result, Scope, Sighting, Size, Spec, Status,
    Template, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::config::LocalConfig;
use crate::containment::Containment;
use crate::descriptor::{DESCRIPTOR, KIND};
use crate::error::LocalError;
use crate::latch::Latch;
use crate::layout::{Layout, Place, Stage};
use crate::making::{self, Blueprint};
use crate::processes::Suspects;
use crate::record::Record;
use crate::sighting::{Claimed, Seen};
use crate::{checks, identity, removal, sshd};

const PLAN: &str = "plan a box";
const CREATE: &str = "make a box";
const FIND: &str = "find a box";
const INSPECT: &str = "look at a box";
const LIST: &str = "list boxes";
const DESTROY: &str = "remove a box";

/// How often a call begins anew because others are at work on the same box.
const ROUNDS_MAX: usize = 16;

/// Boxes on the machine itself.
pub struct LocalProvider {
    config: LocalConfig,
    layout: Layout,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

/// Shows nothing of the environment that boxes are given.
impl fmt::Debug for LocalProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalProvider").field("root", &self.layout.root()).finish_non_exhaustive()
    }
}

/// The part of a create that does not depend on the lease.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    containment: Containment,
}

impl LocalProvider {
    /// Prepares the directory that boxes live in.
    ///
    /// # Errors
    /// When a configured value cannot be used, or the directory cannot be made.
    pub fn open(
        config: LocalConfig,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self> {
        let prepare = || -> Result<Layout, LocalError> {
            config.check()?;
            let layout = Layout::new(making::make_root(&config.root)?);
            identity::ensure(layout.root(), entropy.as_ref())?;
            Ok(layout)
        };
        let layout = prepare().map_err(|error| error.harmless("open the local provider"))?;
        Ok(Self { config, layout, clock, entropy })
    }

    fn look_at(&self, name: &ResourceName) -> Result<Vec<Seen>, LocalError> {
        self.layout.look(|place| place.name == *name, Seen::look)
    }

    /// The box with these marks, wherever it is. Something of its name that does not say whose it is, is an error.
    fn search(&self, name: &ResourceName, marks: &Marks) -> Result<Option<Seen>, LocalError> {
        let mut unclear = None;
        for seen in self.look_at(name)? {
            if seen.is(marks) {
                return Ok(Some(seen));
            }
            if let (Claimed::Unclear, Status::Failed { why }) = (seen.claim, seen.found.status) {
                unclear = Some(LocalError::Record { path: seen.place.path, why });
            }
        }
        unclear.map_or(Ok(None), Err)
    }

    /// The box of this intent if it is complete already; an error if something else has its name.
    fn made_before(&self, intent: &Intent) -> Result<Option<Created>> {
        let whole = self.layout.whole(intent.name());
        let seen = self
            .search(intent.name(), intent.marks())
            .map_err(|error| error.unsettled(CREATE))?
            .filter(|seen| seen.place.path != self.layout.part(intent.name(), intent.marks()));
        match seen {
            Some(seen) if seen.place.path == whole => {
                let Seen { found, .. } = seen;
                Ok(Some(Created { id: found.id.clone(), shown: Some(Box::new(found)) }))
            }
            // It was made and is being removed.
            Some(seen) => Err(LocalError::Taken(seen.place.path).unsettled(CREATE)),
            None if std::fs::symlink_metadata(&whole).is_ok() => {
                Err(LocalError::Taken(whole).harmless(CREATE))
            }
            None => Ok(None),
        }
    }

    /// Builds in the locked directory and gives the result its name. What fails is taken away again.
    async fn build(&self, latch: Latch, intent: &Intent, draft: Draft<'_>) -> Result<()> {
        let latch = Arc::new(latch);
        let Err(error) = self.try_build(&latch, intent, draft).await else { return Ok(()) };
        let taken_away = removing(Arc::clone(&latch)).await;
        drop(latch);
        let is_gone =
            taken_away.is_ok() && matches!(self.search(intent.name(), intent.marks()), Ok(None));
        Err(if is_gone { error.harmless(CREATE) } else { error.unsettled(CREATE) })
    }

    async fn try_build(
        &self,
        latch: &Arc<Latch>,
        intent: &Intent,
        Draft { sshd, containment }: Draft<'_>,
    ) -> Result<(), LocalError> {
        let (name, marks) = (intent.name(), intent.marks());
        let whole = self.layout.whole(name);
        let record = Record::draft(name, marks, self.clock.now());
        let record = record.served_by(sshd, &self.config.user, containment);
        let blueprint =
            Blueprint::draw(&self.config, intent, record, &whole, self.entropy.as_ref())?;
        // The lock stays with the work on the disk, which goes on when this future is dropped.
        let held = Arc::clone(latch);
        blocking(move || blueprint.build(held.directory())).await?;
        sshd::test(sshd, latch.directory(), self.config.is_root()).await?;
        let held = Arc::clone(latch);
        blocking(move || making::give_name(held.directory(), &whole)).await
    }

    /// Moves a box out of the way, ends what it started, and removes it. `false` when it has moved meanwhile.
    async fn remove(&self, place: &Place, marks: &Marks) -> Result<bool, LocalError> {
        let Some(mut latch) = Latch::take(&place.path).await? else { return Ok(false) };
        let gone = self.layout.gone(&place.name, marks);
        let whole = self.layout.whole(&place.name);
        let suspects = Suspects::of(&self.config, &marks.nonce, &whole, &gone);
        if place.path != gone {
            // No connection can begin any more: ssh does not find what it has to start. What runs already is ended
            // before the box moves, or it could make a directory of the old name anew, which would be nobody's.
            shut(&place.path.join(sshd::CONNECT_FILE))?;
            suspects.end().await?;
            std::fs::rename(&place.path, &gone).map_err(LocalError::file("moving", &place.path))?;
            latch.moved_to(&gone);
            making::sync_directory(self.layout.root())?;
        }
        suspects.end().await?;
        removing(Arc::new(latch)).await?;
        making::sync_directory(self.layout.root())?;
        Ok(true)
    }
}

/// What was found out before anything is made.
#[derive(Clone, Copy, Debug)]
struct Draft<'a> {
    sshd: &'a Path,
    containment: Containment,
}

#[async_trait]
impl Provider for LocalProvider {
    fn descriptor(&self) -> &Descriptor {
        const { &DESCRIPTOR }
    }

    async fn scope(&self) -> Result<Scope> {
        let account = identity::account(self.layout.root(), self.config.uid).await;
        Ok(Scope {
            provider: DESCRIPTOR.name.to_owned(),
            endpoint: self.layout.root().to_string_lossy().into_owned(),
            account: account.map_err(|error| error.harmless("identify the machine"))?,
        })
    }

    async fn plan(&self, spec: &Spec) -> Result<Vec<Candidate>> {
        let harmless = |error: LocalError| error.harmless(PLAN);
        refuse_unknown_options(spec, &["contain"])?;
        let wish = checks::read_wish(spec, self.config.contain).map_err(harmless)?;
        let checked = checks::essential(&self.config, self.layout.root()).await;
        checks::refuse_problems(checked).map_err(harmless)?;
        let containment = wish.settle(&self.config).await.map_err(harmless)?;
        let request = serde_json::to_value(Request { containment })
            .map_err(|error| Error::harmless(ErrorKind::Internal, PLAN, error.to_string()))?;
        let machine =
            Template { kind: KIND.to_owned(), disposition: Disposition::Own, id: None, request };
        Ok(vec![Candidate { label: "this machine".to_owned(), resources: vec![machine] }])
    }

    async fn create(&self, intent: &Intent) -> Result<Created> {
        let harmless = |error: LocalError| error.harmless(CREATE);
        if intent.kind() != KIND {
            let why = format!("there are no resources of the kind {:?}", intent.kind());
            return Err(harmless(LocalError::Request(why)));
        }
        let Request { containment } = Request::deserialize(intent.request()).map_err(|error| {
            harmless(LocalError::Request(format!("the request is not one of ours: {error}")))
        })?;
        let sshd = sshd::find(&self.config).map_err(harmless)?;
        let part = self.layout.part(intent.name(), intent.marks());
        for _ in 0..ROUNDS_MAX {
            if let Some(created) = self.made_before(intent)? {
                return Ok(created);
            }
            making::make_directory(&part).map_err(|error| error.unsettled(CREATE))?;
            // Who locks it may find it half made, by somebody who died; without a lock, it has got its name meanwhile.
            let latch = Latch::take(&part).await.map_err(|error| error.unsettled(CREATE))?;
            if let Some(latch) = latch {
                self.build(latch, intent, Draft { sshd: &sshd, containment }).await?;
            }
        }
        Err(LocalError::Busy(part).unsettled(CREATE))
    }

    async fn find(&self, intent: &Intent) -> Result<Sighting> {
        Ok(match self.search(intent.name(), intent.marks()) {
            Ok(Some(seen)) => Sighting::Found(Box::new(seen.found)),
            Ok(None) => Sighting::Absent,
            Err(error) => Sighting::Unclear(error.harmless(FIND)),
        })
    }

    async fn inspect(&self, id: &ResourceId) -> Result<Sighting> {
        let Ok(name) = id.as_str().parse::<ResourceName>() else { return Ok(Sighting::Absent) };
        let mut seen = match self.look_at(&name) {
            Ok(seen) => seen,
            Err(error) => return Ok(Sighting::Unclear(error.harmless(INSPECT))),
        };
        // Something without marks may be a box that lost its record: it is there, and not provably ours.
        seen.sort_by_key(|it| it.claim != Claimed::Marked);
        let first = seen.into_iter().next();
        Ok(first.map_or(Sighting::Absent, |it| Sighting::Found(Box::new(it.found))))
    }

    async fn list(&self) -> Result<Inventory> {
        let seen = self.layout.look(|_| true, Seen::look);
        let seen = seen.map_err(|error| error.harmless(LIST))?;
        let items = seen.into_iter().filter(|it| it.claim != Claimed::Silent);
        Ok(Inventory { scope: self.scope().await?, items: items.map(|it| it.found).collect() })
    }

    async fn destroy(&self, owned: &Owned) -> Result<()> {
        for _ in 0..ROUNDS_MAX {
            let seen = self.search(owned.name(), owned.marks());
            let Some(seen) = seen.map_err(|error| error.unsettled(DESTROY))? else { return Ok(()) };
            match self.remove(&seen.place, owned.marks()).await {
                // Somebody else removes it, and that takes long.
                Err(LocalError::Busy(_)) if seen.place.stage == Stage::Gone => return Ok(()),
                removed => removed.map_err(|error| error.unsettled(DESTROY))?,
            };
        }
        Err(LocalError::Busy(self.layout.whole(owned.name())).unsettled(DESTROY))
    }

    async fn renew(&self, _held: &Held, _ends_at: Option<Timestamp>) -> Result<()> {
        Ok(())
    }

    async fn sizes(&self) -> Result<Vec<Size>> {
        Ok(Vec::new())
    }

    async fn doctor(&self) -> Result<Vec<Check>> {
        Ok(checks::all(&self.config, self.layout.root()).await)
    }
}

/// Takes away what connections are started with. What ran in the box may have done so already, or put a directory there.
fn shut(connect: &Path) -> Result<(), LocalError> {
    use std::io::ErrorKind::{IsADirectory, NotFound};
    match std::fs::remove_file(connect) {
        Err(error) if !matches!(error.kind(), NotFound | IsADirectory) => {
            Err(LocalError::file("removing", connect)(error))
        }
        _ => Ok(()),
    }
}

/// Removes what is locked. The lock stays with the work on the disk, which goes on when the future is dropped.
async fn removing(latch: Arc<Latch>) -> Result<(), LocalError> {
    blocking(move || removal::remove(latch.directory())).await
}

/// Runs work on the disk where it holds nobody up.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LocalError> + Send + 'static,
) -> Result<T, LocalError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(LocalError::Machine(error.to_string())))
}
