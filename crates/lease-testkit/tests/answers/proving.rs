//! How the engine proves that a machine is gone: for how long, by how many looks, and what it says meanwhile.

use std::time::Duration;

use lease_core::engine::Outcome;
use lease_core::error::ErrorKind;
use lease_testkit::sim::Flavor;
use tokio::time::Instant;

use crate::stubborn::{Account, Look, Scene};

#[tokio::test(start_paused = true)]
async fn i4_a_machine_that_shows_again_has_to_be_absent_anew() {
    let scene = Scene::new();
    scene.provider.shows(&[Look::Absent, Look::Truth]);
    assert!(matches!(scene.release().await.unwrap(), Outcome::Released));
    let settle = Flavor::UniqueNames.descriptor().settle;
    let proven = scene.told.last.lock().unwrap().unwrap();
    assert!(proven - scene.provider.seen() >= settle, "it was there a moment ago");
}

#[tokio::test(start_paused = true)]
async fn while_time_has_to_pass_nobody_is_asked_and_the_person_is_told_why() {
    let scene = Scene::new();
    assert!(matches!(scene.release().await.unwrap(), Outcome::Released));
    let waits = scene.told.waits.lock().unwrap().clone();
    let proof = waits.iter().filter(|it| *it == "sim: proof that there is no machine").count();
    // The machine and its key, once each.
    assert_eq!(proof, 2, "{waits:?}");
    // Looking again and again meanwhile would take some ten more questions for each.
    assert!(scene.provider.visited().len() < 20, "{:?}", scene.provider.visited().len());
}

/// A listing is walked page by page, so that what moves meanwhile may stand on none of them.
#[tokio::test(start_paused = true)]
async fn i4_a_listing_without_it_proves_nothing_while_a_look_shows_it() {
    let scene = Scene::new();
    scene.provider.shows(&[Look::Absent, Look::Absent, Look::Truth]);
    scene.provider.overlooks();
    assert!(matches!(scene.release().await.unwrap(), Outcome::Released));
    assert_eq!(scene.provider.asked().len(), 1, "it was forgotten and not destroyed");
}

/// Whatever question after the account fails, a passing failure delays the release and another ends the attempt.
#[tokio::test(start_paused = true)]
async fn a_question_that_fails_on_the_way_is_asked_again_unless_it_takes_a_person() {
    let undisturbed = Scene::new();
    undisturbed.release().await.unwrap();
    let questions = undisturbed.provider.visited().len();
    assert!(questions > 4, "{questions}");
    for failing in 0..questions {
        for (kind, passes) in [(ErrorKind::Unavailable, true), (ErrorKind::Denied, false)] {
            let scene = Scene::new();
            let mut accounts = vec![Account::Told; failing];
            accounts.push(Account::Fails(kind));
            scene.provider.accounts(&accounts);
            let (outcome, began) = (scene.release().await.unwrap(), Instant::now());
            let visited = scene.provider.visited();
            assert_eq!(matches!(outcome, Outcome::Released), passes, "{failing}: {outcome:?}");
            if !passes {
                assert_eq!(visited.len(), failing + 1, "it was asked again at once");
            }
            assert!(began.elapsed() < Duration::from_secs(3600));
        }
    }
}
