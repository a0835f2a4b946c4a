//! Acquiring: record the lease, make sure of a reaper, try the candidates in order, wait until a login works.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::claim::{Claim, ClaimedResource};
use crate::engine::clear::Which;
use crate::engine::release::{By, Outcome};
use crate::engine::settle::Resend;
use crate::engine::{Asked, Engine};
use crate::error::{Effect, Error, ErrorKind, Result};
use crate::evidence::{Sighting, Status};
use crate::host::{HostKey, Probe, Reach};
use crate::id::{LeaseId, Nonce, Slug};
use crate::journal::{Change, Disposition, Event, Intended, Opened};
use crate::owner::Owner;
use crate::proof::VerifiedScope;
use crate::provider::{Candidate, Provider};
use crate::retry::{Bounds, Pace};
use crate::scope::Scope;
use crate::spec::{Deadlines, Retention, Spec};
use crate::state::{Phase, ResourceState};
use crate::store::{LeaseWriter, LockGuard, LockKind};
use crate::watch::Notice;

/// How many random slugs are tried before a number is added.
const SLUG_DRAWS_MAX: usize = 16;

const AWAIT: &str = "wait for the machine";

/// What one look at a new machine came to.
enum Look {
    /// A command ran on it.
    Ready(Reach),
    /// Another look may show more.
    NotYet { why: String, at_least: Option<Duration> },
    /// It answers and does not let us in.
    Refused { why: String },
}

impl Look {
    fn not_yet(why: &str) -> Self {
        Self::NotYet { why: why.to_owned(), at_least: None }
    }
}

/// What a caller wants.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Acquire {
    /// The machine.
    pub spec: Spec,
    /// The short name; drawn when it is not given.
    pub slug: Option<Slug>,
    /// Who is responsible for the lease.
    pub owner: Option<Owner>,
    /// What ends it.
    pub retention: Retention,
    /// Ends it so long after its last use.
    pub idle: Option<Duration>,
    /// Ends it after so long in any case.
    pub total: Option<Duration>,
    /// What it is for, for people.
    pub purpose: String,
    /// Leaves everything in place when acquiring fails, instead of rolling back.
    pub keep_on_failure: bool,
}

impl Acquire {
    /// A lease of `spec` that ends with its deadlines, of which there are none yet.
    pub fn new(spec: Spec) -> Self {
        Self {
            spec,
            slug: None,
            owner: None,
            retention: Retention::UntilDeadline,
            idle: None,
            total: None,
            purpose: String::new(),
            keep_on_failure: false,
        }
    }
}

/// A lease that could not be acquired, and what that means for the machine.
#[derive(Debug)]
#[non_exhaustive]
pub struct AcquireFailure {
    /// What went wrong first.
    pub error: Error,
    /// The lease, if it came to be recorded.
    pub lease: Option<LeaseId>,
    /// What is left of it.
    pub left: Left,
}

impl AcquireFailure {
    /// A failure, for a caller that puts steps of its own around [`Engine::acquire`].
    pub fn new(error: Error, lease: Option<LeaseId>, left: Left) -> Self {
        Self { error, lease, left }
    }
}

/// What a failed acquire left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Nothing was ever sent to the provider.
    Nothing,
    /// Whatever was created is proven gone.
    Released,
    /// It was left in place, as asked.
    Kept,
    /// Something may still exist; the release goes on in the background or with the next cleanup.
    MayExist,
}

impl fmt::Display for AcquireFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for AcquireFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

impl From<Error> for AcquireFailure {
    fn from(error: Error) -> Self {
        Self { error, lease: None, left: Left::Nothing }
    }
}

