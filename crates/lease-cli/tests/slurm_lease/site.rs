//! An installation that is configured for a cluster, and everything of it that may be left there and here.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::cluster::Cluster;
use crate::installation::process::contains;
use crate::installation::{Deadline, Ended, Installation, Process, entries, eventually, processes};

/// How long everything may take until nothing is left: a job is ended, a queue looked at, a directory removed.
pub(crate) const GONE_WITHIN: Duration = Duration::from_secs(90);

static COUNT: AtomicUsize = AtomicUsize::new(0);

/// A cluster, and an installation of somebody who uses it.
pub(crate) struct Site {
    pub(crate) installation: Installation,
    pub(crate) cluster: Arc<Cluster>,
    /// Which no other installation of these tests has.
    number: usize,
    desk: Desk,
    runtime: tokio::runtime::Runtime,
    /// The numbers of jobs of somebody else.
    foreign: Vec<String>,
}

/// Where the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Desk {
    /// As the cluster's user, where Slurm's commands are.
    Cluster,
    /// As whoever runs the tests, somewhere else.
    Elsewhere,
}

impl Site {
    /// An installation of the cluster's user, where Slurm's commands are.
    pub(crate) fn on(cluster: Arc<Cluster>) -> Self {
        Self::at(cluster, Desk::Cluster)
    }

    /// One of somebody who reaches the cluster through a login node only.
    pub(crate) fn away_from(cluster: Arc<Cluster>) -> Self {
        Self::at(cluster, Desk::Elsewhere)
    }

