//! Hetzner with short but real times: actions run, look-ups and lists lag, what is deleted lingers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::{Method, StatusCode};
use lease_core::{Provider, Secret, Spec};
use lease_emulator::hetzner::{Access, Hetzner, Policy, Sight, Stock};
use lease_emulator::{Cloud, LedgerEntry, Request};
use lease_hetzner::{HetznerConfig, HetznerProvider};
use lease_http::Wire;
use serde_json::{Value, json};

use crate::backend::{Account, Backend, body_of, words};
use crate::boxes::Boxes;

/// A token as long as theirs are.
pub(crate) const TOKEN: &str = "planted0secret0of0the0matrix0AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const OTHER_TOKEN: &str = "planted0secret0of0a0stranger0BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB";
const HOME: &str = "ours";
const ELSEWHERE: &str = "somebody-elses";
const PROJECT_KEYS: [(&str, &str); 2] = [
    (HOME, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7HZKbi4Iy2RtwyH3VOzf3upTNvikab8jFdZ8D0xndX k1"),
    (
        ELSEWHERE,
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOJqzfb+iej682/IYcHpvmF7fhNoJc3p1bz47Xcegzjq k2",
    ),
];
const STRANGERS_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPQW7zCPYq6lqGHvWvBbk5GLDCCmXhq1x7oR2sxN3C6 stranger";
const MACHINE_TYPE: &str = "cx23";
const LOCATIONS: [&str; 2] = ["fsn1", "nbg1"];

/// What the provider is told.
pub(crate) const SETTLE: Duration = Duration::from_millis(100);
pub(crate) const LANDING: Duration = Duration::from_secs(12);
/// How late the cloud shows what comes and goes.
pub(crate) const LAG: Duration = Duration::from_millis(80);
/// How long each of its actions runs.
pub(crate) const ACTION: Duration = Duration::from_millis(60);

/// The emulated Hetzner of a run.
#[derive(Debug)]
pub(crate) struct OfHetzner {
    cloud: Arc<Hetzner>,
}

impl OfHetzner {
    pub(crate) fn new(boxes: Boxes) -> Self {
        let late =
            Sight { listed_after: LAG, found_after: LAG / 2, listed_for: LAG, found_for: LAG / 2 };
        let policy = Policy {
            create_time: ACTION,
            start_time: ACTION,
            stop_time: ACTION,
            delete_time: ACTION,
            servers: late,
            ssh_keys: late,
            primary_ips: late,
            ..Policy::default()
        };
        let cloud = Hetzner::new(Arc::new(boxes), policy);
        cloud.admit(TOKEN, HOME, Access::ReadWrite);
        cloud.admit(OTHER_TOKEN, ELSEWHERE, Access::ReadWrite);
        for (project, key) in PROJECT_KEYS {
            let label = BTreeMap::from([("lease-project".to_owned(), project.to_owned())]);
            cloud.plant_ssh_key(project, ("the project's", key), label);
            cloud.plant_server(project, "lse-aaaaaaaaaaaaaaaaaaaa-0", BTreeMap::new());
        }
        cloud.plant_primary_ip(HOME);
        Self { cloud: Arc::new(cloud) }
    }

    fn is_taken(&self, kind: &str, name: &str) -> bool {
        let ledger = self.cloud.ledger();
        ledger
            .iter()
            .any(|it| it.account == HOME && it.kind == kind && it.name == name && it.gone.is_none())
    }

    fn plant(&self, path: &str, name: &str, labels: BTreeMap<String, String>) -> bool {
        match path {
            "/v1/servers" if !self.is_taken("server", name) => {
                self.cloud.plant_server(HOME, name, labels);
                true
            }
            "/v1/ssh_keys" if !self.is_taken("ssh_key", name) => {
                self.cloud.plant_ssh_key(HOME, (name, STRANGERS_KEY), labels);
                true
            }
            _ => false,
        }
    }
}

#[async_trait]
impl Backend for OfHetzner {
    fn cloud(&self) -> Arc<dyn Cloud> {
        Arc::<Hetzner>::clone(&self.cloud)
    }

    fn provider(&self, wire: Arc<dyn Wire>) -> Arc<dyn Provider> {
        let secret = Secret::new("0123456789abcdef0123456789abcdef");
        let mut config = HetznerConfig::new(Some(Secret::new(TOKEN)), secret);
        config.settle = SETTLE;
        config.landing = LANDING;
        config.read_deadline = Duration::from_secs(2);
        config.write_deadline = Duration::from_secs(4);
        Arc::new(HetznerProvider::open(config, wire).unwrap())
    }

    fn spec(&self) -> Spec {
        let mut spec = Spec::new("hetzner");
        spec.machine_type = Some(MACHINE_TYPE.to_owned());
        spec.options.insert("location".to_owned(), json!(LOCATIONS));
        spec
    }

    fn sell_out(&self) {
        self.cloud.stock(MACHINE_TYPE, LOCATIONS[0], Stock::SecretlySoldOut);
    }

    fn move_account(&self, to: Account) {
        let project = match to {
            Account::Ours => HOME,
            Account::Strangers => ELSEWHERE,
        };
        self.cloud.admit(TOKEN, project, Access::ReadWrite);
    }

    /// Names that begin as ours, with our labels and another nonce, of this lease and of another installation.
    fn plant_beside(&self, request: &Request) {
        let (name, mut theirs) = look_alike(request);
        let path = request.uri().path();
        self.plant(path, &format!("{name}9"), theirs.clone());
        theirs.insert("lease-installation".to_owned(), "b".repeat(26));
        theirs.insert("lease-nonce".to_owned(), "c".repeat(26));
        self.plant(path, &format!("{name}8"), theirs);
    }

    fn take_name(&self, request: &Request) -> bool {
        let (name, mut theirs) = look_alike(request);
        theirs.insert("lease-nonce".to_owned(), "d".repeat(26));
        // What is ours already cannot be taken by a stranger.
        self.is_taken("server", &name)
            || self.is_taken("ssh_key", &name)
            || self.plant(request.uri().path(), &name, theirs)
    }

    async fn remove_by_hand(&self, _entry: &LedgerEntry) {}

    fn is_machine(&self, entry: &LedgerEntry) -> bool {
        entry.kind == "server"
    }
}

/// The name that a request gives, and its labels with another nonce.
fn look_alike(request: &Request) -> (String, BTreeMap<String, String>) {
    let body = body_of(request);
    let name = body["name"].as_str().unwrap_or_default().to_owned();
    let of = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    let labels = body["labels"].as_object().into_iter().flatten().filter_map(of);
    let mut theirs: BTreeMap<String, String> = labels.collect();
    theirs.insert("lease-nonce".to_owned(), "a".repeat(26));
    (name, theirs)
}

/// How Hetzner says no (documented codes).
pub(crate) fn refusal(status: StatusCode, method: &Method) -> Value {
    let code = match status.as_u16() {
        400 => "json_error",
        401 => "unauthorized",
        403 => "forbidden",
        404 => "not_found",
        409 if *method == Method::POST => "uniqueness_error",
        409 => "conflict",
        412 => "resource_unavailable",
        422 => "invalid_input",
        423 => "locked",
        429 => "rate_limit_exceeded",
        _ => "unavailable",
    };
    json!({ "error": { "code": code, "message": words(status), "details": {} } })
}
