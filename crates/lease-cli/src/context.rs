//! What commands work with: the directories, then the records, then the settings and the engine. Each command takes the
//! least of them, so that a broken configuration cannot keep anyone from listing what is leased.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lease_core::engine::Settings as Patience;
use lease_core::store::fs::FsStore;
use lease_core::{Claim, Clock as _, Engine, LeaseId, Store, Timestamp};

use crate::catalog;
use crate::config::Settings;
use crate::config::layer::FlagValue;
use crate::config::trust::TrustStore;
use crate::env::{Environment, SystemClock};
use crate::failure::Failure;
use crate::output::Output;
use crate::reaper::Post;
use crate::runs::Runs;
use crate::{reaper, session};

/// What every command has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Base<'a> {
    /// What the process was started with.
    pub(crate) environment: &'a Environment,
    /// Where it may write.
    pub(crate) output: &'a Output,
}

/// What commands have that work on machines.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    /// What every command has.
    pub(crate) base: Base<'a>,
    /// The resolved settings.
    pub(crate) settings: Settings,
    /// The engine with every provider of this build.
    pub(crate) engine: Engine,
    /// What a reaper with our credentials can be responsible for.
    pub(crate) posts: Vec<Post>,
}

impl<'a> Base<'a> {
    /// The directory of the records.
    pub(crate) fn state_dir(&self) -> Result<PathBuf, Failure> {
        self.environment.state_dir()
    }

    /// The directory of the keys of the leases.
    pub(crate) fn keys_dir(&self) -> Result<PathBuf, Failure> {
        Ok(self.state_dir()?.join("keys"))
    }

    /// The records of the leases; made if they are not there.
    pub(crate) fn store(&self) -> Result<FsStore, Failure> {
        Ok(FsStore::open(self.state_dir()?)?)
    }

    /// The records of the runs; nothing is made before the first run.
    pub(crate) fn runs(&self) -> Result<Runs, Failure> {
        Ok(Runs::new(self.state_dir()?.join("runs")))
    }

    /// The records of trust.
    pub(crate) fn trust(&self) -> Result<TrustStore, Failure> {
        Ok(TrustStore::new(&self.state_dir()?))
    }

    /// The time now.
    #[expect(
        clippy::unused_self,
        reason = "a command asks its context, and only the context knows the clock"
    )]
    pub(crate) fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    /// The lease that a person means, as its record stands.
    pub(crate) async fn claim(&self, store: &dyn Store, name: &str) -> Result<Claim, Failure> {
        let lease = resolve(store, name).await?;
        store.load(&lease).await.map_err(|error| Failure::from(error).lease(&lease))
    }

    /// Everything for work on a tree. A setting of its repository that needs trust and has none is refused here.
    pub(crate) fn open(self, flags: &[FlagValue]) -> Result<Context<'a>, Failure> {
        let settings = Settings::load(self.environment, flags, &self.trust()?)?;
        self.open_with(settings)
    }

    /// Everything for work on what is leased already. The repository around the current directory has no say in it.
    pub(crate) fn open_own(self) -> Result<Context<'a>, Failure> {
        let settings = Settings::load_own(self.environment)?;
        self.open_with(settings)
    }

    fn open_with(self, settings: Settings) -> Result<Context<'a>, Failure> {
        let store: Arc<dyn Store> = Arc::new(self.store()?);
        let transport = session::transport(&self)?;
        let members = catalog::providers(&self, &settings)?;
        let posts: Vec<_> = members.iter().filter_map(|it| it.post.clone()).collect();
        let mut builder = Engine::builder(store, transport, Arc::new(SystemClock))
            .guardian(reaper::guardian(&self, posts.clone())?)
            .census(reaper::census())
            .observer(self.output.observer())
            .settings(patience(&settings));
        for member in members {
            builder = builder.provider(member.provider);
        }
        Ok(Context { base: self, settings, engine: builder.build(), posts })
    }
}

impl Context<'_> {
    /// The lease that a person means.
    pub(crate) async fn resolve(&self, name: &str) -> Result<LeaseId, Failure> {
        resolve(self.engine.store().as_ref(), name).await
    }

    /// The lease that a person means, as its record stands.
    pub(crate) async fn claim(&self, name: &str) -> Result<Claim, Failure> {
        self.base.claim(self.engine.store().as_ref(), name).await
    }

    /// The directory that is synced and named as a lease's purpose.
    pub(crate) fn directory(&self) -> Result<&Path, Failure> {
        self.base.environment.directory()
    }
}

fn patience(settings: &Settings) -> Patience {
    let mut patience = Patience::default();
    patience.ready_timeout = settings.ready_timeout().unwrap_or(patience.ready_timeout);
    patience.read_patience = settings.read_patience().unwrap_or(patience.read_patience);
    patience
}

async fn resolve(store: &dyn Store, name: &str) -> Result<LeaseId, Failure> {
    lease_core::store::resolve(store, name).await.map_err(Failure::from)
}
