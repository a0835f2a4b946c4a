//! What a lease is called when the first names are taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use lease_core::engine::Acquire;
use lease_core::entropy::Entropy;
use lease_core::{Engine, ErrorKind, Result, Spec};
use lease_testkit::sim::{SimClock, SimTransport};

use crate::stubborn::Scene;

/// Draws the same words again and again, and ids that differ.
#[derive(Debug, Default)]
struct Stuck {
    words: AtomicUsize,
    numbers: AtomicUsize,
    ids: AtomicU8,
}

impl Entropy for Stuck {
    fn fill(&self, bytes: &mut [u8]) -> Result<()> {
        match bytes.len() {
            2 => drop(self.words.fetch_add(1, Ordering::Relaxed)),
            4 => drop(self.numbers.fetch_add(1, Ordering::Relaxed)),
            _ => bytes.fill(self.ids.fetch_add(1, Ordering::Relaxed)),
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_taken_is_drawn_anew_then_with_a_number_and_not_for_ever() {
    let scene = Scene::new();
    let entropy = Arc::new(Stuck::default());
    let transport = SimTransport::new(scene.stage.world().clone());
    let store = Arc::clone(scene.stage.store());
    let engine = Engine::builder(store, Arc::new(transport), Arc::new(SimClock::new()))
        .provider(Arc::clone(scene.engine.providers().next().unwrap()))
        .entropy(Arc::<Stuck>::clone(&entropy))
        .build();
    let drawn = || {
        let take = |it: &AtomicUsize| it.swap(0, Ordering::Relaxed);
        (take(&entropy.words), take(&entropy.numbers))
    };
    let acquire = async || engine.acquire(Acquire::new(Spec::new("sim"))).await;
    assert_eq!(acquire().await.unwrap().slug().as_str(), "amber-acorn");
    assert_eq!(drawn(), (1, 0));
    // The first, sixteen more, and the one that got a number.
    assert_eq!(acquire().await.unwrap().slug().as_str(), "amber-acorn-0");
    assert_eq!(drawn(), (18, 1));
    let failure = acquire().await.unwrap_err();
    assert_eq!(failure.error.kind(), ErrorKind::Conflict);
    assert_eq!(drawn(), (33, 16));
    // A name that somebody chose is theirs to change.
    let mut request = Acquire::new(Spec::new("sim"));
    request.slug = Some("amber-acorn".parse().unwrap());
    let failure = engine.acquire(request).await.unwrap_err();
    assert_eq!((failure.error.kind(), drawn()), (ErrorKind::Conflict, (0, 0)));
}
