//! What a wire may bring: answers of a gateway, half listings, odd fields, and the token in an error text.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use lease_core::proof::may_renew;
use lease_core::{Effect, Error, ErrorKind, Provider, Result, Sighting, VerifiedScope};
use lease_emulator::hetzner::Policy;
use lease_emulator::script::{Fault, Matching, Plan, Times, json, page};
use lease_hetzner::HetznerProvider;
use lease_http::{Wire, WireError};
use serde_json::{Value, json};

use crate::bench::{Bench, Desk, Direct, PROJECT, assert_released, release, wish};

type Change = dyn Fn(&Request<Bytes>, &mut Value) + Send + Sync;

/// A wire that changes the answers of the cloud.
struct Changed {
    inner: Direct,
    change: Box<Change>,
}

impl fmt::Debug for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changed").field("inner", &self.inner).finish_non_exhaustive()
    }
}

#[async_trait]
impl Wire for Changed {
    async fn exchange(
        &self,
        request: Request<Bytes>,
        deadline: Duration,
    ) -> Result<Response<Bytes>, WireError> {
        let mut response = self.inner.exchange(request.clone(), deadline).await?;
        if let Ok(mut body) = serde_json::from_slice::<Value>(response.body()) {
            (self.change)(&request, &mut body);
            *response.body_mut() = Bytes::from(body.to_string());
        }
        Ok(response)
    }
}

fn changed(
    bench: &Bench,
    change: impl Fn(&Request<Bytes>, &mut Value) + Send + Sync + 'static,
) -> HetznerProvider {
    let inner = Direct(Arc::clone(&bench.script));
    let wire = Changed { inner, change: Box::new(change) };
    HetznerProvider::open(bench.config(), Arc::new(wire)).unwrap()
}

/// What has an id exists, whatever else is in the answer.
#[tokio::test(start_paused = true)]
async fn an_answer_with_odd_fields_still_says_what_was_created() {
    let desk = Desk::new(Policy::default());
    let provider = changed(&desk.bench, |request, body| {
        if request.method() == Method::POST {
            for one in ["server", "primary_ip", "ssh_key"] {
                if body[one].is_object() {
                    let id = body[one]["id"].clone();
                    body[one] = json!({"id": id, "public_net": {"ipv4": null}, "labels": null, "created": 7});
                }
            }
        }
    });
    let claim = desk.engine_of(provider).acquire(wish()).await.unwrap();
    assert_eq!(desk.bench.mutations().len(), 3, "a create was sent twice");
    assert_released(&desk.release(claim.lease()).await);
    desk.assert_clean();
}

/// An answer without an id is an unknown outcome, not a failure.
#[tokio::test(start_paused = true)]
async fn an_answer_without_an_id_is_settled() {
    let desk = Desk::new(Policy::default());
    let provider = changed(&desk.bench, |request, body| {
        if request.method() == Method::POST {
            *body = json!({"server": {}, "action": null});
        }
    });
    let claim = desk.engine_of(provider).acquire(wish()).await.unwrap();
    for kind in ["ssh_key", "primary_ip", "server"] {
        assert_eq!(desk.bench.ever(kind), 1, "{kind}");
    }
    assert_released(&desk.release(claim.lease()).await);
    desk.assert_clean();
}

