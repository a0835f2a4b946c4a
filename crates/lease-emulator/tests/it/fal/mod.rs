//! fal: what is documented, and each way in which it may be meant.

mod replays;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64ct::{Base64, Encoding as _};
use http::{Method, StatusCode};
use lease_emulator::fal::{
    CreateAnomaly, Cursors, DeleteAgain, EIGHT, FalCloud, FalPolicy, IdForm, KeyCheck, KeyScope,
    MoneyGate, ONE, Order, Permission, Walk, Workspace,
};
use lease_emulator::{Birth, Cloud as _, Machines, NoMachines, Response};
use serde_json::{Value, json};

use crate::asking::{answered, request, value};

const SSH_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ lease";
const KEY: &str = "id-1:secret";
const INSTANCES: &str = "/v1/compute/instances";
const SECOND: Duration = Duration::from_secs(1);

struct Bench {
    cloud: FalCloud,
}

impl Bench {
    fn new(change: impl FnOnce(&mut FalPolicy)) -> Self {
        Self::with(Arc::new(NoMachines::default()), change)
    }

    fn with(machines: Arc<dyn Machines>, change: impl FnOnce(&mut FalPolicy)) -> Self {
        let cloud = FalCloud::new(machines, FalPolicy::default());
        cloud.change_policy(change);
        cloud.add_workspace(Workspace::new("ann"), KEY);
        Self { cloud }
    }

    async fn ask(&self, method: Method, path: &str, body: &str) -> Response {
        self.ask_as(Some(&format!("Key {KEY}")), None, (method, path, body)).await
    }

    async fn ask_as(
        &self,
        authorization: Option<&str>,
        key: Option<&str>,
        (method, path, body): (Method, &str, &str),
    ) -> Response {
        let mut request = request(method, path, body);
        let headers = request.headers_mut();
        if let Some(authorization) = authorization {
            headers.insert("authorization", authorization.parse().unwrap());
        }
        if let Some(key) = key {
            headers.insert("idempotency-key", key.parse().unwrap());
        }
        answered(self.cloud.serve(request).await)
    }

    async fn create(&self) -> Value {
        let answer = self.ask(Method::POST, INSTANCES, &wish(ONE, None)).await;
        assert_eq!(answer.status(), StatusCode::CREATED);
        value(&answer)
    }

    async fn create_with(&self, key: &str, body: &str) -> Response {
        let ask = (Method::POST, INSTANCES, body);
        self.ask_as(Some(&format!("Key {KEY}")), Some(key), ask).await
    }

    async fn get(&self, id: &str) -> Response {
        self.ask(Method::GET, &format!("{INSTANCES}/{id}"), "").await
    }

    async fn delete(&self, id: &str) -> StatusCode {
        self.ask(Method::DELETE, &format!("{INSTANCES}/{id}"), "").await.status()
    }

    async fn list(&self, query: &str) -> Value {
        let answer = self.ask(Method::GET, &format!("{INSTANCES}{query}"), "").await;
        assert_eq!(answer.status(), StatusCode::OK, "{query}");
        value(&answer)
    }

    async fn listed(&self, query: &str) -> Vec<String> {
        let list = self.list(query).await;
        list["instances"].as_array().unwrap().iter().map(|it| id_of(it).to_owned()).collect()
    }

    fn live(&self) -> usize {
        self.cloud.ledger().iter().filter(|it| it.gone.is_none()).count()
    }
}

fn wish(instance_type: &str, sector: Option<&str>) -> String {
    let mut wish = json!({ "instance_type": instance_type, "ssh_key": SSH_KEY });
    if let Some(sector) = sector {
        wish["sector"] = json!(sector);
    }
    wish.to_string()
}

fn id_of(instance: &Value) -> &str {
    instance["id"].as_str().unwrap()
}

#[track_caller]
fn refused(answer: &Response, status: u16, kind: &str, message: &str) {
    let body = json!({ "error": { "type": kind, "message": message } });
    assert_eq!((answer.status().as_u16(), value(answer)), (status, body));
}

