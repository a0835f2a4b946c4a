//! Any answers as those of Hetzner Cloud, through the whole provider: what cannot be read proves nothing.

use std::sync::Arc;

use http::Method;
use lease_core::{Effect, Intent, Provider, Result, Secret, Sighting, Spec};
use lease_hetzner::{HetznerConfig, HetznerProvider};
use serde_json::{Value, json};

use crate::answers::{Answers, CREDENTIAL, Exchange, block_on, is_presentable};
use crate::intent::intent;

/// Runs one call of the provider, which the first byte chooses, against the answers in the rest.
///
/// # Panics
/// When an answer that cannot be read proves that nothing was made or is there, when a listing is made of something
/// else than whole pages, or when an error shows the token.
pub fn hetzner(input: &[u8]) {
    let Some((choice, said)) = input.split_first() else { return };
    let wire = Arc::new(Answers::new(said));
    let mut config = HetznerConfig::new(
        Some(Secret::new(CREDENTIAL)),
        Secret::new("a secret of this installation, 32 bytes"),
    );
    config.request_reserve = 0;
    let asked = Arc::<Answers>::clone(&wire);
    let Ok(provider) = HetznerProvider::open(config, wire) else { return };
    let exchanges = || asked.exchanges();
    block_on(async {
        match choice {
            b'k' | b'a' | b's' => create(&provider, *choice, exchanges).await,
            b'f' | b'F' => find(&provider, *choice, exchanges).await,
            b'i' => inspect(&provider, exchanges).await,
            b'l' => {
                let listed = provider.list().await;
                judge(&listed);
                assert!(listed.is_err() || exchanges().iter().all(|it| is_a_page(it).is_some()));
            }
            b'p' => {
                let mut spec = Spec::new("hetzner");
                spec.class = Some("tiny".to_owned());
                judge(&provider.plan(&spec).await);
            }
            b'z' => judge(&provider.sizes().await),
            b'd' => judge(&provider.doctor().await),
            _ => judge(&provider.scope().await),
        }
    });
}

async fn wanted(choice: u8) -> Option<Intent> {
    let order = json!({"server_type": "cx23", "location": "fsn1", "image": "debian-13",
        "enable_ipv4": true, "enable_ipv6": false});
    let before = [("ssh_key", "ssh_key-1"), ("primary_ipv4", "primary_ip-2")];
    let (kind, request, before) = match choice {
        b'k' | b'F' => ("ssh_key", Value::Null, &before[..0]),
        b'a' => ("primary_ipv4", json!({"location": "fsn1"}), &before[..1]),
        _ => ("server", order, &before[..]),
    };
    let intent = intent(("hetzner", kind), request, before).await;
    assert!(intent.is_ok(), "the record is a good one: {intent:?}");
    intent.ok()
}

async fn create(provider: &HetznerProvider, choice: u8, exchanges: impl Fn() -> Vec<Exchange>) {
    let Some(intent) = wanted(choice).await else { return };
    let created = provider.create(&intent).await;
    judge(&created);
    let exchanges = exchanges();
    let posts: Vec<_> = exchanges.iter().filter(|it| it.method == Method::POST).collect();
    assert!(posts.len() <= 1, "a create is one request");
    let Some(post) = posts.first() else { return };
    match created {
        // What has an id was in an answer of success.
        Ok(_) => assert!(exchanges.iter().any(|it| it.success().is_some())),
        Err(error) if error.effect() == Effect::None => {
            let is_refusal = post.status().is_some_and(|it| (400..500).contains(&it))
                && post.json().is_some_and(|it| it["error"]["code"].is_string());
            assert!(
                post.is_unsent || is_refusal,
                "nothing is said to have been made, after {:?}",
                post.status()
            );
        }
        Err(_) => {}
    }
}

async fn find(provider: &HetznerProvider, choice: u8, exchanges: impl Fn() -> Vec<Exchange>) {
    let Some(intent) = wanted(choice).await else { return };
    let sighting = provider.find(&intent).await;
    judge(&sighting);
    if let Ok(Sighting::Absent) = sighting {
        let exchanges = exchanges();
        assert!(!exchanges.is_empty() && exchanges.iter().all(|it| is_a_page(it).is_some()));
    }
}

async fn inspect(provider: &HetznerProvider, exchanges: impl Fn() -> Vec<Exchange>) {
    let Ok(id) = "server-42".parse() else { return };
    let sighting = provider.inspect(&id).await;
    judge(&sighting);
    if let Ok(Sighting::Absent) = sighting {
        let exchanges = exchanges();
        let said_so = exchanges.first().is_some_and(|it| {
            it.status() == Some(404)
                && it.json().is_some_and(|it| it["error"]["code"] == "not_found")
        });
        assert!(said_so, "it is called absent, and nobody said so");
    }
}

/// The page in an answer.
fn is_a_page(exchange: &Exchange) -> Option<()> {
    let body = exchange.success()?;
    let lists = ["servers", "ssh_keys", "primary_ips"].iter().any(|it| body[*it].is_array());
    (lists && body["meta"]["pagination"].is_object()).then_some(())
}

fn judge<T>(result: &Result<T>) {
    if let Err(error) = result {
        is_presentable(error);
    }
}
