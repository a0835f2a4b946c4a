//! A crowd at one project: 200 leases acquired and given back at once, over real HTTP, until the rate limit refuses.
//!
//! The other end is an emulator on loopback whose servers have no machines, so a login is said to work as soon as a
//! server runs. Its limit is the documented 3600 requests; from the first refusal on it gives back in six seconds what
//! Hetzner gives back in an hour, so that the crowd meets the limit on a slow machine too, and still comes to an end.
//! Whoever is refused asks again, as a person or the reaper would.
//!
//! ```text
//! cargo run --release -p lease-hetzner --example crowd
//! ```
//!
//! It prints one line of JSON, and fails when anything is left at the other end.
#![expect(clippy::print_stdout, reason = "an example shows what it found")]

use std::error::Error as StdError;
use std::fs;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use http::StatusCode;
use lease_core::engine::{Acquire, By, Outcome, Release};
use lease_core::retry::{Bounds, Pace};
use lease_core::store::memory::MemoryStore;
use lease_core::{
    Engine, Error, ErrorKind, Host, HostKey, LeaseId, Probe, Provider, Reach, Recognition, Result,
    Secret, Spec, Transport,
};
use lease_emulator::hetzner::{Access, Hetzner, Policy};
use lease_emulator::{Cloud, LedgerEntry, NoMachines, Request, Served, Server};
use lease_hetzner::{HetznerConfig, HetznerProvider};
use lease_http::HttpWire;
use lease_testkit::sim::SimClock;
use serde_json::{Value, json};
use ssh_key::private::{Ed25519Keypair, KeypairData};
use tokio::task::JoinSet;
use tokio::time::Instant;

const HOST_KEY_SECRET: &str = "a secret of this example, with 32 bytes and more";
/// How long one member of the crowd may take in all.
const PATIENCE: Duration = Duration::from_secs(600);
/// The pause before somebody who was refused asks again.
const ASKED_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What is given back each second before the limit is met: as good as nothing.
const NOTHING_YET: f64 = 0.000_001;

/// How many come, and what the project lets through.
#[derive(Clone, Copy, Debug)]
struct Crowd {
    leases: usize,
    requests_max: u32,
    /// What is given back each second once the limit was met.
    requests_per_second: f64,
}

const CROWD: Crowd = Crowd { leases: 200, requests_max: 3_600, requests_per_second: 600.0 };

