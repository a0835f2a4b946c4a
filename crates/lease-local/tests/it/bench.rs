//! A directory of boxes, a journal to get tokens from, and ssh to log in with.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lease_core::descriptor::Ownership;
use lease_core::host::HostKey;
use lease_core::journal::{Change, Disposition, Event, Intended, Opened};
use lease_core::spec::{Deadlines, Retention};
use lease_core::store::memory::MemoryStore;
use lease_core::store::{LeaseWriter, Store};
use lease_core::{
    Entropy, Error, Intent, LeaseId, Nonce, OsEntropy, Provider, Reach, Sighting, Slug, Spec,
    VerifiedScope,
};
use lease_local::{Contain, LocalConfig, LocalProvider};
use lease_process::{Limits, Output, Pid, ProcessTable, Program, output, wait};
use lease_testkit::sim::WallClock;
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{LineEnding, PrivateKey};
use tempfile::TempDir;

/// Longer than anything here takes on a busy machine; only a failing test waits that long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";

/// A directory of boxes that ends with the test.
pub(crate) struct Bench {
    pub(crate) directory: TempDir,
    pub(crate) provider: LocalProvider,
    store: Arc<dyn Store>,
    key: PrivateKey,
}

/// A lease with one box, made or only intended.
pub(crate) struct Lease {
    pub(crate) writer: LeaseWriter,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// A bench whose configuration is changed first.
    pub(crate) fn with(change: impl FnOnce(&mut LocalConfig)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(MemoryStore::new().unwrap());
        Self::of(directory, store, change)
    }

    /// A bench with a store of its own.
    pub(crate) fn of(
        directory: TempDir,
        store: Arc<dyn Store>,
        change: impl FnOnce(&mut LocalConfig),
    ) -> Self {
        let mut config = config_in(directory.path());
        change(&mut config);
        let provider = open(config);
        let mut seed = [0; 32];
        OsEntropy.fill(&mut seed).unwrap();
        let pair = KeypairData::from(Ed25519Keypair::from_seed(&seed));
        let key = PrivateKey::new(pair, "test").unwrap();
        let path = directory.path().join("id");
        fs::write(&path, key.to_openssh(LineEnding::LF).unwrap().as_bytes()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        Self { directory, provider, store, key }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().join("boxes")
    }

    pub(crate) fn public_key(&self) -> String {
        self.key.public_key().to_openssh().unwrap()
    }

    /// The kinds of containment that work here.
    pub(crate) async fn containments(&self) -> Vec<Contain> {
        let mut spec = Spec::new("local");
        spec.options.insert("contain".to_owned(), "namespace".into());
        match self.provider.plan(&spec).await {
            Ok(_) => vec![Contain::Scan, Contain::Namespace],
            Err(error) => {
                // Where the kernel makes none, that it is refused with advice is all there is to see.
                assert!(error.to_string().contains("contain: scan"), "{error}");
                vec![Contain::Scan]
            }
        }
    }

    /// Records a lease that is about to get a box.
    pub(crate) async fn intend(&self) -> Lease {
        let spec = Spec::new("local");
        let template = self.provider.plan(&spec).await.unwrap().remove(0).resources.remove(0);
        let lease = LeaseId::draw(&OsEntropy).unwrap();
        let intended = Intended {
            candidate: 0,
            kind: template.kind,
            disposition: Disposition::Own,
            name: lease.resource_name(0),
            nonce: Nonce::draw(&OsEntropy).unwrap(),
            request: template.request,
            public_key: self.public_key(),
            id: None,
        };
        let store = Arc::clone(&self.store);
        let opened = Opened {
            lease,
            slug: Slug::draw_numbered(&OsEntropy).unwrap(),
            installation: store.installation().await.unwrap(),
            scope: self.provider.scope().await.unwrap(),
            spec,
            owner: None,
            retention: Retention::UntilDeadline,
            deadlines: Deadlines::default(),
            purpose: "test".to_owned(),
        };
        let mut writer = LeaseWriter::open(store, Arc::new(WallClock), opened).await.unwrap();
        writer.append(&[Event::Intended(vec![intended])]).await.unwrap();
        Lease { writer }
    }

    /// Makes a box and returns how to log in.
    pub(crate) async fn make(&self) -> (Lease, Reach) {
        let mut lease = self.intend().await;
        let intent = lease.send().await;
        let created = self.provider.create(&intent).await.unwrap();
        lease.note(Change::Created { id: created.id }).await;
        let reach = created.shown.unwrap().reach.unwrap();
        (lease, reach)
    }

    /// Passes the gate as a release would, and destroys.
    pub(crate) async fn destroy(&self, lease: &mut Lease) -> Result<(), Error> {
        destroy(&self.provider, lease).await
    }

    /// A login that runs `script`.
    pub(crate) fn ssh(&self, reach: &Reach, script: &str) -> Program {
        let HostKey::Pinned(host_key) = &reach.host_key else {
            panic!("the host key is not pinned")
        };
        let known_hosts = self.directory.path().join(format!("known-{}", reach.host));
        fs::write(&known_hosts, format!("{} {host_key}\n", reach.host)).unwrap();
        let word = |it: &String| format!("'{}'", it.replace('\'', r"'\''").replace('%', "%%"));
        let proxy: Vec<_> = reach.proxy.iter().map(word).collect();
        let config = format!(
            "Host *\nProxyCommand {}\nUserKnownHostsFile {}\nGlobalKnownHostsFile none\n\
             StrictHostKeyChecking yes\nIdentityFile {}\nIdentitiesOnly yes\nBatchMode yes\n\
             LogLevel ERROR\n",
            proxy.join(" "),
            known_hosts.display(),
            self.directory.path().join("id").display(),
        );
        let path = self.directory.path().join(format!("config-{}", reach.host));
        fs::write(&path, config).unwrap();
        Program::new("ssh")
            .arg("-F")
            .arg(path)
            .arg(format!("{}@{}", reach.user, reach.host))
            .arg(script)
            .env("PATH", PATH)
            .env("SHELL", "/bin/sh")
    }

    pub(crate) async fn run(&self, reach: &Reach, script: &str) -> Output {
        output(&self.ssh(reach, script), Limits::default()).await.unwrap()
    }

    /// Fails unless nothing but the directory's own files is left.
    #[track_caller]
    pub(crate) fn assert_clean(&self) {
        assert_eq!(entries(&self.root()), [".root-id"]);
    }
}

impl Lease {
    pub(crate) async fn send(&mut self) -> Intent {
        self.writer.send(0).await.unwrap()
    }

