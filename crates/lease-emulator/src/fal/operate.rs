//! The operations: who asks, for what, and what becomes of it.

use std::sync::{Arc, PoisonError};

use base64ct::{Base64, Encoding as _};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use lease_core::retry::pause;
use serde_json::json;

use super::instance::{EIGHT, Instance, Wish, new_id};
use super::policy::{AfterDelete, Cursors, DeleteAgain, KeySpace, MoneyGate, Order};
use super::refusal::Refusal;
use super::replay::{CacheKey, Ticket, Verdict};
use super::workspace::{KeyScope, Permission, Workspace};
use super::{CreateAnomaly, FalCloud, Shared, State};
use crate::exchange::{Request, Response};
use crate::machine::Birth;
use crate::script::json as answer;

const INSTANCES: &str = "/v1/compute/instances";
const BILLING: &str = "/v1/account/billing";
/// The credit that an instance needs, in cents.
const GATE_CENTS: u64 = 50_000;

/// Who asks.
struct Caller {
    workspace: Workspace,
    key: String,
}

impl FalCloud {
    pub(super) async fn operate(&self, request: Request) -> Result<Response, Refusal> {
        let caller = authenticate(&self.shared.state(), request.headers())?;
        let path = request.uri().path().to_owned();
        if path == BILLING && request.method() == Method::GET {
            let expand = parameter(&request, "expand");
            return Ok(billing(&caller.workspace, expand.as_deref() == Some("credits")));
        }
        let Some(rest) = path.strip_prefix(INSTANCES) else { return Err(Refusal::NotFound) };
        if caller.workspace.compute == Permission::Denied {
            return Err(Refusal::Denied);
        }
        let id = rest.strip_prefix('/').filter(|it| !it.is_empty() && !it.contains('/'));
        match (request.method(), id) {
            (&Method::GET, None) if rest.is_empty() => self.list(&caller, &request),
            (&Method::POST, None) if rest.is_empty() => self.create(&caller, request).await,
            (&Method::GET, Some(id)) => self.get(&caller, id),
            (&Method::DELETE, Some(id)) => self.delete(&caller, id).await,
            _ => Err(Refusal::NotFound),
        }
    }

    fn get(&self, caller: &Caller, id: &str) -> Result<Response, Refusal> {
        let now = self.shared.now();
        let state = self.shared.state();
        let found = owned(&state, caller, id).ok_or(Refusal::NotFound)?;
        if !found.is_shown(now, state.policy.get_lag, &state.policy) {
            return Err(Refusal::NotFound);
        }
        Ok(answer(StatusCode::OK, &found.shown(now, &state.policy)))
    }

    async fn delete(&self, caller: &Caller, id: &str) -> Result<Response, Refusal> {
        let is_first = {
            let now = self.shared.now();
            let mut state = self.shared.state();
            owned(&state, caller, id).ok_or(Refusal::NotFound)?;
            let again = state.policy.delete_again;
            let Some(found) = state.instances.iter_mut().find(|it| it.id == id) else {
                return Err(Refusal::NotFound);
            };
            match (found.gone, again) {
                (Some(_), DeleteAgain::NotFound) => return Err(Refusal::NotFound),
                (Some(_), DeleteAgain::NoContent) => false,
                (None, _) => {
                    found.gone = Some(now);
                    true
                }
            }
        };
        if is_first {
            self.shared.machines.end(id).await;
        }
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::NO_CONTENT;
        Ok(response)
    }

    /// That a limit or a cursor that is none is a 400 is inferred: for a list, that status is not documented.
    fn list(&self, caller: &Caller, request: &Request) -> Result<Response, Refusal> {
        let now = self.shared.now();
        let state = self.shared.state();
        let paging = state.policy.paging;
        let size = match parameter(request, "limit") {
            None => paging.size,
            Some(text) => text.parse().ok().filter(|it| *it >= 1).ok_or(Refusal::Invalid)?,
        };
        let size = size.min(paging.size_max).max(1);
        let page = match parameter(request, "cursor") {
            None => 1,
            Some(cursor) => page_of(&cursor).ok_or(Refusal::Invalid)?,
        };
        let is_shown = |it: &&Instance| {
            it.username == caller.workspace.username
                && it.is_shown(now, state.policy.list_lag, &state.policy)
        };
        let mut shown: Vec<_> = state.instances.iter().filter(is_shown).collect();
        if paging.order == Order::NewestFirst {
            shown.reverse();
        }
        let before = (page - 1).saturating_mul(size);
        let has_next = before.saturating_add(size) < shown.len();
        let (has_more, cursor) = match paging.cursors {
            Cursors::Honest => (has_next, has_next.then(|| page + 1)),
            Cursors::Loop => (true, Some(page)),
            Cursors::MoreWithoutCursor => (true, None),
        };
        let on_page = shown.into_iter().skip(before).take(size);
        let instances: Vec<_> = on_page.map(|it| it.shown(now, &state.policy)).collect();
        let next_cursor = cursor.map(|it| Base64::encode_string(it.to_string().as_bytes()));
        let body =
            json!({ "instances": instances, "next_cursor": next_cursor, "has_more": has_more });
        Ok(answer(StatusCode::OK, &body))
    }

