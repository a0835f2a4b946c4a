//! The cloud's own interface, as requests arrive there; the simulated provider speaks to nothing else.

use std::time::Duration;

use lease_core::spec::Retention;
use lease_core::{Claim, Marks, ResourceId, ResourceState, Timestamp};

use super::{Entry, Kind, Origin, State, Twist, Violation, World};

/// A create as it arrives.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) account: String,
    pub(crate) kind: Kind,
    pub(crate) machine_type: Option<String>,
    pub(crate) name: String,
    pub(crate) marks: Marks,
    pub(crate) public_key: String,
    pub(crate) uses: Option<ResourceId>,
}

/// Why the cloud refused; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WireError {
    NameTaken(ResourceId),
    SoldOut,
    NoSuchKey,
    OtherAccount,
    BrokenListing,
}

/// What the cloud answers about one id.
#[derive(Clone, Debug)]
pub(crate) enum Shown {
    Entry(Box<Entry>),
    /// It was accepted and cannot be seen yet.
    NotYet,
    Nothing,
}

impl World {
    /// Takes a create. The store is asked first whether a durable record announces exactly this one.
    pub(crate) async fn order(&self, order: Order) -> Result<ResourceId, WireError> {
        self.check_intent(&order).await;
        let mut state = self.lock();
        if state.account() != order.account {
            return Err(WireError::OtherAccount);
        }
        let twist = state.take_twist(Twist::is_for_create);
        state.check_stock(&order, twist)?;
        let id = state.accept(&order, twist)?;
        if twist == Some(Twist::DeliveredTwice) {
            // The second delivery is answered to nobody.
            drop(state.accept(&order, None));
        }
        Ok(id)
    }

    /// Writes a deadline on what has these marks and on nothing else.
    pub(crate) fn renew(
        &self,
        id: &ResourceId,
        marks: &Marks,
        ends_at: Option<Timestamp>,
    ) -> Result<(), WireError> {
        let mut state = self.lock();
        let now = state.now();
        let held = state.entries.iter_mut().find(|it| it.id == *id && it.exists(now));
        match held {
            Some(entry) if entry.marks.as_ref() == Some(marks) => {
                entry.ends_at = ends_at;
                Ok(())
            }
            Some(_) | None => Err(WireError::NameTaken(id.clone())),
        }
    }

    /// Looks at one id in the account of the credentials.
    pub(crate) fn show(&self, id: &ResourceId) -> Shown {
        let state = self.lock();
        let (now, account) = (state.now(), state.account());
        let here = |it: &&Entry| it.id == *id && it.account == account && it.exists(now);
        match state.entries.iter().find(here) {
            Some(entry) if entry.visible(now) => Shown::Entry(Box::new(entry.clone())),
            Some(_) => Shown::NotYet,
            None => Shown::Nothing,
        }
    }

    /// Everything visible of that name in the account of the credentials.
    pub(crate) fn named(&self, name: &str) -> Vec<Entry> {
        let state = self.lock();
        let (now, account) = (state.now(), state.account());
        let fits = |it: &&Entry| it.account == account && it.name == name && it.visible(now);
        state.entries.iter().filter(fits).cloned().collect()
    }

    /// The account of the credentials and everything marked in it, read page by page.
    pub(crate) fn listing(&self) -> Result<(&'static str, Vec<Entry>), WireError> {
        let mut state = self.lock();
        let twist = state.take_twist(|it| matches!(it, Twist::StaleListing(_) | Twist::LostPage));
        let lag = match twist {
            Some(Twist::StaleListing(span)) => span,
            _ => state.policy.listing_lag,
        };
        let (seen_at, account) = (state.now().saturating_sub(lag), state.account());
        let marked =
            |it: &&Entry| it.account == account && it.marks.is_some() && it.visible(seen_at);
        let all: Vec<Entry> = state.entries.iter().filter(marked).cloned().collect();
        let mut read = Vec::new();
        for (number, page) in all.chunks(state.policy.page_items.max(1)).enumerate() {
            if number > 0 && twist == Some(Twist::LostPage) {
                return Err(WireError::BrokenListing);
            }
            read.extend_from_slice(page);
        }
        // A listing that fits on one page breaks off too: before its end marker.
        if twist == Some(Twist::LostPage) {
            Err(WireError::BrokenListing)
        } else {
            Ok((account, read))
        }
    }

