//! What becomes of a create whose answer was lost: how often it is sent again and until when, how long it is searched
//! for, and what a search is believed.

use std::time::Duration;

use lease_core::Descriptor;
use lease_core::descriptor::{Ownership, Replay};
use lease_core::engine::{Acquire, Left, Outcome};
use lease_core::error::ErrorKind;
use lease_core::retry::pause;
use lease_core::spec::Spec;
use tokio::time::Instant;

use crate::scripted::{Carries, Cloud, Search, Sent, descriptor, machine_of};
use crate::stubborn::Account;

const LOST: Sent = Sent::Lost(Duration::ZERO);
const WINDOW: Duration = Duration::from_secs(60);
const MINUTE: Replay = Replay::Key { window_ms: 60_000 };

fn replaying(ownership: Ownership, replay: Replay) -> Descriptor {
    Descriptor { replay, ..descriptor(ownership, 4, 4) }
}

#[tokio::test(start_paused = true)]
async fn i3_an_exact_create_is_repeated_twice_and_then_only_searched_for() {
    for (ownership, replay) in
        [(Ownership::Marks, Replay::UniqueName), (Ownership::CreateAnswer, MINUTE)]
    {
        let cloud = Cloud::new(replaying(ownership, replay));
        cloud.provider.creates(&[LOST]);
        let failure = cloud.acquire().await.unwrap_err();
        assert_eq!(failure.left, Left::Released, "{ownership:?}: {failure}");
        assert_eq!(cloud.provider.sent().len(), 3, "{ownership:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_search_goes_before_a_repetition_unless_only_the_answer_tells_whose_a_machine_is() {
    for (ownership, sent, searched) in [(Ownership::Marks, 1, 1), (Ownership::CreateAnswer, 2, 0)] {
        let cloud = Cloud::new(replaying(ownership, MINUTE));
        cloud.provider.creates(&[LOST, Sent::Made("m-1")]);
        cloud.provider.searches(&[Search::Found("m-1", Carries::OurMarks)]);
        assert_eq!(machine_of(&cloud.acquire().await.unwrap()), "m-1");
        let asked = (cloud.provider.sent().len(), cloud.provider.searched());
        assert_eq!(asked, (sent, searched), "{ownership:?}");
    }
}

/// The account is asked for twice before the create is sent, once before each search, and once before each repetition.
#[tokio::test(start_paused = true)]
async fn what_fails_while_a_create_is_unknown_is_asked_again_unless_it_takes_a_person() {
    for told in [2, 3] {
        for (kind, passes) in [(ErrorKind::Unavailable, true), (ErrorKind::Denied, false)] {
            let cloud = Cloud::new(replaying(Ownership::Marks, Replay::UniqueName));
            let mut accounts = vec![Account::Told; told];
            accounts.push(Account::Fails(kind));
            cloud.provider.accounts(&accounts);
            cloud.provider.creates(&[LOST, Sent::Made("m-1")]);
            match cloud.acquire().await {
                Ok(claim) => assert!(passes, "{told} {kind}: {}", machine_of(&claim)),
                Err(failure) => {
                    assert!(!passes, "{told} {kind}: {failure}");
                    assert_eq!((failure.error.kind(), failure.left), (kind, Left::Released));
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_wants_a_machine_that_only_a_login_tells_waits_for_it_as_for_any_other() {
    let unseen = Search::Fails(ErrorKind::Unavailable);
    for (ownership, search, waits) in [
        (Ownership::CreateAnswer, Search::Booting("m-1"), Duration::from_secs(600)),
        (Ownership::Marks, unseen, Duration::from_secs(120)),
    ] {
        let (cloud, began) = (Cloud::new(descriptor(ownership, 4, 4)), Instant::now());
        cloud.provider.searches(&[search]);
        let mut request = Acquire::new(Spec::new("sim"));
        request.keep_on_failure = true;
        let failure = cloud.engine.acquire(request).await.unwrap_err();
        assert_eq!((failure.left, began.elapsed()), (Left::Kept, waits), "{ownership:?}");
        // Nobody waits for it any more once it is given back: a reaper has others to look after.
        let began = Instant::now();
        let outcome = cloud.release(&failure.lease.unwrap()).await;
        assert!(matches!(outcome, Outcome::Pending(_)), "{ownership:?}: {outcome:?}");
        assert_eq!(began.elapsed(), Duration::from_secs(120), "{ownership:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn i4_without_a_steady_clock_one_release_lasts_until_a_create_cannot_land_any_more() {
    let cloud = Cloud::without_steady_clock(descriptor(Ownership::Marks, 200, 200));
    let lease = cloud.cut_off().await;
    let began = Instant::now();
    let outcome = cloud.release(&lease).await;
    assert!(matches!(outcome, Outcome::Released), "{outcome:?}");
    assert_eq!(began.elapsed(), Duration::from_secs(200));
}

#[tokio::test(start_paused = true)]
async fn whoever_gives_a_lease_back_repeats_only_what_nothing_else_can_tell() {
    for (ownership, sent, destroyed) in
        [(Ownership::Marks, 1, &[][..]), (Ownership::CreateAnswer, 2, &["m-1"][..])]
    {
        let cloud = Cloud::new(replaying(ownership, MINUTE));
        let lease = cloud.cut_off().await;
        cloud.provider.creates(&[Sent::Made("m-1")]);
        let outcome = cloud.release(&lease).await;
        assert!(matches!(outcome, Outcome::Released), "{ownership:?}: {outcome:?}");
        assert_eq!(cloud.provider.sent().len(), sent, "{ownership:?}");
        assert_eq!(cloud.provider.destroyed(), destroyed, "{ownership:?}");
    }
}

/// The wall clock can be set and a process's own clock stands still while the machine sleeps, so both have to agree
/// that the provider still knows the key.
#[tokio::test(start_paused = true)]
async fn i3_a_create_is_repeated_only_while_every_clock_says_that_its_key_is_known() {
    let (second, hour) = (Duration::from_secs(1), 3_600_000);
    let last = WINDOW.checked_sub(Duration::from_millis(1)).unwrap();
    for (after, jump_ms, repeated) in
        [(last, 0, true), (WINDOW, 0, false), (2 * second, hour, false), (2 * second, -hour, false)]
    {
        for steady in [true, false] {
            let cloud = Cloud::with_clocks(replaying(Ownership::Marks, MINUTE), steady);
            cloud.provider.creates(&[Sent::Lost(after), Sent::Made("m-1")]);
            let setting = async {
                pause(second).await;
                cloud.clock.jump_ms(jump_ms);
            };
            let (acquired, ()) = tokio::join!(cloud.acquire(), setting);
            let sent = cloud.provider.sent().len();
            let case = format!("{after:?} {jump_ms} ms, steady: {steady}");
            assert_eq!((acquired.is_ok(), sent), (repeated, 1 + usize::from(repeated)), "{case}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn i3_a_repetition_that_outlasts_the_key_is_the_last() {
    let (first, second) = (Duration::from_secs(59), Duration::from_secs(30));
    let (cloud, began) = (Cloud::new(replaying(Ownership::CreateAnswer, MINUTE)), Instant::now());
    cloud.provider.creates(&[Sent::Lost(first), Sent::Lost(second), Sent::Made("m-1")]);
    let failure = cloud.acquire().await.unwrap_err();
    assert_eq!(failure.left, Left::Released, "{failure}");
    let sent: Vec<_> = cloud.provider.sent().iter().map(|at| *at - began).collect();
    assert_eq!(sent, [Duration::ZERO, first]);
}

/// Before a create is repeated the account is asked for, which may take long.
#[tokio::test(start_paused = true)]
async fn i3_a_create_is_not_repeated_when_asking_for_the_account_outlasted_the_key() {
    let cloud = Cloud::new(replaying(Ownership::CreateAnswer, MINUTE));
    cloud.provider.creates(&[LOST, Sent::Made("m-1")]);
    // Twice before the create is sent, and once before it is repeated.
    cloud.provider.accounts(&[Account::Told, Account::Told, Account::Slow(WINDOW)]);
    let failure = cloud.acquire().await.unwrap_err();
    assert_eq!(failure.left, Left::Released, "{failure}");
    assert_eq!(cloud.provider.sent().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn i5_other_marks_are_never_believed_and_missing_ones_only_where_there_are_none() {
    let (other, none) =
        (Search::Found("m-1", Carries::OtherMarks), Search::Found("m-2", Carries::Nothing));
    let ours = Search::Found("m-3", Carries::OurMarks);
    for (ownership, searches, believed) in [
        (Ownership::Marks, &[other, none, ours][..], "m-3"),
        (Ownership::CreateAnswer, &[other, ours], "m-3"),
        (Ownership::CreateAnswer, &[other, none, ours], "m-2"),
    ] {
        let cloud = Cloud::new(descriptor(ownership, 4, 4));
        cloud.provider.searches(searches);
        let claim = cloud.acquire().await.unwrap();
        assert_eq!(machine_of(&claim), believed, "{ownership:?}");
    }
}
