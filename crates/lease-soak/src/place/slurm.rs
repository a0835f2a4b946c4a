//! A real Slurm cluster on this machine, whose controller is halted and restarted, and whose commands meet faults.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use lease_core::retry::{Bounds, Pace, pause};
use lease_process::{Child, Input, Limits, Program, Stream, output, spawn};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::Mutex;

use super::Place;
use super::commands::Faulty;
use crate::house::{House, PATH};
use crate::judge::Inventory;
use crate::plan::Harm;
use crate::processes::{below, entries};
use crate::trouble::Trouble;

const SCRIPT: &str = include_str!("../../../lease-slurm/tests/cluster/cluster.sh");
/// What is started to ask or change something there.
const COMMANDS: &[&str] = &["sbatch", "squeue", "scancel", "sinfo", "scontrol"];
/// The jobs of somebody else, one of which is called as ours are.
const THEIRS: [&str; 2] = ["precious", "lse-aaaaaaaaaaaaaaaaaaaa-0"];
/// How long the controller is halted.
const HALT: Duration = Duration::from_millis(2500);
/// How long the cluster may take to start, to do what it is told, and to end.
const CLUSTER_TIME_MAX: Duration = Duration::from_secs(90);
/// How long a look at the queue may take; the controller may be starting.
const LOOK_TIME_MAX: Duration = Duration::from_secs(40);

/// A cluster with jobs of somebody else.
pub(super) struct SlurmPlace {
    path: PathBuf,
    shared: PathBuf,
    faulty: Faulty,
    keeper: Mutex<Option<Keeper>>,
    enter: Vec<String>,
    cuts: std::sync::atomic::AtomicUsize,
}

/// The script that keeps the cluster up for as long as its input is open.
struct Keeper {
    child: Child,
    input: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

/// Starts a cluster and sets the installation up as one of its user.
pub(super) async fn open(mut house: House) -> Result<(House, Box<dyn Place>), Trouble> {
    let root = house.root().to_path_buf();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o755))?;
    // Beside the installation, so that the cluster's own processes are not taken for those of the installation.
    let (path, script) = (root.with_file_name("c"), root.with_file_name("cluster.sh"));
    fs::write(&script, SCRIPT)?;
    let mut keeper = Keeper::start(&script, &path).await?;
    let facts = facts(&path)?;
    let get = |name: &str| {
        facts.get(name).cloned().ok_or_else(|| Trouble::other(format!("no {name} of the cluster")))
    };
    let faulty = Faulty::build(&root, COMMANDS, Path::new("/usr/bin"))?;
    let shared = path.join("shared/soak");
    house.configure("slurm", &lines(&path, &shared, &faulty.programs()))?;
    if rustix::process::geteuid().is_root() {
        let words = ["nsenter", "--mount", "--uts", "--target"].map(str::to_owned);
        house.enter.extend(words);
        house.enter.push(get("keeper")?);
        house.enter.extend(["--", "setpriv", "--clear-groups", "--reuid"].map(str::to_owned));
        house.enter.push(get("uid")?);
        house.enter.extend(["--regid".to_owned(), get("gid")?, "--".to_owned()]);
        let number = |text: String| text.parse().map_err(|_| Trouble::other("no number"));
        house.give((number(get("uid")?)?, number(get("gid")?)?))?;
    }
    let enter = house.enter.clone();
    let place = SlurmPlace {
        path,
        shared,
        faulty,
        keeper: Mutex::new(None),
        enter,
        cuts: std::sync::atomic::AtomicUsize::new(0),
    };
    for name in THEIRS {
        let name = format!("--job-name={name}");
        let wrap = "--wrap=sleep 7200";
        place.ask(&["sbatch", "--parsable", &name, "--output=/dev/null", wrap]).await?;
    }
    place.await_saved().await?;
    keeper.order("wake slurmctld").await?;
    *place.keeper.lock().await = Some(keeper);
    Ok((house, Box::new(place)))
}

