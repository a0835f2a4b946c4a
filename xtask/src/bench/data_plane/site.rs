//! The two sides of each link: a server that can be logged in to, and a client with its connections and leases.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::link::Link;
use super::network::{Host, Job, Network, Run};
use crate::machine::{Call, Stopwatch, pause};
use crate::packages::find;

/// A server listens twice, so that two leases can be on it: a machine of the example adapter takes one each.
const PORTS: [u16; 2] = [22, 2222];
const SERVER_PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(50);
/// Longer than what still comes in after a command ended, beside the link's own time, and than what a contestant then does:
/// ours has the box look at the tree. The next one shall find the machine idle.
const SETTLE: Duration = Duration::from_millis(100);
/// Beside the link's own time, longer than it takes until another session waits.
const WAITS: Duration = Duration::from_millis(300);
/// The setting for how long a session waits for the next run.
const SPARE: &str = "LEASE_RUN_SPARE";

/// Where everything is.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) network: Network,
    scratch: PathBuf,
    lease: PathBuf,
    adapter: PathBuf,
}

/// A link with its server, and what the client knows of it.
#[derive(Clone, Debug)]
pub(super) struct Station {
    pub(super) link: Link,
    pub(super) number: usize,
    pub(super) address: String,
    /// On the server's side, where peers put what they sync.
    pub(super) peers: PathBuf,
    /// `ssh` with the connection that is open already, as one would type it.
    pub(super) ssh: String,
    environment: Vec<(&'static str, String)>,
}

/// A lease, for one command after another.
#[derive(Debug)]
pub(super) struct Lease(String);

impl Site {
    /// Makes keys, servers and connections for each link.
    pub(super) fn build(
        network: Network,
        scratch: &Path,
        lease: &Path,
        root: &Path,
    ) -> Result<Self> {
        let adapter = root.join("docs/examples/hosts/lease-hosts");
        let site =
            Self { network, scratch: scratch.to_path_buf(), lease: lease.to_path_buf(), adapter };
        for name in ["host", "key"] {
            let file = site.text("", name);
            Call::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f", &file])
                .output()?;
        }
        site.write("ssh-config", &site.client_config())?;
        site.write(
            "ssh",
            &format!("#!/bin/sh\nexec ssh -F {} \"$@\"\n", site.text("", "ssh-config")),
        )?;
        fs::set_permissions(site.scratch.join("ssh"), fs::Permissions::from_mode(0o755))?;
        Ok(site)
    }

    /// Starts the server of a link and opens the connection that peers share.
    pub(super) fn open(&self, number: usize, link: Link) -> Result<Station> {
        let host = self.network.hosts.get(number).context("there is no such host")?;
        self.serve(number, host)?;
        let near = format!("near{number}");
        let socket = self.text("", &format!("socket{number}"));
        let station = Station {
            link,
            number,
            address: host.address.clone(),
            peers: self.scratch.join(format!("far{number}/peers")),
            ssh: format!("ssh -F {} -S {socket}", self.text("", "ssh-config")),
            environment: vec![
                ("HOME", self.text(&near, "home")),
                ("LEASE_CONFIG_DIR", self.text(&near, "config")),
                ("LEASE_STATE_DIR", self.text(&near, "state")),
                ("XDG_RUNTIME_DIR", self.text(&near, "run")),
                (SPARE, "none".to_owned()),
            ],
        };
        for (_, directory) in station.environment.iter().filter(|(name, _)| *name != SPARE) {
            fs::create_dir_all(directory)?;
            fs::set_permissions(directory, fs::Permissions::from_mode(0o700))?;
        }
        self.write(&format!("{near}/hosts"), &self.machines(&host.address)?)?;
        self.write(&format!("{near}/config/config.yaml"), &self.lease_config(number))?;
        self.log_in(&station)?;
        Ok(station)
    }

    /// Leases one of the server's two machines for that tree.
    pub(super) fn acquire(&self, station: &Station, tree: &Path) -> Result<Lease> {
        let told = self.lease(station, tree, &["acquire", "--json"])?;
        let told: Value = serde_json::from_str(&told).context("`lease acquire` told no JSON")?;
        let id = told["lease"]["id"].as_str().context("`lease acquire` told no id")?;
        Ok(Lease(id.to_owned()))
    }

    pub(super) fn release(&self, station: &Station, lease: &Lease) -> Result<()> {
        self.lease(station, &self.scratch, &["release", &lease.0]).map(drop)
    }

    /// The words of `lease run` on that lease.
    pub(super) fn run_words(&self, lease: &Lease, more: &[&str]) -> Vec<String> {
        let lease_words = [self.lease.to_str().unwrap_or("lease"), "run", "--id", &lease.0];
        lease_words.iter().chain(more).map(|word| (*word).to_owned()).collect()
    }

    /// Measures a command on the client, in that directory, and waits until its last packets are through.
    pub(super) fn measure(
        &mut self,
        station: &Station,
        tree: &Path,
        words: &[String],
    ) -> Result<Run> {
        let run = self.cost(station, tree, (words, &station.environment))?;
        pause(station.link.rtt() + SETTLE);
        Ok(run)
    }

