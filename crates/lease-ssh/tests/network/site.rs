//! A network with boxes: on each host a real sshd, whose files are this machine's.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use lease_process::{Limits, Program, output};
use lease_ssh::{BoxRoot, Client, Endpoint, HostKey, Session, Settings};
use lease_testnet::{Link, Net};

pub(crate) const LEASE: &str = "lse-aaaaaaaaaaaaaaaaaaaa";
const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";
const LOGIN_TIME_MAX: Duration = Duration::from_secs(60);

/// The network and its boxes.
pub(crate) struct Site {
    // Before the directory: what runs on the hosts ends first.
    pub(crate) net: Net,
    pub(crate) stations: Vec<Station>,
    _directory: tempfile::TempDir,
}

/// A box at the end of one link, and what is known of it here.
pub(crate) struct Station {
    pub(crate) number: usize,
    pub(crate) client: Client,
    pub(crate) endpoint: Endpoint,
    pub(crate) root: BoxRoot,
    directory: PathBuf,
    server: Child,
}

impl Site {
    pub(crate) async fn new(links: &[Link]) -> Self {
        let directory = tempfile::Builder::new().prefix("lssh").tempdir().unwrap();
        let net = Net::new(links).unwrap();
        let mut stations = Vec::new();
        for number in 0..links.len() {
            let at = directory.path().join(number.to_string());
            fs::create_dir_all(at.join("box/work")).unwrap();
            stations.push(Station::new(&net, number, at).await);
        }
        Self { net, stations, _directory: directory }
    }

    pub(crate) async fn end(self) {
        for station in &self.stations {
            station.client.forget(LEASE).await.unwrap();
        }
        // A server goes with its host.
        drop(self.net);
        for mut station in self.stations {
            station.server.wait().unwrap();
        }
    }
}

impl Station {
    async fn new(net: &Net, number: usize, directory: PathBuf) -> Self {
        let at = |name: &str| directory.join(name);
        let mut settings = Settings::new(at("keys"), at("run"));
        settings.environment = vec![("PATH".into(), PATH.into())];
        settings.connect_timeout = Duration::from_secs(5);
        let client = Client::new(settings);
        fs::write(at("authorized_keys"), client.prepare(LEASE).unwrap()).unwrap();
        let key = at("host_key").display().to_string();
        let made = Program::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &key]);
        assert!(output(&made, Limits::default()).await.unwrap().status.success());
        // Debian's sshd insists on it; nothing is put there.
        fs::create_dir_all("/run/sshd").unwrap();
        // A start-up file that prints is what a campus has, and the home of whoever runs this is none of ours.
        fs::create_dir_all(at("home")).unwrap();
        fs::write(at("home/.bashrc"), "echo welcome; echo module >&2\n").unwrap();
        let config = format!(
            "Port 22\nHostKey {key}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nUseDNS no\nPidFile none\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nMaxStartups 100\nSetEnv HOME={}\n",
            at("authorized_keys").display(),
            at("home").display(),
        );
        fs::write(at("sshd_config"), config).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let host = net.host(number).unwrap();
        let mut server = host.command(&directory, "/usr/sbin/sshd");
        server.args(["-D", "-f", &at("sshd_config").display().to_string(), "-E"]);
        let server = server.arg(at("sshd.log")).stdin(Stdio::null()).spawn().unwrap();
        let address = host.address().to_string();
        let mut proxy = net.client().enter(&directory);
        proxy.extend(["busybox", "nc", &address, "22"].map(str::to_owned));
        let endpoint = Endpoint {
            host: address,
            port: 22,
            user: "root".to_owned(),
            proxy_command: Some(proxy),
            host_key: HostKey::Pinned(fs::read_to_string(at("host_key.pub")).unwrap()),
            identity_file: None,
        };
        let root = BoxRoot::new(at("box").display().to_string()).unwrap();
        Self { number, client, endpoint, root, directory, server }
    }

    pub(crate) async fn connect(&self) -> Session {
        self.client.ready(LEASE, &self.endpoint, LOGIN_TIME_MAX).await.unwrap()
    }

    /// Kills the local process that holds the connection, as the death of a client's machine does.
    pub(crate) async fn kill_connection(&self) {
        let config = self.directory.join("keys").join(LEASE).join("config").display().to_string();
        let program = Program::new("ssh").args(["-F", &config, "-O", "check", LEASE]);
        let said = output(&program, Limits::default()).await.unwrap().stderr;
        let said = String::from_utf8_lossy(&said).into_owned();
        let Some((_, digits)) = said.split_once("pid=") else { return };
        let digits: String = digits.chars().take_while(char::is_ascii_digit).collect();
        let pid = rustix::process::Pid::from_raw(digits.parse().unwrap()).unwrap();
        // One that has gone by itself is no less dead.
        let _gone = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }

    /// How often commands were started in the tree; each writes one line.
    pub(crate) fn starts(&self, run: &str) -> String {
        fs::read_to_string(self.directory.join("box/work").join(run)).unwrap_or_default()
    }
}