#[tokio::test(start_paused = true)]
async fn every_documented_answer_is_given_word_for_word() {
    let bench = Bench::new(|_| {});
    bench.cloud.set_key("id-2:x", "ann", KeyScope::Api);
    let one = format!("{INSTANCES}/inst_none");
    for (method, path) in [
        (Method::GET, INSTANCES),
        (Method::POST, INSTANCES),
        (Method::GET, one.as_str()),
        (Method::DELETE, one.as_str()),
    ] {
        for header in [None, Some("Key wrong:key"), Some("Bearer id-1:secret"), Some(KEY)] {
            let answer = bench.ask_as(header, None, (method.clone(), path, "")).await;
            refused(&answer, 401, "authorization_error", "Authentication required");
        }
        let answer = bench.ask_as(Some("Key id-2:x"), None, (method, path, "")).await;
        refused(&answer, 403, "authorization_error", "Access denied");
    }
    refused(&bench.get("inst_none").await, 404, "not_found", "Resource not found");
    assert_eq!(bench.delete("inst_none").await, StatusCode::NOT_FOUND);
    bench.cloud.change_workspace("ann", |it| it.compute = Permission::Denied);
    let answer = bench.ask(Method::GET, INSTANCES, "").await;
    refused(&answer, 403, "authorization_error", "Access denied");
}

#[tokio::test(start_paused = true)]
async fn a_create_is_checked_as_documented() {
    let bench = Bench::new(|_| {});
    let key = |key: &str| json!({ "instance_type": ONE, "ssh_key": key }).to_string();
    for body in [
        String::new(),
        "[]".to_owned(),
        json!({ "instance_type": ONE }).to_string(),
        json!({ "ssh_key": SSH_KEY }).to_string(),
        wish("gpu_2x_h100_sxm5", None),
        wish(ONE, Some("sector_1")),
        wish(EIGHT, Some("sector_4")),
        key(""),
        key("not a key"),
    ] {
        let answer = bench.ask(Method::POST, INSTANCES, &body).await;
        refused(&answer, 400, "validation_error", "Invalid request parameters");
    }
    assert!(bench.cloud.ledger().is_empty());
    let answer = bench.ask(Method::POST, INSTANCES, &wish(EIGHT, Some("sector_2"))).await;
    let made = value(&answer);
    assert_eq!((answer.status(), &made["sector"]), (StatusCode::CREATED, &json!("sector_2")));
    assert_eq!((&made["region"], &made["status"]), (&json!("us-west"), &json!("pending")));
    assert_eq!(made.get("ip"), None);
    bench.cloud.change_policy(|it| it.key_check = KeyCheck::Length);
    let answer = bench.ask(Method::POST, INSTANCES, &key("not a key")).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
}

#[tokio::test(start_paused = true)]
async fn an_instance_walks_through_its_statuses_and_has_an_address_when_it_is_ready() {
    let bench = Bench::new(|it| it.walk = Walk::to("ready", 80 * SECOND));
    let id = id_of(&bench.create().await).to_owned();
    let mut seen = Vec::new();
    for _ in 0..9 {
        let shown = value(&bench.get(&id).await);
        let status = shown["status"].as_str().unwrap().to_owned();
        assert_eq!(shown.get("ip").is_some(), status == "ready", "{shown}");
        seen.push(status);
        tokio::time::advance(10 * SECOND).await;
    }
    seen.dedup();
    assert_eq!(seen, ["pending", "init", "provisioning", "ready"]);
    for last in ["stopped", "unknown", "hibernating"] {
        bench.cloud.change_walk(&id, Walk::to(last, SECOND));
        let shown = value(&bench.get(&id).await);
        assert_eq!((&shown["status"], shown.get("ip")), (&json!(last), None));
    }
}