    /// The same of a `lease run` over a session that waits, and waits until another one does.
    pub(super) fn measure_spare(
        &mut self,
        station: &Station,
        tree: &Path,
        words: &[String],
    ) -> Result<Run> {
        let mut environment = station.environment.clone();
        environment.retain(|(name, _)| *name != SPARE);
        let run = self.cost(station, tree, (words, &environment))?;
        // It is opened, its script is sent, which may take a window more, and it says that it waits.
        pause(station.link.rtt() * 4 + WAITS);
        Ok(run)
    }

    fn cost(
        &mut self,
        station: &Station,
        tree: &Path,
        (words, environment): (&[String], &[(&'static str, String)]),
    ) -> Result<Run> {
        let errors = self.scratch.join("errors");
        let job = Job { directory: tree, errors: &errors, environment, words };
        self.network.measure(station.number, &job)
    }

    /// Removes what peers put on a server.
    pub(super) fn clear(station: &Station) -> Result<()> {
        match fs::remove_dir_all(&station.peers) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(fs::create_dir_all(&station.peers)?),
        }
    }

    fn lease(&self, station: &Station, tree: &Path, words: &[&str]) -> Result<String> {
        let program = self.lease.display().to_string();
        let directory = format!("--chdir={}", tree.display());
        let mut call =
            self.network.client.call("env").args([&directory, &program, "--quiet"]).args(words);
        for (name, value) in &station.environment {
            call = call.env(name, value);
        }
        call.output()
    }

    /// The server has its own home and `/run`, so that it neither reads nor writes those of the machine.
    fn serve(&self, number: usize, host: &Host) -> Result<()> {
        let far = format!("far{number}");
        let home = self.text(&far, "home");
        fs::create_dir_all(format!("{home}/.ssh"))?;
        fs::copy(self.scratch.join("key.pub"), format!("{home}/.ssh/authorized_keys"))?;
        self.write(&format!("{far}/sshd-config"), &self.server_config())?;
        let sshd = find("sshd").context("there is no sshd")?.display().to_string();
        let script = "mount --bind \"$1\" /root; mount -t tmpfs tmpfs /run; mkdir -m 0755 /run/sshd
setsid \"$2\" -D -e -f \"$3\" </dev/null >\"$4\" 2>&1 &";
        let (config, log) = (self.text(&far, "sshd-config"), self.text(&far, "sshd-log"));
        host.call("sh").args(["-euc", script, "sh", &home, &sshd, &config, &log]).output()?;
        let began = Stopwatch::start();
        while !host.call("sh").args(["-c", "grep -q ':08AE ' /proc/net/tcp"]).succeeds() {
            if began.elapsed() > SERVER_PATIENCE {
                bail!("sshd does not listen: {}", fs::read_to_string(log).unwrap_or_default());
            }
            pause(POLL);
        }
        Ok(())
    }

    fn log_in(&self, station: &Station) -> Result<()> {
        let words: Vec<&str> = station.ssh.split(' ').collect();
        let master = self.network.client.call(words[0]).args(&words[1..]);
        master
            .args(["-M", "-N", "-f", &station.address])
            .quiet()
            .succeeds()
            .then_some(())
            .with_context(|| format!("no connection to {} could be opened", station.address))
    }

    fn server_config(&self) -> String {
        let ports = PORTS.map(|port| format!("Port {port}\n")).concat();
        let key = self.text("", "host");
        // With this, bash does not read the files of whoever measures, whose work would be in each figure.
        format!(
            "{ports}HostKey {key}
PidFile none
UsePAM no
UseDNS no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxSessions 100
SetEnv SHLVL=1
LogLevel ERROR
"
        )
    }

    fn client_config(&self) -> String {
        format!(
            "User root
IdentityFile {}
IdentitiesOnly yes
IdentityAgent none
UserKnownHostsFile {}
GlobalKnownHostsFile /dev/null
StrictHostKeyChecking accept-new
BatchMode yes
LogLevel ERROR
",
            self.text("", "key"),
            self.text("", "known-hosts")
        )
    }

    /// The list of the example adapter: the one server, by each of its ports.
    fn machines(&self, address: &str) -> Result<String> {
        let key = fs::read_to_string(self.scratch.join("host.pub"))?;
        let key: Vec<&str> = key.split_whitespace().take(2).collect();
        let line = |port: u16| format!("root@{address}:{port} {}\n", key.join(" "));
        Ok(PORTS.map(line).concat())
    }

    fn lease_config(&self, number: usize) -> String {
        let near = format!("near{number}");
        format!(
            "provider: external
providers:
  external:
    command: {}
    trust_provider_output: true
    idempotent_lease_id: true
    config:
      hosts: {}
      state: {}
      ssh: {}
      workRoot: {}
",
            self.adapter.display(),
            self.text(&near, "hosts"),
            self.text(&near, "adapter"),
            self.text("", "ssh"),
            self.text(&format!("far{number}"), "boxes")
        )
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.scratch.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    fn text(&self, directory: &str, name: &str) -> String {
        self.scratch.join(directory).join(name).display().to_string()
    }
}
