//! The planner: what to do about everything that was seen. It is pure; `lease cleanup --dry-run` prints what it returns.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::engine::expiry::{Presence, due};
use crate::engine::observe::{Seen, View};
use crate::evidence::{Found, Inventory, Status};
use crate::id::{LeaseId, Nonce, Slug};
use crate::owner::Liveness;
use crate::spec::Retention;
use crate::state::{Phase, ResourceState};
use crate::time::Timestamp;

/// How long an acquire without a known owner, on which nobody works, is left alone.
const ABANDONED_AFTER: Duration = Duration::from_secs(60);

/// No release waits longer than this before it is tried again.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(15 * 60);

/// One thing to do, or to leave, and why.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Step {
    /// Give the lease back.
    Release {
        /// The lease.
        lease: LeaseId,
        /// Its short name.
        slug: Slug,
        /// The rule that asks for it.
        why: Why,
        /// What was seen.
        evidence: String,
    },
    /// Everything of it is gone; finish its record.
    Archive {
        /// The lease.
        lease: LeaseId,
        /// Its short name.
        slug: Slug,
    },
    /// Nothing to do yet.
    Wait {
        /// The lease.
        lease: LeaseId,
        /// Its short name.
        slug: Slug,
        /// When it is worth looking again, if that is known.
        until: Option<Timestamp>,
        /// What it waits for.
        why: String,
    },
    /// Nothing may be done, by a person's wish.
    Leave {
        /// The lease.
        lease: LeaseId,
        /// Its short name.
        slug: Slug,
        /// Whose wish it is.
        why: String,
    },
    /// A person has to look.
    Attention {
        /// What it is called.
        name: String,
        /// The lease, if that can be told.
        lease: Option<LeaseId>,
        /// What is wrong.
        why: String,
    },
    /// What a released lease of ours had is there again, because a create landed after it was called impossible. Its
    /// marks and our own record both say whose it is: it gets a record again and is released.
    Reclaim {
        /// The provider that shows it.
        provider: String,
        /// What it shows.
        found: Box<Found>,
        /// What proves it.
        why: String,
    },
    /// A resource with marks of this tool that no live lease claims. It is reported and never deleted by a plan.
    Orphan {
        /// The provider that shows it.
        provider: String,
        /// What it shows.
        found: Box<Found>,
        /// Whose marks it carries.
        whose: Whose,
        /// Why it is believed to be ours.
        why: String,
    },
    /// A provider whose resources could not be listed, so nothing is concluded from their absence.
    Unlisted {
        /// The provider.
        provider: String,
        /// Why not.
        why: String,
    },
}

/// Whose marks a resource without a live lease carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Whose {
    /// Those of this installation.
    Ours,
    /// Those of another installation of this tool, which may well have a live lease for it.
    AnotherInstallations,
}

/// The rule by which a lease is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Why {
    /// The process that it belonged to ended.
    OwnerDied,
    /// Its total deadline passed.
    Expired,
    /// Its idle deadline passed.
    Idle,
    /// It was being acquired, and nobody is at it any more.
    Abandoned,
    /// Its machine is not listed any more.
    Vanished,
    /// A release was begun and nobody is at it any more.
    Resume,
}

/// Decides. The same view and time give the same steps, in the order of the view.
pub fn plan(view: &View, now: Timestamp) -> Vec<Step> {
    let mut steps: Vec<_> =
        view.claims.iter().filter_map(|seen| step_for(view, seen, now)).collect();
    steps.extend(view.unreadable.iter().map(|it| Step::Attention {
        name: it.name.clone(),
        lease: it.lease.clone(),
        why: it.error.to_string(),
    }));
    for (provider, inventory) in &view.inventories {
        match inventory {
            Ok(inventory) => steps.extend(orphans(view, provider, inventory)),
            Err(error) => {
                steps.push(Step::Unlisted { provider: provider.clone(), why: error.to_string() });
            }
        }
    }
    steps
}

fn step_for(view: &View, seen: &Seen, now: Timestamp) -> Option<Step> {
    // What is provably gone is not held up by a deadline that lies ahead; what is kept or worked on waits all the same.
    let step = decide(seen, now);
    if matches!(
        step,
        None | Some(Step::Release { why: Why::Expired | Why::Idle | Why::OwnerDied, .. })
    ) && let Some(evidence) = vanished(view, seen, now)
    {
        let (lease, slug) = (seen.claim.lease().clone(), seen.claim.slug().clone());
        return Some(Step::Release { lease, slug, why: Why::Vanished, evidence });
    }
    step
}

/// What the record, the owner and the locks of one lease ask for, whatever its provider lists.
pub(super) fn decide(seen: &Seen, now: Timestamp) -> Option<Step> {
    let claim = &seen.claim;
    let (lease, slug) = (claim.lease().clone(), claim.slug().clone());
    if claim.phase() == Phase::Released {
        return Some(Step::Archive { lease, slug });
    }
    if claim.retention() == Retention::Keep {
        let why = claim.keep_reason().unwrap_or("it is kept").to_owned();
        return Some(Step::Leave { lease, slug, why });
    }
    if seen.operating {
        return Some(Step::Wait {
            lease,
            slug,
            until: None,
            why: "another process is working on it".to_owned(),
        });
    }
    if claim.releasing().is_some() {
        return Some(resume(seen, now));
    }
    if claim.usable().is_none() {
        return Some(unfinished(seen, now));
    }
    let presence = Presence { liveness: seen.liveness, in_use: seen.in_use };
    let why = due(claim, now, presence)?;
    Some(Step::Release { lease, slug, why, evidence: evidence_of(seen, why) })
}

