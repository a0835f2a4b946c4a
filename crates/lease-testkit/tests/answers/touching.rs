//! What a touch makes sure of, and when it is recorded.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lease_core::engine::Acquire;
use lease_core::error::{Error, ErrorKind};
use lease_core::retry::pause;
use lease_core::spec::Retention;
use lease_core::watch::Guardian;
use lease_core::{Claim, Clock as _, Engine, LeaseId, Result, Scope, Spec};
use lease_testkit::sim::SimTransport;

use crate::stubborn::Scene;

/// Nobody can be made to watch.
#[derive(Debug)]
struct Nobody;

#[async_trait]
impl Guardian for Nobody {
    async fn ensure(&self, _lease: &LeaseId, _scope: &Scope) -> Result<()> {
        Err(Error::harmless(ErrorKind::Unavailable, "start a reaper", "it does not start"))
    }
}

#[tokio::test(start_paused = true)]
async fn i11_a_lease_is_used_only_while_somebody_ends_it_later_unless_it_is_kept() {
    for (retention, refused) in [
        (Retention::UntilDeadline, Some(ErrorKind::Unavailable)),
        (Retention::WithOwner, Some(ErrorKind::Unavailable)),
        (Retention::Keep, None),
    ] {
        let scene = Scene::new();
        let claim = scene.honest(retention).await;
        let store = Arc::clone(scene.stage.store());
        let transport = Arc::new(SimTransport::new(scene.stage.world().clone()));
        let unwatched = Engine::builder(store, transport, Arc::new(scene.clock.clone()))
            .guardian(Arc::new(Nobody))
            .build();
        let touched = unwatched.touch(claim.lease(), None).await;
        assert_eq!(touched.err().map(|it| it.kind()), refused, "{retention:?}");
    }
}

async fn idle_for(scene: &Scene, idle: Option<Duration>) -> Claim {
    let mut request = Acquire::new(Spec::new("sim"));
    request.idle = idle;
    scene.stage.engine().acquire(request).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn use_alone_is_recorded_when_it_moves_the_idle_deadline_noticeably() {
    let (tick, minute) = (Duration::from_millis(1), Duration::from_secs(60));
    // A tenth of it, and at most five minutes.
    for (idle, noticed) in [(10 * minute, minute), (24 * 60 * minute, 5 * minute)] {
        let scene = Scene::new();
        let (engine, claim) = (scene.stage.engine(), idle_for(&scene, Some(idle)).await);
        pause(noticed.checked_sub(tick).unwrap()).await;
        let early = engine.touch(claim.lease(), None).await.unwrap();
        assert_eq!(early.sequence(), claim.sequence(), "{idle:?}");
        pause(tick).await;
        let touched = engine.touch(claim.lease(), None).await.unwrap();
        assert_eq!(touched.ends_at(), Some(scene.clock.now().after(idle)));
    }
    let scene = Scene::new();
    let claim = idle_for(&scene, None).await;
    pause(24 * 60 * minute).await;
    let touched = scene.stage.engine().touch(claim.lease(), None).await.unwrap();
    assert_eq!(touched.sequence(), claim.sequence(), "there is no deadline to move");
}