fn lines(path: &Path, shared: &Path, programs: &Path) -> Vec<String> {
    vec![
        format!("shared_dir: {}", shared.display()),
        format!("slurm_conf: {}", path.join("etc/slurm.conf").display()),
        format!("path: {}:{PATH}", programs.display()),
        "listen: 127.0.0.1".to_owned(),
        "host_map: {n1: 127.0.0.1, n2: 127.0.0.1}".to_owned(),
        "watch: 1s".to_owned(),
        "landing: 5s".to_owned(),
        "command_deadline: 10s".to_owned(),
    ]
}

/// What a queue shows, a job a line. Whatever is not one of theirs is ours: nobody else uses this cluster.
fn queue(rows: &str) -> Inventory {
    let mut found = Inventory::default();
    for row in rows.lines() {
        let mut words = row.split(' ');
        let number = words.next().unwrap_or_default();
        let name = words.next().unwrap_or_default();
        if THEIRS.contains(&name) {
            let lives = ["PENDING", "CONFIGURING", "RUNNING"].iter().any(|it| row.ends_with(it));
            let state = if lives { "there" } else { row };
            found.foreign.insert(format!("job {number} {name}"), state.to_owned());
        } else {
            found.ours.push(format!("job {row}"));
        }
    }
    found
}

fn facts(path: &Path) -> Result<BTreeMap<String, String>, Trouble> {
    let text = fs::read_to_string(path.join("facts"))?;
    let pairs = text.lines().filter_map(|it| it.split_once('='));
    Ok(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

impl Keeper {
    async fn start(script: &Path, path: &Path) -> Result<Self, Trouble> {
        let program = Program::new("/bin/bash")
            .args([script, path])
            // Each lease has a processor, and two belong to somebody else.
            .args(["CPUS=8", "NODES=2"])
            .env("PATH", PATH)
            .stdin(Input::Pipe)
            .stderr(Stream::Inherit);
        let mut child = spawn(&program)?;
        let missing = || Trouble::other("the cluster has no pipes");
        let input = child.take_stdin().ok_or_else(missing)?;
        let answers = BufReader::new(child.take_stdout().ok_or_else(missing)?).lines();
        let mut keeper = Self { child, input, answers };
        keeper.expect("ready").await?;
        Ok(keeper)
    }

    async fn expect(&mut self, wanted: &str) -> Result<(), Trouble> {
        let answer = tokio::time::timeout(CLUSTER_TIME_MAX, self.answers.next_line()).await;
        match answer {
            Ok(Ok(Some(answer))) if answer == wanted => Ok(()),
            other => Err(Trouble::other(format!("the cluster is not {wanted}: {other:?}"))),
        }
    }

    /// `stop slurmctld`, `hang slurmctld` …
    async fn order(&mut self, order: &str) -> Result<(), Trouble> {
        self.input.write_all(format!("{order}\n").as_bytes()).await?;
        self.expect("ok").await
    }
}

impl SlurmPlace {
    /// Runs one of Slurm's commands as the cluster's user, without any fault; what it said.
    async fn ask(&self, words: &[&str]) -> Result<String, Trouble> {
        let mut argv = self.enter.clone();
        argv.extend(words.iter().map(|it| (*it).to_owned()));
        let (first, others) = argv.split_first().ok_or_else(|| Trouble::other("no command"))?;
        let program = Program::new(first).args(others).cwd("/").env("PATH", PATH);
        let conf = self.path.join("etc/slurm.conf");
        let program = program.env("SLURM_CONF", conf).env("LC_ALL", "C").env("TZ", "UTC");
        let mut pace = Pace::start(Bounds::within(LOOK_TIME_MAX));
        loop {
            let limits = Limits { deadline: LOOK_TIME_MAX, ..Limits::default() };
            let said = output(&program, limits).await?;
            if said.status.success() {
                return Ok(String::from_utf8_lossy(&said.stdout).trim().to_owned());
            }
            if !pace.wait(None).await {
                let why = String::from_utf8_lossy(&said.stderr).into_owned();
                return Err(Trouble::other(format!("{words:?}: {why}")));
            }
        }
    }

    /// Waits until the controller has saved the jobs of others: it forgets what is younger when it ends badly.
    async fn await_saved(&self) -> Result<(), Trouble> {
        let mut pace = Pace::start(Bounds::within(CLUSTER_TIME_MAX));
        loop {
            let saved = fs::read(self.path.join("state/job_state")).unwrap_or_default();
            let has = |name: &[u8]| saved.windows(name.len()).any(|it| it == name);
            if THEIRS.iter().all(|it| has(it.as_bytes())) {
                return Ok(());
            }
            if !pace.wait(None).await {
                return Err(Trouble::other("the controller saves nothing"));
            }
        }
    }
}

#[async_trait]
impl Place for SlurmPlace {
    async fn harm(&self, harm: Harm, number: u64) -> Result<(), Trouble> {
        if harm != Harm::Cut {
            return self.faulty.plan(harm);
        }
        self.cuts.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut keeper = self.keeper.lock().await;
        let Some(keeper) = keeper.as_mut() else { return Ok(()) };
        let (done, cure) =
            if number.is_multiple_of(2) { ("hang", "wake") } else { ("stop", "start") };
        keeper.order(&format!("{done} slurmctld")).await?;
        pause(HALT).await;
        keeper.order(&format!("{cure} slurmctld")).await
    }

    fn harmed(&self) -> usize {
        self.faulty.met() + self.cuts.load(std::sync::atomic::Ordering::Relaxed)
    }

    async fn cure(&self) -> Result<(), Trouble> {
        self.faulty.cancel();
        Ok(())
    }

    async fn inventory(&self) -> Result<Inventory, Trouble> {
        let mut found = queue(&self.ask(&["squeue", "-h", "-o", "%A %j %T"]).await?);
        let shared = entries(&self.shared).into_iter();
        found.ours.extend(shared.map(|it| format!("directory {}", it.display())));
        let processes = below(&self.shared).into_iter();
        found.ours.extend(processes.map(|it| it.shown()));
        Ok(found)
    }

    async fn close(&self) -> Result<(), Trouble> {
        let Some(keeper) = self.keeper.lock().await.take() else { return Ok(()) };
        // At the end of its input the script ends the daemons and removes the directory.
        drop(keeper.input);
        drop(tokio::time::timeout(CLUSTER_TIME_MAX, keeper.child.wait()).await);
        if self.path.exists() {
            return Err(Trouble::other(format!("the cluster left {}", self.path.display())));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::{Here, judge};

    #[test]
    fn a_job_that_is_left_and_a_foreign_one_that_was_cancelled_are_found() {
        let before = queue("1 precious RUNNING\n2 lse-aaaaaaaaaaaaaaaaaaaa-0 PENDING\n");
        let check = |rows: &str, leaked: usize, foreign: usize| {
            let verdict = judge(&before, &queue(rows), &Here::default());
            assert_eq!((verdict.leaked.len(), verdict.foreign.len()), (leaked, foreign), "{rows}");
        };
        check("1 precious RUNNING\n2 lse-aaaaaaaaaaaaaaaaaaaa-0 RUNNING\n", 0, 0);
        check("1 precious RUNNING\n", 0, 1);
        check("1 precious COMPLETING\n2 lse-aaaaaaaaaaaaaaaaaaaa-0 RUNNING\n", 0, 1);
        let left = "9 lse-bbbbbbbbbbbbbbbbbbbb-0 RUNNING\n";
        check(&format!("1 precious RUNNING\n2 lse-aaaaaaaaaaaaaaaaaaaa-0 RUNNING\n{left}"), 1, 0);
    }
}
