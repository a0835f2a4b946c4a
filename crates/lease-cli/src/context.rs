//! What commands work with: the directories, then the records, then the settings and the engine. Each command takes the
//! least of them, so that a broken configuration cannot keep anyone from listing what is leased.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lease_core::engine::Settings as Patience;
use lease_core::store::fs::FsStore;
use lease_core::{Claim, Clock as _, Engine, ErrorKind, LeaseId, Phase, Store, Timestamp};

use crate::catalog::{self, Member};
use crate::config::Settings;
use crate::config::layer::FlagValue;
use crate::config::trust::TrustStore;
use crate::env::{Environment, SystemClock};
use crate::failure::Failure;
use crate::output::Output;
use crate::reaper::Post;
use crate::runs::Runs;
use crate::setup::Setup;
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

    /// The last lease of that short name that was released. The names of archived records say it, see the store.
    pub(crate) fn released(&self, slug: &str) -> Option<LeaseId> {
        let entries = std::fs::read_dir(self.state_dir().ok()?.join("archive")).ok()?;
        let archived = entries.filter_map(|it| {
            let it = it.ok()?;
            let name = it.file_name().into_string().ok()?;
            let lease = name.strip_prefix(slug)?.strip_prefix('.')?.split('.').next()?;
            Some((it.metadata().ok()?.modified().ok()?, lease.parse().ok()?))
        });
        archived.max_by_key(|(at, _)| *at).map(|(_, lease)| lease)
    }

    /// The lease that a person means, as its record stands.
    pub(crate) async fn claim(&self, store: &dyn Store, name: &str) -> Result<Claim, Failure> {
        let lease = resolve(store, name).await?;
        store.load(&lease).await.map_err(|error| Failure::from(error).lease(&lease))
    }

    /// Everything for work on a tree. A setting of its repository that needs trust and has none is refused here.
    pub(crate) async fn open(self, flags: &[FlagValue]) -> Result<Context<'a>, Failure> {
        for (name, meant) in self.environment.misspelt() {
            self.output.note(&format!("{name} has no effect; did you mean {meant}?"));
        }
        let settings = Settings::load(self.environment, flags, &self.trust()?)?;
        let made_with = Some(settings.clone());
        self.open_with(settings, made_with).await
    }

    /// Everything for work on what is leased already. The repository around the current directory has no say in it.
    pub(crate) async fn open_own(self) -> Result<Context<'a>, Failure> {
        let settings = Settings::load_own(self.environment)?;
        self.open_with(settings, None).await
    }

    /// Everything for work on one lease that is there, and its record.
    pub(crate) async fn open_for(self, name: &str) -> Result<(Context<'a>, Claim), Failure> {
        let context = self.open_own().await?;
        let claim = context.claim(name).await?;
        let other = context.other_for(&claim).await?;
        Ok((other.unwrap_or(context), claim))
    }

    /// The same, with the settings that a lease was made with.
    pub(crate) async fn open_with_setup(self, setup: &Setup) -> Result<Context<'a>, Failure> {
        let settings = Settings::load_own(self.environment)?.with(setup);
        self.open_with(settings, None).await
    }

    /// Every provider of this build, made from the settings.
    pub(crate) async fn providers(&self, settings: &Settings) -> Result<Vec<Member>, Failure> {
        catalog::providers(self, settings, &self.store()?.installation().await?)
    }

    async fn open_with(
        self,
        settings: Settings,
        made_with: Option<Settings>,
    ) -> Result<Context<'a>, Failure> {
        let store: Arc<dyn Store> = Arc::new(self.store()?);
        let transport = session::transport(&self)?;
        let members = catalog::providers(&self, &settings, &store.installation().await?)?;
        let posts: Vec<_> = members.iter().filter_map(|it| it.post.clone()).collect();
        let mut builder = Engine::builder(store, transport, Arc::new(SystemClock))
            .guardian(reaper::guardian(&self, posts.clone(), made_with)?)
            .census(reaper::census())
            .observer(self.output.observer())
            .settings(patience(&settings, &members));
        for member in members {
            builder = builder.provider(member.provider);
        }
        Ok(Context { base: self, settings, engine: builder.build(), posts })
    }
}

impl<'a> Context<'a> {
    /// Everything for work on that lease, where that is another provider than the one that is configured now.
    pub(crate) async fn other_for(&self, claim: &Claim) -> Result<Option<Context<'a>>, Failure> {
        match Setup::for_claims(&self.base.state_dir()?, [claim]).first() {
            Some(setup) => self.other_with(setup).await,
            None => Ok(None),
        }
    }

    /// Everything with the settings that leases were made with, unless the provider that is configured now leads to
    /// the same account.
    pub(crate) async fn other_with(&self, setup: &Setup) -> Result<Option<Context<'a>>, Failure> {
        if setup.is_in(self.settings.values()) {
            return Ok(None);
        }
        let provider = self.engine.provider(&setup.scope.provider)?;
        let asked = tokio::time::timeout(SCOPE_TIME_MAX, provider.scope()).await;
        if matches!(asked, Ok(Ok(scope)) if scope == setup.scope) {
            return Ok(None);
        }
        self.base.open_with(self.settings.with(setup), None).await.map(Some)
    }

    /// Whether the record says that everything of the lease is gone. What fails after that is on this side only.
    pub(crate) async fn is_released(&self, lease: &LeaseId) -> bool {
        let claim = self.engine.store().load(lease).await;
        claim.is_ok_and(|it| it.phase() == Phase::Released)
    }

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

/// How long a provider may take to say which account it leads to.
const SCOPE_TIME_MAX: Duration = Duration::from_secs(20);

/// How much longer than the landing of its creates an unknown outcome of a provider is searched for.
const AFTER_LANDING: Duration = Duration::from_secs(60);

/// How patient the engine is: at least so much that it cuts off no provider that still has time.
pub(crate) fn patience(settings: &Settings, members: &[Member]) -> Patience {
    let mut patience = Patience::default();
    patience.ready_timeout = settings.ready_timeout().unwrap_or(patience.ready_timeout);
    patience.read_patience = settings.read_patience().unwrap_or(patience.read_patience);
    for member in members.iter().filter(|it| it.post.is_some()) {
        let descriptor = member.provider.descriptor();
        let search = descriptor.landing + descriptor.settle + AFTER_LANDING;
        patience.call_timeout = patience.call_timeout.max(member.longest_call);
        patience.settle_budget = patience.settle_budget.max(search);
        patience.release_budget =
            patience.release_budget.max(search).max(member.longest_release + AFTER_LANDING);
    }
    patience
}

async fn resolve(store: &dyn Store, name: &str) -> Result<LeaseId, Failure> {
    let error = match lease_core::store::resolve(store, name).await {
        Ok(lease) => return Ok(lease),
        Err(error) => error,
    };
    let is_unknown = error.kind() == ErrorKind::NotFound;
    let failure = Failure::from(error);
    if !is_unknown {
        return Err(failure);
    }
    let slugs = store.names().await.unwrap_or_default();
    let near = crate::config::nearest(name, slugs.iter().map(|(_, slug)| slug.as_str()));
    Err(match near {
        Some(near) => failure.adding(&format!("; did you mean {near}?")),
        None => failure,
    })
}
