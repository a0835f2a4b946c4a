//! A hermetic installation of the real program: its own home, state directory, directory for sockets and git tree.

use std::fs::{self, File};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lease_process::{Child, Exit, Limits, Program, Signal, Stream, output, spawn};

use crate::judge::Here;
use crate::processes::{Process, below, entries};
use crate::trouble::Trouble;

/// What every client sees as `PATH`.
pub(crate) const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";
/// How long a machine may take until a login works.
const READY_WITHIN: &str = "45s";
/// How long any client may take before it counts as stuck.
const CLIENT_TIME_MAX: Duration = Duration::from_secs(180);

/// An installation.
#[derive(Debug)]
pub(crate) struct House {
    root: PathBuf,
    program: PathBuf,
    /// What a client is started with: the credential.
    pub(crate) variables: Vec<(String, String)>,
    /// The words that make a process one of whoever uses the installation.
    pub(crate) enter: Vec<String>,
}

/// How a client ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By itself, with this code, and what it said on standard error.
    Code(i32, String),
    /// By the `SIGKILL` that was planned for it.
    Killed,
    /// Not at all, within the time that any client may take; it was killed then.
    Stuck,
}

impl House {
    /// Makes one in `root`, for a program that was built.
    pub(crate) async fn build(root: PathBuf, built: &Path) -> Result<Self, Trouble> {
        for name in ["home/.config/lease", "run", "tree/src", "said", "state/boxes", "state/leases"]
        {
            fs::create_dir_all(root.join(name))?;
        }
        for name in ["state", "state/boxes", "state/leases"] {
            fs::set_permissions(root.join(name), fs::Permissions::from_mode(0o700))?;
        }
        fs::write(root.join("tree/a.txt"), "a\n")?;
        fs::write(root.join("tree/src/b.txt"), "b\n")?;
        // A link keeps the program though another build replaces it meanwhile.
        let program = root.join("lease");
        if fs::hard_link(built, &program).is_err() {
            fs::copy(built, &program)?;
        }
        let house = Self { root, program, variables: Vec::new(), enter: Vec::new() };
        let git = house.surround(Program::new("git").args(["init", "-q", "--template="]));
        let made = output(&git, Limits::default()).await?;
        if !made.status.success() {
            return Err(Trouble::other(String::from_utf8_lossy(&made.stderr)));
        }
        Ok(house)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.root.join("state")
    }

    /// Writes the user's configuration: these lines below the provider.
    pub(crate) fn configure(&self, provider: &str, lines: &[String]) -> Result<(), Trouble> {
        let head = format!("provider: {provider}\n");
        let more = if lines.is_empty() {
            String::new()
        } else {
            format!("providers:\n  {provider}:\n    {}\n", lines.join("\n    "))
        };
        Ok(fs::write(self.root.join("home/.config/lease/config.yaml"), head + &more)?)
    }

    /// Makes everything somebody's, but the program, which is a link.
    pub(crate) fn give(&self, ids: (u32, u32)) -> Result<(), Trouble> {
        for name in ["home", "run", "tree", "state"] {
            give(&self.root.join(name), ids)?;
        }
        Ok(chown(&self.root, Some(ids.0), Some(ids.1))?)
    }

    fn surround(&self, program: Program) -> Program {
        let program = program.cwd(self.root.join("tree")).env("PATH", PATH);
        let program = program.env("HOME", self.root.join("home"));
        let program = program.env("XDG_RUNTIME_DIR", self.root.join("run"));
        let program = program.env("LEASE_STATE_DIR", self.state());
        let program = program.env("LEASE_READY_TIMEOUT", READY_WITHIN);
        self.variables.iter().fold(program, |it, (name, value)| it.env(name, value))
    }

    /// Starts the program with these words, alone and not as a group, so that a `SIGKILL` meets the client only.
    fn start(&self, words: &[&str], said: &Path) -> Result<Child, Trouble> {
        let program = match self.enter.split_first() {
            None => Program::new(&self.program),
            // The directory is looked up again behind the door.
            Some((first, others)) => Program::new(first)
                .arg(format!("--wdns={}", self.root.join("tree").display()))
                .args(others)
                .arg(&self.program),
        };
        let file = Stream::File(Arc::new(File::create(said)?));
        let program = self.surround(program.args(words)).in_our_group();
        Ok(spawn(&program.stdout(Stream::Null).stderr(file))?)
    }

    /// Runs a client to its end, or kills it after some time.
    pub(crate) async fn client(
        &self,
        words: &[&str],
        name: &str,
        life: Option<Duration>,
    ) -> Result<Ended, Trouble> {
        let said = self.root.join("said").join(name);
        let child = self.start(words, &said)?;
        let patience = life.unwrap_or(CLIENT_TIME_MAX);
        let exit = match tokio::time::timeout(patience, child.wait()).await {
            Ok(exit) => exit?,
            Err(_elapsed) => {
                child.signal(Signal::Kill)?;
                child.wait().await?
            }
        };
        let text = fs::read_to_string(&said).unwrap_or_default();
        fs::remove_file(&said)?;
        Ok(match exit {
            Exit::Code(code) => Ended::Code(code, text),
            Exit::Signal(_) if life.is_some() => Ended::Killed,
            Exit::Signal(_) => Ended::Stuck,
        })
    }

    /// The processes of this installation.
    pub(crate) fn processes(&self) -> Vec<Process> {
        below(&self.root)
    }

    /// What is left here.
    pub(crate) fn left(&self) -> Here {
        Here {
            records: self.records(),
            processes: self.processes().iter().map(Process::shown).collect(),
            files: self.litter(),
        }
    }

    /// The records of leases that are not proven to be released.
    pub(crate) fn records(&self) -> Vec<String> {
        let found = entries(&self.state().join("leases")).into_iter();
        let records = found.filter(|it| it.extension().is_some_and(|it| it == "jsonl"));
        records.map(|it| format!("record {}", it.display())).collect()
    }

    /// How many leases were proven to be released.
    pub(crate) fn released(&self) -> usize {
        let found = entries(&self.state().join("archive")).into_iter();
        found.filter(|it| it.extension().is_some_and(|it| it == "jsonl")).count()
    }

    /// Keys and sockets that outlived their lease.
    fn litter(&self) -> Vec<String> {
        let is_socket =
            |it: &PathBuf| fs::symlink_metadata(it).is_ok_and(|it| it.file_type().is_socket());
        let sockets = entries(&self.root.join("run/lease")).into_iter().filter(is_socket);
        let files = entries(&self.state().join("keys")).into_iter().chain(sockets);
        files.map(|it| format!("file {}", it.display())).collect()
    }

    /// What the reaper wrote down last.
    pub(crate) fn log_tail(&self) -> String {
        let text = fs::read_to_string(self.state().join("reaper.log")).unwrap_or_default();
        let lines: Vec<_> = text.lines().rev().take(12).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

/// Makes a file or a directory somebody's, with all that is below.
fn give(path: &Path, ids: (u32, u32)) -> Result<(), Trouble> {
    let meta = fs::symlink_metadata(path)?;
    if meta.is_dir() {
        for entry in entries(path) {
            give(&entry, ids)?;
        }
    }
    if !meta.is_symlink() {
        chown(path, Some(ids.0), Some(ids.1))?;
        let mode = if meta.is_dir() { 0o700 } else { 0o600 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}