impl Engine {
    /// Leases a machine and returns when a login works.
    ///
    /// # Errors
    /// What failed and what is left. Everything that was created is rolled back before this returns, unless the
    /// request says otherwise or the rollback itself outlasts its budget.
    ///
    /// # Cancel safety
    /// A cancelled call leaves a recorded lease in whatever state it had reached. [`Engine::release`] of it, or any
    /// reaper, clears it; nothing is lost.
    pub async fn acquire(&self, request: Acquire) -> Result<Claim, AcquireFailure> {
        let provider = Arc::clone(self.provider(&request.spec.provider)?);
        let asked = Asked::new(&provider, None);
        let scope = self.read("verify the account", asked, || provider.scope()).await?;
        let candidates =
            self.read("plan the machine", asked, || provider.plan(&request.spec)).await?;
        if candidates.is_empty() {
            let message = "the provider offers no machine for this wish";
            return Err(Error::harmless(ErrorKind::Unsupported, "plan the machine", message).into());
        }
        let keep_on_failure = request.keep_on_failure;
        let mut writer = self.open_lease(request, scope).await?;
        let lease = writer.claim().lease().clone();
        self.observer.notice(&lease, &Notice::Opened { slug: writer.claim().slug().as_str() });
        let guard = self.wait_for_lock(&lease).await;
        let (guard, result) = match guard {
            // The lock stays with us until the fate of a failure is recorded: a reaper must not come in between.
            Ok(Some(guard)) => {
                (Some(guard), self.bring_up(&mut writer, &provider, &candidates).await)
            }
            Ok(None) => {
                let message = "another process already works on this lease";
                (None, Err(Error::harmless(ErrorKind::Busy, "acquire", message)))
            }
            Err(error) => (None, Err(error)),
        };
        let Err(error) = result else {
            self.observer.notice(&lease, &Notice::Phase(writer.claim().phase()));
            return Ok(writer.claim().clone());
        };
        Err(self.fall_back(writer, guard, error, keep_on_failure).await)
    }

    async fn open_lease(&self, request: Acquire, scope: Scope) -> Result<LeaseWriter> {
        let installation = self.store.installation().await?;
        let deadlines = Deadlines::from_spans(self.clock.now(), request.idle, request.total)?;
        let mut opened = Opened {
            lease: LeaseId::draw(self.entropy.as_ref())?,
            slug: match &request.slug {
                Some(slug) => slug.clone(),
                None => Slug::draw(self.entropy.as_ref())?,
            },
            installation,
            scope,
            spec: request.spec,
            owner: request.owner,
            retention: request.retention,
            deadlines,
            purpose: request.purpose,
        };
        for draw in 0.. {
            let (store, clock) = (Arc::clone(&self.store), Arc::clone(&self.clock));
            match LeaseWriter::open(store, clock, opened.clone()).await {
                Err(error)
                    if error.kind() == ErrorKind::Conflict
                        && request.slug.is_none()
                        && draw < 2 * SLUG_DRAWS_MAX =>
                {
                    let entropy = self.entropy.as_ref();
                    let numbered = draw >= SLUG_DRAWS_MAX;
                    opened.slug =
                        if numbered { Slug::draw_numbered(entropy)? } else { Slug::draw(entropy)? };
                }
                result => return result,
            }
        }
        Err(Error::harmless(ErrorKind::Internal, "open a lease", "no slug is free"))
    }

    async fn bring_up(
        &self,
        writer: &mut LeaseWriter,
        provider: &Arc<dyn Provider>,
        candidates: &[Candidate],
    ) -> Result<()> {
        let lease = writer.claim().lease().clone();
        // Whoever came between the opening and the lock may have given the lease back, record and all.
        if writer.reload().await?.releasing().is_some() {
            let message = "the lease is being released";
            return Err(Error::harmless(ErrorKind::Conflict, "acquire", message));
        }
        self.call("make sure of a reaper", self.guardian.ensure(&lease, writer.claim().scope()))
            .await?;
        let public_key = self.call("make a key pair", self.transport.prepare(&lease)).await?;
        let expected = writer.claim().scope().clone();
        for (number, candidate) in candidates.iter().enumerate() {
            // Again for each candidate: clearing the one before may have taken minutes.
            let asked = Asked::new(provider, Some(&lease));
            let verify = || VerifiedScope::verify(provider.as_ref(), &expected);
            self.read("verify the account", asked, verify).await?;
            self.observer.notice(&lease, &Notice::Trying { label: &candidate.label });
            let Err(error) =
                self.create_all(writer, provider, (number, candidate), &public_key).await
            else {
                let reach = self.wait_until_ready(writer, provider).await?;
                return writer.append(&[Event::Ready(reach)]).await;
            };
            let message = error.to_string();
            self.observer
                .notice(&lease, &Notice::GivenUp { label: &candidate.label, why: &message });
            let last = number + 1 == candidates.len();
            if error.kind() != ErrorKind::Capacity || last {
                return Err(error);
            }
            let failed = Event::CandidateFailed { candidate: number, kind: error.kind(), message };
            writer.append(&[failed]).await?;
            // The next candidate is tried only when this one is proven gone: two half machines are never paid for.
            self.clear(writer, provider, Which::Candidate(number)).await?;
        }
        Err(Error::harmless(
            ErrorKind::Internal,
            "acquire",
            "the candidates ended without a result",
        ))
    }

