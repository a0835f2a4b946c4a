//! A real Slurm cluster on this machine, one for all tests of a program that run at the same time, and gone with the last
//! of them. Its script ends it, too, when this program is killed.

pub(crate) mod login;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
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

/// What a cluster is made of; `cargo xtask cluster` installs it.
const PROGRAMS: &[&str] = &[
    "munged",
    "slurmctld",
    "slurmd",
    "sbatch",
    "sshd",
    "ssh-keygen",
    "nsenter",
    "setpriv",
    "unshare",
];

/// What one with accounting needs besides.
const WITH_ACCOUNTING: &[&str] = &["slurmdbd", "mariadbd", "mariadb-install-db"];

/// Longer than anything here takes on a busy machine; only a failing test waits that long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());

/// Who starts a cluster, and so owns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// Whoever runs the tests.
    Starter,
    /// Not the superuser.
    PlainUser,
}

/// A running cluster.
pub(crate) struct Cluster {
    path: PathBuf,
    _directory: TempDir,
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

    /// A cluster of one's own, to do harm to. The superuser starts one for everybody.
    pub(crate) fn start(settings: &[&str]) -> Self {
        Self::start_for(Owner::Starter, settings)
    }

    /// A cluster that a plain user started, who owns its daemons, too; for the superuser that is an invented one.
    pub(crate) fn of_plain_user(settings: &[&str]) -> Self {
        Self::start_for(Owner::PlainUser, settings)
    }

    fn start_for(owner: Owner, settings: &[&str]) -> Self {
        let more: &[&str] = if settings.contains(&"ACCOUNTING=1") { WITH_ACCOUNTING } else { &[] };
        let missing: Vec<_> =
            PROGRAMS.iter().chain(more).copied().filter(|it| !is_installed(it)).collect();
        assert!(
            missing.is_empty(),
            "this test starts a real Slurm cluster, for which {} must be installed: run `cargo xtask cluster`, or leave \
             these tests out with `cargo nextest run -E 'not binary(/^slurm_/)'`",
            missing.join(", ")
        );
        let tools = tempfile::tempdir().unwrap();
        fs::set_permissions(tools.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let script = tools.path().join("cluster.sh");
        fs::write(&script, include_str!("cluster.sh")).unwrap();
        let directory = tempfile::Builder::new().prefix("lslm").tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut argv: Vec<OsString> = Vec::new();
        if owner == Owner::PlainUser && rustix::process::geteuid().is_root() {
            argv.extend(become_plain(tools.path(), directory.path()));
        }
        argv.extend(["/bin/bash".into(), script.into(), directory.path().join("c").into()]);
        argv.extend(settings.iter().map(Into::into));
        let program = Program::new(&argv[0])
            .args(&argv[1..])
            .env("PATH", PATH)
            .stdin(Input::Pipe)
            .stderr(Stream::Inherit);
        let (orders, to_keep) = channel::<String>();
        let (told, answers) = channel();
        let keeper = std::thread::spawn(move || keep(&program, &to_keep, &told));
        let first = answers.recv().unwrap();
        assert_eq!(first, "ready");
        let facts = fs::read_to_string(directory.path().join("c/facts")).unwrap();
        let pairs = facts.lines().filter_map(|it| it.split_once('='));
        let facts = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self {
            path: directory.path().join("c"),
            _directory: directory,
            _tools: tools,
            facts,
            orders: Some(orders),
            answers: Mutex::new(answers),
            keeper: Some(keeper),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
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

    /// Whose the jobs are, where that is somebody else than who runs the tests: user and group.
    pub(crate) fn ids(&self) -> Option<(u32, u32)> {
        let number = |name: &str| self.facts.get(name).unwrap().parse().unwrap();
        rustix::process::geteuid().is_root().then(|| (number("uid"), number("gid")))
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

/// The words that make the superuser an invented user, who exists in one mount namespace only and owns `directory`.
fn become_plain(tools: &Path, directory: &Path) -> Vec<OsString> {
    const ID: u32 = 54321;
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let users = format!("{users}plain:x:{ID}:{ID}::{}/c/home:/bin/bash\n", directory.display());
    fs::write(tools.join("passwd"), users).unwrap();
    std::os::unix::fs::chown(directory, Some(ID), Some(ID)).unwrap();
    let script = format!(
        "mount --bind \"$0\" /etc/passwd && hostname localhost && cd / && \
         exec setpriv --reuid {ID} --regid {ID} --clear-groups \"$@\""
    );
    let words = ["unshare", "--mount", "--uts", "--propagation", "private", "/bin/sh", "-c"];
    let words = words.into_iter().map(OsString::from);
    words.chain([script.into(), tools.join("passwd").into()]).collect()
}

fn is_installed(program: &str) -> bool {
    PATH.split(':').any(|it| Path::new(it).join(program).exists())
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
