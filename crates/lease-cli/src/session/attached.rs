//! A login on the box of a lease.

use std::time::Duration;

use lease_core::retry::{Bounds, Pace};
use lease_core::store::{LockGuard, LockKind};
use lease_core::{Claim, LeaseId};
use lease_ssh::{BoxRoot, Endpoint, Session, SshError, SyncReport};

use crate::context::Context;
use crate::failure::{Failure, Meaning};
use crate::session::fresh::{Fresh, shown, tell_of};
use crate::session::run::heartbeat;

/// How long the lock is tried for. A reaper that looks holds it for an instant; another run holds it for long.
const LOCK_TIME_MAX: Duration = Duration::from_secs(1);

/// A box that we are logged in to.
#[derive(Debug)]
pub(crate) struct Attached {
    /// The connection.
    pub(crate) session: Session,
    /// The lease's directory on the box.
    pub(crate) root: BoxRoot,
    /// The lease.
    pub(crate) lease: LeaseId,
    /// How often its use is noted.
    pub(crate) heartbeat: Duration,
}

/// The right to change the tree on the box and to run in it, until it is dropped or its process dies.
#[derive(Debug)]
pub(crate) struct UseLock(#[expect(dead_code, reason = "it is held, not read")] LockGuard);

impl UseLock {
    /// Takes the right, or says that somebody else has it.
    pub(crate) async fn take(context: &Context<'_>, claim: &Claim) -> Result<Self, Failure> {
        let mut pace = Pace::start(
            Bounds::within(LOCK_TIME_MAX)
                .paused(Duration::from_millis(20), Duration::from_millis(100)),
        );
        loop {
            if let Some(guard) = context.engine.store().lock(claim.lease(), LockKind::Use).await? {
                return Ok(Self(guard));
            }
            if !pace.wait(None).await {
                let what =
                    format!("{} is in use by another `lease run` or `lease sync`", claim.slug());
                let failure = Failure::invalid(what, "lease run -- COMMAND").kind("busy");
                return Err(failure.meaning(Meaning::StillLeased).lease(claim.lease()));
            }
        }
    }
}

impl Attached {
    /// Logs in to the box of `claim`, or takes up the connection that is open already.
    pub(crate) async fn to(context: &Context<'_>, claim: &Claim) -> Result<Self, Failure> {
        let lease = claim.lease().clone();
        let Some(reach) = claim.usable() else { return Err(unusable(claim)) };
        let client = super::client_for_runs(context, claim)?;
        let login = async {
            let root = BoxRoot::new(reach.root.as_str())?;
            Ok((client.connect(lease.as_str(), &Endpoint::from(reach)).await?, root))
        };
        match login.await {
            Ok((session, root)) => Ok(Self { session, root, lease, heartbeat: heartbeat(claim) }),
            Err(error) => Err(ssh_failure(&error, &lease)),
        }
    }

    /// Makes the directory on the box equal to the tree.
    pub(crate) async fn sync(
        &self,
        context: &Context<'_>,
        mut fresh: Fresh,
    ) -> Result<SyncReport, Failure> {
        let output = context.base.output;
        output.progress().step("syncing the tree");
        let (order, sent) = fresh.order();
        let work = Box::pin(lease_ssh::sync(&self.session, &self.root, order));
        let report = shown(output, sent, work).await;
        let report = report.map_err(|error| ssh_failure(&error, &self.lease))?;
        tell_of(output, &report, context.settings.sync_drift());
        Ok(report)
    }
}

/// Why nothing can be run on the box of `claim`.
pub(crate) fn unusable(claim: &Claim) -> Failure {
    let slug = claim.slug();
    let failure = match claim.releasing() {
        Some(releasing) => Failure::tool(format!("{slug} is being released ({})", releasing.why))
            .meaning(Meaning::Releasing)
            .next("lease list")
            .kind("conflict"),
        None => Failure::tool(format!("{slug} is not ready yet: it is {}", claim.phase()))
            .meaning(Meaning::StillLeased)
            .next(format!("lease show {slug}"))
            .kind("busy"),
    };
    failure.lease(claim.lease())
}

/// What an error between here and the box means for a lease that is still there.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "most of them are the other side being out of reach"
)]
pub(crate) fn ssh_failure(error: &SshError, lease: &LeaseId) -> Failure {
    let kind = match error {
        SshError::Invalid { .. } | SshError::SocketPathTooLong { .. } => "invalid",
        SshError::BoxFull { .. } | SshError::Storage { .. } | SshError::NotPrivate { .. } => {
            "storage"
        }
        _ => "unavailable",
    };
    let (what, next) = Failure::mended(error).unwrap_or_else(|| {
        (format!("{error} ({})", error.next_step()), format!("lease release {lease}"))
    });
    Failure::tool(what).meaning(Meaning::StillLeased).next(next).kind(kind).lease(lease)
}
