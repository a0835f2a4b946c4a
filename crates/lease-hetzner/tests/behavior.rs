//! The behaviour suite of the provider contract, against the emulated cloud: directly, in simulated time, once as it is
//! and once where everything is seen late, and over real sockets.
#![expect(clippy::unwrap_used, reason = "a failed expectation is the test")]

#[expect(dead_code, reason = "the tests with an engine use the rest of the bench")]
#[path = "it/bench.rs"]
mod bench;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use http::Method;
use lease_core::{Clock, Error, ErrorKind, Provider, ResourceId, ResourceName, Result, Spec};
use lease_emulator::hetzner::{Hetzner, Policy, Sight};
use lease_emulator::script::{Fault, Matching, Plan};
use lease_emulator::{Scripted, Server};
use lease_hetzner::HetznerProvider;
use lease_http::HttpWire;
use lease_testkit::behavior::Harness;
use lease_testkit::sim::{SimClock, WallClock};
use serde_json::json;

use crate::bench::{Bench, PROJECT, public_key};

lease_testkit::behavior_tests!(Emulated::direct());

/// The same where everything is seen late.
mod lagging {
    use crate::Emulated;

    lease_testkit::behavior_tests!(Emulated::lagging());
}

/// The same over real sockets.
mod over_http {
    use crate::Emulated;

    lease_testkit::behavior_tests!(Emulated::served().await);
}

/// The emulated cloud, directly or behind a socket.
struct Emulated {
    bench: Bench,
    server: Option<Server>,
    clock: Arc<dyn Clock>,
    keys: AtomicU64,
}

impl Emulated {
    /// A cloud in which everything takes its time, asked directly. Its time is tokio's.
    fn direct() -> Self {
        Self::new(Policy::default(), None, Arc::new(SimClock::new()))
    }

    /// The same where listings and deletions are also seen late, as far as the settling time allows. That a look-up by id
    /// shows what its create just answered is inferred; what an engine makes of one that does not is a test of its own.
    fn lagging() -> Self {
        let late = Duration::from_millis(1500);
        let sight = Sight {
            listed_after: late,
            found_after: Duration::ZERO,
            listed_for: late,
            found_for: late,
        };
        let policy =
            Policy { servers: sight, ssh_keys: sight, primary_ips: sight, ..Policy::default() };
        Self::new(policy, None, Arc::new(SimClock::new()))
    }

    /// A cloud behind a socket, in which everything happens at once.
    async fn served() -> Self {
        let mut harness = Self::new(Policy::immediate(), None, Arc::new(WallClock));
        let script = Arc::<Scripted<Hetzner>>::clone(&harness.bench.script);
        harness.server = Some(Server::start(script).await.unwrap());
        harness
    }

    fn new(policy: Policy, server: Option<Server>, clock: Arc<dyn Clock>) -> Self {
        Self { bench: Bench::new(policy), server, clock, keys: AtomicU64::new(0) }
    }

    fn is_behind_a_socket(&self) -> bool {
        self.server.is_some()
    }
}

#[async_trait]
impl Harness for Emulated {
    async fn provider(&self) -> Result<Arc<dyn Provider>> {
        let Some(server) = &self.server else { return Ok(Arc::new(self.bench.provider())) };
        let mut config = self.bench.config();
        config.endpoint = format!("{}/v1", server.origin());
        Ok(Arc::new(HetznerProvider::open(config, Arc::new(HttpWire::default()))?))
    }

    fn spec(&self) -> Spec {
        let mut spec = Spec::new("hetzner");
        spec.class = Some("tiny".to_owned());
        spec
    }

    /// Each lease has a key of its own: a project holds the same key only once.
    fn public_key(&self) -> String {
        public_key(&format!("key {}", self.keys.fetch_add(1, Ordering::SeqCst)))
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    fn simulated_time(&self) -> bool {
        !self.is_behind_a_socket()
    }

    async fn plant_look_alike(&self, kind: &str, name: &ResourceName) -> Result<ResourceId> {
        let labels = || BTreeMap::from([("managed-by".to_owned(), "hand".to_owned())]);
        let listed = |many: &str| format!("/{many}?name={name}");
        let many = match kind {
            "ssh_key" => "ssh_keys",
            "server" => "servers",
            _ => "primary_ips",
        };
        let taken = self.bench.get(&listed(many)).await[many].as_array().unwrap().len();
        if taken > 0 {
            let why = "no two things of a kind have one name";
            return Err(Error::harmless(ErrorKind::Unsupported, "plant a look-alike", why));
        }
        let (one, id) = match kind {
            "ssh_key" => {
                let key = public_key("somebody else");
                let named = (name.as_str(), key.as_str());
                ("ssh_key", self.bench.cloud.plant_ssh_key(PROJECT, named, labels()))
            }
            "server" => ("server", self.bench.cloud.plant_server(PROJECT, name.as_str(), labels())),
            _ => {
                let id = self.bench.cloud.plant_primary_ip(PROJECT);
                let named = json!({"name": name, "labels": labels()});
                self.bench.ask(Method::PUT, &format!("/primary_ips/{id}"), &named).await;
                ("primary_ip", id)
            }
        };
        format!("{one}-{id}").parse()
    }

    async fn look_alike_is_untouched(&self, id: &ResourceId) -> Result<bool> {
        let (_, number) = id.as_str().rsplit_once('-').unwrap();
        let planted = self.bench.foreign().into_iter().find(|it| it.id == number);
        Ok(planted.is_some_and(|it| {
            it.gone.is_none() && it.labels.get("managed-by").is_some_and(|by| by == "hand")
        }))
    }

    async fn uproot(&self, id: &ResourceId) -> Result<()> {
        let (kind, number) = id.as_str().rsplit_once('-').unwrap();
        let gone =
            self.bench.ask(Method::DELETE, &format!("/{kind}s/{number}"), &json!(null)).await;
        let why = || Error::harmless(ErrorKind::Internal, "uproot", gone.to_string());
        if gone["error"].is_object() { Err(why()) } else { Ok(()) }
    }

    async fn break_next_listing(&self) -> Result<()> {
        let second = Matching::request(Method::GET, "/v1/servers");
        self.bench.script.plan(Plan::at(0, Fault::TruncatedAfter).on(second));
        Ok(())
    }
}
