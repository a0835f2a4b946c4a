//! The rule that proves absence (invariant I4).

use std::time::Duration;

use crate::claim::{Claim, ClaimedResource};
use crate::descriptor::Ownership;
use crate::error::{Error, ErrorKind, Result};
use crate::evidence::{Inventory, Sighting};
use crate::journal::Absence;
use crate::proof::{VerifiedScope, no_resource};
use crate::state::ResourceState;

/// Whether what was seen proves that a resource does not exist (invariant I4).
///
/// `absent_for` is how long, in monotonic time of this process, every look showed it absent.
///
/// # Errors
/// What is still missing for a proof; the record stays.
pub fn prove_absent(
    claim: &Claim,
    index: usize,
    sighting: &Sighting,
    inventory: &Inventory,
    observed: &Observed<'_>,
) -> Result<Absence> {
    let missing =
        |message: String| Err(Error::harmless(ErrorKind::Timeout, "prove absence", message));
    let resource = claim.resources().get(index).ok_or_else(|| no_resource(index))?;
    match sighting {
        Sighting::Absent => {}
        Sighting::Found(found) => return missing(format!("the provider still shows {}", found.id)),
        Sighting::Suspects(suspects) => {
            return missing(format!("it may be one of {} machines", suspects.len()));
        }
        Sighting::Unclear(error) => return missing(format!("the provider could not say: {error}")),
    }
    if observed.scope.scope != *claim.scope() || inventory.scope != *claim.scope() {
        return missing("it was looked for in another account".to_owned());
    }
    if inventory.shows(resource.id.as_ref(), &resource.intended.nonce) {
        return missing("the listing still shows it".to_owned());
    }
    if observed.absent_for < observed.settle {
        return missing(format!("it may still appear within {} ms", observed.settle.as_millis()));
    }
    // An unanswered create may still take effect. How long ago it was sent counts only if two clocks agree on it.
    let waited = observed.sent_before.unwrap_or_default().max(observed.absent_for);
    if may_land(resource, observed.ownership) && waited < observed.landing {
        return missing(format!("its create may land within {} ms", observed.landing.as_millis()));
    }
    Ok(Absence {
        listed: inventory.items.len(),
        absent_for_ms: crate::time::millis(observed.absent_for),
    })
}

/// Whether a create that was sent may still take effect although the resource is not seen: its answer never came, or it
/// was repeated, and what its first attempt does comes on top of what the repetition did. Where only the answer to a create
/// tells whose a machine is, a repetition names the same one by its key, so nothing else is waited for.
pub(crate) fn may_land(resource: &ClaimedResource, ownership: Ownership) -> bool {
    match resource.state {
        ResourceState::Uncertain => true,
        ResourceState::Present | ResourceState::Destroying => {
            resource.sends > 1 && ownership == Ownership::Marks
        }
        ResourceState::Intended | ResourceState::Creating | ResourceState::Gone => false,
    }
}

/// Under which circumstances something was looked for.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// The account, verified in this process.
    pub scope: &'a VerifiedScope,
    /// For how long every look showed it absent.
    pub absent_for: Duration,
    /// For how long the provider's descriptor demands it.
    pub settle: Duration,
    /// How long ago the latest create was sent at the least, where that is known.
    pub sent_before: Option<Duration>,
    /// How long an unanswered create may still take effect, by the provider's descriptor.
    pub landing: Duration,
    /// What tells whose a resource is, by the provider's descriptor.
    pub ownership: Ownership,
}
