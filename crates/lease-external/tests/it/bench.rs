//! An adapter that answers what a test tells it to, an engine around it, and a transport that only takes notes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use lease_core::engine::{Acquire, AcquireFailure, By, Outcome, Release, Settings};
use lease_core::journal::{Change, Disposition, Event, Intended, Opened};
use lease_core::spec::{Deadlines, Retention};
use lease_core::store::LeaseWriter;
use lease_core::store::memory::MemoryStore;
use lease_core::{
    Claim, Engine, Error, ErrorKind, Host, HostKey, Intent, LeaseId, Nonce, OsEntropy, Probe,
    Provider, Reach, Recognition, Result, Slug, Spec, Store, Transport,
};
use lease_external::{ExternalConfig, ExternalProvider, Unheard};
use lease_testkit::sim::WallClock;
use tempfile::TempDir;

pub(crate) const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";
pub(crate) const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti test";

/// Longer than anything here takes on a busy machine; only a failing test waits that long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// An adapter with one machine, `exists`. Each operation does what is right unless there is a file `OPERATION.stdout`.
const REPLAY: &str = r#"#!/bin/sh
LC_ALL=C
export LC_ALL
dir=$1
request=$(cat)
op=$(printf '%s' "$request" | sed -n 's/.*"operation":"\([^"]*\)".*/\1/p')
printf '%s\n' "$op" >>"$dir/asked"
fill() {
    sed -e "s/@LEASE@/$(cat "$dir/leaseId")/g" -e "s/@SLUG@/$(cat "$dir/slug")/g" \
        -e "s/@NAME@/$(cat "$dir/name")/g" -e "s/@LABELS@/$(cat "$dir/labels")/g"
}
if [ "$op" = acquire ]; then
    for field in leaseId slug name; do
        printf '%s' "$request" |
            sed -n 's/.*"desired":{[^}]*"'"$field"'":"\([^"]*\)".*/\1/p' >"$dir/$field"
    done
    printf '%s' "$request" | sed -n 's/.*"labels":\({[^}]*}\).*/\1/p' >"$dir/labels"
    : >"$dir/exists"
fi
if [ -e "$dir/$op.stdout" ]; then
    if [ -e "$dir/$op.script" ]; then . "$dir/$op.script"; fi
    cat "$dir/$op.stderr" >&2
    fill <"$dir/$op.stdout"
    if [ -e "$dir/$op.script_after" ]; then . "$dir/$op.script_after"; fi
    exit "$(cat "$dir/$op.exit")"
fi
case $op in
    acquire | resolve) printf '{"protocolVersion":1,"lease":%s}\n' "$(fill <"$dir/shown")" ;;
    list)
        printf '{"protocolVersion":1,"leases":['
        if [ -e "$dir/exists" ]; then fill <"$dir/listed"; fi
        printf ']}\n'
        ;;
    release) rm -f "$dir/exists" && printf '{"protocolVersion":1}\n' ;;
    *) printf '{"protocolVersion":1}\n' ;;
esac
"#;

/// The lease as the adapter shows it when it is honest.
pub(crate) const SHOWN: &str = r#"{"leaseId":"@LEASE@","slug":"@SLUG@","name":"@NAME@","cloudId":"vm-1","status":"ready","ssh":{"host":"192.0.2.7","user":"ann","port":"22"}}"#;

