//! What may be taken over, what comes with it, and what the lease of it is called.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use lease_core::engine::{Acquire, By, Outcome, Release};
use lease_core::entropy::Entropy;
use lease_core::error::Error;
use lease_core::journal::{Absence, Change, Event};
use lease_core::store::LeaseWriter;
use lease_core::{Engine, ErrorKind, Marks, ResourceId, Result, Slug, Spec};
use lease_testkit::faults::{Fault, Planned, Point, Stage};
use lease_testkit::sim::{Flavor, SimClock, SimTransport};
use lease_testkit::world::{ELSEWHERE, HOME, Kind};

fn stage(flavor: Flavor) -> Stage {
    Stage::new(flavor, &[], None).unwrap()
}

/// A machine that carries nothing and that no lease has.
fn found(stage: &Stage, name: &str) -> ResourceId {
    stage.world().plant(HOME, Kind::Machine, name, None)
}

#[tokio::test(start_paused = true)]
async fn what_has_a_lease_is_not_taken_over_again_and_everything_else_may_be() {
    let stage = stage(Flavor::Markless);
    let engine = stage.engine();
    let (one, other) = (found(&stage, "one"), found(&stage, "other"));
    let first = engine.adopt("sim", &one, None).await.unwrap();
    let second = engine.adopt("sim", &other, None).await.unwrap();
    assert_ne!(first.lease(), second.lease());
    // Whoever is refused is told which lease to look at.
    let taken = engine.adopt("sim", &one, None).await.unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::Conflict);
    let said = taken.to_string();
    assert!(
        said.contains(first.slug().as_str()) && said.contains(first.lease().as_str()),
        "{said}"
    );
    assert_eq!(stage.live_claims().await.len(), 2, "two leases of one machine would both end it");
}

#[tokio::test(start_paused = true)]
async fn the_same_id_in_another_account_is_another_machine() {
    let stage = stage(Flavor::Markless);
    let engine = stage.engine();
    let claim = engine.acquire(Acquire::new(Spec::new("sim"))).await.unwrap();
    let machine = claim.resources().last().unwrap().id().unwrap();
    stage.world().plant_twins();
    stage.world().log_in(ELSEWHERE);
    let adopted = engine.adopt("sim", machine, None).await.unwrap();
    assert_eq!(adopted.scope().account, ELSEWHERE);
    assert_eq!(adopted.resources().last().unwrap().id(), Some(machine));
}