    async fn create_all(
        &self,
        writer: &mut LeaseWriter,
        provider: &Arc<dyn Provider>,
        (number, candidate): (usize, &Candidate),
        public_key: &str,
    ) -> Result<()> {
        let first = writer.claim().resources().len();
        let mut intended = Vec::with_capacity(candidate.resources.len());
        for (offset, template) in candidate.resources.iter().enumerate() {
            intended.push(Intended {
                candidate: number,
                kind: template.kind.clone(),
                disposition: template.disposition,
                name: writer.claim().lease().resource_name(first + offset),
                nonce: Nonce::draw(self.entropy.as_ref())?,
                request: template.request.clone(),
                public_key: public_key.to_owned(),
                id: template.id.clone(),
            });
        }
        let own: Vec<_> = intended.iter().map(|it| it.disposition == Disposition::Own).collect();
        writer.append(&[Event::Intended(intended)]).await?;
        for (offset, own) in own.into_iter().enumerate() {
            if own {
                self.create(writer, provider, first + offset).await?;
            }
        }
        Ok(())
    }

    async fn create(
        &self,
        writer: &mut LeaseWriter,
        provider: &Arc<dyn Provider>,
        index: usize,
    ) -> Result<()> {
        let intent = writer.send(index).await?;
        let first_sent = Instant::now();
        self.tell_state(writer, index);
        let error = match self.call("create a resource", provider.create(&intent)).await {
            Ok(created) => {
                return self.record(writer, index, Change::Created { id: created.id }).await;
            }
            Err(error) => error,
        };
        let message = error.to_string();
        if error.effect() == Effect::None {
            self.record(writer, index, Change::Rejected { kind: error.kind(), message }).await?;
            return Err(error);
        }
        self.record(writer, index, Change::Lost { message }).await?;
        match self.settle(writer, provider, index, Resend::Since(first_sent)).await? {
            ResourceState::Present => Ok(()),
            ResourceState::Intended
            | ResourceState::Creating
            | ResourceState::Uncertain
            | ResourceState::Destroying
            | ResourceState::Gone => Err(error),
        }
    }

    /// Polls the machine, and then the login, until a command runs on it.
    async fn wait_until_ready(
        &self,
        writer: &mut LeaseWriter,
        provider: &Arc<dyn Provider>,
    ) -> Result<Reach> {
        let lease = writer.claim().lease().clone();
        let machine =
            writer.claim().resources().iter().rev().find_map(ClaimedResource::id).cloned();
        let machine = machine
            .ok_or_else(|| Error::harmless(ErrorKind::Internal, AWAIT, "there is no machine"))?;
        let mut pace = Pace::start(Bounds::within(self.settings.ready_timeout));
        let mut refused_since = None;
        loop {
            let sighting = self.call("look at the machine", provider.inspect(&machine)).await;
            let look = self.try_login(&lease, sighting.unwrap_or_else(Sighting::Unclear)).await?;
            let (last, at_least) = match look {
                Look::Ready(reach) => return Ok(reach),
                Look::NotYet { why, at_least } => (why, at_least),
                // A machine that takes a while to land may answer before it has got its keys.
                Look::Refused { why } => {
                    let since = refused_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= provider.descriptor().landing {
                        let message = format!("login is refused: {why}");
                        return Err(Error::unsettled(ErrorKind::Unavailable, AWAIT, message));
                    }
                    (why, None)
                }
            };
            self.observer.notice(&lease, &Notice::Waiting { what: &last, so_far: pace.elapsed() });
            if !pace.wait(at_least).await {
                let message =
                    format!("no login within {} s: {last}", self.settings.ready_timeout.as_secs());
                return Err(Error::unsettled(ErrorKind::Timeout, AWAIT, message));
            }
            if writer.reload().await?.releasing().is_some() {
                return Err(Error::unsettled(
                    ErrorKind::Interrupted,
                    AWAIT,
                    "the lease is being released meanwhile",
                ));
            }
        }
    }

