//! The emulated cloud, a wire that leads straight into it, and what an engine needs on top of it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, Response};
use lease_core::engine::{Acquire, AcquireFailure, By, Outcome, Release};
use lease_core::retry::pause;
use lease_core::store::memory::MemoryStore;
use lease_core::{
    Claim, Engine, Error, ErrorKind, Host, HostKey, LeaseId, Probe, Provider, Reach, Recognition,
    Result, Secret, Spec, Transport,
};
use lease_emulator::hetzner::{Access, Hetzner, Policy};
use lease_emulator::script::Traced;
use lease_emulator::{Cloud as _, LedgerEntry, NoMachines, Scripted, Served};
use lease_hetzner::{HetznerConfig, HetznerProvider};
use lease_http::{Wire, WireError};
use lease_testkit::sim::{SeededEntropy, SimClock};
use serde_json::Value;
use ssh_key::private::{Ed25519Keypair, KeypairData};
use tokio::time::timeout;

pub(crate) const PROJECT: &str = "ours";
const HOST_KEY_SECRET: &str = "a secret of this installation, 32 bytes";

/// The configuration with this token.
pub(crate) fn config_of(token: &str) -> HetznerConfig {
    HetznerConfig::new(Some(Secret::new(token)), Secret::new(HOST_KEY_SECRET))
}

/// A public key that nobody else has.
pub(crate) fn public_key(seed: &str) -> String {
    let pair = Ed25519Keypair::from_seed(blake3::hash(seed.as_bytes()).as_bytes());
    let key = ssh_key::PrivateKey::new(KeypairData::Ed25519(pair), "lease").unwrap();
    key.public_key().to_openssh().unwrap()
}

/// A wire without a network: the cloud is asked directly.
#[derive(Debug)]
pub(crate) struct Direct(pub(crate) Arc<Scripted<Hetzner>>);

#[async_trait]
impl Wire for Direct {
    async fn exchange(
        &self,
        request: Request<Bytes>,
        deadline: Duration,
    ) -> Result<Response<Bytes>, WireError> {
        let late = || WireError::lost("no answer in time").with_kind(ErrorKind::Timeout);
        match timeout(deadline, self.0.serve(request)).await.map_err(|_| late())? {
            Served::Answer(response) => Ok(response),
            Served::Truncated(..) => Err(WireError::lost("the answer broke off")),
            Served::Dropped => Err(WireError::lost("the connection was closed")),
            Served::Hung => {
                pause(deadline).await;
                Err(late())
            }
        }
    }
}

/// A cloud with one project and a token for it.
#[derive(Clone, Debug)]
pub(crate) struct Bench {
    pub(crate) cloud: Arc<Hetzner>,
    pub(crate) script: Arc<Scripted<Hetzner>>,
    pub(crate) token: String,
}

impl Bench {
    pub(crate) fn new(policy: Policy) -> Self {
        let cloud = Arc::new(Hetzner::new(Arc::new(NoMachines::default()), policy));
        let script = Arc::new(Scripted::new(Arc::clone(&cloud)));
        let token = cloud.grant(PROJECT, Access::ReadWrite);
        Self { cloud, script, token }
    }

    pub(crate) fn config(&self) -> HetznerConfig {
        config_of(&self.token)
    }

    pub(crate) fn provider(&self) -> HetznerProvider {
        self.provider_of(self.config())
    }

    pub(crate) fn provider_of(&self, config: HetznerConfig) -> HetznerProvider {
        HetznerProvider::open(config, Arc::new(Direct(Arc::clone(&self.script)))).unwrap()
    }

    /// What somebody else does in the project, past the script.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: &Value) -> Value {
        let request = Request::builder()
            .method(method)
            .uri(format!("/v1{path}"))
            .header("authorization", format!("Bearer {}", self.token))
            .body(Bytes::from(body.to_string()))
            .unwrap();
        // Nothing stands between here and the cloud, so it answers.
        match self.cloud.serve(request).await {
            Served::Answer(response) => {
                serde_json::from_slice(response.body()).unwrap_or(Value::Null)
            }
            Served::Truncated(..) | Served::Dropped | Served::Hung => Value::Null,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.ask(Method::GET, path, &Value::Null).await
    }

    /// What exists and was not planted.
    pub(crate) fn alive(&self) -> Vec<LedgerEntry> {
        self.cloud.ledger().into_iter().filter(|it| it.gone.is_none() && !it.foreign).collect()
    }

    /// The kinds of what exists and was not planted.
    pub(crate) fn alive_kinds(&self) -> Vec<String> {
        self.alive().into_iter().map(|it| it.kind).collect()
    }

    /// How many of a kind ever existed.
    pub(crate) fn ever(&self, kind: &str) -> usize {
        self.cloud.ledger().iter().filter(|it| it.kind == kind && !it.foreign).count()
    }

    pub(crate) fn alive_id(&self, kind: &str) -> u64 {
        let alive = self.alive();
        alive.iter().find(|it| it.kind == kind).unwrap().id.parse().unwrap()
    }

    /// Everything foreign, whether or not it still exists.
    pub(crate) fn foreign(&self) -> Vec<LedgerEntry> {
        self.cloud.ledger().into_iter().filter(|it| it.foreign).collect()
    }

