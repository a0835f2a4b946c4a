//! A hermetic installation: its own home, state directory, directory for sockets and git tree, and the program that
//! sees nothing else. What it left behind is counted from the outside, never by asking the program alone.

mod journal;
pub(crate) mod process;
pub(crate) mod tracer;
pub(crate) mod wait;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

pub(crate) use journal::Journal;
pub(crate) use process::{Process, processes};
pub(crate) use wait::{Deadline, eventually};

/// How long after a kill nothing may be left.
pub(crate) const CLEAN_WITHIN: Duration = Duration::from_secs(10);
/// How long after a kill the reaper may still look around.
pub(crate) const SILENT_WITHIN: Duration = Duration::from_secs(15);
/// How long any one command may take before it counts as stuck.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// An installation. Dropping it ends whatever a failed test left running in it.
#[derive(Debug)]
pub(crate) struct Installation {
    dir: tempfile::TempDir,
    /// Processes and files that were planted and are not the program's.
    foreign: Vec<PathBuf>,
    foreign_pids: Vec<u32>,
}

/// What the program did.
#[derive(Debug)]
#[must_use = "check how it ended and what it said"]
pub(crate) struct Ended {
    /// The exit code; 128 and the number for a signal.
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Installation {
    /// Makes one. The path is short, because the path of a socket is limited.
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("lease-").tempdir_in("/tmp").unwrap();
        for name in ["home", "run", "tree/src"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        let it = Self { dir, foreign: Vec::new(), foreign_pids: Vec::new() };
        // A link keeps the program that was built for this test, though another build replaces it meanwhile.
        let built = Path::new(env!("CARGO_BIN_EXE_lease"));
        if fs::hard_link(built, it.program()).is_err() {
            fs::copy(built, it.program()).unwrap();
        }
        fs::write(it.tree().join("a.txt"), "a\n").unwrap();
        fs::write(it.tree().join("src/b.txt"), "b\n").unwrap();
        let mut git = it.process("git");
        let git = git.args(["init", "-q", "--template="]).output().unwrap();
        assert!(git.status.success(), "{git:?}");
        it
    }

    pub(crate) fn root(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn program(&self) -> PathBuf {
        self.root().join("lease")
    }

    pub(crate) fn tree(&self) -> PathBuf {
        self.root().join("tree")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.root().join("state")
    }

    /// Whether a reaper has said that it watches.
    pub(crate) fn is_watched(&self) -> bool {
        let entries = fs::read_dir(self.state()).into_iter().flatten().flatten();
        let mut locks = entries.filter(|it| {
            let name = it.file_name();
            let name = name.to_string_lossy();
            name.starts_with("reaper.") && name.ends_with(".lock")
        });
        locks.any(|it| it.metadata().is_ok_and(|it| it.len() > 0))
    }

    pub(crate) fn boxes(&self) -> PathBuf {
        self.state().join("boxes")
    }

    pub(crate) fn runtime(&self) -> PathBuf {
        self.root().join("run/lease")
    }

    /// Any program, in the tree, with the environment of this installation and no other.
    #[expect(
        clippy::disallowed_methods,
        reason = "the tests start the program under test, and nothing of it outlives them"
    )]
    pub(crate) fn process(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        let cargo = Path::new(env!("CARGO")).parent().unwrap();
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin:/usr/sbin", cargo.display());
        command.env_clear().current_dir(self.tree()).stdin(Stdio::null());
        command.env("HOME", self.root().join("home")).env("LEASE_STATE_DIR", self.state());
        command.env("XDG_RUNTIME_DIR", self.root().join("run")).env("PATH", path);
        command
    }

    /// The program with these arguments.
    pub(crate) fn command<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Command {
        let mut command = self.process(self.program());
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the program with these arguments to its end.
    pub(crate) fn lease<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Ended {
        Ended::of(&self.command(arguments).output().unwrap())
    }

    /// The answer of a command that is given `--json`.
    pub(crate) fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let ended = self.lease(arguments.iter().copied().chain(["--json"]));
        assert_eq!(ended.code, 0, "{arguments:?}: {}", ended.stderr);
        serde_json::from_slice(&ended.stdout).unwrap()
    }

