//! A home, a repository and a state directory for one test, and the program that sees nothing else.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use lease_core::journal::{Change, Disposition, Event, Intended, Opened};
use lease_core::store::fs::FsStore;
use lease_core::{
    Claim, Deadlines, HostKey, Nonce, OsEntropy, Reach, Retention, Scope, Spec, Store, Timestamp,
};

/// A hermetic home.
pub(crate) struct Home {
    dir: tempfile::TempDir,
}

/// What the program did.
#[must_use = "check how it ended and what it said"]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Home {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["home/.config/lease", "repo/.git", "run"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        Self { dir }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn repository(&self, text: impl AsRef<[u8]>) -> &Self {
        fs::write(self.path("repo/lease.yaml"), text).unwrap();
        self
    }

    /// The program, ready to be started in the repository.
    #[expect(
        clippy::disallowed_methods,
        reason = "the tests start the program under test, and nothing of it outlives them"
    )]
    pub(crate) fn command<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lease"));
        command.args(arguments).env_clear().stdin(Stdio::null()).current_dir(self.path("repo"));
        command.env("HOME", self.path("home")).env("LEASE_STATE_DIR", self.path("state"));
        command
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
        command
    }

    /// Runs the program with the words of `line`.
    pub(crate) fn lease(&self, line: &str) -> Ended {
        self.ended(&mut self.command(line.split_whitespace()))
    }

    /// Runs a prepared command; paths of this home are named by their role in what it said.
    pub(crate) fn ended(&self, command: &mut Command) -> Ended {
        let Output { status, stdout, stderr } = command.output().unwrap();
        let home = self.dir.path().to_str().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(home, "HOME");
        Ended { code: status.code().unwrap_or(-1), stdout: text(&stdout), stderr: text(&stderr) }
    }

    pub(crate) fn store(&self) -> FsStore {
        FsStore::open(self.path("state")).unwrap()
    }

    /// Records a ready lease of that name, with a box that nobody made.
    pub(crate) fn record(&self, slug: &str, id: &str, at: Timestamp) -> Claim {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(record(&self.store(), slug, id, at))
    }

    /// The files in a state directory whose locks its reapers hold for as long as they watch.
    pub(crate) fn posts(&self, state: &str) -> Vec<PathBuf> {
        let of_a_reaper = |it: &String| it.starts_with("reaper.") && it != "reaper.log";
        let state = self.path(state);
        names(&state).into_iter().filter(of_a_reaper).map(|it| state.join(it)).collect()
    }

    /// Waits until every reaper of this home has left.
    pub(crate) fn wait_for_the_reaper(&self) {
        for path in self.posts("state") {
            fs::File::open(path).unwrap().lock().unwrap();
        }
    }

    /// The journal of a lease.
    pub(crate) fn journal(&self, slug: &str) -> PathBuf {
        let entries = fs::read_dir(self.path("state/leases")).unwrap().map(|it| it.unwrap().path());
        let of = |it: &PathBuf| {
            it.file_name().unwrap().to_str().unwrap().starts_with(&format!("{slug}."))
        };
        entries.into_iter().find(of).unwrap()
    }
}

impl Ended {
    /// Asserts success and returns what was printed.
    #[track_caller]
    pub(crate) fn good(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (0, ""), "{}", self.stdout);
        self.stdout
    }

    /// Asserts a failure of the tool: nothing on standard output, one line on standard error.
    #[track_caller]
    pub(crate) fn bad(self) -> String {
        assert_eq!((self.code, self.stdout.as_str()), (125, ""), "{}", self.stderr);
        let line = self.stderr.strip_suffix('\n').unwrap();
        assert!(!line.contains('\n') && line.starts_with("lease: "), "{line}");
        assert_eq!(line.matches("; run: ").count(), 1, "{line}");
        line.to_owned()
    }
}

async fn record(store: &FsStore, slug: &str, id: &str, at: Timestamp) -> Claim {
    let lease: lease_core::LeaseId = id.parse().unwrap();
    let opened = Opened {
        lease: lease.clone(),
        slug: slug.parse().unwrap(),
        installation: store.installation().await.unwrap(),
        scope: Scope {
            provider: "local".to_owned(),
            endpoint: "/boxes".to_owned(),
            account: "uid-7".to_owned(),
        },
        spec: Spec::new("local"),
        owner: None,
        retention: Retention::UntilDeadline,
        deadlines: Deadlines {
            idle_ms: None,
            expires_at: Some(at.after(std::time::Duration::from_secs(360_000_000))),
        },
        purpose: "/some/tree".to_owned(),
    };
    let claim = store.open(at, opened, &[]).await.unwrap();
    let intended = Intended {
        candidate: 0,
        kind: "box".to_owned(),
        disposition: Disposition::Own,
        name: lease.resource_name(0),
        nonce: Nonce::draw(&OsEntropy).unwrap(),
        request: serde_json::json!({}),
        public_key: "ssh-ed25519 AAAA".to_owned(),
        id: None,
    };
    let host_key = HostKey::Pinned("ssh-ed25519 BBBB".to_owned());
    let reach = Reach::new("box", "me", host_key, "/boxes/1");
    let events = [
        Event::Intended(vec![intended]),
        Event::Resource { index: 0, change: Change::Sent { steady: None } },
        Event::Resource { index: 0, change: Change::Created { id: "box-1".parse().unwrap() } },
        Event::Ready(reach),
    ];
    store.append(&lease, claim.sequence(), at, &events).await.unwrap();
    store.load(&lease).await.unwrap()
}

/// A fixed moment in the past.
pub(crate) const AT: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// Reads JSON.
#[track_caller]
pub(crate) fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The names below a directory, in order.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<_> =
        entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
