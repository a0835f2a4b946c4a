//! Daemons that are stopped, killed, hung, restarted or cut off while a client submits, waits, runs its command, or
//! releases.

use crate::client::{CODE, Client};
use crate::gate::{Gate, Side, UNHURRIED};
use crate::site::Site;
use crate::trial::{Case, Place};

/// Slurm's commands give up soon here, and so does the program with them.
const PLACE: Place = Place::Own(&["NODES=1", "CPUS=8", "MESSAGE_TIMEOUT=2"]);
const PATIENCE: &str = "command_deadline: 6s\n";

/// What is done to a daemon, and what ends that.
struct Harm {
    group: &'static str,
    done: &'static [&'static str],
    cure: &'static [&'static str],
}

const HARMS: &[Harm] = &[
    Harm { group: "controller stopped", done: &["stop slurmctld"], cure: &["start slurmctld"] },
    Harm {
        group: "controller hung (SIGSTOP)",
        done: &["hang slurmctld"],
        cure: &["wake slurmctld"],
    },
    Harm { group: "controller killed", done: &["kill slurmctld"], cure: &["start slurmctld"] },
    Harm { group: "controller restarted", done: &["stop slurmctld", "start slurmctld"], cure: &[] },
    Harm { group: "munge down", done: &["stop munged"], cure: &["start munged"] },
];

/// What the client is doing meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Submit,
    Wait,
    Run,
    Release,
}

pub(crate) fn cases() -> Vec<Case> {
    let phases = [Phase::Submit, Phase::Wait, Phase::Run, Phase::Release];
    let pairs = HARMS.iter().flat_map(|harm| phases.map(|phase| (harm, phase)));
    let case = |(harm, phase): (&'static Harm, Phase)| {
        Case::new(harm.group, format!("{phase:?}"), PLACE, move |site| play(site, harm, phase))
    };
    pairs.map(case).collect()
}

fn play(site: &Site, harm: &Harm, phase: Phase) -> Result<(), String> {
    site.await_saved();
    let more = if phase == Phase::Release { UNHURRIED } else { "" };
    let gate = Gate::build(site, &format!("{PATIENCE}{more}"));
    let order = |orders: &[&str]| orders.iter().for_each(|it| site.cluster.order(it));
    let at = match phase {
        Phase::Submit => "sbatch",
        Phase::Wait => "squeue",
        // The first thing that a release asks is whether this is still the same cluster.
        Phase::Run => "scontrol",
        Phase::Release => "scancel",
    };
    let mut client = if phase == Phase::Run {
        let mut client = Client::start(site, &[]);
        gate.watch(client.id());
        client.until(site, "the command", || Client::has_begun(site))?;
        order(harm.done);
        gate.close_at(at, Side::Before);
        Client::let_finish(site);
        client
    } else {
        gate.close_at(at, Side::Before);
        Client::let_finish(site);
        let client = Client::start(site, &[]);
        gate.watch(client.id());
        client
    };
    let met = client.until(site, "the call", || gate.holds());
    if met.is_ok() && phase != Phase::Run {
        order(harm.done);
    }
    gate.open();
    if met.is_ok() {
        gate.await_over();
    }
    order(harm.cure);
    met?;
    let code = client.code(site)?;
    // A submission whose outcome could not be told may end as a failure, which says so, and a controller that is killed
    // forgets what it has not saved. All else is as if nothing was.
    let may_be_lost =
        phase == Phase::Submit || phase == Phase::Wait && harm.done[0].starts_with("kill");
    let as_expected = code == CODE || may_be_lost && code == 125;
    if as_expected { Ok(()) } else { Err(format!("it ended with {code}: {}", Client::said(site))) }
}