    async fn create(&self, caller: &Caller, request: Request) -> Result<Response, Refusal> {
        let body = request.body().clone();
        let Some(key) = request.headers().get("idempotency-key") else {
            return self.make(caller, &body).await.map(|(response, _)| response);
        };
        let key = String::from_utf8_lossy(key.as_bytes()).into_owned();
        let ticket = loop {
            match self.judge(caller, key.clone(), &body) {
                Verdict::Run(ticket) => break ticket,
                Verdict::RunUnkeyed => {
                    return self.make(caller, &body).await.map(|(response, _)| response);
                }
                // It fails as soon as the other request has ended, which is what is waited for.
                Verdict::Wait(mut done) => while done.changed().await.is_ok() {},
                Verdict::Replay(response, _) => return Ok(*response),
                Verdict::Refuse(refusal) => return Err(refusal),
            }
        };
        let made = self.make(caller, &body).await;
        self.remember(ticket, &made);
        made.map(|(response, _)| response)
    }

    fn judge(&self, caller: &Caller, key: String, body: &Bytes) -> Verdict {
        let now = self.shared.now();
        let mut state = self.shared.state();
        let policy = state.policy.idempotency.clone();
        let space = match policy.scope {
            KeySpace::Workspace => caller.workspace.username.clone(),
            KeySpace::ApiKey => caller.key.clone(),
        };
        let key: CacheKey = (space, key);
        let verdict = state.replays.judge(&key, body, now, &policy);
        let Verdict::Replay(_, Some(id)) = &verdict else { return verdict };
        let is_gone = state.instances.iter().any(|it| it.id == *id && it.gone.is_some());
        match policy.after_delete {
            AfterDelete::NotFound if is_gone => Verdict::Refuse(Refusal::NotFound),
            AfterDelete::New if is_gone => state.replays.open(&key, body, now),
            AfterDelete::OldAnswer | AfterDelete::NotFound | AfterDelete::New => verdict,
        }
    }

    fn remember(&self, ticket: Ticket, made: &Result<(Response, Option<String>), Refusal>) {
        let now = self.shared.now();
        let mut state = self.shared.state();
        let policy = state.policy.idempotency.clone();
        match made {
            Ok((response, id)) => {
                state.replays.close(ticket, (response, id.as_deref()), now, &policy);
            }
            Err(refusal) => {
                state.replays.close(ticket, (&refusal.response(), None), now, &policy);
            }
        }
    }

    /// Makes an instance and says which, also when the answer does not.
    async fn make(
        &self,
        caller: &Caller,
        body: &Bytes,
    ) -> Result<(Response, Option<String>), Refusal> {
        let (wish, takes) = {
            let state = self.shared.state();
            let wish = Wish::read(body, state.policy.key_check).ok_or(Refusal::Invalid)?;
            (wish, state.policy.create_takes)
        };
        if !takes.is_zero() {
            pause(takes).await;
        }
        let address = self.shared.machines.address();
        let (instance, response) = {
            let now = self.shared.now();
            let mut state = self.shared.state();
            admit(&state, &caller.workspace)?;
            let anomaly = state.anomalies.pop_front();
            if let Some(CreateAnomaly::FailsBefore(status)) = anomaly {
                return Err(Refusal::Failed(status));
            }
            let prices = state.policy.prices;
            let is_eight = wish.instance_type == EIGHT;
            let instance = Instance {
                id: new_id(state.policy.ids)
                    .map_err(|_| Refusal::Failed(StatusCode::INTERNAL_SERVER_ERROR))?,
                username: caller.workspace.username.clone(),
                wish,
                region: state.policy.region.clone(),
                creator: caller.workspace.nickname.clone(),
                address,
                born: now,
                gone: None,
                foreign: false,
                walk: state.policy.walk.clone(),
                cents_per_hour: if is_eight {
                    prices.eight_cents_per_hour
                } else {
                    prices.one_cents_per_hour
                },
            };
            let mut shown = instance.shown(now, &state.policy);
            state.instances.push(instance.clone());
            let response = match anomaly {
                Some(CreateAnomaly::FailsAfter(status)) => Refusal::Failed(status).response(),
                Some(CreateAnomaly::EmptyId) => {
                    shown["id"] = json!("");
                    answer(StatusCode::CREATED, &shown)
                }
                Some(CreateAnomaly::FailsBefore(_)) | None => answer(StatusCode::CREATED, &shown),
            };
            (instance, response)
        };
        self.boot_when_ready(&instance).await;
        Ok((response, Some(instance.id)))
    }