/// A page that is lost, or says that it is the last and is not, makes no listing.
#[tokio::test(start_paused = true)]
async fn half_a_listing_is_an_error() {
    let bench = Bench::new(Policy::immediate());
    for number in 0..60 {
        let labels = [("managed-by".to_owned(), "lease".to_owned())].into();
        bench.cloud.plant_server(PROJECT, &format!("theirs-{number}"), labels);
    }
    assert_eq!(bench.provider().list().await.unwrap().items.len(), 60);
    let ends_early =
        changed(&bench, |_, body| body["meta"]["pagination"]["next_page"] = Value::Null);
    let no_pages = changed(&bench, |_, body| body["meta"] = json!({}));
    let no_end = changed(&bench, |_, body| {
        body["meta"]["pagination"].as_object_mut().unwrap().remove("next_page");
    });
    let skips = changed(&bench, |_, body| body["meta"]["pagination"]["next_page"] = json!(7));
    let repeats = changed(&bench, |_, body| {
        let first = body["servers"][0].clone();
        if let Some(servers) = body["servers"].as_array_mut() {
            servers.push(first);
        }
    });
    let no_ids = changed(&bench, |_, body| {
        if let Some(server) = body["servers"].as_array_mut().and_then(|it| it.first_mut()) {
            server["id"] = Value::Null;
        }
    });
    for (number, provider) in
        [ends_early, no_pages, no_end, skips, repeats, no_ids].iter().enumerate()
    {
        let listed = provider.list().await;
        let error = listed.expect_err(&format!("listing {number} was taken for a whole one"));
        assert_eq!(error.effect(), Effect::None, "{number}: {error}");
    }
}

/// A 404 of somebody else on the way is no absence: a proxy's page, or an endpoint that leads nowhere.
#[tokio::test(start_paused = true)]
async fn only_the_interface_itself_can_say_that_something_is_absent() {
    let desk = Desk::new(Policy::default());
    let claim = desk.acquire().await.unwrap();
    let id = claim.resources()[2].id().unwrap();
    let nowhere = json!({"error": {"code": "not_found", "message": "api route not found"}});
    for response in [page(StatusCode::NOT_FOUND), json(StatusCode::NOT_FOUND, &nowhere)] {
        let refused = Plan::at(0, Fault::RefusedBefore(response));
        desk.bench.script.plan(refused.on(Matching::request(Method::GET, "/v1/servers/")));
        let sighting = desk.bench.provider().inspect(id).await.unwrap();
        assert!(matches!(sighting, Sighting::Unclear(_)), "{sighting:?}");
    }
    // The same for a deletion, which a gateway cannot call done.
    let refused =
        Plan::at(0, Fault::RefusedBefore(page(StatusCode::NOT_FOUND))).times(Times::Count(2));
    desk.bench.script.plan(refused.on(Matching::method(Method::DELETE)));
    assert_released(&desk.release(claim.lease()).await);
    desk.assert_clean();
}

/// A name that is looked for by a whole listing of others' is not found by chance.
#[tokio::test(start_paused = true)]
async fn a_search_that_cannot_be_made_is_unclear() {
    let desk = Desk::new(Policy::default());
    let posts = Matching::request(Method::POST, "/v1/servers");
    desk.bench.script.plan(Plan::at(0, Fault::LostAfter).on(posts));
    let outage = Plan::at(0, Fault::Unavailable).times(Times::For(Duration::from_secs(60)));
    desk.bench.script.plan(outage.on(Matching::request(Method::GET, "/v1/servers")));
    let claim = desk.acquire().await.unwrap();
    assert_eq!(desk.bench.ever("server"), 1);
    assert_released(&desk.release(claim.lease()).await);
    desk.assert_clean();
}

/// Every error of every call, while the project's requests are used up.
async fn errors_of_every_call(desk: &Desk, provider: HetznerProvider) -> Vec<Error> {
    let mut errors = vec![
        provider.scope().await.unwrap_err(),
        provider.plan(&wish().spec).await.unwrap_err(),
        provider.list().await.unwrap_err(),
        provider.sizes().await.unwrap_err(),
    ];
    let sighting = provider.inspect(&"server-7".parse().unwrap()).await.unwrap();
    assert!(matches!(sighting, Sighting::Unclear(_)), "{sighting:?}");
    if let Sighting::Unclear(unclear) = sighting {
        errors.push(unclear);
    }
    errors.push(desk.engine_of(provider).acquire(wish()).await.unwrap_err().error);
    errors
}

