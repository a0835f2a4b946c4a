//! Seeded bugs. Each is the kind of mistake that leaks a machine or destroys a foreign one, and each must be noticed:
//! a matrix that lets one live proves nothing.

use std::fmt;
use std::sync::Arc;

use lease_core::{Error, Provider, Store};

use super::matrix::{describe, faults_from};
use super::mutations::{InfectedProvider, WriteBehindStore};
use super::point::{Fault, Point};
use super::run::{Run, replay};
use super::scenario::Scenario;
use super::script::Planned;
use crate::world::World;

/// A seeded bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mutant {
    /// "Sent" is acknowledged before it is on disk: no intent before the effect.
    NoIntent,
    /// Every error of a create or destroy means that nothing happened.
    ErrorMeansNotCreated,
    /// A failed look shows nothing, and a failed listing is an empty one.
    EmptyListMeansGone,
    /// The key is destroyed before its machine.
    KeyBeforeServer,
    /// Whatever has the name is destroyed.
    ReleaseByName,
    /// A keep is acknowledged and not recorded.
    KeepForgotten,
    /// Requests go to whichever account the credentials belong to at that moment.
    AnyAccount,
    /// The descriptor allows replays that the provider does not honour.
    ReplayPromisedFalsely,
    /// The descriptor promises that nothing ever lands late.
    SettlesAtOnce,
    /// A search takes whatever has the name for ours.
    LookAlikesAdopted,
}

/// How a mutant was noticed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kill {
    /// The life of the lease in which it was noticed.
    pub scenario: Scenario,
    /// The fault that brought it to light; none when the plain run did.
    pub planned: Vec<Planned>,
    /// The fault and its point in words.
    pub fault: String,
    /// The check that noticed it, in words.
    pub complaint: String,
}

/// Runs the matrix with a mutant until it is noticed: all singles, then the pairs whose first fault loses a create, since
/// some bugs only show while a create is unknown. `None` when it never is.
///
/// # Errors
/// When a run cannot be made at all.
pub fn hunt(mutant: Mutant) -> Result<Option<Kill>, Error> {
    let scenario = mutant.scenario();
    let base = replay(scenario, &[], Some(mutant))?;
    if let Some(kill) = judge(scenario, &[], &base) {
        return Ok(Some(kill));
    }
    let mut unknown = Vec::new();
    for first in faults_from(scenario, &base, 0) {
        let run = replay(scenario, &[first], Some(mutant))?;
        if let Some(kill) = judge(scenario, &[first], &run) {
            return Ok(Some(kill));
        }
        let point = run.trace.get(first.at).map(|it| it.point);
        if first.fault == Fault::LostBefore && point == Some(Point::Create) {
            unknown.push((first, run));
        }
    }
    for (first, single) in unknown {
        for second in faults_from(scenario, &single, first.at + 1) {
            let planned = [first, second];
            let run = replay(scenario, &planned, Some(mutant))?;
            if let Some(kill) = judge(scenario, &planned, &run) {
                return Ok(Some(kill));
            }
        }
    }
    Ok(None)
}

/// A fault that did not happen says nothing about the mutant.
fn judge(scenario: Scenario, planned: &[Planned], run: &Run) -> Option<Kill> {
    let complaint = run.complaint().filter(|_| run.fired)?;
    Some(Kill { scenario, planned: planned.to_vec(), fault: describe(planned, run), complaint })
}

impl Mutant {
    /// Every mutant.
    pub const ALL: [Self; 10] = [
        Self::NoIntent,
        Self::ErrorMeansNotCreated,
        Self::EmptyListMeansGone,
        Self::KeyBeforeServer,
        Self::ReleaseByName,
        Self::KeepForgotten,
        Self::AnyAccount,
        Self::ReplayPromisedFalsely,
        Self::SettlesAtOnce,
        Self::LookAlikesAdopted,
    ];

    /// The sentence of the provider contract that the bug breaks, where it is a bug of a provider that the behaviour
    /// suite can provoke.
    pub fn breaks(self) -> Option<&'static str> {
        match self {
            Self::EmptyListMeansGone => Some("list_is_complete_or_an_error"),
            Self::KeyBeforeServer | Self::ReleaseByName => Some("destroy_takes_only_its_own"),
            Self::ReplayPromisedFalsely => Some("create_twice_makes_one"),
            Self::LookAlikesAdopted => Some("find_ignores_look_alikes"),
            Self::NoIntent
            | Self::ErrorMeansNotCreated
            | Self::KeepForgotten
            | Self::AnyAccount
            | Self::SettlesAtOnce => None,
        }
    }

    /// The life of a lease in which it can do harm.
    pub fn scenario(self) -> Scenario {
        match self {
            Self::ReleaseByName | Self::ReplayPromisedFalsely | Self::LookAlikesAdopted => {
                Scenario::Searching
            }
            Self::KeepForgotten => Scenario::Keep,
            Self::NoIntent
            | Self::ErrorMeansNotCreated
            | Self::EmptyListMeansGone
            | Self::KeyBeforeServer
            | Self::AnyAccount
            | Self::SettlesAtOnce => Scenario::Release,
        }
    }

    /// The store as the mutant has it.
    pub fn infect_store(self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        match self {
            Self::NoIntent | Self::KeepForgotten => Arc::new(WriteBehindStore::new(store, self)),
            Self::ErrorMeansNotCreated
            | Self::EmptyListMeansGone
            | Self::KeyBeforeServer
            | Self::ReleaseByName
            | Self::AnyAccount
            | Self::ReplayPromisedFalsely
            | Self::SettlesAtOnce
            | Self::LookAlikesAdopted => store,
        }
    }

    /// The provider as the mutant has it.
    pub fn infect_provider(self, provider: Arc<dyn Provider>, world: &World) -> Arc<dyn Provider> {
        Arc::new(InfectedProvider::new(provider, world.clone(), self))
    }
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NoIntent => "no intent before the effect",
            Self::ErrorMeansNotCreated => "an error means not created",
            Self::EmptyListMeansGone => "one empty listing means gone",
            Self::KeyBeforeServer => "the key goes before the machine",
            Self::ReleaseByName => "release by name",
            Self::KeepForgotten => "a keep is acknowledged and not recorded",
            Self::AnyAccount => "requests follow the credentials",
            Self::ReplayPromisedFalsely => "a replay is promised falsely",
            Self::SettlesAtOnce => "nothing is said to land late",
            Self::LookAlikesAdopted => "a search adopts look-alikes",
        })
    }
}
