//! The verdict over a world: the ledger held against what the store says, and what was noticed on the way.

use std::fmt;

use lease_core::spec::Retention;
use lease_core::store::Entry as Recorded;
use lease_core::{Claim, Store};

use super::{Entry, Origin, World};

/// A rule that was broken, noticed at the moment it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A create arrived for which no durable record stands as being sent.
    CreatedWithoutIntent(String),
    /// A create made a second resource for one intent, or a second machine for one lease.
    Second(String),
    /// Something foreign was destroyed.
    ForeignDestroyed(String),
    /// A key was destroyed while a machine used it.
    OutOfOrder(String),
    /// Something of a kept lease was destroyed.
    KeptDestroyed(String),
    /// Something was destroyed although nobody ended the lease or gave the candidate up.
    DestroyedUnasked(String),
    /// The login key was removed while a machine of its lease existed.
    KeyForgotten(String),
    /// A loop did not end.
    Unbounded(String),
    /// What was acknowledged to the caller does not hold.
    PromiseBroken(String),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreatedWithoutIntent(what) => write!(f, "created without an intent: {what}"),
            Self::Second(what) => write!(f, "created twice: {what}"),
            Self::ForeignDestroyed(what) => write!(f, "destroyed something foreign: {what}"),
            Self::OutOfOrder(what) => write!(f, "destroyed out of order: {what}"),
            Self::KeptDestroyed(what) => write!(f, "destroyed something kept: {what}"),
            Self::DestroyedUnasked(what) => write!(f, "destroyed without being asked: {what}"),
            Self::KeyForgotten(what) => write!(f, "forgot a key too early: {what}"),
            Self::Unbounded(what) => write!(f, "did not end: {what}"),
            Self::PromiseBroken(what) => write!(f, "broke a promise: {what}"),
        }
    }
}

/// What is wrong with a world; everything is empty when nothing is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Resources of ours that live on although no live, kept lease names them.
    pub leaked: Vec<String>,
    /// Resources that a live lease still names, so that somebody will look after them.
    pub pending: Vec<String>,
    /// Broken rules, in the order in which they were broken.
    pub violations: Vec<Violation>,
}

impl Audit {
    /// Whether nothing is wrong: no leak and no violation. What is pending is for the caller to judge.
    pub fn is_clean(&self) -> bool {
        self.leaked.is_empty() && self.violations.is_empty()
    }
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let leaked = self.leaked.iter().map(|it| format!("leaked: {it}"));
        let violations = self.violations.iter().map(ToString::to_string);
        let lines: Vec<_> = leaked.chain(violations).collect();
        f.write_str(&lines.join("; "))
    }
}

impl World {
    /// Holds the ledger against `store`.
    ///
    /// A resource counts as leaked when it lives and no live lease names it, and as pending when a live lease that is
    /// not kept does.
    pub async fn audit(&self, store: &dyn Store) -> Audit {
        let claims = match store.scan().await {
            Ok(entries) => entries,
            Err(error) => {
                let unreadable =
                    Violation::PromiseBroken(format!("the store cannot be read: {error}"));
                return Audit { violations: vec![unreadable], ..Audit::default() };
            }
        };
        let state = self.lock();
        let mut audit = Audit { violations: state.violations.clone(), ..Audit::default() };
        for entry in
            state.entries.iter().filter(|it| it.origin == Origin::Ours && it.stopping_at.is_none())
        {
            let shown = format!("{} {} ({})", entry.kind.name(), entry.name, entry.id);
            match claim_of(entry, &claims) {
                None => audit.leaked.push(shown),
                Some(claim) if claim.retention() != Retention::Keep => audit.pending.push(shown),
                Some(_) => {}
            }
        }
        audit
    }
}

fn claim_of<'c>(entry: &Entry, claims: &'c [Recorded]) -> Option<&'c Claim> {
    let marks = entry.marks.as_ref()?;
    claims.iter().filter_map(|it| it.claim.as_ref().ok()).find(|it| {
        let names = |resource: &lease_core::claim::ClaimedResource| {
            resource.intended().nonce == marks.nonce && resource.state().may_exist()
        };
        it.lease() == &marks.lease && it.resources().iter().any(names)
    })
}
