//! An emulated cloud with its machines, and an installation that is configured for it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use lease_emulator::fal::{FalCloud, FalPolicy, Walk, Workspace};
use lease_emulator::hetzner::{Access, Hetzner, Policy};
use lease_emulator::machine::{SshdMachines, SshdSettings};
use lease_emulator::{Cloud, LedgerEntry, Machines, Scripted, Server};

use crate::installation::{CLEAN_WITHIN, Deadline, Ended, Installation, eventually};

/// The workspace, and its key, that the installation is configured for.
pub(crate) const WORKSPACE: &str = "workspace-one";
pub(crate) const KEY: &str = "key-one:planted-secret-one";

/// The project that the installation is configured for.
pub(crate) const PROJECT: &str = "project-one";

/// How long a machine may take until a login works, where a test says nothing else.
const READY_WITHIN: &str = "30s";

/// A cloud, its machines, and an installation.
pub(crate) struct Site<C: Cloud + 'static> {
    pub(crate) installation: Installation,
    pub(crate) cloud: Arc<Scripted<C>>,
    pub(crate) machines: Arc<SshdMachines>,
    /// The variable of the credential, and the credential that is used when a test says nothing else.
    pub(crate) credential: (&'static str, String),
    provider: &'static str,
    server: Option<Server>,
    runtime: tokio::runtime::Runtime,
}

impl Site<FalCloud> {
    /// A fal where everything is ready at once.
    pub(crate) fn fal() -> Self {
        let make = |machines: Arc<dyn Machines>| {
            let walk = Walk(vec![(Duration::ZERO, "ready".to_owned())]);
            let cloud = FalCloud::new(machines, FalPolicy { walk, ..FalPolicy::default() });
            cloud.add_workspace(Workspace::new(WORKSPACE), KEY);
            (cloud, KEY.to_owned())
        };
        let site = Self::start("fal", "FAL_KEY", make);
        site.configure("/v1", "    settle: 200ms\n");
        site
    }
}

impl Site<Hetzner> {
    /// A Hetzner Cloud where everything happens at once.
    pub(crate) fn hetzner() -> Self {
        let make = |machines: Arc<dyn Machines>| {
            let cloud = Hetzner::new(machines, Policy::immediate());
            let token = cloud.grant(PROJECT, Access::ReadWrite);
            (cloud, token)
        };
        let site = Self::start("hetzner", "HCLOUD_TOKEN", make);
        site.configure("/v1", "    settle: 200ms\n");
        site
    }
}

