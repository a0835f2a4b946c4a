//! Clients that are killed: between the submission and its record, and at other points of a run, some together with
//! their reaper.

use crate::client::Client;
use crate::gate::{Gate, Side, UNHURRIED};
use crate::installation::{Process, tracer};
use crate::site::Site;
use crate::trial::{Case, Place, clean_up};

const RECORD: &str = "client killed between `sbatch` and its record";
const COMMAND: &str = "client killed before or after another command";
const WITH_REAPER: &str = "client and reaper killed before or after a command";
const CALL: &str = "client killed at a system call";
const MOMENT: &str = "client killed while the user's command runs, or has ended";

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victims {
    Client,
    ClientAndReaper,
}

/// All kills. The first commands of a run are `scontrol`, `sinfo`, `scontrol`, `sbatch`, and then `squeue` until it runs.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = vec![at_command(RECORD, "sbatch", Side::After, Victims::Client)];
    cases.push(at_command(COMMAND, "sbatch", Side::Before, Victims::Client));
    for at in ["1", "2", "3", "5", "6", "scancel"] {
        for side in [Side::Before, Side::After] {
            cases.push(at_command(COMMAND, at, side, Victims::Client));
        }
    }
    for at in ["sbatch", "squeue", "scancel"] {
        for side in [Side::Before, Side::After] {
            cases.push(at_command(WITH_REAPER, at, side, Victims::ClientAndReaper));
        }
    }
    for (name, number) in
        [("fsync", 1), ("fsync", 4), ("fsync", 7), ("fsync", 10), ("rename", 2), ("rename", 4)]
    {
        cases.push(at_call(name, number, tracer::Side::Before));
    }
    for (name, number) in [("clone3", 4), ("clone3", 5), ("clone3", 6)] {
        cases.push(at_call(name, number, tracer::Side::After));
    }
    cases.push(Case::new(MOMENT, "while it runs", Place::Shared, |site| {
        at_moment(site, Client::has_begun)
    }));
    cases.push(Case::new(MOMENT, "when it has ended", Place::Shared, |site| {
        Client::let_finish(site);
        at_moment(site, |it| it.installation.journals().iter().any(|it| it.has("releasing")))
    }));
    cases
}

fn at_command(group: &'static str, at: &'static str, side: Side, victims: Victims) -> Case {
    Case::new(group, format!("{side:?} {at}"), Place::Shared, move |site| {
        let gate = Gate::build(site, UNHURRIED);
        gate.close_at(at, side);
        Client::let_finish(site);
        let mut client = Client::start(site, &[]);
        gate.watch(client.id());
        client.until(site, "the call", || gate.holds())?;
        // A reaper that lives longer than its client begins to release.
        if victims == Victims::ClientAndReaper {
            site.end_reapers();
        }
        client.kill();
        gate.open();
        match victims {
            Victims::Client => finish(site),
            Victims::ClientAndReaper => clean_up(site),
        }
    })
}

fn at_call(name: &'static str, number: usize, side: tracer::Side) -> Case {
    Case::new(CALL, format!("{side:?} {name} #{number}"), Place::Shared, move |site| {
        Client::let_finish(site);
        let mut tracer = site.process("/usr/bin/strace");
        tracer.arg("-o").arg(site.installation.root().join("calls")).args(["-s", "0"]);
        tracer::inject(&mut tracer, name, number, side);
        tracer.arg(site.installation.program());
        let code = Client::start_in(site, tracer, &[]).code(site);
        // A tracer ends as its program did.
        match code {
            Err(why) if why.contains("killed") => finish(site),
            other => Err(format!("it was not killed: {other:?}: {}", Client::said(site))),
        }
    })
}

fn at_moment(site: &Site, has_come: fn(&Site) -> bool) -> Result<(), String> {
    let mut client = Client::start(site, &[]);
    client.until(site, "the moment", || has_come(site))?;
    client.kill();
    finish(site)
}

/// Leaves the rest to the reaper, and to a person where there was none yet.
fn finish(site: &Site) -> Result<(), String> {
    if site.installation.processes().iter().any(Process::is_reaper) {
        return site.await_clean();
    }
    clean_up(site)
}