/// What came of it.
#[derive(Debug)]
struct Outcomes {
    leases: usize,
    requests: usize,
    refused: usize,
    seconds: f64,
    peak_rss_mib: Option<u64>,
    left: Vec<LedgerEntry>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::result::Result<ExitCode, Box<dyn StdError>> {
    let outcomes = CROWD.come_and_go().await?;
    println!("{}", outcomes.json());
    let all_went = outcomes.left.is_empty() && outcomes.leases == CROWD.leases;
    Ok(if all_went { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Crowd {
    async fn come_and_go(self) -> std::result::Result<Outcomes, Box<dyn StdError>> {
        let policy = Policy {
            requests_max: self.requests_max,
            requests_per_second: NOTHING_YET,
            ..Policy::immediate()
        };
        let hetzner = Arc::new(Hetzner::new(Arc::new(NoMachines::default()), policy));
        let token = hetzner.grant("crowded", Access::ReadWrite);
        let counted = Arc::new(Counted {
            cloud: Arc::clone(&hetzner),
            requests_per_second: self.requests_per_second,
            counts: Mutex::default(),
        });
        let server = Server::start(Arc::<Counted>::clone(&counted)).await?;
        let mut config = HetznerConfig::new(Some(Secret::new(token)), Secret::new(HOST_KEY_SECRET));
        config.endpoint = format!("{}/v1", server.origin());
        let provider = HetznerProvider::open(config, Arc::new(HttpWire::default()))?;
        let clock = Arc::new(SimClock::new());
        let engine = Engine::builder(Arc::new(MemoryStore::new()?), Arc::new(Logins), clock)
            .provider(Arc::new(provider) as Arc<dyn Provider>)
            .build();
        let engine = Arc::new(engine);
        let began = Instant::now();
        let mut members = JoinSet::new();
        for _ in 0..self.leases {
            let engine = Arc::clone(&engine);
            members.spawn(async move { member(&engine).await });
        }
        let given_back = members.join_all().await.into_iter().filter(|it| *it).count();
        let (requests, refused) = counted.so_far();
        let mut left = hetzner.ledger();
        left.retain(|it| it.gone.is_none());
        Ok(Outcomes {
            leases: given_back,
            requests,
            refused,
            seconds: began.elapsed().as_secs_f64(),
            peak_rss_mib: peak_rss_mib(),
            left,
        })
    }
}

impl Outcomes {
    fn json(&self) -> Value {
        json!({
            "leases": self.leases,
            "requests": self.requests,
            "refused_429": self.refused,
            "seconds": (self.seconds * 10.0).round() / 10.0,
            "peak_rss_mib": self.peak_rss_mib,
            "left": self.left.len(),
        })
    }
}

/// Acquires a lease and gives it back; whether both came to pass.
async fn member(engine: &Engine) -> bool {
    let mut pace =
        Pace::start(Bounds::within(PATIENCE).paused(ASKED_AGAIN_AFTER, ASKED_AGAIN_AFTER));
    loop {
        let mut spec = Spec::new("hetzner");
        spec.class = Some("tiny".to_owned());
        let (lease, is_ready) = match engine.acquire(Acquire::new(spec)).await {
            Ok(claim) => (Some(claim.lease().clone()), true),
            Err(failure) => (failure.lease, false),
        };
        while let Some(lease) = &lease {
            let request = Release::new(By::Person, "the crowd goes");
            if matches!(engine.release(lease, request).await, Ok(Outcome::Released)) {
                break;
            }
            if !pace.wait(None).await {
                return false;
            }
        }
        if is_ready || !pace.wait(None).await {
            return is_ready;
        }
    }
}

/// A cloud, and how many requests it served and refused for being too many.
#[derive(Debug)]
struct Counted {
    cloud: Arc<Hetzner>,
    /// What it gives back from the first refusal on.
    requests_per_second: f64,
    counts: Mutex<(usize, usize)>,
}

impl Counted {
    fn so_far(&self) -> (usize, usize) {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Cloud for Counted {
    async fn serve(&self, request: Request) -> Served {
        let served = self.cloud.serve(request).await;
        let too_many =
            matches!(&served, Served::Answer(it) if it.status() == StatusCode::TOO_MANY_REQUESTS);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.0 += 1;
        counts.1 += usize::from(too_many);
        if too_many && counts.1 == 1 {
            self.cloud.change(|policy| policy.requests_per_second = self.requests_per_second);
        }
        drop(counts);
        served
    }

    fn ledger(&self) -> Vec<LedgerEntry> {
        self.cloud.ledger()
    }
}

/// A transport for servers without machines: whatever runs can be logged in to.
#[derive(Debug)]
struct Logins;

#[async_trait]
impl Transport for Logins {
    async fn prepare(&self, lease: &LeaseId) -> Result<String> {
        let seed = blake3::hash(lease.as_str().as_bytes());
        let pair = Ed25519Keypair::from_seed(seed.as_bytes());
        let key = ssh_key::PrivateKey::new(KeypairData::Ed25519(pair), "lease")
            .and_then(|it| it.public_key().to_openssh());
        key.map_err(|error| {
            Error::harmless(ErrorKind::Internal, "make a key", "it cannot be written")
                .with_source(error)
        })
    }

    async fn probe(&self, _lease: &LeaseId, reach: &Reach) -> Result<Probe> {
        Ok(match reach.host_key.clone() {
            HostKey::Pinned(host_key) => Probe::Ready { host_key },
            HostKey::FirstUse => Probe::Never { why: "the host key is not pinned".to_owned() },
        })
    }

    async fn recognise(&self, _lease: &LeaseId, _reach: &Reach) -> Result<Recognition> {
        Ok(Recognition::Unclear { why: "nobody answers there".to_owned() })
    }

    async fn connect(&self, _lease: &LeaseId, _reach: &Reach) -> Result<Box<dyn Host>> {
        Err(Error::harmless(ErrorKind::Unsupported, "connect", "nothing runs on these servers"))
    }

    async fn forget(&self, _lease: &LeaseId) -> Result<()> {
        Ok(())
    }
}

/// The most memory that this process ever used at once, where the system tells.
fn peak_rss_mib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kib = status.lines().find_map(|it| it.strip_prefix("VmHWM:")?.strip_suffix("kB"))?;
    kib.trim().parse::<u64>().ok().map(|it| it / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a smaller crowd needs is more than its project has, and it too leaves nothing.
    #[tokio::test]
    async fn a_crowd_beyond_the_rate_limit_is_served_in_the_end_and_leaves_nothing() {
        let crowd = Crowd { leases: 40, requests_max: 250, requests_per_second: 130.0 };
        let outcomes = crowd.come_and_go().await.unwrap();
        assert!(outcomes.refused > 0, "the limit was never met, so this tested nothing");
        assert_eq!((outcomes.leases, outcomes.left.as_slice()), (40, &[][..]), "{outcomes:?}");
    }
}