#[tokio::test(start_paused = true)]
async fn ids_regions_lags_and_lingering_follow_the_policy() {
    let bench = Bench::new(|it| {
        it.ids = IdForm::Uuid;
        it.region = "eu-north".to_owned();
        it.get_lag = 2 * SECOND;
        it.list_lag = 4 * SECOND;
        it.delete_linger = 3 * SECOND;
        it.walk = Walk::to("ready", Duration::ZERO);
        it.ip_lag = 5 * SECOND;
    });
    let made = bench.create().await;
    let id = id_of(&made).to_owned();
    assert_eq!((id.len(), &made["region"]), (36, &json!("eu-north")));
    assert_eq!(bench.get(&id).await.status(), StatusCode::NOT_FOUND);
    tokio::time::advance(2 * SECOND).await;
    let shown = value(&bench.get(&id).await);
    assert_eq!((&shown["status"], shown.get("ip")), (&json!("ready"), None));
    assert!(bench.listed("").await.is_empty());
    tokio::time::advance(3 * SECOND).await;
    assert!(value(&bench.get(&id).await)["ip"].is_string());
    assert_eq!(bench.listed("").await, [id.as_str()]);
    assert_eq!(bench.delete(&id).await, StatusCode::NO_CONTENT);
    assert_eq!(bench.delete(&id).await, StatusCode::NOT_FOUND);
    assert_eq!(bench.get(&id).await.status(), StatusCode::OK);
    assert_eq!(bench.listed("").await, [id.as_str()]);
    tokio::time::advance(3 * SECOND).await;
    assert_eq!(bench.get(&id).await.status(), StatusCode::NOT_FOUND);
    assert!(bench.listed("").await.is_empty());
    bench.cloud.change_policy(|it| it.delete_again = DeleteAgain::NoContent);
    assert_eq!(bench.delete(&id).await, StatusCode::NO_CONTENT);
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_an_id_belongs_to_an_instance_all_the_same() {
    let bench = Bench::new(|_| {});
    bench.cloud.add_anomaly(CreateAnomaly::EmptyId);
    let answer = bench.ask(Method::POST, INSTANCES, &wish(ONE, None)).await;
    assert_eq!((answer.status(), &value(&answer)["id"]), (StatusCode::CREATED, &json!("")));
    assert_eq!(bench.live(), 1);
}

#[tokio::test(start_paused = true)]
async fn pages_shift_when_something_is_created_or_deleted_while_they_are_walked() {
    let bench = Bench::new(|_| {});
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(id_of(&bench.create().await).to_owned());
    }
    let second = format!("?limit=2&cursor={}", Base64::encode_string(b"2").replace('=', "%3D"));
    let first = bench.list("?limit=2").await;
    assert_eq!((&first["has_more"], &first["next_cursor"]), (&json!(true), &json!("Mg==")));
    let last = bench.list(&second).await;
    assert_eq!((&last["has_more"], &last["next_cursor"]), (&json!(false), &Value::Null));
    assert_eq!(bench.listed("?limit=2").await, [ids[3].as_str(), &ids[2]]);
    bench.create().await;
    assert_eq!(bench.listed(&second).await, [ids[2].as_str(), &ids[1]], "seen twice");
    bench.cloud.change_policy(|it| it.paging.order = Order::OldestFirst);
    assert_eq!(bench.listed("?limit=2").await, [ids[0].as_str(), &ids[1]]);
    bench.delete(&ids[0]).await;
    let seen = bench.listed(&second).await;
    assert!(!seen.contains(&ids[2]), "missed: {seen:?}");
    for query in ["?limit=0", "?limit=x", "?cursor=!", "?cursor=MA%3D%3D"] {
        let answer = bench.ask(Method::GET, &format!("{INSTANCES}{query}"), "").await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn cursors_can_lead_nowhere() {
    let bench = Bench::new(|it| it.paging.cursors = Cursors::Loop);
    bench.create().await;
    let page = bench.list("").await;
    assert_eq!((&page["has_more"], &page["next_cursor"]), (&json!(true), &json!("MQ==")));
    bench.cloud.change_policy(|it| it.paging.cursors = Cursors::MoreWithoutCursor);
    let page = bench.list("").await;
    assert_eq!((&page["has_more"], &page["next_cursor"]), (&json!(true), &Value::Null));
}

#[tokio::test(start_paused = true)]
async fn a_locked_account_is_refused_everything_even_a_delete() {
    let bench = Bench::new(|_| {});
    let id = id_of(&bench.create().await).to_owned();
    bench.cloud.change_workspace("ann", |it| it.locked = Some("Exhausted balance".to_owned()));
    let one = format!("{INSTANCES}/{id}");
    for (method, path) in [
        (Method::GET, INSTANCES),
        (Method::POST, INSTANCES),
        (Method::GET, one.as_str()),
        (Method::DELETE, one.as_str()),
        (Method::GET, "/v1/account/billing"),
    ] {
        let answer = bench.ask(method, path, &wish(ONE, None)).await;
        let body = json!({ "detail": "User is locked. Reason: Exhausted balance." });
        assert_eq!((answer.status(), value(&answer)), (StatusCode::FORBIDDEN, body));
    }
    assert_eq!(bench.live(), 1);
    bench.cloud.change_workspace("ann", |it| it.locked = None);
    assert_eq!(bench.delete(&id).await, StatusCode::NO_CONTENT);
}

#[tokio::test(start_paused = true)]
async fn money_and_capacity_can_refuse_a_create() {
    let bench = Bench::new(|it| it.money_gate = MoneyGate::Refuse(StatusCode::PAYMENT_REQUIRED));
    bench.cloud.change_workspace("ann", |it| it.credit_cents = 50_000);
    bench.create().await;
    let body = wish(ONE, None);
    let answer = bench.ask(Method::POST, INSTANCES, &body).await;
    assert_eq!(answer.status(), 402);
    assert!(value(&answer)["error"]["message"].as_str().unwrap().contains("at least $500"));
    bench.cloud.change_workspace("ann", |it| {
        it.credit_cents = 1_000_000;
        it.top_up_at_cents = None;
    });
    assert_eq!(bench.ask(Method::POST, INSTANCES, &body).await.status(), 402);
    bench.cloud.change_policy(|it| {
        it.money_gate = MoneyGate::Off;
        it.no_capacity = Some(StatusCode::SERVICE_UNAVAILABLE);
    });
    assert_eq!(bench.ask(Method::POST, INSTANCES, &body).await.status(), 503);
    assert_eq!(bench.live(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_key_can_be_revoked_or_become_another_accounts() {
    let bench = Bench::new(|_| {});
    let username =
        async || value(&bench.ask(Method::GET, "/v1/account/billing?expand=credits", "").await);
    let credits = json!({ "current_balance": 10000.0, "currency": "USD" });
    assert_eq!(username().await, json!({ "username": "ann", "credits": credits }));
    let plain = bench.ask(Method::GET, "/v1/account/billing", "").await;
    assert_eq!(value(&plain), json!({ "username": "ann" }));
    let id = id_of(&bench.create().await).to_owned();
    bench.cloud.add_workspace(Workspace::new("bob"), "id-9:bob");
    bench.cloud.set_key(KEY, "bob", KeyScope::Admin);
    assert_eq!(username().await["username"], "bob");
    assert_eq!(bench.get(&id).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(bench.delete(&id).await, StatusCode::NOT_FOUND);
    assert!(bench.listed("").await.is_empty());
    assert_eq!(bench.live(), 1);
    bench.cloud.revoke(KEY);
    assert_eq!(bench.get(&id).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test(start_paused = true)]
async fn the_ledger_knows_what_is_foreign_and_what_everything_cost() {
    let bench = Bench::new(|_| {});
    let foreign = bench.cloud.plant("ann", "ssh-ed25519 x");
    let id = id_of(&bench.create().await).to_owned();
    assert_eq!(bench.listed("").await, [id.as_str(), &foreign]);
    tokio::time::advance(1_000 * SECOND).await;
    bench.delete(&id).await;
    tokio::time::advance(1_000 * SECOND).await;
    let ledger = bench.cloud.ledger();
    assert_eq!((ledger[0].foreign, ledger[0].gone), (true, None));
    assert_eq!((ledger[1].foreign, ledger[1].gone), (false, Some(1_000 * SECOND)));
    assert_eq!(ledger[1].public_keys, [SSH_KEY]);
    let bill = bench.cloud.bill();
    assert_eq!((bill[0].seconds, bill[0].cents), (2_000, 105));
    assert_eq!((bill[1].seconds, bill[1].cents), (1_000, 53));
    bench.cloud.end(&foreign).await;
    assert_eq!(bench.live(), 0);
}

/// Notes what it is told.
#[derive(Debug, Default)]
struct Notes(Mutex<Vec<String>>, NoMachines);

#[async_trait::async_trait]
impl Machines for Notes {
    fn address(&self) -> std::net::Ipv4Addr {
        self.1.address()
    }

    async fn boot(&self, birth: Birth) {
        self.0.lock().unwrap().push(format!("boot {} {:?}", birth.id, birth.authorized_keys));
    }

    async fn end(&self, id: &str) {
        self.0.lock().unwrap().push(format!("end {id}"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_boots_when_its_instance_is_ready_and_not_after_its_deletion() {
    let notes = Arc::new(Notes::default());
    let bench = Bench::with(Arc::<Notes>::clone(&notes), |_| {});
    let kept = id_of(&bench.create().await).to_owned();
    let deleted = id_of(&bench.create().await).to_owned();
    assert!(notes.0.lock().unwrap().is_empty());
    bench.delete(&deleted).await;
    while bench.get(&kept).await.status() == 200 && notes.0.lock().unwrap().len() < 2 {
        tokio::time::advance(30 * SECOND).await;
    }
    tokio::time::advance(300 * SECOND).await;
    assert_eq!(value(&bench.get(&kept).await)["status"], "ready");
    let expect = [format!("end {deleted}"), format!("boot {kept} [\"{SSH_KEY}\"]")];
    assert_eq!(*notes.0.lock().unwrap(), expect);
}