/// Hetzner prints half of the token when it refuses for too many requests.
#[tokio::test(start_paused = true)]
async fn no_error_shows_any_part_of_the_token() {
    let policy = Policy { requests_per_second: 0.000_001, ..Policy::default() };
    let desk = Desk::new(policy);
    let claim = desk.acquire().await.unwrap();
    desk.bench.cloud.change(|policy| policy.requests_max = 0);
    let prefix: String = desk.bench.token.chars().take(32).collect();
    let said = desk.bench.get("/servers").await.to_string();
    assert!(said.contains(&prefix), "the cloud does not print the token, so this tests nothing");
    let outcome = release(&desk.engine(), claim.lease()).await;
    let mut texts = vec![format!("{outcome:?}")];
    for error in errors_of_every_call(&desk, desk.bench.provider()).await {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        texts.extend([error.to_string(), format!("{error:?}")]);
    }
    let checks = desk.bench.provider().doctor().await.unwrap();
    texts.push(format!("{checks:?} {:?}", desk.bench.provider()));
    for text in texts {
        for part in [&desk.bench.token[..20], &desk.bench.token[32..52]] {
            assert!(!text.contains(part), "{text}");
        }
    }
    desk.bench.cloud.change(|policy| {
        policy.requests_max = 3_600;
        policy.requests_per_second = 3_600.0;
    });
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_released(&desk.release(claim.lease()).await);
    desk.assert_clean();
}

/// The body of a repeated create is the first one's, byte for byte.
#[tokio::test(start_paused = true)]
async fn a_repeated_create_sends_the_same_bytes() {
    let desk = Desk::new(Policy::default());
    let bodies = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&bodies);
    let provider = changed(&desk.bench, move |request, _| {
        if request.method() == Method::POST && request.uri().path() == "/v1/servers" {
            seen.lock().unwrap().push(request.body().clone());
        }
    });
    let posts = || Matching::request(Method::POST, "/v1/servers");
    let refused = json!({"error": {"code": "conflict", "message": "please retry"}});
    let again = Fault::RefusedBefore(json(StatusCode::CONFLICT, &refused));
    desk.bench.script.plan(Plan::at(0, again).on(posts()));
    let claim = desk.engine_of(provider).acquire(wish()).await.unwrap();
    let bodies = bodies.lock().unwrap().clone();
    assert_eq!(bodies.len(), 2);
    assert_eq!(bodies[0], bodies[1]);
    assert_released(&desk.release(claim.lease()).await);
    desk.assert_clean();
}

/// Labels are replaced as a whole, so who else wrote at the same moment is told and not overwritten in silence.
#[tokio::test(start_paused = true)]
async fn labels_that_somebody_else_changes_at_the_same_time_are_a_conflict() {
    let desk = Desk::new(Policy::default());
    let claim = desk.acquire().await.unwrap();
    let id = claim.resources()[2].id().unwrap();
    let honest = desk.bench.provider();
    let Sighting::Found(shown) = honest.inspect(id).await.unwrap() else { unreachable!() };
    let scope = VerifiedScope::verify(&honest, claim.scope()).await.unwrap();
    let held = may_renew(&claim, 2, &shown, &scope).unwrap();
    let script = Arc::clone(&desk.bench.script);
    let raced = changed(&desk.bench, move |request, body| {
        let written = script.trace().iter().any(|it| it.method == Method::PUT);
        if written && request.method() == Method::GET && body["server"].is_object() {
            body["server"]["labels"]["set-in-between"] = json!("x");
        }
    });
    let error = raced.renew(&held, None).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Conflict, Effect::Unknown), "{error}");
    // What is not the lease's any more is not written on at all.
    let foreign = changed(&desk.bench, |_, body| body["server"]["labels"] = json!({}));
    let written = desk.bench.mutations().len();
    let error = foreign.renew(&held, None).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Conflict, Effect::None), "{error}");
    assert_eq!(desk.bench.mutations().len(), written);
    assert_released(&desk.release(claim.lease()).await);
    desk.assert_clean();
}