    pub(crate) fn recall(&self) -> Intent {
        self.writer.recall(0).unwrap()
    }

    pub(crate) async fn note(&mut self, change: Change) {
        self.writer.append(&[Event::Resource { index: 0, change }]).await.unwrap();
    }
}

/// Passes the gate as a release would, and destroys.
pub(crate) async fn destroy(provider: &LocalProvider, lease: &mut Lease) -> Result<(), Error> {
    if lease.writer.claim().releasing().is_none() {
        let releasing = Event::Releasing { why: "the test is over".to_owned(), ends_keep: false };
        lease.writer.append(&[releasing]).await.unwrap();
    }
    let id = lease.writer.claim().resources()[0].id().unwrap().clone();
    let Sighting::Found(found) = provider.inspect(&id).await.unwrap() else {
        panic!("{id} is not there")
    };
    let scope = VerifiedScope::verify(provider, lease.writer.claim().scope()).await.unwrap();
    let owned = lease.writer.own(0, &found, &scope, Ownership::Marks).await.unwrap();
    provider.destroy(&owned).await
}

/// The configuration of whoever runs the tests, with boxes in `directory`.
pub(crate) fn config_in(directory: &Path) -> LocalConfig {
    let (user, uid) = caller();
    let mut config = LocalConfig::new(directory.join("boxes"), user, uid);
    config.environment = vec![("PATH".to_owned(), PATH.to_owned())];
    config
}

pub(crate) fn open(config: LocalConfig) -> LocalProvider {
    LocalProvider::open(config, Arc::new(WallClock), Arc::new(OsEntropy)).unwrap()
}

/// The login name and the uid of whoever runs the tests.
pub(crate) fn caller() -> (String, u32) {
    let uid = rustix::process::geteuid().as_raw();
    let table = fs::read_to_string("/etc/passwd").unwrap();
    let is_ours = |line: &&str| line.split(':').nth(2) == Some(&uid.to_string());
    let line = table.lines().find(is_ours).unwrap();
    (line.split(':').next().unwrap().to_owned(), uid)
}

pub(crate) fn entries(directory: &Path) -> Vec<String> {
    let name = |it: std::io::Result<fs::DirEntry>| it.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<_> = fs::read_dir(directory).unwrap().map(name).collect();
    names.sort();
    names
}

/// Everybody whose arguments contain `word` and who has not ended.
pub(crate) fn bearers(word: &str) -> BTreeSet<Pid> {
    let bears = |arg: &std::ffi::OsString| arg.to_string_lossy() == word;
    let table = ProcessTable::read().unwrap();
    table.select(|it| !it.state.has_ended() && it.argv().iter().any(bears))
}

#[track_caller]
pub(crate) fn wait_for_bearers(word: &str, count: usize) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let interval = Duration::from_millis(10);
        let came = wait::until(PATIENCE, interval, || bearers(word).len() == count).await;
        assert!(came, "{caller}: {:?} have {word}, not {count}", bearers(word));
    }
}
