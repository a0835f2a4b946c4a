//! What is said before anything is made: candidates, sizes, checks, and a build without a token.

use std::collections::BTreeMap;
use std::time::Duration;

use lease_core::journal::Disposition;
use lease_core::provider::Verdict;
use lease_core::{Effect, ErrorKind, Provider, Spec};
use lease_emulator::hetzner::{Access, Policy};
use lease_emulator::script::{Fault, Plan};
use lease_hetzner::DESCRIPTOR;
use serde_json::json;

use crate::bench::{Bench, PROJECT, public_key};

fn spec(options: &serde_json::Value) -> Spec {
    let mut spec = Spec::new("hetzner");
    spec.options.clone_from(options.as_object().unwrap());
    spec
}

async fn check(bench: &Bench, name: &str) -> (Verdict, String) {
    let checks = bench.provider().doctor().await.unwrap();
    let found = checks.iter().find(|it| it.name == name);
    let found = found.unwrap();
    (found.verdict, found.detail.clone())
}

#[tokio::test(start_paused = true)]
async fn a_build_without_a_token_says_so_and_sends_nothing() {
    let bench = Bench::new(Policy::immediate());
    let mut config = bench.config();
    config.token = None;
    let provider = bench.provider_of(config);
    let errors = [
        provider.scope().await.unwrap_err(),
        provider.plan(&spec(&json!({}))).await.unwrap_err(),
        provider.inspect(&"server-1".parse().unwrap()).await.unwrap_err(),
        provider.list().await.unwrap_err(),
        provider.sizes().await.unwrap_err(),
        provider.doctor().await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Unsupported, Effect::None));
        assert!(error.to_string().contains("HCLOUD_TOKEN is not set"), "{error}");
    }
    assert_eq!(bench.script.trace().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_configured_is_in_the_descriptor() {
    let bench = Bench::new(Policy::immediate());
    let mut config = bench.config();
    config.settle *= 3;
    config.landing *= 2;
    let provider = bench.provider_of(config);
    assert_eq!(provider.descriptor().settle, DESCRIPTOR.settle * 3);
    assert_eq!(provider.descriptor().landing, DESCRIPTOR.landing * 2);
    assert_eq!(provider.descriptor().name, DESCRIPTOR.name);
}

#[tokio::test(start_paused = true)]
async fn a_candidate_names_its_resources_in_the_order_of_creation() {
    let bench = Bench::new(Policy::immediate());
    let key = bench.cloud.plant_ssh_key(PROJECT, ("ann", &public_key("ann")), BTreeMap::new());
    let wish = spec(&json!({"ipv6": true, "ssh_key": "ann", "location": ["nbg1", "fsn1"]}));
    let candidates = bench.provider().plan(&wish).await.unwrap();
    let labels: Vec<_> = candidates.iter().map(|it| it.label.as_str()).collect();
    let expected = ["cx43 in nbg1", "cx43 in fsn1", "cpx42 in nbg1", "cpx42 in fsn1"];
    assert_eq!(labels[..4], expected);
    let resources = &candidates[0].resources;
    let kinds: Vec<_> = resources.iter().map(|it| it.kind.as_str()).collect();
    assert_eq!(kinds, ["ssh_key", "ssh_key", "primary_ipv4", "primary_ipv6", "server"]);
    assert_eq!(resources[1].disposition, Disposition::Referenced);
    assert_eq!(resources[1].id.as_ref().unwrap().as_str(), format!("ssh_key-{key}"));
    assert_eq!(resources[4].request["ssh_keys"], json!([key]));
    assert_eq!(resources[4].request["image"], "debian-12");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_refused_before_anything_is_made() {
    let bench = Bench::new(Policy::immediate());
    for (options, told) in [
        (json!({"image": "windows-3.1"}), "debian-12"),
        (json!({"location": "mars1"}), "fsn1"),
        (json!({"ssh_key": "nobody"}), "ssh_keys"),
        (json!({"ssh_key": 12345}), "ssh_keys"),
        (json!({"color": "red"}), "location"),
    ] {
        let error = bench.provider().plan(&spec(&options)).await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Invalid, Effect::None), "{options}");
        assert!(error.to_string().contains(told), "{options}: {error}");
    }
    assert_eq!(bench.mutations().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn sizes_have_the_prices_and_the_currency_of_the_answer() {
    let bench = Bench::new(Policy::immediate());
    let sizes = bench.provider().sizes().await.unwrap();
    let size = sizes.iter().find(|it| it.machine_type == "cx23").unwrap();
    assert_eq!((size.cores, size.classes.as_slice()), (2, ["tiny".to_owned()].as_slice()));
    let price = size.price_per_hour.as_ref().unwrap();
    let listed = bench.get("/server_types?name=cx23").await;
    assert_eq!(
        listed["server_types"][0]["prices"][0]["price_hourly"]["net"],
        price.amount.as_str()
    );
    assert_eq!(price.currency, "EUR");
    let withdrawn = sizes.iter().find(|it| it.machine_type == "cx22").unwrap();
    assert_eq!(withdrawn.available, Some(false));
}

#[tokio::test(start_paused = true)]
async fn the_doctor_sees_what_a_lease_would_meet() {
    let bench = Bench::new(Policy::immediate());
    assert_eq!(check(&bench, "token").await.0, Verdict::Ok);
    assert_eq!(check(&bench, "write access").await.0, Verdict::Ok);
    assert_eq!(check(&bench, "server types").await.0, Verdict::Ok);
    assert_eq!(check(&bench, "image").await.0, Verdict::Ok);
    assert_eq!(check(&bench, "addresses").await.0, Verdict::Ok);
    assert_eq!(check(&bench, "rate limit").await.0, Verdict::Ok);
    let (verdict, told) = check(&bench, "project").await;
    assert_eq!(verdict, Verdict::Warning);
    assert!(told.contains("lease-project=NAME"), "{told}");
    let named = BTreeMap::from([("lease-project".to_owned(), "shop".to_owned())]);
    bench.cloud.plant_ssh_key(PROJECT, ("ann", &public_key("ann")), named);
    assert_eq!(check(&bench, "project").await.0, Verdict::Ok);
    bench.cloud.plant_primary_ip(PROJECT);
    assert_eq!(check(&bench, "addresses").await.0, Verdict::Warning);
    bench.cloud.restrict(&bench.token, Access::ReadOnly);
    let (verdict, told) = check(&bench, "write access").await;
    assert_eq!(verdict, Verdict::Problem);
    assert!(told.contains("may only read"), "{told}");
    bench.cloud.revoke(&bench.token);
    assert_eq!(check(&bench, "token").await.0, Verdict::Problem);
}

#[tokio::test(start_paused = true)]
async fn a_project_that_never_answers_is_told_in_time_and_once() {
    let bench = Bench::new(Policy::immediate());
    bench.script.plan(Plan::at(0, Fault::HangBefore));
    let provider = bench.provider();
    let asked = tokio::time::timeout(Duration::from_secs(25), provider.doctor());
    let checks = asked.await.unwrap().unwrap();
    assert!(checks.len() == 1 && checks[0].name == "api", "{checks:?}");
    assert!(
        checks[0].detail.contains("did not answer within 14s; check the network"),
        "{checks:?}"
    );
}

/// The one request of the doctor that could change something is about what cannot exist, and has no fields.
#[tokio::test(start_paused = true)]
async fn the_doctor_changes_nothing() {
    let bench = Bench::new(Policy::immediate());
    let key = bench.cloud.plant_ssh_key(PROJECT, ("ann", &public_key("ann")), BTreeMap::new());
    let before = bench.get(&format!("/ssh_keys/{key}")).await;
    bench.provider().doctor().await.unwrap();
    assert_eq!(bench.get(&format!("/ssh_keys/{key}")).await, before);
    let mutations = bench.mutations();
    let paths: Vec<_> = mutations.iter().map(|it| it.path.as_str()).collect();
    assert_eq!(paths, ["/v1/ssh_keys/9007199254740991"]);
}
