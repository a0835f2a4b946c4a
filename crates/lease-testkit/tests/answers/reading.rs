//! How long the engine asks for what changes nothing.

use std::time::Duration;

use lease_core::error::ErrorKind;
use tokio::time::Instant;

use crate::stubborn::{Account, Scene};

/// How long it asks again, unless told otherwise.
const PATIENCE: Duration = Duration::from_secs(30);

/// What an acquire comes to where the account is told so, how often that was asked, and how long it took.
async fn acquired(accounts: &[Account]) -> (Result<(), ErrorKind>, usize, Duration, Scene) {
    let (scene, began) = (Scene::new(), Instant::now());
    scene.provider.accounts(accounts);
    let result = scene.acquire().await;
    // The first answer of use ends the asking for it.
    let visited = scene.provider.visited();
    let failed = accounts.iter().filter(|it| **it != Account::Told).count().min(visited.len());
    let took = visited[failed.min(visited.len() - 1)] - began;
    let result = result.map(drop).map_err(|it| it.error.kind());
    (result, visited.len(), took, scene)
}

#[tokio::test(start_paused = true)]
async fn whoever_is_busy_is_asked_again_and_it_is_said() {
    for kind in [ErrorKind::Unavailable, ErrorKind::Timeout, ErrorKind::Busy] {
        let (result, _, took, scene) = acquired(&[Account::Fails(kind); 3]).await;
        assert_eq!(result, Ok(()), "{kind}");
        assert!(took > Duration::ZERO && took < PATIENCE, "{took:?}");
        let waits = scene.told.waits.lock().unwrap().clone();
        let told = waits.iter().filter(|it| *it == "sim: a test: it was told to");
        assert_eq!(told.count(), 3, "{waits:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_refuses_is_asked_once() {
    for kind in [ErrorKind::Denied, ErrorKind::Invalid, ErrorKind::Protocol] {
        let (result, visits, took, scene) = acquired(&[Account::Fails(kind)]).await;
        assert_eq!((result, visits, took), (Err(kind), 1, Duration::ZERO));
        assert!(scene.told.waits.lock().unwrap().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_is_granted_as_far_as_patience_goes() {
    for (span, expected) in [
        (Duration::from_secs(7), Ok(())),
        (PATIENCE, Ok(())),
        (PATIENCE + Duration::from_millis(1), Err(ErrorKind::Busy)),
    ] {
        let (result, _, took, _) = acquired(&[Account::Busy(span)]).await;
        assert_eq!(result, expected, "{span:?}");
        // What cannot be waited for is not begun.
        assert_eq!(took, if expected.is_ok() { span } else { Duration::ZERO });
    }
}

#[tokio::test(start_paused = true)]
async fn patience_ends() {
    let (result, visits, _, scene) =
        acquired(&vec![Account::Fails(ErrorKind::Unavailable); 1000]).await;
    assert_eq!(result, Err(ErrorKind::Unavailable));
    assert!((10..100).contains(&visits), "{visits}");
    let visited = scene.provider.visited();
    assert_eq!(visited[visits - 1] - visited[0], PATIENCE);
}