    /// Takes a destroy in the account of the credentials. What is gone or going is success.
    pub(crate) async fn end(&self, account: &str, id: &ResourceId) -> Result<(), WireError> {
        if self.account() != account {
            return Err(WireError::OtherAccount);
        }
        let now = self.lock().now();
        let meant = |it: &Entry| {
            it.id == *id && it.account == account && it.stopping_at.is_none() && it.exists(now)
        };
        let Some(target) = self.ledger().into_iter().find(meant) else { return Ok(()) };
        self.check_end(&target).await;
        let mut state = self.lock();
        let gone_at = now + state.policy.vanishes_in;
        for entry in state.entries.iter_mut().filter(|it| meant(it)) {
            entry.stopping_at = Some(now);
            entry.gone_at = Some(gone_at);
            entry.ended_by = Some(Origin::Ours);
        }
        Ok(())
    }

    /// Whether a machine of the lease exists, seen or unseen.
    pub(crate) fn has_machine(&self, lease: &lease_core::LeaseId) -> bool {
        let state = self.lock();
        let now = state.now();
        let of_lease = |it: &Entry| it.marks.as_ref().is_some_and(|marks| marks.lease == *lease);
        let ours = |it: &Entry| it.origin == Origin::Ours && it.kind == Kind::Machine;
        state.entries.iter().any(|it| ours(it) && of_lease(it) && it.exists(now))
    }

    async fn claim_at_this_moment(
        &self,
        marks: &Marks,
    ) -> Option<Result<Claim, lease_core::Error>> {
        let witness = self.lock().witness.clone()?;
        Some(witness.load(&marks.lease).await)
    }

    /// Invariant I1, seen from the other side.
    async fn check_intent(&self, order: &Order) {
        let Some(claim) = self.claim_at_this_moment(&order.marks).await else { return };
        let announced = claim.is_ok_and(|claim| {
            claim.resources().iter().any(|it| {
                let same = it.intended().nonce == order.marks.nonce
                    && it.intended().name.as_str() == order.name;
                same && matches!(it.state(), ResourceState::Creating | ResourceState::Uncertain)
            })
        });
        if !announced {
            self.blame(Violation::CreatedWithoutIntent(order.name.clone()));
        }
    }

    async fn check_end(&self, target: &Entry) {
        let shown = format!("{} {} ({})", target.kind.name(), target.name, target.id);
        if target.origin == Origin::Foreign {
            self.blame(Violation::ForeignDestroyed(shown));
            return;
        }
        let in_use = {
            let state = self.lock();
            let now = state.now();
            let user =
                |it: &Entry| it.account == target.account && it.uses.as_ref() == Some(&target.id);
            state.entries.iter().any(|it| user(it) && it.exists(now))
        };
        if in_use {
            self.blame(Violation::OutOfOrder(shown.clone()));
        }
        let Some(marks) = &target.marks else { return };
        match self.claim_at_this_moment(marks).await {
            Some(Ok(claim)) if claim.retention() == Retention::Keep => {
                if !(self.lock().destroys_cross_keeps && was_sent(&claim, marks)) {
                    self.blame(Violation::KeptDestroyed(shown));
                }
            }
            Some(Ok(claim)) if claim.releasing().is_none() && !given_up(&claim, marks) => {
                self.blame(Violation::DestroyedUnasked(shown));
            }
            Some(Ok(_)) | None => {}
            Some(Err(error)) => {
                self.blame(Violation::DestroyedUnasked(format!("{shown}: {error}")));
            }
        }
    }
}

