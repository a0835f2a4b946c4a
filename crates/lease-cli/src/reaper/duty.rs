//! What a reaper took upon itself: one held post, the account that it can serve there, and when to leave that alone.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lease_core::engine::{Done, Seen};
use lease_core::retry::{Bounds, Pace};
use lease_core::{Claim, ErrorKind, Phase, Provider, Scope};
use tokio::time::Instant;

use crate::context::Context;
use crate::failure::Failure;
use crate::reaper::lock::Watch;
use crate::reaper::post::Post;

/// For how long the locks are tried for while none was got; somebody who merely looks holds one for an instant.
const FIRST_LOCK_TIME_MAX: Duration = Duration::from_secs(1);
/// For how long the others are tried for once one was got.
const OTHER_LOCKS_TIME_MAX: Duration = Duration::from_millis(100);
/// How long the provider may take to say which account this is.
const SCOPE_TIME_MAX: Duration = Duration::from_secs(20);
/// How long after an answer that never came, or came as an error, it is asked again.
const ASKED_AGAIN_AFTER: Duration = Duration::from_secs(30);
/// How long leases are left alone after the provider said that they are not this account's, while it is asked again.
const REST: Duration = Duration::from_secs(30);

/// One held post.
#[derive(Debug)]
pub(super) struct Duty {
    provider: Arc<dyn Provider>,
    watch: Watch,
    /// The account, once the provider said which; every lease of the provider may be ours until then.
    scope: Option<Scope>,
    /// Other accounts that were there when it said so.
    strangers: HashSet<Scope>,
    ask_at: Instant,
    rest_until: Instant,
}

/// Takes every post that is free. None at all means that others are at all of them.
pub(super) async fn take(context: &Context<'_>, state_dir: &Path) -> Result<Vec<Duty>, Failure> {
    let mut duties: Vec<Duty> = Vec::new();
    let mut missing: Vec<&Post> = context.posts.iter().collect();
    let bounds = Bounds::within(FIRST_LOCK_TIME_MAX)
        .paused(Duration::from_millis(5), Duration::from_millis(50));
    let mut pace = Pace::start(bounds);
    loop {
        let mut left = Vec::new();
        for post in missing {
            match Watch::take(state_dir, post)? {
                Some(watch) => duties.push(Duty::new(context, post, watch)?),
                None => left.push(post),
            }
        }
        missing = left;
        let patience = if duties.is_empty() { FIRST_LOCK_TIME_MAX } else { OTHER_LOCKS_TIME_MAX };
        if missing.is_empty() || pace.elapsed() >= patience || !pace.wait(None).await {
            return Ok(duties);
        }
    }
}

impl Duty {
    fn new(context: &Context<'_>, post: &Post, watch: Watch) -> Result<Self, Failure> {
        let provider = Arc::clone(context.engine.provider(post.provider())?);
        let now = Instant::now();
        let strangers = HashSet::new();
        Ok(Self { provider, watch, scope: None, strangers, ask_at: now, rest_until: now })
    }

    /// The provider's registered name.
    pub(super) fn provider(&self) -> &'static str {
        self.provider.descriptor().name
    }

    /// Asks the provider which account this is, when there is a lease whose account that decides about.
    pub(super) async fn ask(&mut self, claims: &[Seen]) {
        let scopes =
            || claims.iter().map(|it| it.claim.scope()).filter(|it| it.provider == self.provider());
        let known = |it: &Scope| self.scope.as_ref() == Some(it) || self.strangers.contains(it);
        if scopes().all(|it| self.scope.is_some() && known(it)) || Instant::now() < self.ask_at {
            return;
        }
        let answer = tokio::time::timeout(SCOPE_TIME_MAX, self.provider.scope()).await;
        match answer {
            Ok(Ok(scope)) => {
                let strangers = scopes().filter(|it| **it != scope).cloned().collect();
                self.strangers = strangers;
                self.scope = Some(scope);
            }
            Ok(Err(error)) => {
                tracing::warn!(provider = self.provider(), %error, "the account is not known");
                self.ask_at = Instant::now() + ASKED_AGAIN_AFTER;
            }
            Err(_elapsed) => {
                tracing::warn!(provider = self.provider(), "the account is not known in time");
                self.ask_at = Instant::now() + ASKED_AGAIN_AFTER;
            }
        }
        if let Err(failure) = self.watch.tell(self.scope.as_ref()) {
            tracing::warn!(%failure, "the lock cannot be written");
        }
    }

    /// Whether the lease can be given back from here. What is proven gone needs no account.
    pub(super) fn serves(&self, claim: &Claim) -> bool {
        let ours = self.scope.as_ref().is_none_or(|it| it == claim.scope());
        claim.provider() == self.provider() && (ours || claim.phase() == Phase::Released)
    }

    /// Whether the leases are left alone right now.
    pub(super) fn rests(&self) -> bool {
        Instant::now() < self.rest_until
    }

    /// Whether the post is not held any more, although nobody gave it back.
    pub(super) fn is_void(&self) -> bool {
        self.watch.is_deleted()
    }

    /// Hears what came of a release. One that is not this account's is no reason to try again and again, and a reason
    /// to ask which account this is.
    pub(super) fn hear(&mut self, done: &Done) {
        let Err(error) = &done.result else { return };
        if matches!(error.kind(), ErrorKind::ScopeChanged | ErrorKind::Unsupported) {
            let now = Instant::now();
            self.scope = None;
            self.ask_at = now;
            self.rest_until = now + REST;
        }
    }

    /// Gives the post back.
    pub(super) fn leave(self) -> Left {
        let left = Left { provider: self.provider(), scope: self.scope };
        self.watch.give_back();
        left
    }
}

/// A post that was given back.
#[derive(Debug)]
pub(super) struct Left {
    provider: &'static str,
    scope: Option<Scope>,
}

impl Left {
    /// Whether the lease could be given back from there.
    pub(super) fn serves(&self, claim: &Claim) -> bool {
        claim.provider() == self.provider
            && self.scope.as_ref().is_none_or(|it| it == claim.scope())
    }
}
