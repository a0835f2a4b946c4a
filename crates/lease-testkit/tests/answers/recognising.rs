//! Where nothing carries marks: on which machines the lease's key is tried, and what a refusal proves.

use std::time::Duration;

use lease_core::descriptor::{Ownership, Replay};
use lease_core::engine::{Left, Outcome};
use lease_core::{Claim, Descriptor};
use tokio::time::Instant;

use crate::scripted::{Cloud, HOME, Search, Sent, descriptor, machine_of};

const SETTLE: Duration = Duration::from_secs(30);
const LANDING: Duration = Duration::from_secs(100);

fn markless() -> Descriptor {
    descriptor(Ownership::CreateAnswer, SETTLE.as_secs(), LANDING.as_secs())
}

fn is_identified(claim: &Claim) -> bool {
    claim.resources().last().unwrap().is_identified()
}

#[tokio::test(start_paused = true)]
async fn i4_a_refused_key_proves_nothing_while_the_create_may_still_land() {
    let early = LANDING.checked_sub(Duration::from_millis(1)).unwrap();
    for (lost_after, logins) in [
        // The first refusal does not count, the second does, and the third ends the settling time.
        (early, &[early, early + SETTLE, early + 2 * SETTLE][..]),
        (LANDING, &[LANDING, LANDING + SETTLE]),
    ] {
        let (cloud, began) = (Cloud::new(markless()), Instant::now());
        cloud.provider.creates(&[Sent::Lost(lost_after)]);
        cloud.provider.searches(&[Search::Suspects(&["m-1"])]);
        let failure = cloud.acquire().await.unwrap_err();
        assert_eq!(failure.left, Left::Released, "{failure}");
        let tried: Vec<_> = cloud.logins.tried().iter().map(|(_, at)| *at - began).collect();
        assert_eq!(tried, logins);
        assert!(cloud.provider.destroyed().is_empty(), "it is somebody else's");
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_learns_its_keys_late_is_the_leases_all_the_same() {
    let cloud = Cloud::new(markless());
    cloud.provider.searches(&[Search::Suspects(&["m-1"])]);
    cloud.logins.takes("m-1", Instant::now() + LANDING + Duration::from_secs(1));
    let claim = cloud.acquire().await.unwrap();
    assert_eq!(machine_of(&claim), "m-1");
    assert!(is_identified(&claim), "a login proved it");
}

#[tokio::test(start_paused = true)]
async fn the_key_is_not_tried_on_the_machine_of_another_lease_in_the_same_account() {
    let cloud = Cloud::new(markless());
    cloud.provider.creates(&[Sent::Made("m-1"), Sent::Made("m-2"), Sent::Lost(Duration::ZERO)]);
    cloud.acquire().await.unwrap();
    // Another account may well give out the same ids.
    cloud.provider.log_in("elsewhere");
    cloud.acquire().await.unwrap();
    cloud.provider.log_in(HOME);
    cloud.provider.searches(&[Search::Suspects(&["m-1", "m-2"])]);
    cloud.logins.takes("m-2", Instant::now());
    let claim = cloud.acquire().await.unwrap();
    assert_eq!(machine_of(&claim), "m-2");
    let tried: Vec<_> = cloud.logins.tried().into_iter().map(|(host, _)| host).collect();
    assert_eq!(tried, ["m-2"]);
}

/// A provider promises that this cannot be; what it would cost is a machine that nobody knows of.
#[tokio::test(start_paused = true)]
async fn a_second_machine_of_a_repeated_create_is_given_back_too() {
    let replay = Replay::Key { window_ms: 60_000 };
    for (creates, destroyed) in [
        (&[Sent::Lost(Duration::ZERO), Sent::Made("m-1")][..], &["m-1", "m-2"][..]),
        // What was sent once has made one at most, so nobody else's machine is asked.
        (&[Sent::Made("m-1")], &["m-1"]),
    ] {
        let cloud = Cloud::new(Descriptor { replay, ..markless() });
        cloud.provider.creates(creates);
        let claim = cloud.acquire().await.unwrap();
        cloud.provider.searches(&[Search::Suspects(&["m-1", "m-2"])]);
        cloud.logins.takes("m-2", Instant::now());
        let outcome = cloud.release(claim.lease()).await;
        assert!(matches!(outcome, Outcome::Released), "{outcome:?}");
        assert_eq!(cloud.provider.destroyed(), destroyed);
        assert_eq!(cloud.logins.tried().len(), destroyed.len() - 1);
    }
}

/// Nobody can tell then how long ago the create was sent, so the time counts that one release has seen pass itself.
#[tokio::test(start_paused = true)]
async fn i4_without_a_steady_clock_a_second_machine_has_as_long_to_learn_its_keys_as_a_create_may_land()
 {
    let replay = Replay::Key { window_ms: 60_000 };
    let released = async |learns_after: Option<Duration>| {
        let cloud = Cloud::without_steady_clock(Descriptor { replay, ..markless() });
        cloud.provider.creates(&[Sent::Lost(Duration::ZERO), Sent::Made("m-1")]);
        let claim = cloud.acquire().await.unwrap();
        cloud.provider.searches(&[Search::Suspects(&["m-1", "m-2", "m-3"])]);
        let began = Instant::now();
        if let Some(after) = learns_after {
            cloud.logins.takes("m-2", began + after);
        }
        let outcome = cloud.release(claim.lease()).await;
        assert!(matches!(outcome, Outcome::Released), "{outcome:?}");
        (began.elapsed(), cloud.provider.destroyed())
    };
    let (_, destroyed) = released(Some(SETTLE * 2)).await;
    assert_eq!(destroyed, ["m-1", "m-2"]);
    let (took, destroyed) = released(None).await;
    assert_eq!((took, destroyed), (LANDING, vec!["m-1".to_owned()]), "the others are strangers");
}
