//! Which refusals lead to the next machine that would do.

use lease_core::engine::Acquire;
use lease_core::error::ErrorKind;
use lease_core::host::HostKey;
use lease_core::{Provider as _, Spec};

use lease_testkit::faults::Stage;
use lease_testkit::sim::Flavor;

use crate::stubborn::Scene;

#[tokio::test(start_paused = true)]
async fn only_what_cannot_be_had_leads_to_the_next_one() {
    let count = Scene::new().provider.plan(&Spec::new("sim")).await.unwrap().len();
    assert!(count > 1, "{count}");
    let sold_out = Scene::new();
    sold_out.provider.refuses(&vec![ErrorKind::Capacity; count]);
    let failure = sold_out.acquire().await.unwrap_err();
    assert_eq!((failure.error.kind(), sold_out.provider.created()), (ErrorKind::Capacity, count));
    assert!(sold_out.stage.world().ours_alive().is_empty());

    for kind in [ErrorKind::Denied, ErrorKind::Invalid, ErrorKind::Conflict] {
        let scene = Scene::new();
        scene.provider.refuses(&[kind]);
        let failure = scene.acquire().await.unwrap_err();
        assert_eq!((failure.error.kind(), scene.provider.created()), (kind, 1));
    }

    let scene = Scene::new();
    scene.provider.refuses(&[ErrorKind::Capacity]);
    scene.acquire().await.unwrap();
    assert_eq!(scene.provider.created(), 2);
}

#[tokio::test(start_paused = true)]
async fn i13_a_host_key_that_the_first_login_showed_is_pinned_from_then_on() {
    for flavor in Flavor::ALL {
        let stage = Stage::new(flavor, &[], None).unwrap();
        let claim = stage.engine().acquire(Acquire::new(Spec::new("sim"))).await.unwrap();
        let host_key = &claim.usable().unwrap().host_key;
        assert!(matches!(host_key, HostKey::Pinned(_)), "{flavor:?}: {host_key:?}");
    }
}
