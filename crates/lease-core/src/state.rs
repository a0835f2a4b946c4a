//! The small machine that every resource follows, and the phase of a lease that is derived from it.
//!
//! The theorem that the whole tool stands on: *after a create was journalled as sent, `Gone` is reached only through a
//! proven rejection of that one attempt or through proven absence.* [`ResourceState::apply`] is pure, its table is a
//! snapshot, and an exhaustive search over it is a test.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where one resource of a lease stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceState {
    /// Journalled; no create was sent.
    Intended,
    /// One create was sent and has not been answered.
    Creating,
    /// A create was sent and what became of it is not known.
    Uncertain,
    /// It exists and its id is journalled.
    Present,
    /// A destroy was sent; absence is not proven.
    Destroying,
    /// It never came to be, or its absence is proven.
    Gone,
}

/// What happened to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Move {
    /// The create is about to be sent.
    Sent,
    /// It is certain that no create was ever sent.
    NeverSent,
    /// The create was answered with an id.
    Created,
    /// The only create that was sent was refused, provably without effect.
    Rejected,
    /// The answer was lost, ambiguous or never came.
    Lost,
    /// The exact same create is about to be sent again, inside the provider's promise of idempotency.
    Resent,
    /// A search found it.
    Found,
    /// It existed before this record began, and the record takes it over.
    Adopted,
    /// A destroy is about to be sent.
    DestroySent,
    /// Absence was proven as invariant I4 demands.
    ProvenAbsent,
}

/// A move that the state does not allow: the record and the world, or two writers, contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a resource that is {state} cannot be {event}")]
pub struct IllegalMove {
    /// Where the resource stood.
    pub state: ResourceState,
    /// What was said to have happened.
    pub event: Move,
}

impl ResourceState {
    /// Every state, in the order of a life.
    pub const ALL: [Self; 6] = [
        Self::Intended,
        Self::Creating,
        Self::Uncertain,
        Self::Present,
        Self::Destroying,
        Self::Gone,
    ];

    /// The state after `event`.
    ///
    /// A replayed create ([`Move::Resent`]) leaves the resource uncertain: a refusal of the replay says nothing about
    /// the first attempt, so from there only a find, an answer with an id, or proven absence leads on.
    ///
    /// # Errors
    /// When the state does not allow the move.
    pub fn apply(self, event: Move) -> Result<Self, IllegalMove> {
        use Move as M;
        use ResourceState as S;
        match (self, event) {
            (S::Intended, M::Sent) => Ok(S::Creating),
            (S::Intended, M::NeverSent) => Ok(S::Gone),
            (S::Intended, M::Adopted) => Ok(S::Present),
            (S::Creating, M::Created) => Ok(S::Present),
            (S::Creating, M::Rejected) => Ok(S::Gone),
            (S::Creating, M::Lost) => Ok(S::Uncertain),
            (S::Uncertain, M::Resent | M::Lost) => Ok(S::Uncertain),
            (S::Uncertain, M::Created | M::Found) => Ok(S::Present),
            // A repeated create made a second one against the provider's promise: it takes the place of the first.
            (S::Present | S::Destroying, M::Found) => Ok(S::Present),
            (S::Uncertain, M::ProvenAbsent) => Ok(S::Gone),
            (S::Present | S::Destroying, M::DestroySent) => Ok(S::Destroying),
            (S::Present | S::Destroying, M::ProvenAbsent) => Ok(S::Gone),
            (state, event) => Err(IllegalMove { state, event }),
        }
    }

    /// Whether something of ours may exist at the provider in this state.
    pub fn may_exist(self) -> bool {
        matches!(self, Self::Creating | Self::Uncertain | Self::Present | Self::Destroying)
    }
}

