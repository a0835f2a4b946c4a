//! What is going to happen to every lease, drawn before the first one begins.

use serde::{Deserialize, Serialize};
use std::fmt;

use clap::ValueEnum;

use crate::chance::Chance;

/// Whose leases they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
pub(crate) enum Provider {
    /// The emulated Hetzner Cloud.
    Hetzner,
    /// The emulated fal Compute.
    Fal,
    /// A real Slurm cluster.
    Slurm,
    /// An adapter.
    External,
    /// This machine.
    Local,
}

impl Provider {
    pub(crate) const ALL: [Self; 5] =
        [Self::Hetzner, Self::Fal, Self::Slurm, Self::External, Self::Local];

    /// The registered name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hetzner => "hetzner",
            Self::Fal => "fal",
            Self::Slurm => "slurm",
            Self::External => "external",
            Self::Local => "local",
        }
    }

    /// Its share of all leases, in percent. A job on a cluster and a machine of the adapter take longest.
    fn share(self) -> usize {
        match self {
            Self::Hetzner | Self::Fal => 30,
            Self::Slurm => 4,
            Self::External => 11,
            Self::Local => 25,
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which clients a lease has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    /// One that leases, runs a command and gives back.
    Run,
    /// One that leases, and one that gives back.
    AcquireRelease,
}

/// When a client gets `SIGKILL`, in thousandths of what such a client usually takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kill {
    /// The client that leases.
    First(u64),
    /// The client that gives back; with [`Verb::Run`] the only one.
    Second(u64),
}

/// What goes wrong on the way to the provider. Each provider has its own way to have it happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Harm {
    /// It takes effect long after the client gave up, or takes its time.
    Late,
    /// It arrives twice.
    Twice,
    /// The answer says something else.
    Wrong,
    /// It takes effect, and the answer is lost.
    Lost,
    /// No answer ever comes.
    Never,
    /// It is turned away.
    Refused,
    /// Nothing reaches the provider for a while.
    Cut,
}

impl Harm {
    pub(crate) const ALL: [Self; 7] =
        [Self::Late, Self::Twice, Self::Wrong, Self::Lost, Self::Never, Self::Refused, Self::Cut];

    /// A word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Twice => "twice",
            Self::Wrong => "wrong",
            Self::Lost => "lost",
            Self::Never => "never",
            Self::Refused => "refused",
            Self::Cut => "cut",
        }
    }
}

/// One lease from its first client to its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    pub(crate) number: usize,
    pub(crate) verb: Verb,
    pub(crate) kill: Option<Kill>,
    /// What goes wrong, and a number that says at which call and in which variant.
    pub(crate) harm: Option<(Harm, u64)>,
}

/// The leases of one provider, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) provider: Provider,
    pub(crate) lives: Vec<Life>,
}

/// Draws the plans of these providers with `leases` leases together.
pub(crate) fn draw(seed: u64, leases: usize, providers: &[Provider]) -> Vec<Plan> {
    let shares: usize = providers.iter().map(|it| it.share()).sum();
    let mut left = leases;
    let mut plans = Vec::new();
    for (at, &provider) in providers.iter().enumerate() {
        let is_last = at + 1 == providers.len();
        // Fewer than these would miss a kind of trouble.
        let share = (leases * provider.share() / shares.max(1)).max(leases.min(40) / 5);
        let count = if is_last { left } else { share.min(left) };
        left -= count;
        // Each provider draws for itself, so that `--only` changes nothing for the one that is left.
        let mut chance = Chance::new(seed ^ (provider as u64 + 1) << 32);
        let lives = (0..count).map(|number| life(number, &mut chance)).collect();
        plans.push(Plan { provider, lives });
    }
    plans
}

/// Of eight leases, three lose a client, three meet harm, and one of these both.
fn life(number: usize, chance: &mut Chance) -> Life {
    let verb = if chance.below(2) == 0 { Verb::Run } else { Verb::AcquireRelease };
    // Some kills come when the client has just ended, which is a moment like others.
    let (first, permille) = (chance.below(3) != 0, chance.below(1050));
    let kill = if first { Kill::First(permille) } else { Kill::Second(permille) };
    let at = usize::try_from(chance.below(Harm::ALL.len() as u64)).unwrap_or_default();
    let harm = (Harm::ALL[(at + number) % Harm::ALL.len()], chance.below(1000));
    Life {
        number,
        verb,
        kill: [1, 4, 6].contains(&(number % 8)).then_some(kill),
        harm: [2, 4, 7].contains(&(number % 8)).then_some(harm),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_plan_and_another_one_another() {
        let plan = |seed| draw(seed, 300, &Provider::ALL);
        assert_eq!(plan(7), plan(7));
        assert_ne!(plan(7), plan(8));
    }

    #[test]
    fn every_lease_is_planned_and_every_provider_has_kills_and_harm_in_a_short_run_too() {
        for leases in [60, 61, 2000] {
            let plans = draw(1, leases, &Provider::ALL);
            assert_eq!(plans.iter().map(|it| it.lives.len()).sum::<usize>(), leases);
            for plan in plans {
                let has = |wanted: &dyn Fn(&Life) -> bool| plan.lives.iter().any(wanted);
                assert!(has(&|it| it.kill.is_some()), "{}: nobody is killed", plan.provider);
                assert!(has(&|it| it.harm.is_some()), "{}: nothing goes wrong", plan.provider);
                assert!(has(&|it| it.kill.is_none() && it.harm.is_none()), "{}", plan.provider);
            }
        }
    }

    #[test]
    fn a_long_run_has_every_harm_at_every_provider() {
        for plan in draw(3, 2000, &Provider::ALL) {
            for harm in Harm::ALL {
                let planned = plan.lives.iter().filter_map(|it| it.harm).any(|(it, _)| it == harm);
                assert!(planned, "{}: nothing is {}", plan.provider, harm.name());
            }
        }
    }

    #[test]
    fn one_provider_alone_has_all_leases() {
        let plans = draw(5, 50, &[Provider::Slurm]);
        assert_eq!((plans.len(), plans[0].lives.len()), (1, 50));
    }
}