/// Whether the candidate that the marked resource belongs to was given up.
fn given_up(claim: &Claim, marks: &Marks) -> bool {
    let resource = claim.resources().iter().find(|it| it.intended().nonce == marks.nonce);
    resource.is_some_and(|it| {
        claim.failed_candidates().iter().any(|failed| failed.candidate == it.intended().candidate)
    })
}

/// Whether a destroy of the marked resource stands in the record.
fn was_sent(claim: &Claim, marks: &Marks) -> bool {
    let resource = claim.resources().iter().find(|it| it.intended().nonce == marks.nonce);
    resource.is_some_and(|it| it.state() == ResourceState::Destroying)
}

impl State {
    fn check_stock(&self, order: &Order, twist: Option<Twist>) -> Result<(), WireError> {
        let wanted = order.machine_type.as_deref();
        if twist == Some(Twist::NoCapacity) || wanted.is_some_and(|it| self.sold_out.contains(it)) {
            return Err(WireError::SoldOut);
        }
        let now = self.now();
        match &order.uses {
            Some(key) if !self.entries.iter().any(|it| it.id == *key && it.exists(now)) => {
                Err(WireError::NoSuchKey)
            }
            Some(_) | None => Ok(()),
        }
    }

    fn accept(&mut self, order: &Order, twist: Option<Twist>) -> Result<ResourceId, WireError> {
        let now = self.now();
        let here = |it: &&Entry| it.account == order.account && it.exists(now);
        let same_name = self.entries.iter().filter(here).find(|it| it.name == order.name);
        if self.policy.unique_names
            && let Some(other) = same_name
        {
            return Err(WireError::NameTaken(other.id.clone()));
        }
        let same_key =
            |it: &&Entry| it.marks.as_ref().is_some_and(|marks| marks.nonce == order.marks.nonce);
        let earlier = self.entries.iter().filter(|it| it.origin == Origin::Ours).find(same_key);
        if let (Some(window), Some(earlier)) = (self.policy.key_window, earlier)
            && now < earlier.accepted_at + window
        {
            return Ok(earlier.id.clone());
        }
        self.notice_second(order, now);
        let delay = match twist {
            Some(Twist::LandsLate(delay)) => delay.min(self.policy.settle),
            _ => self.policy.appears_after,
        };
        Ok(self.enter(order, now, delay))
    }

    fn notice_second(&mut self, order: &Order, now: Duration) {
        let ours = |it: &&Entry| it.origin == Origin::Ours;
        // What somebody else took away meanwhile may be made again.
        let again = |it: &Entry| {
            let same = it.marks.as_ref().is_some_and(|marks| marks.nonce == order.marks.nonce);
            same && (it.exists(now) || it.ended_by != Some(Origin::Foreign))
        };
        let beside = |it: &Entry| {
            order.kind == Kind::Machine
                && it.kind == Kind::Machine
                && it.exists(now)
                && it.marks.as_ref().is_some_and(|marks| marks.lease == order.marks.lease)
        };
        if self.entries.iter().filter(ours).any(|it| again(it) || beside(it)) {
            self.violations.push(Violation::Second(format!(
                "{} {}",
                order.kind.name(),
                order.name
            )));
        }
    }

    fn enter(&mut self, order: &Order, now: Duration, delay: Duration) -> ResourceId {
        let id = self.fresh_id();
        self.entries.push(Entry {
            id: id.clone(),
            account: order.account.clone(),
            kind: order.kind,
            machine_type: order.machine_type.clone(),
            name: order.name.clone(),
            marks: Some(order.marks.clone()),
            origin: Origin::Ours,
            public_key: order.public_key.clone(),
            uses: order.uses.clone(),
            accepted_at: now,
            visible_at: now + delay,
            stopping_at: None,
            gone_at: None,
            ended_by: None,
            ends_at: None,
        });
        id
    }
}