/// Some ids are given anew, and some were never the provider's to choose: that of a machine that stands there.
#[tokio::test(start_paused = true)]
async fn what_a_lease_has_given_back_is_free_before_its_record_is_put_away() {
    let stage = stage(Flavor::Markless);
    let engine = stage.engine();
    let machine = found(&stage, "mine");
    let over = engine.adopt("sim", &machine, None).await.unwrap();
    let clock = Arc::new(SimClock::new());
    let store = Arc::clone(stage.store());
    let mut writer = LeaseWriter::load(store, clock, over.lease()).await.unwrap();
    let absence = Absence { listed: 0, absent_for_ms: 4_000 };
    let changes = [Change::DestroySent, Change::ProvenAbsent(absence)];
    let changes = changes.into_iter().map(|change| Event::Resource { index: 0, change });
    let releasing = Event::Releasing { why: "a person is done".to_owned(), ends_keep: true };
    let events: Vec<_> = std::iter::once(releasing).chain(changes).collect();
    // The process that released it dies before it puts the record away.
    writer.append(&events).await.unwrap();

    let adopted = engine.adopt("sim", &machine, None).await.unwrap();
    assert_ne!(adopted.lease(), over.lease());
    assert_eq!(stage.live_claims().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_another_lease_of_the_same_installation_left_is_not_taken_along() {
    let stage = stage(Flavor::UniqueNames);
    let plant = |letter: &str| {
        let marks = Marks {
            lease: format!("lse-{}", letter.repeat(20)).parse().unwrap(),
            installation: "y".repeat(26).parse().unwrap(),
            nonce: letter.repeat(26).parse().unwrap(),
        };
        stage.world().plant(HOME, Kind::Machine, &format!("{}-0", marks.lease), Some(marks))
    };
    let (wanted, left) = (plant("a"), plant("b"));
    let engine = stage.engine();
    let claim = engine.adopt("sim", &wanted, None).await.unwrap();
    let outcome = engine.release(claim.lease(), Release::new(By::Person, "a test")).await.unwrap();
    assert!(matches!(outcome, Outcome::Released), "{outcome:?}");
    let ledger = stage.world().ledger();
    let ended =
        |id: &ResourceId| ledger.iter().find(|it| it.id == *id).unwrap().stopping_at.is_some();
    assert_eq!((ended(&wanted), ended(&left)), (true, false));
}

/// Draws the same words again and again, and ids that differ. It dries up before a search without an end would hang.
#[derive(Debug, Default)]
struct Monotonous {
    lengths: Mutex<Vec<usize>>,
    drawn: AtomicUsize,
    ids: AtomicU8,
}

impl Monotonous {
    /// How many pairs of words and how many numbers were drawn since the last question.
    fn drawn(&self) -> (usize, usize) {
        let lengths = std::mem::take(&mut *self.lengths.lock().unwrap());
        let count = |length| lengths.iter().filter(|it| **it == length).count();
        (count(2), count(4))
    }
}

impl Entropy for Monotonous {
    fn fill(&self, bytes: &mut [u8]) -> Result<()> {
        if self.drawn.fetch_add(1, Ordering::Relaxed) == 500 {
            return Err(Error::harmless(ErrorKind::Internal, "a test", "it is dry"));
        }
        self.lengths.lock().unwrap().push(bytes.len());
        if bytes.len() > 4 {
            bytes.fill(self.ids.fetch_add(1, Ordering::Relaxed));
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_for_it_is_drawn_anew_then_with_a_number_and_not_for_ever() {
    let stage = stage(Flavor::Markless);
    let entropy = Arc::new(Monotonous::default());
    let (store, transport) = (Arc::clone(stage.store()), SimTransport::new(stage.world().clone()));
    let engine = Engine::builder(store, Arc::new(transport), Arc::new(SimClock::new()))
        .provider(Arc::clone(stage.engine().providers().next().unwrap()))
        .entropy(Arc::<Monotonous>::clone(&entropy))
        .build();
    let adopt = async |slug: Option<&str>| -> Result<Slug> {
        let machine = found(&stage, "mine");
        let slug = slug.map(|it| it.parse().unwrap());
        engine.adopt("sim", &machine, slug).await.map(|it| it.slug().clone())
    };
    assert_eq!(adopt(None).await.unwrap().as_str(), "amber-acorn");
    assert_eq!(entropy.drawn(), (1, 0));
    // Sixteen, and the one that got a number.
    assert_eq!(adopt(None).await.unwrap().as_str(), "amber-acorn-0");
    assert_eq!(entropy.drawn(), (17, 1));
    // Sixteen, and seventeen that got a number.
    assert_eq!(adopt(None).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(entropy.drawn(), (33, 17));
    // A name that somebody chose is theirs to change.
    assert_eq!(adopt(Some("amber-acorn")).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(entropy.drawn(), (0, 0));
}

/// Where the first record of a run could not be written.
async fn on_a_bad_disk<T>(act: impl AsyncFn(Engine, ResourceId) -> T) -> T {
    let plain = stage(Flavor::Markless);
    act(plain.engine(), found(&plain, "mine")).await;
    let at = plain.script().trace().iter().position(|it| it.point == Point::Open).unwrap();
    let refused = Planned { at, fault: Fault::RefusedBefore };
    let stage = Stage::new(Flavor::Markless, &[refused], None).unwrap();
    let result = act(stage.engine(), found(&stage, "mine")).await;
    assert!(stage.script().all_fired() && stage.live_claims().await.is_empty());
    result
}

#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_written_is_no_name_that_is_taken() {
    let adopted = on_a_bad_disk(async |engine, id| engine.adopt("sim", &id, None).await);
    assert_eq!(adopted.await.unwrap_err().kind(), ErrorKind::Storage);
    let acquired =
        on_a_bad_disk(async |engine, _id| engine.acquire(Acquire::new(Spec::new("sim"))).await);
    assert_eq!(acquired.await.unwrap_err().error.kind(), ErrorKind::Storage);
}