/// An adapter, its directory, and an engine.
pub(crate) struct Bench {
    pub(crate) directory: TempDir,
    pub(crate) provider: Arc<ExternalProvider>,
    pub(crate) engine: Engine,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) doors: Arc<Doors>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// A bench whose configuration is changed first.
    pub(crate) fn with(change: impl FnOnce(&mut ExternalConfig)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("replay");
        write_program(&program, REPLAY);
        let mut config = ExternalConfig::command([path(&program), path(directory.path())]);
        quick(&mut config);
        change(&mut config);
        let bench = Self::of(directory, config, Arc::new(MemoryStore::new().unwrap()));
        bench.put("shown", SHOWN);
        bench.put("listed", SHOWN);
        for name in ["leaseId", "slug", "name", "labels"] {
            bench.put(name, "");
        }
        bench
    }

    pub(crate) fn of(directory: TempDir, config: ExternalConfig, store: Arc<dyn Store>) -> Self {
        let clock = Arc::new(WallClock);
        let provider = ExternalProvider::open(config, clock, Arc::new(Unheard)).unwrap();
        let (provider, doors) = (Arc::new(provider), Arc::new(Doors::default()));
        let transport: Arc<dyn Transport> = Arc::<Doors>::clone(&doors);
        let mut settings = Settings::default();
        settings.ready_timeout = Duration::from_secs(20);
        settings.settle_budget = Duration::from_secs(20);
        settings.release_budget = Duration::from_secs(20);
        let adapter: Arc<dyn Provider> = Arc::<ExternalProvider>::clone(&provider);
        let engine = Engine::builder(Arc::clone(&store), transport, Arc::new(WallClock))
            .provider(adapter)
            .settings(settings)
            .build();
        Self { directory, provider, engine, store, doors }
    }

    pub(crate) fn put(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.directory.path().join(name), text).unwrap();
    }

    pub(crate) fn take(&self, name: &str) {
        fs::remove_file(self.directory.path().join(name)).unwrap();
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.directory.path().join(name).exists()
    }

    /// Has the next answers to `operation` be these bytes, until [`Bench::behave`].
    pub(crate) fn misbehave(&self, operation: &str, stdout: impl AsRef<[u8]>) {
        self.put(&format!("{operation}.stderr"), "");
        self.put(&format!("{operation}.exit"), "0");
        self.put(&format!("{operation}.stdout"), stdout);
    }

    pub(crate) fn behave(&self, operation: &str) {
        self.take(&format!("{operation}.stdout"));
    }

    /// How often an operation was asked for.
    pub(crate) fn asked(&self, operation: &str) -> usize {
        let text = fs::read_to_string(self.directory.path().join("asked")).unwrap_or_default();
        text.lines().filter(|it| *it == operation).count()
    }

    pub(crate) async fn acquire(&self) -> Result<Claim, AcquireFailure> {
        self.engine.acquire(Acquire::new(Spec::new("external"))).await
    }

    pub(crate) async fn release(&self, lease: &LeaseId) -> Outcome {
        let request = Release::new(By::Owner, "the test is over");
        self.engine.release(lease, request).await.unwrap()
    }

    /// How many leases have a live record.
    pub(crate) async fn live(&self) -> usize {
        self.store.names().await.unwrap().len()
    }

    /// Records a lease that is about to be created.
    pub(crate) async fn intend(&self) -> LeaseWriter {
        let spec = Spec::new("external");
        let template = self.provider.plan(&spec).await.unwrap().remove(0).resources.remove(0);
        let lease = LeaseId::draw(&OsEntropy).unwrap();
        let intended = Intended {
            candidate: 0,
            kind: template.kind,
            disposition: Disposition::Own,
            name: lease.resource_name(0),
            nonce: Nonce::draw(&OsEntropy).unwrap(),
            request: template.request,
            public_key: KEY.to_owned(),
            id: None,
        };
        let opened = Opened {
            lease,
            slug: Slug::draw_numbered(&OsEntropy).unwrap(),
            installation: self.store.installation().await.unwrap(),
            scope: self.provider.scope().await.unwrap(),
            spec,
            owner: None,
            retention: Retention::UntilDeadline,
            deadlines: Deadlines::default(),
            purpose: "test".to_owned(),
        };
        let store = Arc::clone(&self.store);
        let mut writer = LeaseWriter::open(store, Arc::new(WallClock), opened).await.unwrap();
        writer.append(&[Event::Intended(vec![intended])]).await.unwrap();
        writer
    }

    /// Creates without recording what came of it, as a client does that dies on the way.
    pub(crate) async fn create(&self, writer: &mut LeaseWriter) -> (Intent, Result<()>) {
        let intent = writer.send(0).await.unwrap();
        let created = self.provider.create(&intent).await.map(drop);
        (intent, created)
    }
}

/// Records that an answer never came.
pub(crate) async fn lose(writer: &mut LeaseWriter) {
    let change = Change::Lost { message: "the client died".to_owned() };
    writer.append(&[Event::Resource { index: 0, change }]).await.unwrap();
}

/// Spans that cost a test no time.
pub(crate) fn quick(config: &mut ExternalConfig) {
    config.environment = vec![("PATH".to_owned(), PATH.to_owned())];
    config.settle = Duration::ZERO;
    config.landing = Duration::ZERO;
}

pub(crate) fn write_program(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

pub(crate) fn path(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A transport that lets everybody in and notes where it was asked to go.
#[derive(Debug, Default)]
pub(crate) struct Doors {
    asked: Mutex<Vec<Reach>>,
}

impl Doors {
    pub(crate) fn asked(&self) -> Vec<Reach> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait]
impl Transport for Doors {
    async fn prepare(&self, _lease: &LeaseId) -> Result<String> {
        Ok(KEY.to_owned())
    }

    async fn probe(&self, _lease: &LeaseId, reach: &Reach) -> Result<Probe> {
        self.asked.lock().unwrap().push(reach.clone());
        let host_key = match &reach.host_key {
            HostKey::Pinned(key) => key.clone(),
            HostKey::FirstUse => "ssh-ed25519 AAAA".to_owned(),
        };
        Ok(Probe::Ready { host_key })
    }

    async fn recognise(&self, _lease: &LeaseId, _reach: &Reach) -> Result<Recognition> {
        Ok(Recognition::NotOurs { why: "no key is taken here".to_owned() })
    }

    async fn connect(&self, _lease: &LeaseId, _reach: &Reach) -> Result<Box<dyn Host>> {
        Err(Error::harmless(ErrorKind::Unsupported, "connect", "there is no machine"))
    }

    async fn forget(&self, _lease: &LeaseId) -> Result<()> {
        Ok(())
    }
}
