//! fal with short but real times: a create takes a moment, listings lag, the boot takes its time, deletes linger.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::StatusCode;
use lease_core::{Provider, Secret, Spec};
use lease_emulator::fal::{
    FalCloud, FalPolicy, Idempotency, KeyScope, Paging, Walk, WindowFrom, Workspace,
};
use lease_emulator::{Cloud, LedgerEntry, Request};
use lease_fal::{FalConfig, FalProvider};
use lease_http::Wire;
use serde_json::{Value, json};

use crate::backend::{Account, Backend, words};
use crate::boxes::Boxes;

const KEY: &str = "0d2c-admin:planted-secret-of-the-matrix";
const HOME: &str = "acme";
const ELSEWHERE: &str = "somebody-else";
const STRANGERS_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPQW7zCPYq6lqGHvWvBbk5GLDCCmXhq1x7oR2sxN3C6 stranger";

/// What the provider is told, and what the cloud does.
pub(crate) const SETTLE: Duration = Duration::from_secs(1);
pub(crate) const LANDING: Duration = Duration::from_secs(20);
pub(crate) const REPLAY_WINDOW: Duration = Duration::from_secs(10);
pub(crate) const REMEMBERED: Duration = Duration::from_secs(20);
pub(crate) const READY_AFTER: Duration = Duration::from_millis(600);
pub(crate) const LAG: Duration = Duration::from_millis(300);

/// The emulated fal of a run.
#[derive(Debug)]
pub(crate) struct Fal {
    cloud: Arc<FalCloud>,
    boxes: Boxes,
}

impl Fal {
    pub(crate) fn new(boxes: Boxes) -> Self {
        let policy = FalPolicy {
            idempotency: Idempotency {
                window: REMEMBERED,
                window_from: WindowFrom::FirstRequest,
                ..Idempotency::default()
            },
            create_takes: Duration::from_millis(200),
            walk: Walk::to("ready", READY_AFTER),
            delete_linger: LAG,
            get_lag: LAG / 2,
            list_lag: LAG,
            paging: Paging { size_max: 100, ..Paging::default() },
            ..FalPolicy::default()
        };
        let cloud = FalCloud::new(Arc::new(boxes.clone()), policy);
        cloud.add_workspace(Workspace::new(HOME), KEY);
        cloud.add_workspace(Workspace::new(ELSEWHERE), "other:key");
        let fal = Self { cloud: Arc::new(cloud), boxes };
        for workspace in [HOME, HOME, ELSEWHERE] {
            fal.plant(workspace);
        }
        fal
    }

    fn plant(&self, workspace: &str) {
        let id = self.cloud.plant(workspace, STRANGERS_KEY);
        self.boxes.move_in(&id, self.boxes.last_address(), STRANGERS_KEY);
    }
}

#[async_trait]
impl Backend for Fal {
    fn cloud(&self) -> Arc<dyn Cloud> {
        Arc::<FalCloud>::clone(&self.cloud)
    }

    fn provider(&self, wire: Arc<dyn Wire>) -> Arc<dyn Provider> {
        let mut config = FalConfig::new(Some(Secret::new(KEY)));
        config.settle = SETTLE;
        config.landing = LANDING;
        config.replay_window = REPLAY_WINDOW;
        config.read_deadline = Duration::from_secs(2);
        config.write_deadline = Duration::from_secs(4);
        Arc::new(FalProvider::open(config, wire).unwrap())
    }

    fn spec(&self) -> Spec {
        Spec::new("fal")
    }

    fn sell_out(&self) {
        let refusal = Some(StatusCode::SERVICE_UNAVAILABLE);
        self.cloud.change_policy(|it| it.no_capacity = refusal);
    }

    fn move_account(&self, to: Account) {
        let username = match to {
            Account::Ours => HOME,
            Account::Strangers => ELSEWHERE,
        };
        self.cloud.set_key(KEY, username, KeyScope::Admin);
    }

    fn plant_beside(&self, _request: &Request) {
        self.plant(HOME);
    }

    fn take_name(&self, _request: &Request) -> bool {
        false
    }

    async fn remove_by_hand(&self, entry: &LedgerEntry) {
        self.cloud.end(&entry.id).await;
    }

    fn is_machine(&self, _entry: &LedgerEntry) -> bool {
        true
    }
}

/// How fal says no (documented form).
pub(crate) fn refusal(status: StatusCode) -> Value {
    let kind = match status.as_u16() {
        401 | 403 => "authorization_error",
        404 => "not_found",
        429 => "rate_limited",
        503 => "server_error",
        _ => "validation_error",
    };
    json!({ "error": { "type": kind, "message": words(status) } })
}