    /// Lets the machine boot at the moment at which its status becomes `ready`.
    async fn boot_when_ready(&self, instance: &Instance) {
        let Some(after) = instance.walk.ready_after() else { return };
        let birth = Birth {
            id: instance.id.clone(),
            address: instance.address,
            authorized_keys: vec![instance.wish.ssh_key.clone()],
            user_data: None,
        };
        let shared = Arc::clone(&self.shared);
        if after.is_zero() {
            boot(&shared, birth).await;
            return;
        }
        let mut boots = self.boots.lock().unwrap_or_else(PoisonError::into_inner);
        boots.spawn(async move {
            pause(after).await;
            boot(&shared, birth).await;
        });
        while boots.try_join_next().is_some() {}
    }
}

/// Boots a machine whose instance has not been deleted, neither before nor meanwhile.
async fn boot(shared: &Shared, birth: Birth) {
    let is_gone =
        |id: &str| shared.state().instances.iter().any(|it| it.id == id && it.gone.is_some());
    let id = birth.id.clone();
    if is_gone(&id) {
        return;
    }
    shared.machines.boot(birth).await;
    if is_gone(&id) {
        shared.machines.end(&id).await;
    }
}

/// The order of these checks is inferred, apart from their being made at all.
fn authenticate(state: &State, headers: &HeaderMap) -> Result<Caller, Refusal> {
    let given = headers.get(header::AUTHORIZATION).and_then(|it| it.to_str().ok());
    let given = given.and_then(|it| it.strip_prefix("Key ")).ok_or(Refusal::Unauthenticated)?;
    let key = state.keys.get(given).ok_or(Refusal::Unauthenticated)?;
    let workspace = state.workspaces.get(&key.username).ok_or(Refusal::Unauthenticated)?;
    if let Some(reason) = &workspace.locked {
        return Err(Refusal::Locked(reason.clone()));
    }
    if key.scope == KeyScope::Api {
        return Err(Refusal::Denied);
    }
    Ok(Caller { workspace: workspace.clone(), key: given.to_owned() })
}

/// Whether one more instance may be made.
fn admit(state: &State, workspace: &Workspace) -> Result<(), Refusal> {
    if let MoneyGate::Refuse(status) = state.policy.money_gate {
        let is_live = |it: &&Instance| it.username == workspace.username && it.gone.is_none();
        let live = state.instances.iter().filter(is_live).count() as u64;
        let has_credit = workspace.credit_cents >= (live + 1) * GATE_CENTS;
        let is_topped_up = workspace.top_up_at_cents.is_some_and(|it| it >= GATE_CENTS);
        if !has_credit || !is_topped_up {
            return Err(Refusal::Money(status));
        }
    }
    state.policy.no_capacity.map_or(Ok(()), |status| Err(Refusal::NoCapacity(status)))
}

fn owned<'a>(state: &'a State, caller: &Caller, id: &str) -> Option<&'a Instance> {
    let is_it = |it: &&Instance| it.id == id && it.username == caller.workspace.username;
    state.instances.iter().find(is_it)
}

fn billing(workspace: &Workspace, with_credits: bool) -> Response {
    let mut body = json!({ "username": workspace.username });
    if with_credits {
        let dollars = workspace.credit_cents / 100;
        let cents = workspace.credit_cents % 100;
        let balance: serde_json::Number =
            format!("{dollars}.{cents:02}").parse().unwrap_or_else(|_| dollars.into());
        body["credits"] = json!({ "current_balance": balance, "currency": "USD" });
    }
    answer(StatusCode::OK, &body)
}

/// The page that a cursor names, from 1.
fn page_of(cursor: &str) -> Option<usize> {
    let bytes = Base64::decode_vec(cursor).ok()?;
    String::from_utf8(bytes).ok()?.parse().ok().filter(|it| *it >= 1)
}

fn parameter(request: &Request, name: &str) -> Option<String> {
    let query = request.uri().query()?.as_bytes();
    let mut pairs = form_urlencoded::parse(query);
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}
