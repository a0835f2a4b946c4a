//! Any answers as those of fal Compute, through the whole provider: what cannot be read proves nothing.

use std::sync::Arc;

use http::Method;
use lease_core::{Effect, Intent, Provider, Result, Secret, Sighting, Spec};
use lease_fal::{FalConfig, FalProvider};

use crate::answers::{Answers, CREDENTIAL, Exchange, block_on, is_presentable};
use crate::intent::intent;

/// What stands before the answers of the input, so that a record can be made from the provider's own plan.
const NO_INSTANCES: &[u8] = b"200\n\n{\"instances\":[],\"has_more\":false,\"next_cursor\":null}";

/// Runs one call of the provider, which the first byte chooses, against the answers in the rest.
///
/// # Panics
/// When an answer that cannot be read proves that nothing was made or is there, when a listing is made of something
/// else than whole pages, or when an error shows the key.
pub fn fal(input: &[u8]) {
    let Some((choice, said)) = input.split_first() else { return };
    let wire = Arc::new(Answers::new(said));
    let asked = Arc::<Answers>::clone(&wire);
    let Some(provider) = provider(wire) else { return };
    let exchanges = || asked.exchanges();
    block_on(async {
        match choice {
            b'c' => create(&provider, exchanges).await,
            b'f' => find(&provider, exchanges).await,
            b'i' => inspect(&provider, exchanges).await,
            b'l' => {
                let listed = provider.list().await;
                judge(&listed);
                assert!(listed.is_err() || exchanges().iter().all(|it| it.success().is_some()));
            }
            b'p' => judge(&provider.plan(&Spec::new("fal")).await),
            b'd' => judge(&provider.doctor().await),
            _ => judge(&provider.scope().await),
        }
    });
}

fn provider(wire: Arc<Answers>) -> Option<FalProvider> {
    FalProvider::open(FalConfig::new(Some(Secret::new(CREDENTIAL))), wire).ok()
}

async fn wanted() -> Option<Intent> {
    let planner = provider(Arc::new(Answers::new(NO_INSTANCES)))?;
    let candidates = planner.plan(&Spec::new("fal")).await;
    assert!(candidates.is_ok(), "an empty workspace can be planned for: {candidates:?}");
    let request = candidates.ok()?.first()?.resources.first()?.clone();
    let intent = intent(("fal", &request.kind), request.request, &[]).await;
    assert!(intent.is_ok(), "the record is a good one: {intent:?}");
    intent.ok()
}

async fn create(provider: &FalProvider, exchanges: impl Fn() -> Vec<Exchange>) {
    let Some(intent) = wanted().await else { return };
    let created = provider.create(&intent).await;
    judge(&created);
    let exchanges = exchanges();
    let posts: Vec<_> = exchanges.iter().filter(|it| it.method == Method::POST).collect();
    assert!(posts.len() <= 1, "a create is one request");
    let Some(post) = posts.first() else { return };
    match created {
        Ok(created) => {
            let body = post.success();
            let id = body.as_ref().and_then(|it| it["id"].as_str());
            assert_eq!(id, Some(created.id.as_str()), "an id that nobody said");
        }
        Err(error) if error.effect() == Effect::None => assert!(
            post.is_unsent
                || post.status().is_some_and(|it| {
                    (400..500).contains(&it) && ![408, 409, 423, 425, 429].contains(&it)
                }),
            "nothing is said to have been made, after {:?}",
            post.status()
        ),
        Err(_) => {}
    }
}

async fn find(provider: &FalProvider, exchanges: impl Fn() -> Vec<Exchange>) {
    let Some(intent) = wanted().await else { return };
    let sighting = provider.find(&intent).await;
    judge(&sighting);
    if let Ok(Sighting::Absent) = sighting {
        let exchanges = exchanges();
        let is_a_page = |it: &Exchange| {
            it.success().is_some_and(|it| it["instances"].is_array() && it["has_more"].is_boolean())
        };
        assert!(!exchanges.is_empty() && exchanges.iter().all(is_a_page));
    }
}

async fn inspect(provider: &FalProvider, exchanges: impl Fn() -> Vec<Exchange>) {
    let Ok(id) = "inst_42".parse() else { return };
    let sighting = provider.inspect(&id).await;
    judge(&sighting);
    if let Ok(Sighting::Absent) = sighting {
        let said_so =
            exchanges().first().is_some_and(|it| it.status() == Some(404) && it.json().is_some());
        assert!(said_so, "it is called absent, and nobody said so");
    }
}

fn judge<T>(result: &Result<T>) {
    if let Err(error) = result {
        is_presentable(error);
    }
}