    /// One look at the machine and, if it has an address, one try to log in.
    async fn try_login(&self, lease: &LeaseId, sighting: Sighting) -> Result<Look> {
        let failed =
            |message: String| Err(Error::unsettled(ErrorKind::Unavailable, AWAIT, message));
        let found = match sighting {
            Sighting::Found(found) => found,
            Sighting::Absent | Sighting::Suspects(_) => {
                return Ok(Look::not_yet("the provider does not show it"));
            }
            Sighting::Unclear(error) => {
                let at_least = error.asked_to_wait();
                return Ok(Look::NotYet { why: error.to_string(), at_least });
            }
        };
        let reach = match (found.status, found.reach) {
            (Status::Failed { why }, _) => return failed(format!("it failed to start: {why}")),
            (Status::Stopping, _) => return failed("it is being stopped by somebody".to_owned()),
            (Status::Starting { waiting_for }, None) => {
                return Ok(Look::not_yet(waiting_for.as_deref().unwrap_or("it starts")));
            }
            (Status::Running, None) => return Ok(Look::not_yet("its address is not known yet")),
            (Status::Starting { .. } | Status::Running, Some(reach)) => reach,
        };
        Ok(match self.call("log in", self.transport.probe(lease, &reach)).await {
            Ok(Probe::Ready { host_key }) => {
                Look::Ready(Reach { host_key: HostKey::Pinned(host_key), ..reach })
            }
            Ok(Probe::NotYet { why }) => Look::not_yet(&why),
            Ok(Probe::Never { why }) => Look::Refused { why },
            Err(error) => Look::not_yet(&error.to_string()),
        })
    }

    /// Gives back what a failed acquire made, or leaves it when that was asked for.
    async fn fall_back(
        &self,
        mut writer: LeaseWriter,
        guard: Option<LockGuard>,
        error: Error,
        keep: bool,
    ) -> AcquireFailure {
        let lease = Some(writer.claim().lease().clone());
        let left = match self.try_fall_back(&mut writer, guard, &error, keep).await {
            Ok(left) => left,
            Err(obstacle) => {
                tracing::warn!(lease = %writer.claim().lease(), %obstacle, "the rollback is left to the reaper");
                Left::MayExist
            }
        };
        AcquireFailure { error, lease, left }
    }

    async fn try_fall_back(
        &self,
        writer: &mut LeaseWriter,
        guard: Option<LockGuard>,
        error: &Error,
        keep: bool,
    ) -> Result<Left> {
        let why = format!("acquiring failed: {error}");
        let claim = writer.reload().await?;
        let ever_sent = claim.resources().iter().any(|it| it.sends() > 0);
        let kept = claim.retention() == Retention::Keep;
        let may_exist = claim.resources().iter().any(|it| it.state().may_exist());
        if (keep || kept) && may_exist && claim.releasing().is_none() {
            if !kept {
                writer.append(&[Event::Kept { why }]).await?;
            }
            return Ok(Left::Kept);
        }
        if claim.phase() != Phase::Released && claim.releasing().is_none() {
            // Where nothing can exist there is nothing to keep, so the record may end.
            writer.append(&[Event::Releasing { why, ends_keep: kept }]).await?;
        }
        let guard = match guard {
            Some(guard) => Some(guard),
            None => self.wait_for_lock(writer.claim().lease()).await?,
        };
        let Some(_guard) = guard else { return Ok(Left::MayExist) };
        writer.reload().await?;
        Ok(match self.drive_release(writer, By::Owner).await? {
            Outcome::Released if ever_sent => Left::Released,
            Outcome::Released => Left::Nothing,
            Outcome::Kept(_) => Left::Kept,
            Outcome::Pending(_) => Left::MayExist,
        })
    }

    /// Takes the operate lock, waiting for whoever has it.
    pub(super) async fn wait_for_lock(&self, lease: &LeaseId) -> Result<Option<LockGuard>> {
        let mut pace = Pace::start(Bounds::within(self.settings.lock_wait));
        loop {
            if let Some(guard) = self.store.lock(lease, LockKind::Operate).await? {
                return Ok(Some(guard));
            }
            if !pace.wait(None).await {
                return Ok(None);
            }
        }
    }
}
