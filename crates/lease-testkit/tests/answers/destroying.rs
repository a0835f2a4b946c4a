//! How one resource is destroyed at a provider that is slow, deaf or refuses: how often it is asked, and after which pauses.

use std::time::Duration;

use lease_core::ResourceState;
use lease_core::engine::Outcome;
use lease_core::error::ErrorKind;

use crate::stubborn::{Answer, Look, Scene};

/// A machine that answers so when it is released.
fn scene_of(looks: &[Look], answers: &[Answer]) -> Scene {
    let scene = Scene::new();
    scene.provider.shows(looks);
    scene.provider.answers(answers);
    scene
}

#[tokio::test(start_paused = true)]
async fn what_is_accepted_and_not_done_is_asked_for_again_after_longer_and_longer_pauses() {
    let scene = scene_of(&[], &[Answer::Deaf; 6]);
    assert!(matches!(scene.release().await.unwrap(), Outcome::Released));
    let asked = scene.provider.asked();
    assert_eq!(asked.len(), 7);
    let pauses: Vec<Duration> = asked.windows(2).map(|it| it[1] - it[0]).collect();
    // The first look after a destroy costs no pause: most are gone by then.
    assert_eq!(pauses[0], Duration::ZERO, "{pauses:?}");
    assert!(pauses[1] >= Duration::from_millis(50), "{pauses:?}");
    assert!(pauses[1..].windows(2).all(|it| it[1] > it[0]), "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_going_away_because_it_was_asked_to_is_waited_for() {
    let scene =
        scene_of(&[Look::Truth, Look::Stopping, Look::Stopping, Look::Stopping], &[Answer::Deaf]);
    assert!(matches!(scene.release().await.unwrap(), Outcome::Released));
    // Only the fifth look showed that it runs after all.
    let (asked, looked) = (scene.provider.asked(), scene.provider.looked());
    assert_eq!((asked.len(), asked[1]), (2, looked[4]), "{looked:?}");
}

#[tokio::test(start_paused = true)]
async fn what_goes_away_by_itself_is_asked_for_all_the_same() {
    let scene = scene_of(&[Look::Stopping], &[]);
    assert!(matches!(scene.release().await.unwrap(), Outcome::Released));
    assert_eq!(scene.provider.asked(), [scene.provider.looked()[0]]);
}

#[tokio::test(start_paused = true)]
async fn a_look_that_fails_is_repeated_unless_it_takes_a_person() {
    let scene =
        scene_of(&[Look::Fails(ErrorKind::Unavailable), Look::Fails(ErrorKind::Timeout)], &[]);
    assert!(matches!(scene.release().await.unwrap(), Outcome::Released));
    assert_eq!(scene.provider.asked(), [scene.provider.looked()[2]]);

    let scene = scene_of(&[Look::Fails(ErrorKind::Denied)], &[]);
    assert!(matches!(scene.release().await.unwrap(), Outcome::Pending(_)));
    assert_eq!((scene.provider.looked().len(), scene.provider.asked().len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_destroy_that_fails_is_repeated_where_that_may_help() {
    let scene =
        scene_of(&[], &[Answer::Fails(ErrorKind::Unavailable), Answer::Fails(ErrorKind::Timeout)]);
    assert!(matches!(scene.release().await.unwrap(), Outcome::Released));
    assert_eq!(scene.provider.asked().len(), 3);

    let scene = scene_of(&[], &[Answer::Fails(ErrorKind::Denied)]);
    assert!(matches!(scene.release().await.unwrap(), Outcome::Pending(_)));
    assert_eq!(scene.provider.asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_watches_is_told_each_step() {
    let scene = scene_of(&[], &[]);
    assert!(matches!(scene.release().await.unwrap(), Outcome::Released));
    assert_eq!(
        *scene.told.states.lock().unwrap(),
        [ResourceState::Destroying, ResourceState::Gone]
    );
}
