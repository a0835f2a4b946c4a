//! Which refusals lead to the next machine that would do, how long one is waited for, and what a failure leaves.

use std::time::Duration;

use lease_core::descriptor::Ownership;
use lease_core::engine::{Acquire, Left};
use lease_core::error::ErrorKind;
use lease_core::host::HostKey;
use lease_core::{Provider as _, Spec};

use lease_testkit::faults::Stage;
use lease_testkit::sim::Flavor;
use tokio::time::Instant;

use crate::scripted::{Cloud, Sent, descriptor};
use crate::stubborn::{Account, Scene};

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

/// A machine may answer before it has got its keys.
#[tokio::test(start_paused = true)]
async fn a_machine_that_refuses_its_lease_is_given_up_only_once_nothing_can_change_that() {
    const LANDING: Duration = Duration::from_secs(100);
    let refused_for = async |span: Duration| {
        let (cloud, began) = (Cloud::new(descriptor(Ownership::Marks, 4, 100)), Instant::now());
        cloud.provider.creates(&[Sent::Made("m-1")]);
        cloud.logins.refuses_until(began + span);
        let kind = cloud.acquire().await.map(drop).map_err(|it| it.error.kind());
        (kind, cloud.logins.gave_up_after(began))
    };
    let (acquired, _) = refused_for(LANDING * 9 / 10).await;
    assert_eq!(acquired, Ok(()));
    let (acquired, refused) = refused_for(2 * LANDING).await;
    assert_eq!(acquired, Err(ErrorKind::Unavailable));
    assert!((LANDING..LANDING + Duration::from_secs(15)).contains(&refused), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failure_before_anything_was_sent_leaves_nothing_and_one_after_it_something_released() {
    for (told, left) in [(0, Left::Nothing), (1, Left::Nothing), (2, Left::Released)] {
        let cloud = Cloud::new(descriptor(Ownership::Marks, 4, 4));
        // The account is asked for twice before the create is sent, and again when its answer was lost.
        let mut accounts = vec![Account::Told; told];
        accounts.push(Account::Fails(ErrorKind::Denied));
        cloud.provider.accounts(&accounts);
        let failure = cloud.acquire().await.unwrap_err();
        assert_eq!((failure.error.kind(), failure.left), (ErrorKind::Denied, left), "{told}");
    }
}
