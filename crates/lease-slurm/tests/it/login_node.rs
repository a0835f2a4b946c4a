//! Slurm's commands on a login node, and nodes that are reached through it: a real sshd on the loopback.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use lease_core::engine::Acquire;
use lease_core::provider::Verdict;
use lease_core::retry::{Bounds, Pace};
use lease_core::{Provider as _, Sighting, Spec};
use lease_process::{Child, Program, Stream, spawn};
use tempfile::TempDir;

use crate::bench::Bench;
use crate::cluster::{Cluster, PATH, PATIENCE};
use crate::ending::until;

/// An sshd of the cluster's user, whose profile says and sets what profiles say and set.
struct LoginNode {
    /// What this side logs in with.
    _own: TempDir,
    server: Child,
    ssh_config: String,
}

impl LoginNode {
    async fn start(cluster: &Cluster) -> Self {
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

    async fn end(self) {
        self.server.stop(PATIENCE).await.unwrap();
    }
}

fn through(cluster: &Arc<Cluster>, login: &LoginNode) -> Bench {
    let host = format!("{}@login", cluster.user());
    let file = login.ssh_config.clone();
    Bench::with(Arc::clone(cluster), |config| {
        config.enter = Vec::new();
        config.login_host = Some(host);
        config.login_ssh_config = Some(file);
    })
}

#[tokio::test]
async fn a_lease_works_through_a_login_node() {
    let cluster = Arc::new(Cluster::start(&["NODES=1"]));
    let login = LoginNode::start(&cluster).await;
    let bench = through(&cluster, &login);
    let checks = bench.provider.doctor().await.unwrap();
    assert!(checks.iter().all(|it| it.verdict != Verdict::Problem), "{checks:?}");
    let claim = bench.acquire().await;
    let reach = claim.usable().unwrap().clone();
    assert!(reach.proxy.contains(&"-W".to_owned()), "{reach:?}");
    let said = bench.run(&claim, "id -un").await;
    // A profile that talks is in front of every answer.
    assert_eq!(String::from_utf8(said.stdout).unwrap().lines().last(), Some(cluster.user()));
    bench.release(&claim).await;
    bench.assert_clean().await;
    login.end().await;
}

#[tokio::test]
async fn a_login_node_that_is_down_proves_nothing() {
    let cluster = Arc::new(Cluster::start(&["NODES=1"]));
    let login = LoginNode::start(&cluster).await;
    let bench = through(&cluster, &login);
    let mut request = Acquire::new(Spec::new("slurm"));
    request.purpose = "it outlives its login node".to_owned();
    let claim = bench.engine.acquire(request).await.unwrap();
    login.end().await;
    let sighting = bench.inspect(&claim).await;
    assert!(matches!(sighting, Sighting::Unclear(_)), "{sighting:?}");
    bench.provider.list().await.unwrap_err();
    let checks = bench.provider.doctor().await.unwrap();
    assert_eq!((checks.len(), checks[0].verdict), (1, Verdict::Problem));
    let number = bench.number(&claim).await;
    bench.cluster.say(&["scancel", &number]).await;
    until!("the job goes on", bench.cluster.state(&number).await == "CANCELLED");
}
