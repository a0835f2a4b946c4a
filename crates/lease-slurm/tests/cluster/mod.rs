//! A real Slurm cluster on this machine, one for all tests of a program that run at the same time, and gone with the last
//! of them. Its script ends it, too, when this program is killed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use lease_process::{Input, Limits, Output, Program, Stream, output, spawn};
use lease_slurm::SlurmConfig;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

pub(crate) const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";

/// Longer than anything here takes on a busy machine; only a failing test waits that long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());

/// A running cluster.
pub(crate) struct Cluster {
    directory: TempDir,
    /// Holds the script, which a plain user may not be able to read where it is from.
    _tools: TempDir,
    facts: BTreeMap<String, String>,
    orders: Option<Sender<String>>,
    answers: Mutex<Receiver<String>>,
    keeper: Option<JoinHandle<()>>,
}

impl Cluster {
    /// The cluster that the tests of this program share.
    pub(crate) fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return running;
        }
        let started = Arc::new(Self::start(&[]));
        *shared = Arc::downgrade(&started);
        started
    }

    /// A cluster of one's own, to do harm to.
    pub(crate) fn start(settings: &[&str]) -> Self {
        let directory = tempfile::Builder::new().prefix("lslm").tempdir().unwrap();
        let tools = tempfile::tempdir().unwrap();
        let script = tools.path().join("cluster.sh");
        fs::write(&script, include_str!("cluster.sh")).unwrap();
        let program = Program::new("/bin/bash")
            .arg(script)
            .arg(directory.path())
            .args(settings.iter().copied())
            .env("PATH", PATH)
            .stdin(Input::Pipe)
            .stderr(Stream::Inherit);
        let (orders, to_keep) = channel::<String>();
        let (told, answers) = channel();
        let keeper = std::thread::spawn(move || keep(&program, &to_keep, &told));
        let first = answers.recv().unwrap();
        assert_eq!(first, "ready");
        let facts = fs::read_to_string(directory.path().join("facts")).unwrap();
        let pairs = facts.lines().filter_map(|it| it.split_once('='));
        let facts = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self {
            directory,
            _tools: tools,
            facts,
            orders: Some(orders),
            answers: Mutex::new(answers),
            keeper: Some(keeper),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn conf(&self) -> String {
        self.path().join("etc/slurm.conf").display().to_string()
    }

    /// `stop slurmctld`, `hang slurmctld`, `kill n1` …
    #[track_caller]
    pub(crate) fn order(&self, order: &str) {
        self.orders.as_ref().unwrap().send(order.to_owned()).unwrap();
        let answer = self.answers.lock().unwrap().recv().unwrap();
        assert_eq!(answer, "ok", "{order}");
    }

    /// What makes a command one of the cluster's user.
    pub(crate) fn enter(&self) -> Vec<String> {
        if !rustix::process::geteuid().is_root() {
            return Vec::new();
        }
        let get = |name: &str| self.facts.get(name).unwrap();
        let words = [
            "nsenter",
            "--mount",
            "--uts",
            "--target",
            get("keeper"),
            "--",
            "setpriv",
            "--reuid",
            get("uid"),
            "--regid",
            get("gid"),
            "--clear-groups",
            "--",
        ];
        words.map(str::to_owned).to_vec()
    }

    pub(crate) fn user(&self) -> &str {
        self.facts.get("user").unwrap()
    }

    /// A configuration with a shared directory of its own, quick enough for tests.
    pub(crate) fn config(&self, name: &str) -> SlurmConfig {
        let mut config = SlurmConfig::new(self.shared_dir(name).display().to_string());
        config.enter = self.enter();
        config.environment = vec![("PATH".to_owned(), PATH.to_owned())];
        config.slurm_conf = Some(self.conf());
        config.listen = Some("127.0.0.1".to_owned());
        config.host_map =
            BTreeMap::from(["n1", "n2"].map(|it| (it.to_owned(), "127.0.0.1".to_owned())));
        config.watch = Duration::from_secs(1);
        config.landing = Duration::from_secs(20);
        config.command_deadline = Duration::from_secs(10);
        config
    }

    /// The shared directory of that name.
    pub(crate) fn shared_dir(&self, name: &str) -> PathBuf {
        self.path().join("shared").join(name)
    }

    /// Runs one command as the cluster's user, with nothing but `PATH` and `SLURM_CONF` in its environment.
    pub(crate) async fn run(&self, argv: &[&str]) -> Output {
        let mut words = self.enter();
        words.extend(["env", "-i", "LC_ALL=C", "TZ=UTC"].map(str::to_owned));
        words.push(format!("PATH={PATH}"));
        words.push(format!("SLURM_CONF={}", self.conf()));
        words.extend(argv.iter().map(|it| (*it).to_owned()));
        let program = Program::new(&words[0]).args(&words[1..]).env("PATH", PATH).cwd("/");
        output(&program, Limits::default()).await.unwrap()
    }

    /// The same for a command that has to succeed; what it said.
    pub(crate) async fn say(&self, argv: &[&str]) -> String {
        let said = self.run(argv).await;
        assert!(said.status.success(), "{argv:?}: {}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8(said.stdout).unwrap().trim().to_owned()
    }

    /// Submits a job of somebody else under this name, and returns its number.
    pub(crate) async fn plant(&self, name: &str) -> String {
        let name = format!("--job-name={name}");
        let words = [
            "sbatch",
            "--parsable",
            &name,
            "--comment=precious",
            "--output=/dev/null",
            "--wrap=sleep 900",
        ];
        self.say(&words).await
    }

    /// The state of a job by its number; empty when Slurm does not show it.
    pub(crate) async fn state(&self, number: &str) -> String {
        let said = self.run(&["squeue", "-h", "-t", "all", "-j", number, "-o", "%T"]).await;
        String::from_utf8(said.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.orders.take());
        let ended = self.keeper.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            assert!(matches!(ended, Some(Ok(()))), "the keeper of the cluster failed");
            assert!(!self.path().exists(), "the cluster left {}", self.path().display());
        }
    }
}

/// Runs the script in a runtime of its own, since the runtimes of tests end with them.
fn keep(program: &Program, orders: &Receiver<String>, told: &Sender<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut child = spawn(program).unwrap();
        let mut input = child.take_stdin().unwrap();
        let mut lines = BufReader::new(child.take_stdout().unwrap()).lines();
        let first = lines.next_line().await.unwrap();
        told.send(first.unwrap_or_else(|| "the cluster did not start".to_owned())).unwrap();
        while let Ok(order) = orders.recv() {
            input.write_all(format!("{order}\n").as_bytes()).await.unwrap();
            let answer = lines.next_line().await.unwrap();
            told.send(answer.unwrap_or_default()).unwrap();
        }
        drop(input);
        child.wait().await.unwrap();
    });
}