impl Move {
    /// Every move.
    pub const ALL: [Self; 10] = [
        Self::Sent,
        Self::NeverSent,
        Self::Created,
        Self::Rejected,
        Self::Lost,
        Self::Resent,
        Self::Found,
        Self::Adopted,
        Self::DestroySent,
        Self::ProvenAbsent,
    ];
}

impl fmt::Display for ResourceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Intended => "intended",
            Self::Creating => "creating",
            Self::Uncertain => "uncertain",
            Self::Present => "present",
            Self::Destroying => "destroying",
            Self::Gone => "gone",
        })
    }
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Sent => "sent",
            Self::NeverSent => "dropped as never sent",
            Self::Created => "created",
            Self::Rejected => "rejected",
            Self::Lost => "lost",
            Self::Resent => "sent again",
            Self::Found => "found",
            Self::Adopted => "adopted",
            Self::DestroySent => "destroyed",
            Self::ProvenAbsent => "proven absent",
        })
    }
}

/// What a person calls the state of a lease. It is derived on demand and stored nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Machines are being made, or the box is not reachable yet.
    Acquiring,
    /// The box can be used.
    Ready,
    /// It is being given back; there is no way out of this but [`Phase::Released`].
    Releasing,
    /// Everything of it is proven gone.
    Released,
    /// Nothing automatic touches it.
    Kept,
    /// A person has to look; the reason is recorded.
    NeedsAttention,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Acquiring => "acquiring",
            Self::Ready => "ready",
            Self::Releasing => "releasing",
            Self::Released => "released",
            Self::Kept => "kept",
            Self::NeedsAttention => "needs attention",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, VecDeque};
    use std::fmt::Write as _;

    use super::*;

    #[test]
    fn the_table_is_the_reviewed_one() {
        let mut table = String::new();
        for state in ResourceState::ALL {
            for event in Move::ALL {
                let next = state.apply(event).map_or("-".to_owned(), |it| it.to_string());
                writeln!(table, "{state:<10}  {event:<21}  {next}").unwrap();
            }
        }
        insta::assert_snapshot!(table);
    }

    /// A breadth-first search over every history, to its fixpoint: the model state is the resource state with what was
    /// said about the creates so far.
    #[test]
    fn i4_gone_after_a_send_needs_rejection_or_proof() {
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        struct Seen {
            state: u8,
            sends: u8,
            rejected: bool,
            proven: bool,
        }
        let code =
            |state: ResourceState| ResourceState::ALL.iter().position(|it| *it == state).unwrap();
        let start = Seen { state: 0, sends: 0, rejected: false, proven: false };
        let (mut known, mut queue) = (BTreeSet::from([start]), VecDeque::from([start]));
        while let Some(seen) = queue.pop_front() {
            for event in Move::ALL {
                let Ok(next) = ResourceState::ALL[usize::from(seen.state)].apply(event) else {
                    continue;
                };
                let after = Seen {
                    state: u8::try_from(code(next)).unwrap(),
                    sends: (seen.sends + u8::from(matches!(event, Move::Sent | Move::Resent)))
                        .min(3),
                    rejected: seen.rejected || event == Move::Rejected,
                    proven: seen.proven || event == Move::ProvenAbsent,
                };
                if next == ResourceState::Gone && after.sends > 0 {
                    assert!(
                        after.proven || (after.rejected && after.sends == 1),
                        "{event} from {}",
                        seen.state
                    );
                }
                if known.insert(after) {
                    queue.push_back(after);
                }
            }
        }
        assert!(known.len() > 10, "the search did not start");
    }

    #[test]
    fn what_was_sent_and_is_not_gone_may_exist() {
        use ResourceState as S;
        let may: Vec<_> = S::ALL.into_iter().filter(|it| it.may_exist()).collect();
        assert_eq!(may, [S::Creating, S::Uncertain, S::Present, S::Destroying]);
    }

    #[test]
    fn gone_is_the_end() {
        assert!(Move::ALL.iter().all(|event| ResourceState::Gone.apply(*event).is_err()));
    }
}