    fn at(cluster: Arc<Cluster>, desk: Desk) -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let installation = Installation::new();
        let site = Self { installation, cluster, number, desk, runtime, foreign: Vec::new() };
        fs::create_dir_all(site.config_file().parent().unwrap()).unwrap();
        site.configure("");
        if let (Desk::Cluster, Some(ids)) = (desk, site.cluster.ids()) {
            // The program itself is a link to the one that all tests use, and stays whose it is.
            let root = site.installation.root();
            for name in ["home", "run", "tree"] {
                give(&root.join(name), ids);
            }
            chown(root, Some(ids.0), Some(ids.1)).unwrap();
        }
        site
    }

    fn config_file(&self) -> PathBuf {
        self.installation.root().join("home/.config/lease/config.yaml")
    }

    /// Writes the user's configuration; `more` are further lines, which win.
    pub(crate) fn configure(&self, more: &str) {
        let mut lines = vec![
            format!("shared_dir: {}", self.shared_dir().display()),
            format!("slurm_conf: {}", self.cluster.conf()),
            "listen: 127.0.0.1".to_owned(),
            "host_map: {n1: 127.0.0.1, n2: 127.0.0.1}".to_owned(),
            "watch: 1s".to_owned(),
            "landing: 5s".to_owned(),
            "command_deadline: 10s".to_owned(),
        ];
        let key = |line: &str| line.split(':').next().unwrap_or_default().to_owned();
        lines.retain(|it| !more.lines().any(|other| key(other) == key(it)));
        lines.extend(more.lines().map(str::to_owned));
        let text = format!("provider: slurm\nproviders:\n  slurm:\n    {}\n", lines.join("\n    "));
        fs::write(self.config_file(), text).unwrap();
    }

    pub(crate) fn shared_dir(&self) -> PathBuf {
        self.cluster.shared_dir(&format!("site-{}", self.number))
    }

    /// Any program as whoever uses the installation, in its tree and with its environment.
    pub(crate) fn process(&self, program: impl AsRef<Path>) -> Command {
        let program = program.as_ref();
        let enter = match self.desk {
            Desk::Cluster => self.cluster.enter(),
            Desk::Elsewhere => Vec::new(),
        };
        let Some((first, others)) = enter.split_first() else {
            return self.installation.process(program);
        };
        let mut command = self.installation.process(first);
        // The directory is looked up again behind the door.
        command.arg(format!("--wdns={}", self.installation.tree().display()));
        command.args(others).arg(program);
        command
    }

    /// The program with these arguments.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = self.process(self.installation.program());
        command.args(words);
        command
    }

    /// Runs the program with these arguments to its end.
    pub(crate) fn lease(&self, words: &[&str]) -> Ended {
        Ended::of(&self.command(words).output().unwrap())
    }

    /// The answer of a command that is given `--json` and succeeds.
    pub(crate) fn json(&self, words: &[&str]) -> serde_json::Value {
        let ended = self.lease(&[words, &["--json"]].concat());
        assert_eq!(ended.code, 0, "{words:?}: {}", ended.stderr);
        serde_json::from_slice(&ended.stdout).unwrap()
    }

    /// What one of Slurm's commands says, which succeeds.
    pub(crate) fn slurm(&self, words: &[&str]) -> String {
        self.runtime.block_on(self.cluster.say(words))
    }

    /// Waits for what cannot be asked without a runtime.
    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Has somebody else submit jobs, one of which is called like ours.
    pub(crate) fn plant(&mut self) {
        for name in ["precious", "lse-aaaaaaaaaaaaaaaaaaaa-0"] {
            let number = self.runtime.block_on(self.cluster.plant(name));
            self.foreign.push(number);
        }
    }

    /// Waits until the controller has saved the jobs of others: it forgets what is younger when it is killed.
    pub(crate) fn await_saved(&self) {
        let saved = self.cluster.path().join("state/job_state");
        let is_saved = || {
            let bytes = fs::read(&saved).unwrap_or_default();
            contains(&bytes, b"precious") && contains(&bytes, b"lse-aaaaaaaaaaaaaaaaaaaa-0")
        };
        eventually(Deadline::after(GONE_WITHIN), is_saved)
            .unwrap_or_else(|()| panic!("the controller saves nothing"));
    }

    /// Remembers one that was planted otherwise.
    pub(crate) fn mind(&mut self, number: String) {
        self.foreign.push(number);
    }

    /// Forgets those that the cluster lost by itself.
    pub(crate) fn unmind(&mut self) {
        self.foreign.clear();
    }

    /// How many jobs of others are not there any more.
    pub(crate) fn foreign_gone(&self) -> usize {
        let lives = |number: &String| {
            let state = self.wait(self.cluster.state(number));
            ["PENDING", "RUNNING", "CONFIGURING"].contains(&state.as_str())
        };
        self.foreign.iter().filter(|it| !lives(it)).count()
    }

    /// Jobs of this installation on which Slurm's books are not closed: number, state and name.
    pub(crate) fn jobs(&self) -> Vec<String> {
        let said = self.slurm(&["squeue", "-h", "-o", "%A %T %r %j"]);
        let of_shared = entries(&self.shared_dir());
        let mut names: Vec<String> = of_shared
            .filter_map(|it| Some(it.file_name()?.to_str()?.split_once('.')?.0.to_owned()))
            .collect();
        names.extend(self.names());
        let ours = |row: &&str| names.iter().any(|name| row.ends_with(&format!(" {name}")));
        said.lines().filter(ours).map(str::to_owned).collect()
    }

    /// The names of all jobs that journals tell of.
    fn names(&self) -> Vec<String> {
        let state = self.installation.state();
        let files = ["leases", "archive"].into_iter().flat_map(|it| entries(&state.join(it)));
        let lease = |path: PathBuf| {
            let name = path.file_name()?.to_str()?.to_owned();
            let lease = name.strip_suffix(".jsonl")?.split_once('.')?.1.to_owned();
            lease.starts_with("lse-").then(|| format!("{lease}-0"))
        };
        files.filter_map(lease).collect()
    }

    /// A number that only processes of this installation's commands have among their words.
    pub(crate) fn word(&self) -> String {
        format!("91{:04}", self.number)
    }

    /// Living processes of this installation's boxes and commands; the reaper does not count.
    pub(crate) fn processes(&self) -> Vec<String> {
        let (shared, word) = (self.shared_dir(), self.word().into_bytes());
        let has_word = |it: &Process| it.command_line.split(|it| *it == 0).any(|it| it == word);
        let mut found = self.installation.processes();
        found.retain(|it| !it.is_reaper());
        found.extend(processes().into_iter().filter(|it| it.names(&shared) || has_word(it)));
        found.iter().map(ToString::to_string).collect()
    }

    /// What is left in the shared directory and in the state directory: sockets, keys, records of live leases, boxes.
    pub(crate) fn files(&self) -> Vec<String> {
        let shared = entries(&self.shared_dir()).map(|it| it.display().to_string());
        let here = self.installation.residue().into_iter().filter(|it| it.starts_with('/'));
        shared.chain(here).collect()
    }

    /// Waits until nothing is left.
    ///
    /// # Errors
    /// What is left when the time is over.
    pub(crate) fn await_clean(&self) -> Result<(), String> {
        let is_clean =
            || self.files().is_empty() && self.processes().is_empty() && self.jobs().is_empty();
        eventually(Deadline::after(GONE_WITHIN), is_clean).map_err(|()| self.left())
    }

    /// Everything that is left, in words.
    pub(crate) fn left(&self) -> String {
        let log = fs::read_to_string(self.installation.state().join("reaper.log"));
        format!(
            "jobs {:?}, processes {:?}, files {:?}; the reaper said: {}",
            self.jobs(),
            self.processes(),
            self.files(),
            log.unwrap_or_default().replace('\n', " | ")
        )
    }

    /// Asserts that soon nothing is left, and that the program agrees.
    #[track_caller]
    pub(crate) fn assert_clean(&self) {
        self.await_clean().unwrap_or_else(|left| panic!("{left}"));
        assert_eq!(self.json(&["list"])["leases"], serde_json::json!([]));
        assert_eq!(self.foreign_gone(), 0);
    }

    /// Ends the reapers of this installation, and waits until they are gone.
    pub(crate) fn end_reapers(&self) {
        let are_gone = || {
            let mut reapers = self.installation.processes();
            reapers.retain(Process::is_reaper);
            reapers.iter().for_each(Process::kill);
            reapers.is_empty()
        };
        eventually(Deadline::after(GONE_WITHIN), are_gone)
            .unwrap_or_else(|()| panic!("a reaper cannot be ended"));
    }
}

/// Makes a file or a directory somebody's, with all that is below.
fn give(path: &Path, ids: (u32, u32)) {
    let meta = fs::symlink_metadata(path).unwrap();
    if meta.is_dir() {
        entries(path).for_each(|it| give(&it, ids));
    }
    if !meta.is_symlink() {
        chown(path, Some(ids.0), Some(ids.1)).unwrap();
        fs::set_permissions(
            path,
            fs::Permissions::from_mode(if meta.is_dir() { 0o700 } else { 0o600 }),
        )
        .unwrap();
    }
}
