//! What the matrix found once, each as one run.

use http::Method;

use crate::backend::Vendor;
use crate::fault::Fault;
use crate::life::Life;
use crate::matrix::replay;
use crate::notes::Planned;

/// Replays a life of Hetzner's with `fault` at the request before the create number `number` of an SSH key, or at it.
fn replay_near_key(life: Life, number: usize, offset: usize, fault: Fault) -> crate::matrix::Run {
    let base = replay(Vendor::Hetzner, life, &[], None);
    let is_key = |at: &usize| {
        let passed = &base.trace[*at];
        passed.method == Method::POST && passed.path == "/v1/ssh_keys"
    };
    let at = (0..base.trace.len()).filter(is_key).nth(number).unwrap() - offset;
    replay(Vendor::Hetzner, life, &[Planned { at, fault }], None)
}

#[test]
fn a_key_that_moves_while_a_candidate_is_cleared_creates_nothing_elsewhere() {
    for offset in 1..5 {
        let run = replay_near_key(Life::SoldOut, 1, offset, Fault::AccountMoved);
        assert_eq!(run.complaint(), None, "{offset} requests before");
    }
}

#[test]
fn what_comes_back_after_a_release_is_reclaimed_without_what_merely_carries_its_lease() {
    let run = replay_near_key(Life::Release, 0, 0, Fault::Overdue);
    assert_eq!(run.complaint(), None);
    assert!(run.came_back);
}

#[test]
fn a_key_that_moves_during_a_search_repeats_nothing_elsewhere() {
    let (vendor, life) = (Vendor::Hetzner, Life::Release);
    let base = replay(vendor, life, &[], None);
    let is_key = |it: &crate::fault::Passed| it.method == Method::POST && it.path == "/v1/ssh_keys";
    let at = base.trace.iter().position(is_key).unwrap();
    let lost = Planned { at, fault: Fault::LostBefore };
    for later in 1..4 {
        let moved = Planned { at: at + later, fault: Fault::AccountMoved };
        let run = replay(vendor, life, &[lost, moved], None);
        assert_eq!(run.complaint(), None, "{later} requests after");
    }
}

#[test]
fn what_lands_beside_its_own_repetition_goes_with_the_lease_however_the_release_is_held_up() {
    let (vendor, life) = (Vendor::Hetzner, Life::Release);
    let base = replay(vendor, life, &[], None);
    let creates = |it: &usize| base.trace[*it].method == Method::POST;
    for at in (0..base.trace.len()).filter(creates) {
        let late = Planned { at, fault: Fault::Late };
        let single = replay(vendor, life, &[late], None);
        let deletes = |it: &usize| single.trace[*it].method == Method::DELETE;
        let held_up = (at + 1..single.trace.len()).filter(deletes).collect::<Vec<_>>();
        assert!(!held_up.is_empty());
        for at in held_up {
            for fault in [Fault::RateLimited, Fault::LostBefore, Fault::LostAfter] {
                let run = replay(vendor, life, &[late, Planned { at, fault }], None);
                assert_eq!(run.complaint(), None, "{late:?}, then {fault:?} at {at}");
            }
        }
    }
}
