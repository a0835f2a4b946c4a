//! Whether the machine behind a lost connection is still there, by what its provider says: nobody needs to wait for one
//! that is provably gone.

use std::time::Duration;

use lease_core::retry::pause;
use lease_core::{Claim, Provider, ResourceId, ResourceState, Sighting, Status, VerifiedScope};
use tokio::time::{Instant, timeout};

use crate::context::Context;
use crate::failure::{Failure, Meaning};
use crate::session::attached::Attached;
use crate::session::run::released_meanwhile;

/// How often the provider is asked while the connection is lost.
const ASKED_EVERY: Duration = Duration::from_secs(10);
/// How often it is looked whether a connection that holds still does.
const LOOKED_EVERY: Duration = Duration::from_secs(30);
/// How long a connection may take to show that it holds, and a provider to answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);
const PROVIDER_TIME_MAX: Duration = Duration::from_secs(30);

/// When it is looked for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// The connection is lost.
    Now,
    /// The connection was opened just now.
    Later,
}

/// Returns once the provider has said that the machine is gone for good or has failed, while no connection to it holds.
/// Whatever cannot be told keeps everything as it is: this goes on for as long as it is waited for.
pub(super) async fn gone(context: &Context<'_>, attached: &Attached, first: First) -> Failure {
    if first == First::Later {
        pause(LOOKED_EVERY).await;
    }
    let mut absent_since = None;
    loop {
        if matches!(timeout(ANSWER_TIME_MAX, attached.session.check()).await, Ok(Ok(()))) {
            absent_since = None;
            pause(LOOKED_EVERY).await;
            continue;
        }
        let asked = timeout(PROVIDER_TIME_MAX, ask(context, attached)).await;
        let next = match asked.ok().flatten() {
            Some(Answer::Failed(why)) => return told(context, attached, &why).await,
            Some(Answer::Absent { settle }) => {
                // An answer may lag behind for so long.
                let since: Instant = *absent_since.get_or_insert_with(Instant::now);
                let left = settle.saturating_sub(since.elapsed());
                if left.is_zero() {
                    return told(context, attached, "it is gone").await;
                }
                left.min(ASKED_EVERY)
            }
            Some(Answer::Exists) | None => {
                absent_since = None;
                ASKED_EVERY
            }
        };
        pause(next).await;
    }
}

/// What a provider said of a machine.
enum Answer {
    Exists,
    Absent { settle: Duration },
    Failed(String),
}

/// Asks once; nothing where it cannot be told.
async fn ask(context: &Context<'_>, attached: &Attached) -> Option<Answer> {
    let claim = context.engine.store().load(&attached.lease).await.ok()?;
    let provider = context.engine.provider(claim.provider()).ok()?;
    let machine = machine(&claim)?;
    // Another account has never heard of it.
    let verified = VerifiedScope::verify(provider.as_ref(), claim.scope()).await;
    let seen = match verified {
        Ok(_scope) => look(provider.as_ref(), machine).await,
        Err(error) => Err(error),
    };
    seen.inspect_err(|error| tracing::debug!(%error, "whether the machine is there is not known"))
        .ok()
}

async fn look(provider: &dyn Provider, machine: &ResourceId) -> lease_core::Result<Answer> {
    Ok(match provider.inspect(machine).await? {
        Sighting::Absent => Answer::Absent { settle: provider.descriptor().settle },
        Sighting::Unclear(error) => return Err(error),
        Sighting::Suspects(_) => Answer::Exists,
        Sighting::Found(found) => match found.status {
            Status::Failed { why } => Answer::Failed(format!("it has failed: {why}")),
            Status::Starting { .. } | Status::Running | Status::Stopping => Answer::Exists,
        },
    })
}

/// The machine of a lease: the last of what was created for it.
fn machine(claim: &Claim) -> Option<&ResourceId> {
    let mut resources = claim.resources().iter().rev();
    resources.find(|it| it.state() == ResourceState::Present).and_then(|it| it.id())
}

/// What that means for a person, unless somebody gave the lease back.
async fn told(context: &Context<'_>, attached: &Attached, why: &str) -> Failure {
    if let Some(failure) = released_meanwhile(context, attached).await {
        return failure;
    }
    let lease = &attached.lease;
    let what = format!(
        "the connection to the box was lost, and its provider says of the machine: {why}; the command does not go on"
    );
    let failure = Failure::tool(what).meaning(Meaning::StillLeased).kind("unavailable");
    failure.next(format!("lease release {lease}")).lease(lease)
}
