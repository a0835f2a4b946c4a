//! Everything else that goes wrong: nodes, limits, numbers, lost directories, environments, and jobs that never run. And
//! the one test that makes every trial.

use std::fs;

use crate::client::{CODE, Client};
use crate::cluster::PATIENCE;
use crate::installation::{Deadline, eventually};
use crate::site::Site;
use crate::trial::{Case, Place, clean_up, run_all};
use crate::{daemons, kill};

/// The counts as they are documented.
const REPORT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/kills/slurm.md");

const ALONE: Place = Place::Own(&["NODES=1", "CPUS=8"]);

#[test]
fn whatever_goes_wrong_nothing_is_left_and_nothing_foreign_is_cancelled() {
    // Those that take longest begin first.
    let all = [cases(), daemons::cases(), kill::cases()];
    let report = run_all(all.into_iter().flatten().collect());
    println!("{report}");
    report.write_where_asked();
    assert!(report.problems().is_empty(), "{}", report.problems().join("\n"));
    let documented = fs::read_to_string(REPORT).unwrap_or_default();
    assert!(
        documented.trim_end().ends_with(report.table().trim_end()),
        "testdata/kills/slurm.md says something else; a new one is written to the file that LEASE_SLURM_REPORT names"
    );
}

fn cases() -> Vec<Case> {
    let killed_node = Place::Own(&["NODES=1", "CPUS=8", "SLURMD_TIMEOUT=3"]);
    let forgetful = Place::Own(&["NODES=1", "CPUS=8", "MIN_JOB_AGE=2"]);
    vec![
        Case::new("time limit", "while the command runs", Place::Shared, time_limit),
        Case::new("job purged", "while it is leased", forgetful, purged),
        Case::new("node killed", "while the command runs", killed_node, node_killed),
        Case::new("job cancelled from outside", "while the command runs", Place::Shared, cancelled),
        Case::new("number given to a foreign job", "while the command runs", ALONE, number_reused),
        Case::new("state directory lost", "with client and reaper", ALONE, state_lost),
        Case::new("hostile environment of the caller", "a whole run", Place::Shared, hostile),
        Case::new("pending job released", "before it starts", Place::Shared, released_pending),
        Case::new("partition that never runs", "a whole run", Place::Shared, never_runs),
        Case::new("nothing, but children that hide", "a whole run", Place::Shared, children),
    ]
}

/// Starts a client and waits until its command runs.
fn begin(site: &Site) -> Result<Client, String> {
    let mut client = Client::start(site, &[]);
    client.until(site, "the command", || Client::has_begun(site))?;
    Ok(client)
}

/// The number of the only job.
fn number(site: &Site) -> String {
    let jobs = site.jobs();
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    jobs[0].split(' ').next().unwrap().to_owned()
}

fn state(site: &Site, number: &str) -> String {
    site.wait(site.cluster.state(number))
}

fn until(what: &str, holds: impl FnMut() -> bool) -> Result<(), String> {
    eventually(Deadline::after(PATIENCE * 2), holds).map_err(|()| format!("{what} never came"))
}

/// A command that was cut off is a failure of ours, and the lease is given back.
fn expect(site: &Site, client: &mut Client, code: i32) -> Result<(), String> {
    let ended = client.code(site)?;
    if ended == code {
        Ok(())
    } else {
        Err(format!("it ended with {ended}: {}", Client::said(site)))
    }
}

fn time_limit(site: &mut Site) -> Result<(), String> {
    let mut client = begin(site)?;
    let number = number(site);
    site.slurm(&["scontrol", "update", &format!("JobId={number}"), "EndTime=now+1"]);
    until("the end", || state(site, &number) == "TIMEOUT")?;
    expect(site, &mut client, 125)
}

fn purged(site: &mut Site) -> Result<(), String> {
    assert_eq!(site.lease(&["acquire", "--slug", "one-oak"]).code, 0);
    let number = number(site);
    site.slurm(&["scancel", &number]);
    until("the purge", || state(site, &number).is_empty())?;
    let ended = site.lease(&["release", "one-oak"]);
    if ended.code == 0 { Ok(()) } else { Err(ended.stderr) }
}

fn node_killed(site: &mut Site) -> Result<(), String> {
    let mut client = begin(site)?;
    let number = number(site);
    site.cluster.order("kill n1");
    until("the loss", || state(site, &number) == "NODE_FAIL")?;
    // Nobody told the command.
    Client::let_finish(site);
    expect(site, &mut client, CODE)
}

