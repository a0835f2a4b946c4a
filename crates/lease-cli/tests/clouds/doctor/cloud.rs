//! An emulated project without machines, whose clock may be off.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderValue;
use http::header::DATE;
use lease_emulator::hetzner::{Access, Hetzner, Policy};
use lease_emulator::{Cloud, LedgerEntry, NoMachines, Request, Served, Server};

/// A project of Hetzner Cloud and a token for it.
pub(super) struct Project {
    hetzner: Arc<Hetzner>,
    token: String,
    server: Option<Server>,
    _runtime: tokio::runtime::Runtime,
}

impl Project {
    /// One whose answers are dated so many seconds later than now.
    pub(super) fn new(ahead_secs: i64) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let entered = runtime.enter();
        let hetzner = Arc::new(Hetzner::new(Arc::new(NoMachines::default()), Policy::immediate()));
        let token = hetzner.grant("project", Access::ReadWrite);
        let front = Dated { inner: Arc::<Hetzner>::clone(&hetzner), ahead_secs };
        let server = runtime.block_on(Server::start(Arc::new(front))).unwrap();
        drop(entered);
        Self { hetzner, token, server: Some(server), _runtime: runtime }
    }

    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// Makes the token one that is not valid any more.
    pub(super) fn revoke(&self) {
        self.hetzner.revoke(&self.token);
    }

    /// The settings that choose it.
    pub(super) fn configuration(&self) -> String {
        let origin = self.server.as_ref().unwrap().origin();
        format!("provider: hetzner\nproviders:\n  hetzner:\n    endpoint: {origin}/v1\n")
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        drop(self.server.take());
    }
}

/// A cloud with another time.
#[derive(Debug)]
struct Dated {
    inner: Arc<Hetzner>,
    ahead_secs: i64,
}

#[async_trait::async_trait]
impl Cloud for Dated {
    async fn serve(&self, request: Request) -> Served {
        let mut served = self.inner.serve(request).await;
        if let Served::Answer(response) = &mut served {
            response.headers_mut().insert(DATE, self.date());
        }
        served
    }

    fn ledger(&self) -> Vec<LedgerEntry> {
        self.inner.ledger()
    }
}

impl Dated {
    #[expect(clippy::disallowed_methods, reason = "what is planted is an offset of the real clock")]
    fn date(&self) -> HeaderValue {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        let there = i64::try_from(now).unwrap() + self.ahead_secs;
        let there = jiff::Timestamp::from_second(there).unwrap();
        let text = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&there);
        HeaderValue::from_str(&text.unwrap()).unwrap()
    }
}
