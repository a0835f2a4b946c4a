//! The engine: order, settling, rollback, fallback, proof of absence and expiry, for every provider alike.
//!
//! Each verb is a file. All of them follow one pattern: record, then act, then record what came of it; and all of them
//! can be cut off at any point, because whoever comes next reads the record and goes on from there.

mod absence;
mod acquire;
mod adopt;
mod clear;
mod connect;
mod execute;
mod expiry;
mod observe;
mod plan;
mod release;
mod settle;
mod touch;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::entropy::{Entropy, OsEntropy};
use crate::error::{Effect, Error, ErrorKind, Result};
use crate::host::Transport;
use crate::id::LeaseId;
use crate::provider::Provider;
use crate::retry::{Bounds, Pace};
use crate::store::Store;
use crate::time::Clock;
use crate::watch::{Census, Guardian, NoCensus, NoGuardian, Notice, Observer, Silent};

pub use acquire::{Acquire, AcquireFailure, Left};
pub use execute::{Done, Report};
pub use observe::{Seen, Unreadable, View};
pub use plan::{Step, Whose, Why, plan};
pub use release::{By, Outcome, Release};

/// Everything that a lease needs, put together: a store, providers, a transport and the senses of the caller.
pub struct Engine {
    store: Arc<dyn Store>,
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    providers: Vec<Arc<dyn Provider>>,
    entropy: Arc<dyn Entropy>,
    guardian: Arc<dyn Guardian>,
    census: Arc<dyn Census>,
    observer: Arc<dyn Observer>,
    settings: Settings,
}

/// How patient the engine is. All of these bound one call of a verb; a release that outlasts its budget is gone on with
/// by the next process that looks.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// How long a new machine may take until a login works.
    pub ready_timeout: Duration,
    /// How long an unknown outcome is searched for before the verb gives up on it.
    pub settle_budget: Duration,
    /// How long one call of release works on one resource.
    pub release_budget: Duration,
    /// How long a call that changes nothing is made again, before anything is created, while the provider is busy.
    pub read_patience: Duration,
    /// How long a release waits for another process that works on the same lease.
    pub lock_wait: Duration,
    /// How long any single call of a provider or transport may take; after that its outcome is unknown.
    pub call_timeout: Duration,
    /// The wait before a delayed release is tried again for the first time; it doubles.
    pub retry_first: Duration,
    /// The longest wait before a delayed release is tried again.
    pub retry_max: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ready_timeout: Duration::from_secs(600),
            settle_budget: Duration::from_secs(120),
            release_budget: Duration::from_secs(120),
            read_patience: Duration::from_secs(30),
            lock_wait: Duration::from_secs(30),
            call_timeout: Duration::from_secs(120),
            retry_first: Duration::from_secs(5),
            retry_max: Duration::from_secs(600),
        }
    }
}

/// Puts an [`Engine`] together.
#[derive(Debug)]
#[must_use]
pub struct EngineBuilder {
    engine: Engine,
}

impl EngineBuilder {
    /// Adds a provider.
    pub fn provider(mut self, provider: Arc<dyn Provider>) -> Self {
        self.engine.providers.push(provider);
        self
    }

    /// Draws ids from `entropy` instead of the operating system.
    pub fn entropy(mut self, entropy: Arc<dyn Entropy>) -> Self {
        self.engine.entropy = entropy;
        self
    }

    /// Has `guardian` make sure of a reaper before anything is created.
    pub fn guardian(mut self, guardian: Arc<dyn Guardian>) -> Self {
        self.engine.guardian = guardian;
        self
    }

    /// Asks `census` whether owners still live.
    pub fn census(mut self, census: Arc<dyn Census>) -> Self {
        self.engine.census = census;
        self
    }

    /// Tells `observer` what happens.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.engine.observer = observer;
        self
    }

    /// Replaces the default patience.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.engine.settings = settings;
        self
    }

    /// The finished engine.
    pub fn build(self) -> Engine {
        self.engine
    }
}