    /// The requests that may have changed something.
    pub(crate) fn mutations(&self) -> Vec<Traced> {
        self.script.trace().into_iter().filter(|it| it.method != Method::GET).collect()
    }

    /// What was deleted, in its order, by the kind in its path.
    pub(crate) fn deletions(&self) -> Vec<String> {
        let deleted = self.mutations().into_iter().filter(|it| it.method == Method::DELETE);
        deleted.filter_map(|it| it.path.split('/').nth(2).map(str::to_owned)).collect()
    }
}

/// A transport that can log in to whatever server runs.
#[derive(Clone, Debug)]
pub(crate) struct Logins {
    bench: Bench,
    /// Whether the keys of a lease were forgotten while a server of ours existed.
    pub(crate) forgot_too_early: Arc<AtomicBool>,
}

#[async_trait]
impl Transport for Logins {
    async fn prepare(&self, lease: &LeaseId) -> Result<String> {
        Ok(public_key(lease.as_str()))
    }

    async fn probe(&self, lease: &LeaseId, reach: &Reach) -> Result<Probe> {
        let listed = self.bench.get(&format!("/servers?label_selector=lease-id=={lease}")).await;
        let servers = listed["servers"].as_array().cloned().unwrap_or_default();
        let here = |it: &&Value| it["public_net"]["ipv4"]["ip"] == *reach.host;
        let runs = servers.iter().find(here).is_some_and(|it| it["status"] == "running");
        let HostKey::Pinned(host_key) = reach.host_key.clone() else {
            return Ok(Probe::Never { why: "the host key is not pinned".to_owned() });
        };
        assert!(reach.ready_file.is_some(), "a login before the set-up is done would be too early");
        Ok(if runs {
            Probe::Ready { host_key }
        } else {
            Probe::NotYet { why: "the host does not answer".to_owned() }
        })
    }

    async fn recognise(&self, _lease: &LeaseId, _reach: &Reach) -> Result<Recognition> {
        Ok(Recognition::Unclear {
            why: "servers with marks are not recognised by logins".to_owned(),
        })
    }

    async fn connect(&self, _lease: &LeaseId, _reach: &Reach) -> Result<Box<dyn Host>> {
        Err(Error::harmless(ErrorKind::Unsupported, "connect", "nothing runs on these servers"))
    }

    async fn forget(&self, lease: &LeaseId) -> Result<()> {
        let is_its_server = |it: &LedgerEntry| {
            it.kind == "server" && it.labels.get("lease-id").is_some_and(|id| id == lease.as_str())
        };
        let early = self.bench.alive().iter().any(is_its_server);
        self.forgot_too_early.fetch_or(early, Ordering::SeqCst);
        Ok(())
    }
}

/// An engine over the cloud. Engines of one desk share its records, as processes of one installation do.
pub(crate) struct Desk {
    pub(crate) bench: Bench,
    store: Arc<MemoryStore>,
    clock: SimClock,
    logins: Logins,
    seeds: Mutex<u64>,
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").field("bench", &self.bench).finish_non_exhaustive()
    }
}

impl Desk {
    pub(crate) fn new(policy: Policy) -> Self {
        Self::of(Bench::new(policy))
    }

    /// Another installation in the same cloud.
    pub(crate) fn of(bench: Bench) -> Self {
        let logins = Logins { bench: bench.clone(), forgot_too_early: Arc::default() };
        Self {
            bench,
            store: Arc::new(MemoryStore::new().unwrap()),
            clock: SimClock::new(),
            logins,
            seeds: Mutex::new(1),
        }
    }

    pub(crate) fn engine(&self) -> Engine {
        self.engine_of(self.bench.provider())
    }

    pub(crate) fn engine_of(&self, provider: HetznerProvider) -> Engine {
        let mut seed = self.seeds.lock().unwrap();
        *seed += 1;
        let store = Arc::<MemoryStore>::clone(&self.store);
        Engine::builder(store, Arc::new(self.logins.clone()), Arc::new(self.clock.clone()))
            .provider(Arc::new(provider) as Arc<dyn Provider>)
            .entropy(Arc::new(SeededEntropy::new(*seed)))
            .build()
    }

    pub(crate) async fn acquire(&self) -> Result<Claim, AcquireFailure> {
        self.engine().acquire(wish()).await
    }

    pub(crate) async fn release(&self, lease: &LeaseId) -> Outcome {
        release(&self.engine(), lease).await
    }

    /// Ends the test: nothing is left, and no key was forgotten before its server was gone.
    #[track_caller]
    pub(crate) fn assert_clean(&self) {
        assert_eq!(self.bench.alive_kinds(), Vec::<String>::new(), "something is left");
        assert!(!self.logins.forgot_too_early.load(Ordering::SeqCst), "a key was forgotten early");
    }
}

/// A wish for a small server, which three types in three locations fulfil.
pub(crate) fn wish() -> Acquire {
    let mut spec = Spec::new("hetzner");
    spec.class = Some("tiny".to_owned());
    Acquire::new(spec)
}

pub(crate) async fn release(engine: &Engine, lease: &LeaseId) -> Outcome {
    let request = Release::new(By::Person, "the test is over");
    engine.release(lease, request).await.unwrap()
}

#[track_caller]
pub(crate) fn assert_released(outcome: &Outcome) {
    assert!(matches!(outcome, Outcome::Released), "{outcome:?}");
}