fn resume(seen: &Seen, now: Timestamp) -> Step {
    let claim = &seen.claim;
    let (lease, slug) = (claim.lease().clone(), claim.slug().clone());
    match claim.obstacle() {
        // A time that lies further ahead was written by a clock that was wrong.
        Some(obstacle)
            if obstacle.retry_at > now && obstacle.retry_at <= now.after(RETRY_WAIT_MAX) =>
        {
            Step::Wait {
                lease,
                slug,
                until: Some(obstacle.retry_at),
                why: obstacle.message.clone(),
            }
        }
        Some(obstacle) if obstacle.kind.needs_person() => {
            // It is tried again all the same: the person may have set it right without telling us.
            let evidence = format!("needs a person: {}", obstacle.message);
            Step::Release { lease, slug, why: Why::Resume, evidence }
        }
        Some(obstacle) => {
            let evidence = format!("last obstacle: {}", obstacle.message);
            Step::Release { lease, slug, why: Why::Resume, evidence }
        }
        None => {
            let why = claim.releasing().map_or("", |it| it.why.as_str());
            Step::Release {
                lease,
                slug,
                why: Why::Resume,
                evidence: format!("release begun: {why}"),
            }
        }
    }
}

fn unfinished(seen: &Seen, now: Timestamp) -> Step {
    let claim = &seen.claim;
    let (lease, slug) = (claim.lease().clone(), claim.slug().clone());
    let patience_ends = claim.updated_at().after(ABANDONED_AFTER);
    let late = patience_ends <= now || claim.updated_at() > now.after(ABANDONED_AFTER);
    let dead = seen.liveness == Liveness::Dead;
    if dead || late {
        let evidence = if dead {
            "the process that acquired it ended"
        } else {
            "nobody has worked on it for a minute"
        };
        return Step::Release { lease, slug, why: Why::Abandoned, evidence: evidence.to_owned() };
    }
    Step::Wait { lease, slug, until: Some(patience_ends), why: "it is being acquired".to_owned() }
}

fn evidence_of(seen: &Seen, why: Why) -> String {
    let claim = &seen.claim;
    match (why, claim.owner()) {
        (Why::OwnerDied, Some(owner)) => format!("process {} on {} ended", owner.pid, owner.host),
        (Why::Expired, _) => "its time is over".to_owned(),
        (Why::Idle, _) => "it was not used for its idle time".to_owned(),
        _ => "its record says so".to_owned(),
    }
}

/// Whether a complete and settled listing in the same account lacks the machine. The release proves it again.
fn vanished(view: &View, seen: &Seen, now: Timestamp) -> Option<String> {
    let claim = &seen.claim;
    let inventory = view.inventories.get(claim.provider())?.as_ref().ok()?;
    let settle = view.settle.get(claim.provider()).copied().unwrap_or(Duration::MAX);
    if inventory.scope != *claim.scope() || claim.updated_at().after(settle) >= now {
        return None;
    }
    let machine = claim.resources().iter().rev().find(|it| it.state() == ResourceState::Present)?;
    if inventory.shows(machine.id(), &machine.intended().nonce) {
        return None;
    }
    Some(format!("a complete listing of {} resources does not show it", inventory.items.len()))
}

fn orphans<'a>(
    view: &'a View,
    provider: &'a str,
    inventory: &'a Inventory,
) -> impl Iterator<Item = Step> + 'a {
    let claimed: BTreeSet<&Nonce> = view
        .claims
        .iter()
        .flat_map(|it| it.claim.resources())
        // What was called gone and is listed all the same is nobody's any more.
        .filter(|it| it.state() != ResourceState::Gone)
        .map(|it| &it.intended().nonce)
        .collect();
    // A lease that cannot be read may well own what looks like an orphan, so it is named as such.
    let unreadable: BTreeSet<&LeaseId> =
        view.unreadable.iter().filter_map(|it| it.lease.as_ref()).collect();
    inventory.items.iter().filter_map(move |found| {
        let marks = found.marks.as_ref()?;
        if claimed.contains(&marks.nonce) {
            return None;
        }
        let (provider, found) = (provider.to_owned(), Box::new(found.clone()));
        if marks.installation != view.installation {
            let why = format!(
                "it carries the marks of {} of installation {}, which has no record here",
                marks.lease, marks.installation
            );
            return Some(Step::Orphan { provider, found, whose: Whose::AnotherInstallations, why });
        }
        if view.remembered.contains(&marks.nonce) {
            // What is on its way out needs nobody.
            return (found.status != Status::Stopping).then(|| {
                let why = format!(
                    "the released {} had it: its marks say so, and our record",
                    marks.lease
                );
                Step::Reclaim { provider, found, why }
            });
        }
        let why = if unreadable.contains(&marks.lease) {
            format!("it belongs to {}, whose record cannot be read", marks.lease)
        } else {
            format!("it carries the marks of {}, which is not a live lease", marks.lease)
        };
        Some(Step::Orphan { provider, found, whose: Whose::Ours, why })
    })
}