impl<C: Cloud + 'static> Site<C> {
    fn start(
        provider: &'static str,
        variable: &'static str,
        make: impl FnOnce(Arc<dyn Machines>) -> (C, String),
    ) -> Self {
        let installation = Installation::new();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let settings = SshdSettings::default()
            .with_environment("PATH", path())
            .with_environment("HOME", installation.root().join("home").to_str().unwrap())
            .with_writable(far(&installation));
        let machines = Arc::new(runtime.block_on(SshdMachines::start(settings)).unwrap());
        let entered = runtime.enter();
        let (cloud, credential) = make(Arc::<SshdMachines>::clone(&machines));
        let cloud = Arc::new(Scripted::new(Arc::new(cloud)));
        let front: Arc<dyn Cloud> = Arc::<Scripted<C>>::clone(&cloud);
        let server = runtime.block_on(Server::start(front)).unwrap();
        drop(entered);
        let credential = (variable, credential);
        Self { installation, cloud, machines, credential, provider, server: Some(server), runtime }
    }

    /// Writes the user's configuration; `more` are further lines of the provider.
    pub(crate) fn configure(&self, path: &str, more: &str) {
        let directory = self.installation.root().join("home/.config/lease");
        fs::create_dir_all(&directory).unwrap();
        let (user, port) = (self.machines.user(), self.machines.port());
        let origin = self.server.as_ref().unwrap().origin();
        let (provider, root) = (self.provider, far(&self.installation));
        let text = format!(
            "provider: {provider}\nproviders:\n  {provider}:\n    endpoint: {origin}{path}\n    user: {user}\n    port: {port}\n    work_root: {}\n{more}",
            root.display()
        );
        fs::write(directory.join("config.yaml"), text).unwrap();
    }

    /// The program with these arguments and the credential in its environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.command_with(&self.credential.1, arguments)
    }

    /// The same with another credential, as in another shell.
    pub(crate) fn command_with(&self, credential: &str, arguments: &[&str]) -> Command {
        let mut command = self.installation.command(arguments);
        command.env(self.credential.0, credential).env("LEASE_READY_TIMEOUT", READY_WITHIN);
        command
    }

    /// Runs the program to its end. Whatever it says, it never says the credential.
    pub(crate) fn lease(&self, arguments: &[&str]) -> Ended {
        self.lease_with(&self.credential.1, arguments)
    }

    /// The same with another credential.
    pub(crate) fn lease_with(&self, credential: &str, arguments: &[&str]) -> Ended {
        let ended = self.ended(&mut self.command_with(credential, arguments));
        assert!(!ended.stderr.contains(credential), "{arguments:?}: {}", ended.stderr);
        ended
    }

    /// Runs a prepared command to its end.
    pub(crate) fn ended(&self, command: &mut Command) -> Ended {
        let ended = Ended::of(&command.output().unwrap());
        let said = format!("{}{}", String::from_utf8_lossy(&ended.stdout), ended.stderr);
        assert!(!said.contains(&self.credential.1), "{command:?}: {said}");
        ended
    }

    /// Deletes something at the cloud as somebody with the same credential does elsewhere.
    #[track_caller]
    pub(crate) fn delete(&self, path: &str) {
        let server = self.server.as_ref().unwrap().address();
        let mut stream = std::net::TcpStream::connect(server).unwrap();
        let lines = format!(
            "DELETE {path} HTTP/1.1\r\nHost: {server}\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
            self.credential.1
        );
        stream.write_all(lines.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 2"), "{answer}");
    }

    /// How many resources were ever made by us.
    pub(crate) fn made(&self) -> usize {
        self.cloud.ledger().iter().filter(|it| !it.foreign).count()
    }

    /// The answer of a command that is given `--json` and succeeds.
    pub(crate) fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let ended = self.lease(&[arguments, &["--json"]].concat());
        assert_eq!(ended.code, 0, "{arguments:?}: {}", ended.stderr);
        serde_json::from_slice(&ended.stdout).unwrap()
    }

    /// What exists right now and is not somebody else's.
    pub(crate) fn ours(&self) -> Vec<LedgerEntry> {
        let mut entries = self.cloud.ledger();
        entries.retain(|it| it.gone.is_none() && !it.foreign);
        entries
    }

    /// How many resources of others there are.
    pub(crate) fn foreign(&self) -> usize {
        self.cloud.ledger().iter().filter(|it| it.gone.is_none() && it.foreign).count()
    }

    /// Asserts that soon nothing of ours is left at the cloud, here, or on its machines.
    #[track_caller]
    pub(crate) fn assert_clean(&self) {
        let clean = || self.ours().is_empty() && self.installation.residue().is_empty();
        let is_clean = eventually(Deadline::after(CLEAN_WITHIN), clean).is_ok();
        assert!(is_clean, "left: {:?} {:?}", self.ours(), self.installation.residue());
        assert_eq!(self.machines.ids(), Vec::<String>::new());
        self.assert_no_secret();
    }

    /// Nothing on disk holds the credential.
    #[track_caller]
    pub(crate) fn assert_no_secret(&self) {
        let mut directories = vec![self.installation.state()];
        while let Some(directory) = directories.pop() {
            for path in crate::installation::entries(&directory) {
                if path.is_dir() {
                    directories.push(path);
                    continue;
                }
                let bytes = fs::read(&path).unwrap_or_default();
                let secret = self.credential.1.as_bytes();
                assert!(
                    !crate::installation::process::contains(&bytes, secret),
                    "{}",
                    path.display()
                );
            }
        }
    }

    /// How many reapers of this installation watch.
    pub(crate) fn reapers(&self) -> usize {
        let status = self.json(&["reaper", "status"]);
        let mut pids: Vec<_> =
            status["watchers"].as_array().unwrap().iter().map(|it| it["pid"].as_u64()).collect();
        pids.sort_unstable();
        pids.dedup();
        pids.len()
    }
}

impl<C: Cloud + 'static> Drop for Site<C> {
    fn drop(&mut self) {
        drop(self.server.take());
        self.runtime.block_on(self.machines.end_all());
    }
}

/// The directory that machines give to leases.
fn far(installation: &Installation) -> PathBuf {
    installation.root().join("far")
}

fn path() -> String {
    let cargo = Path::new(env!("CARGO")).parent().unwrap();
    format!("{}:/usr/local/bin:/usr/bin:/bin:/usr/sbin", cargo.display())
}
