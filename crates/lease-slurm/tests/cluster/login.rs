//! A login node of a cluster: a real sshd on the loopback, with a profile that talks.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use lease_core::retry::{Bounds, Pace};
use lease_process::{Child, Program, Stream, spawn};
use tempfile::TempDir;

use super::{Cluster, PATH, PATIENCE};

/// An sshd of the cluster's user, whose profile says and sets what profiles say and set.
pub(crate) struct LoginNode {
    /// What this side logs in with.
    _own: TempDir,
    server: Child,
    /// How this side logs in: the host is called `login`.
    pub(crate) ssh_config: String,
}

impl LoginNode {
    pub(crate) async fn start(cluster: &Cluster) -> Self {
        let place = cluster.path().join("home/login");
        let at = |name: &str| place.join(name).display().to_string();
        cluster.say(&["mkdir", "-m", "700", place.to_str().unwrap()]).await;
        for key in ["host", "id"] {
            cluster
                .say(&["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", &at(key)])
                .await;
        }
        fs::copy(at("id.pub"), at("authorized_keys")).unwrap();
        let noise = "echo 'Welcome to the cluster'; echo 'lease1 F begin x'; export SQUEUE_USERS=root SCANCEL_NAME=x\n";
        fs::write(cluster.path().join("home/.bashrc"), noise).unwrap();
        let (mut server, mut port) = (None, 0);
        let mut turns = Pace::start(Bounds::within(PATIENCE));
        // A free port is not kept free for us.
        while server.is_none() {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            port = listener.local_addr().unwrap().port();
            drop(listener);
            let config = format!(
                "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile {}\nStrictModes no\n\
                 UsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nAllowUsers {}\n",
                at("host"),
                at("authorized_keys"),
                at("pid"),
                cluster.user(),
            );
            fs::write(at("sshd_config"), config).unwrap();
            let mut argv = cluster.enter();
            argv.extend(["/usr/sbin/sshd", "-D", "-f", &at("sshd_config")].map(str::to_owned));
            let program = Program::new(&argv[0])
                .args(&argv[1..])
                .env("PATH", PATH)
                .stderr(Stream::Null)
                .stdout(Stream::Null);
            let child = spawn(&program).unwrap();
            while child.try_wait().unwrap().is_none() && server.is_none() {
                if place.join("pid").exists() {
                    break;
                }
                assert!(turns.wait(None).await, "the login node does not start");
            }
            if child.try_wait().unwrap().is_none() {
                server = Some(child);
            }
        }
        // This side logs in as whoever runs the tests.
        let directory = tempfile::Builder::new().prefix("lsl").tempdir().unwrap();
        let mine = |name: &str| directory.path().join(name).display().to_string();
        fs::copy(at("id"), mine("id")).unwrap();
        fs::set_permissions(mine("id"), fs::Permissions::from_mode(0o600)).unwrap();
        let host_key = fs::read_to_string(at("host.pub")).unwrap();
        fs::write(mine("known_hosts"), format!("[127.0.0.1]:{port} {host_key}")).unwrap();
        let config = format!(
            "Host login\nHostName 127.0.0.1\nPort {port}\nIdentityFile {}\nIdentitiesOnly yes\nUserKnownHostsFile {}\n\
             GlobalKnownHostsFile none\nStrictHostKeyChecking yes\n",
            mine("id"),
            mine("known_hosts"),
        );
        fs::write(mine("config"), config).unwrap();
        let ssh_config = mine("config");
        Self { _own: directory, server: server.unwrap(), ssh_config }
    }

    pub(crate) async fn end(self) {
        self.server.stop(PATIENCE).await.unwrap();
    }
}