    /// The leases that the program lists. None may be unreadable.
    pub(crate) fn leases(&self) -> Vec<serde_json::Value> {
        let list = self.json(&["list"]);
        assert_eq!(list["unreadable"], serde_json::json!([]), "{list}");
        list["leases"].as_array().unwrap().clone()
    }

    /// The journals of live and of released leases.
    pub(crate) fn journals(&self) -> Vec<Journal> {
        Journal::read_all(&self.state())
    }

    /// Says that these are not the program's, though they look like it.
    pub(crate) fn plant(&mut self, paths: impl IntoIterator<Item = PathBuf>, pid: Option<u32>) {
        self.foreign.extend(paths);
        self.foreign_pids.extend(pid);
    }

    /// The processes of this installation.
    pub(crate) fn processes(&self) -> Vec<Process> {
        let nonces: Vec<String> = self.journals().iter().flat_map(|it| it.nonces.clone()).collect();
        let ours =
            |it: &Process| it.names(self.root()) || nonces.iter().any(|one| it.has_mark(one));
        let mut found = processes();
        found.retain(|it| !self.foreign_pids.contains(&it.pid) && ours(it));
        found
    }

    /// What is left of leases, in words; the reaper itself does not count.
    pub(crate) fn residue(&self) -> Vec<String> {
        let boxes = entries(&self.boxes()).filter(|it| !is_identity(it));
        let mut found: Vec<_> = boxes.filter(|it| !self.foreign.contains(it)).collect();
        let journals = entries(&self.state().join("leases"));
        found.extend(journals.filter(|it| it.extension().is_some_and(|it| it == "jsonl")));
        found.extend(entries(&self.state().join("keys")));
        let is_socket =
            |it: &PathBuf| fs::symlink_metadata(it).is_ok_and(|it| it.file_type().is_socket());
        found.extend(entries(&self.runtime()).filter(is_socket));
        let mut found: Vec<_> = found.iter().map(|it| it.display().to_string()).collect();
        if found.is_empty() {
            let alive = self.processes().into_iter().filter(|it| !it.is_reaper());
            found.extend(alive.map(|it| it.to_string()));
        }
        found
    }

    /// Files that a kill can leave behind and that mean nothing: names that were never given, locks that nobody holds.
    pub(crate) fn litter(&self) -> Vec<PathBuf> {
        let drafts =
            entries(&self.boxes()).filter(|it| is_identity(it) && !it.ends_with(".root-id"));
        let others = ["leases", "locks"].map(|it| entries(&self.state().join(it)));
        drafts.chain(others.into_iter().flatten()).collect()
    }

    /// Waits until nothing is left of any lease.
    ///
    /// # Errors
    /// What is left when the time is over.
    pub(crate) fn await_clean(&self, deadline: Deadline) -> Result<(), String> {
        eventually(deadline, || self.residue().is_empty())
            .map_err(|()| format!("left: {}", self.residue().join(", ")))
    }

    /// Asserts that nothing is left soon.
    #[track_caller]
    pub(crate) fn assert_clean(&self) {
        self.await_clean(Deadline::after(CLEAN_WITHIN)).unwrap();
        assert_eq!(self.leases(), Vec::<serde_json::Value>::new());
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        for process in self.processes() {
            process.kill();
        }
    }
}

impl Ended {
    pub(crate) fn of(output: &Output) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        let status = output.status;
        let code = status.code().or_else(|| status.signal().map(|it| 128 + it)).unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Self { code, stdout: output.stdout.clone(), stderr }
    }

    /// Waits for a child that was started with pipes.
    pub(crate) fn wait(child: Child) -> Self {
        Self::of(&child.wait_with_output().unwrap())
    }

    /// The line that says what failed.
    pub(crate) fn failure(&self) -> &str {
        let line = self.stderr.lines().rfind(|it| it.contains("; run: "));
        line.unwrap_or_else(|| panic!("no failure was told: {}", self.stderr))
    }
}

/// Whether this is the file that tells the directory of boxes from others, or a draft of it.
fn is_identity(path: &Path) -> bool {
    path.file_name().is_some_and(|it| it.as_encoded_bytes().starts_with(b".root-id"))
}

/// What a directory contains; nothing if it is not there.
pub(crate) fn entries(dir: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let mut found: Vec<_> =
        fs::read_dir(dir).into_iter().flatten().filter_map(|it| Some(it.ok()?.path())).collect();
    found.sort();
    found.into_iter()
}
