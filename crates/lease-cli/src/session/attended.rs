//! Work on a box that is no run: its use is noted while it goes on, and an interrupt ends it.

use lease_core::Claim;
use lease_core::retry::pause;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Meaning};
use crate::interrupt::Interrupts;
use crate::session::attached::Attached;
use crate::session::run::{beat, released_meanwhile};

/// Waits for the work. It is dropped at an interrupt, and when the lease is released meanwhile.
pub(crate) async fn attended<T>(
    place: (&Context<'_>, &Attached),
    interrupts: &mut Interrupts,
    work: impl Future<Output = T>,
) -> Result<T, Failure> {
    tokio::select! {
        done = in_use(place, work) => done,
        _ = interrupts.next() => {
            let failure = Failure::tool("interrupted").exit_with(Exit::Interrupted);
            let failure = failure.meaning(Meaning::StillLeased).kind("interrupted");
            Err(failure.next("lease list").lease(&place.1.lease))
        }
    }
}

/// The same without a word about interrupts.
pub(crate) async fn in_use<T>(
    (context, attached): (&Context<'_>, &Attached),
    work: impl Future<Output = T>,
) -> Result<T, Failure> {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return Ok(done),
            () = pause(attached.heartbeat) => {
                beat(context, attached).await;
                if let Some(failure) = released_meanwhile(context, attached).await {
                    return Err(failure);
                }
            }
        }
    }
}

/// Notes that a lease is used, before work on its box begins.
pub(crate) async fn touch(context: &Context<'_>, claim: &Claim) -> Result<(), Failure> {
    let touched = context.engine.touch(claim.lease(), None).await;
    touched.map(drop).map_err(|error| Failure::from(error).lease(claim.lease()))
}