impl Engine {
    /// Begins an engine; everything that is not given is the quiet default.
    pub fn builder(
        store: Arc<dyn Store>,
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
    ) -> EngineBuilder {
        EngineBuilder {
            engine: Self {
                store,
                transport,
                clock,
                providers: Vec::new(),
                entropy: Arc::new(OsEntropy),
                guardian: Arc::new(NoGuardian),
                census: Arc::new(NoCensus),
                observer: Arc::new(Silent),
                settings: Settings::default(),
            },
        }
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The transport.
    pub fn transport(&self) -> &Arc<dyn Transport> {
        &self.transport
    }

    /// The providers in the order they were added.
    pub fn providers(&self) -> impl Iterator<Item = &Arc<dyn Provider>> {
        self.providers.iter()
    }

    /// The provider of that name or alias.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] with the names that there are.
    pub fn provider(&self, name: &str) -> Result<&Arc<dyn Provider>> {
        let named = |it: &&Arc<dyn Provider>| {
            let descriptor = it.descriptor();
            descriptor.name == name || descriptor.aliases.contains(&name)
        };
        self.providers.iter().find(named).ok_or_else(|| {
            let there: Vec<_> = self.providers.iter().map(|it| it.descriptor().name).collect();
            let message =
                format!("there is no provider {name:?} here; there is: {}", there.join(", "));
            Error::harmless(ErrorKind::Unsupported, "choose the provider", message)
        })
    }

    /// Makes a call that changes nothing, and makes it again while the other side is busy or asks us to wait. Whoever listens
    /// is told of it, because that takes a while.
    async fn read<T, F>(
        &self,
        doing: &'static str,
        asked: Asked<'_>,
        call: impl Fn() -> F + Send,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send,
        T: Send,
    {
        let mut pace = Pace::start(Bounds::within(self.settings.read_patience));
        loop {
            let error = match self.call(doing, call()).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let passes = matches!(
                error.kind(),
                ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Busy
            );
            if !passes {
                return Err(error);
            }
            let too_long = error.asked_to_wait().is_some_and(|it| it > pace.left());
            self.tell_waiting(asked, &error.to_string(), pace.elapsed());
            if too_long || !pace.wait(error.asked_to_wait()).await {
                return Err(asked.unanswered(doing, error));
            }
        }
    }

    /// Says which provider is waited for, and why.
    fn tell_waiting(&self, asked: Asked<'_>, why: &str, so_far: Duration) {
        let what = format!("{}: {why}", asked.provider);
        match asked.lease {
            Some(lease) => {
                self.observer.notice(lease, &Notice::Waiting { what: &what, so_far });
            }
            None => self.observer.waiting(&what, so_far),
        }
    }

    /// Bounds one call to the outside: what takes longer has an unknown outcome.
    async fn call<T>(
        &self,
        doing: &'static str,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let span = self.settings.call_timeout;
        match tokio::time::timeout(span, call).await {
            Ok(result) => result,
            Err(_elapsed) => {
                let message = format!("no answer within {} s", span.as_secs());
                Err(Error::new(ErrorKind::Timeout, Effect::Unknown, doing, message))
            }
        }
    }
}

/// Who is asked, and for which lease, if there is one already.
#[derive(Clone, Copy, Debug)]
struct Asked<'a> {
    provider: &'a str,
    lease: Option<&'a LeaseId>,
}

impl<'a> Asked<'a> {
    fn new(provider: &Arc<dyn Provider>, lease: Option<&'a LeaseId>) -> Self {
        Self { provider: provider.descriptor().name, lease }
    }

    /// The last error of a call that was made again and again in vain, with who did not answer it.
    fn unanswered(self, doing: &'static str, last: Error) -> Error {
        let message = format!("{} gives no answer of use: {last}", self.provider);
        let error = Error::new(last.kind(), last.effect(), doing, message);
        let error = match last.asked_to_wait() {
            Some(wait) => error.with_retry_after(wait),
            None => error,
        };
        error.with_source(last)
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("store", &self.store)
            .field("providers", &self.providers)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::Claim;
    use crate::spec::Spec;

    fn is_send<T: Send>(_: &T) {}

    /// It is compiled and never run.
    #[expect(dead_code, reason = "that it compiles is the proof")]
    fn every_verb_can_be_spawned(engine: &Engine, claim: &Claim) {
        let lease = claim.lease();
        is_send(&engine.acquire(Acquire::new(Spec::default())));
        is_send(&engine.connect(claim));
        is_send(&engine.release(lease, Release::new(By::Owner, "")));
        is_send(&engine.touch(lease, None));
        is_send(&engine.keep(lease, ""));
        is_send(&engine.observe(None));
        is_send(&engine.execute(&[]));
    }

    #[test]
    fn a_failed_acquire_says_why_down_to_the_cause() {
        let cause = std::io::Error::other("the wire");
        let error = Error::harmless(ErrorKind::Unavailable, "acquire", "no").with_source(cause);
        let failure = AcquireFailure::from(error);
        let source = std::error::Error::source(&failure).map(ToString::to_string);
        assert_eq!(
            (failure.to_string().as_str(), source.as_deref()),
            ("acquire: no", Some("the wire"))
        );
    }

    #[test]
    fn what_embedders_share_and_pass_on_crosses_threads() {
        fn crosses<T: Send + Sync + 'static>() {}
        fn is_error<T: std::error::Error + Send + Sync + 'static>() {}
        crosses::<Engine>();
        crosses::<Claim>();
        crosses::<View>();
        crosses::<Report>();
        is_error::<Error>();
        is_error::<AcquireFailure>();
    }
}