fn cancelled(site: &mut Site) -> Result<(), String> {
    let mut client = begin(site)?;
    site.slurm(&["scancel", &number(site)]);
    expect(site, &mut client, 125)
}

/// The controller loses its state, and counts from 1 again.
fn number_reused(site: &mut Site) -> Result<(), String> {
    let mut client = begin(site)?;
    let ours = number(site);
    for order in ["stop slurmctld", "forget slurmctld", "start slurmctld"] {
        site.cluster.order(order);
    }
    site.unmind();
    let mut last = String::new();
    while last != ours {
        last = site.wait(site.cluster.plant("precious"));
        site.mind(last.clone());
        if last.len() > ours.len() {
            return Err(format!("the numbers begin at {last}"));
        }
    }
    Client::let_finish(site);
    let ended = client.code(site)?;
    if [CODE, 125].contains(&ended) { Ok(()) } else { Err(format!("it ended with {ended}")) }
}

fn state_lost(site: &mut Site) -> Result<(), String> {
    let mut client = begin(site)?;
    // A reaper that lives longer than its client begins to release.
    site.end_reapers();
    client.kill();
    fs::remove_dir_all(site.installation.state()).unwrap();
    let shared = site.shared_dir();
    let directory = crate::installation::entries(&shared).next().ok_or("there is no directory")?;
    let id = directory.file_name().unwrap().to_str().unwrap().to_owned();
    let before = site.jobs();
    let cleaned = site.lease(&["cleanup"]);
    // What has marks and no record is shown to a person, and left alone.
    let told = String::from_utf8(cleaned.stdout).unwrap();
    if cleaned.code != 0 || site.jobs() != before || !told.contains(&id) {
        return Err(format!("{before:?} became {:?}: {told} {}", site.jobs(), cleaned.stderr));
    }
    let ended = site.lease(&["adopt", "slurm", &id, "--release"]);
    if ended.code == 0 { Ok(()) } else { Err(ended.stderr) }
}

/// Variables that change what Slurm's commands do without a word.
const HOSTILE: &[(&str, &str)] = &[
    ("SQUEUE_USERS", "root"),
    ("SQUEUE_STATES", "FAILED"),
    ("SQUEUE_FORMAT", "%j"),
    ("SQUEUE_PARTITION", "closed"),
    ("SCANCEL_NAME", "other"),
    ("SCANCEL_USER", "root"),
    ("SCANCEL_STATE", "PENDING"),
    ("SBATCH_PARTITION", "closed"),
    ("SBATCH_EXPORT", "ALL"),
    ("SBATCH_TIMELIMIT", "1"),
    ("SBATCH_REQUEUE", "1"),
    ("SLURM_CLUSTERS", "elsewhere"),
    ("SLURM_CONF", "/nowhere/slurm.conf"),
    ("SLURM_TIME_FORMAT", "relative"),
];

fn hostile(site: &mut Site) -> Result<(), String> {
    let mut command = site.command(&[]);
    command.envs(HOSTILE.iter().copied());
    Client::let_finish(site);
    expect(site, &mut Client::start_in(site, command, &[]), CODE)
}

fn released_pending(site: &mut Site) -> Result<(), String> {
    site.configure("sbatch_args: [\"--begin=now+10minutes\"]");
    let mut client = Client::start(site, &[]);
    client.until(site, "the wait", || {
        site.jobs().iter().any(|it| it.contains("PENDING BeginTime"))
    })?;
    let leases = site.json(&["list"]);
    let slug = leases["leases"][0]["slug"].as_str().ok_or("nothing is listed")?.to_owned();
    let ended = site.lease(&["release", &slug]);
    if ended.code != 0 {
        return Err(ended.stderr);
    }
    // Its end was asked for, as by a signal.
    expect(site, &mut client, 130)
}

fn never_runs(site: &mut Site) -> Result<(), String> {
    let mut client = Client::start(site, &["--option", "partition=closed"]);
    expect(site, &mut client, 125)?;
    let said = Client::said(site);
    if said.contains("PartitionDown") { Ok(()) } else { Err(said) }
}

fn children(site: &mut Site) -> Result<(), String> {
    Client::let_finish(site);
    expect(site, &mut Client::start(site, &[]), CODE)?;
    clean_up(site)
}
