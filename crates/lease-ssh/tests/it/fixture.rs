//! A box for tests: a private directory, a host key, and an `sshd -i` for each connection.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lease_process::{Limits, Output, Program, output};
use lease_ssh::{BoxRoot, Client, Command, Endpoint, HostKey, Outcome, Session, Settings, Tree};

pub(crate) const LEASE: &str = "lse-aaaaaaaaaaaaaaaaaaaa";

pub(crate) struct Box {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) client: Client,
    pub(crate) endpoint: Endpoint,
    pub(crate) root: BoxRoot,
    pub(crate) sshd: Vec<String>,
}

impl Box {
    pub(crate) async fn new() -> Self {
        Self::with("", "").await
    }

    /// `prelude` is shell that runs before sshd in its process, `extra` are lines of its configuration.
    pub(crate) async fn with(prelude: &str, extra: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("lssh").tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let mut settings = Settings::new(at("keys"), at("run"));
        settings.environment =
            vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin".into())];
        settings.persist = Duration::from_secs(120);
        // Whatever else runs on this machine, the box is near.
        settings.near = Duration::from_secs(3600);
        let client = Client::new(settings);
        fs::write(at("authorized_keys"), client.prepare(LEASE).unwrap()).unwrap();
        let host_key = make_host_key(&at("host_key")).await;
        let me = text(&tool("id", &["-un"]).await.stdout);
        if rustix::process::geteuid().is_root() {
            // Debian's sshd insists on it when it is root; nothing is put there.
            fs::create_dir_all("/run/sshd").unwrap();
        }
        // bash, as the first shell below an sshd, would read the files of whoever runs the tests.
        let shell = if extra.contains("SetEnv") { "" } else { "SetEnv SHLVL=1\n" };
        let config = format!(
            "{shell}HostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPidFile none\nAllowUsers {me}\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n{extra}\n",
            at("host_key").display(),
            at("authorized_keys").display(),
        );
        fs::write(at("sshd_config"), config).unwrap();
        let line = format!("{prelude}\nexec \"$@\"");
        let sshd: Vec<String> = ["/bin/sh", "-c", &line, "box", "/usr/sbin/sshd", "-i", "-f"]
            .into_iter()
            .map(str::to_owned)
            .chain([
                at("sshd_config").display().to_string(),
                "-E".to_owned(),
                at("sshd.log").display().to_string(),
            ])
            .collect();
        let endpoint = Endpoint {
            host: "box".to_owned(),
            port: 22,
            user: me,
            proxy_command: Some(sshd.clone()),
            host_key: HostKey::Pinned(host_key),
            identity_file: None,
        };
        let root = BoxRoot::new(at("box").display().to_string()).unwrap();
        Self { directory, client, endpoint, root, sshd }
    }

    pub(crate) async fn connect(&self) -> Session {
        match self.client.ready(LEASE, &self.endpoint, Duration::from_secs(15)).await {
            Ok(session) => session,
            Err(error) => {
                let log =
                    fs::read_to_string(self.directory.path().join("sshd.log")).unwrap_or_default();
                panic!("{error}\nsshd: {log}");
            }
        }
    }

    /// A session, and a tree's directory on the box to run in.
    pub(crate) async fn ready(&self) -> Session {
        fs::create_dir_all(self.work()).unwrap();
        self.connect().await
    }

    pub(crate) fn work(&self) -> PathBuf {
        PathBuf::from(self.root.work())
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    pub(crate) async fn end(self) {
        self.client.forget(LEASE).await.unwrap();
    }

    pub(crate) async fn run(
        &self,
        session: &Session,
        run: &str,
        command: &Command,
        stdin: &[u8],
    ) -> Ran {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let outcome = session
            .run((&self.root, run), command, stdin, (&mut stdout, &mut stderr))
            .await
            .map_err(|it| it.to_string());
        Ran { outcome, stdout, stderr }
    }
}

#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) outcome: Result<Outcome, String>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

impl Ran {
    #[track_caller]
    pub(crate) fn code(&self) -> i32 {
        match &self.outcome {
            Ok(Outcome::Finished(code)) => *code,
            other => panic!("{other:?}, stderr {}", text(&self.stderr)),
        }
    }
}

pub(crate) fn sh(script: &str) -> Command {
    Command::new(["sh", "-c", script])
}

pub(crate) async fn tool(name: &str, args: &[&str]) -> Output {
    let program =
        Program::new(name).args(args.iter().map(OsString::from)).env("HOME", "/nonexistent");
    let program = program.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_ALLOW_PROTOCOL", "file");
    let done = output(&program, Limits::default()).await.unwrap();
    assert!(done.status.success(), "{name} {args:?}: {}", text(&done.stderr));
    done
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end().to_owned()
}

/// A new host key in the given file; returns its public half.
pub(crate) async fn make_host_key(path: &Path) -> String {
    let shown = path.display().to_string();
    tool("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", "host", "-f", &shown]).await;
    text(&fs::read(path.with_extension("pub")).unwrap())
}

pub(crate) fn tree_at(root: &Path) -> Tree {
    Tree {
        root: root.to_owned(),
        environment: vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())],
        ignore: Vec::new(),
    }
}

/// The tree as it is now.
pub(crate) async fn scan(
    tree: &Tree,
    known: Option<&lease_tree::Manifest>,
) -> Result<lease_ssh::Scan, lease_ssh::SshError> {
    let now = tempfile::tempfile().unwrap().metadata().unwrap().modified().unwrap();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = lease_core::Timestamp::from_millis(u64::try_from(now.as_millis()).unwrap());
    Ok(lease_ssh::scan(tree, known, now).await?)
}

/// The sorted paths of a tree.
pub(crate) fn names(scan: &lease_ssh::Scan) -> Vec<String> {
    let mut names: Vec<_> =
        scan.manifest().entries().map(|it| it.path.to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

pub(crate) fn mode_of(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}
