//! What exists without a record: who may take it over, who is only told of it, and what is reclaimed by itself.

#![expect(clippy::unwrap_used, reason = "a failed expectation is the test")]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lease_core::engine::{Acquire, By, Done, Outcome, Release, Step, Whose, plan};
use lease_core::error::ErrorKind;
use lease_core::journal::Event;
use lease_core::retry::pause;
use lease_core::spec::Retention;
use lease_core::state::Phase;
use lease_core::store::LeaseWriter;
use lease_core::store::fs::FsStore;
use lease_core::{Claim, Clock, Deadlines, Engine, Marks, ResourceId, Spec, Timestamp};
use lease_testkit::faults::{Fault, Planned, Point, Stage};
use lease_testkit::sim::{Flavor, SimClock};
use lease_testkit::world::{Entry, HOME, Kind};

fn stage(flavor: Flavor) -> Stage {
    Stage::new(flavor, &[], None).unwrap()
}

async fn acquired(engine: &Engine) -> Claim {
    engine.acquire(Acquire::new(Spec::new("sim"))).await.unwrap()
}

fn by_person() -> Release {
    Release::new(By::Person, "a test")
}

/// Marks of a lease that nobody here ever had.
fn marks_of_another_installation(like: &Marks) -> Marks {
    Marks {
        lease: "lse-zzzzzzzzzzzzzzzzzzzz".parse().unwrap(),
        installation: "y".repeat(like.installation.as_str().len()).parse().unwrap(),
        nonce: "z".repeat(26).parse().unwrap(),
    }
}

fn is_alive(stage: &Stage, id: &ResourceId) -> bool {
    stage.world().ledger().iter().any(|it| it.id == *id && it.stopping_at.is_none())
}

/// Everything of one lease, key and machine, as another installation left it when its records were lost.
async fn left_by_a_lost_installation(stage: &Stage) -> (ResourceId, ResourceId) {
    let claim = acquired(&stage.engine()).await;
    let marks = stage.world().ours_alive().first().unwrap().marks.clone().unwrap();
    let foreign = marks_of_another_installation(&marks);
    let other = Marks { nonce: "x".repeat(26).parse().unwrap(), ..foreign.clone() };
    let key = stage.world().plant(HOME, Kind::Key, &format!("{}-0", foreign.lease), Some(foreign));
    let name = format!("{}-1", other.lease);
    let machine = stage.world().plant(HOME, Kind::Machine, &name, Some(other));
    stage.engine().release(claim.lease(), by_person()).await.unwrap();
    (key, machine)
}

#[tokio::test(start_paused = true)]
async fn marks_of_another_installation_are_shown_with_their_evidence_and_never_acted_on() {
    let stage = stage(Flavor::UniqueNames);
    let (key, machine) = left_by_a_lost_installation(&stage).await;
    let engine = stage.engine();
    let steps = plan(&engine.observe(None).await.unwrap(), SimClock::new().now());
    for id in [&key, &machine] {
        let shown = steps.iter().any(|it| {
            matches!(it, Step::Orphan { found, whose: Whose::AnotherInstallations, why, .. }
                if found.id == *id && why.contains("lse-zzzzzzzzzzzzzzzzzzzz"))
        });
        assert!(shown, "{steps:?}");
    }
    assert!(engine.execute(&steps).await.done.is_empty());
    assert!(is_alive(&stage, &key) && is_alive(&stage, &machine));
}

#[tokio::test(start_paused = true)]
async fn an_adopted_lease_has_all_its_parts_is_kept_and_is_released_by_a_person_only() {
    let stage = stage(Flavor::UniqueNames);
    let (key, machine) = left_by_a_lost_installation(&stage).await;
    let engine = stage.engine();
    let claim = engine.adopt("sim", &machine, None).await.unwrap();
    assert_eq!((claim.phase(), claim.retention()), (Phase::Kept, Retention::Keep));
    let ids: Vec<_> = claim.resources().iter().filter_map(|it| it.id().cloned()).collect();
    assert_eq!(
        ids,
        [key.clone(), machine.clone()],
        "the key comes before the machine that uses it"
    );

    pause(Duration::from_secs(7 * 24 * 3600)).await;
    stage.look_and_act().await;
    assert!(is_alive(&stage, &machine), "nothing automatic touches it");
    let again = engine.adopt("sim", &key, None).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict, "{again}");

    let outcome = engine.release(claim.lease(), by_person()).await.unwrap();
    assert!(matches!(outcome, Outcome::Released), "{outcome:?}");
    assert!(!is_alive(&stage, &key) && !is_alive(&stage, &machine));
}

#[tokio::test(start_paused = true)]
async fn what_carries_no_marks_is_somebody_elses_and_what_is_leased_is_taken() {
    let stage = stage(Flavor::UniqueNames);
    let engine = stage.engine();
    let claim = acquired(&engine).await;
    let foreign = stage.world().plant(HOME, Kind::Machine, "somebodys", None);
    let refused = engine.adopt("sim", &foreign, None).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused, "{refused}");
    let machine = claim.resources().last().unwrap().id().unwrap();
    let taken = engine.adopt("sim", machine, None).await.unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::Conflict, "{taken}");
    let unknown = engine.adopt("sim", &"r999999".parse().unwrap(), None).await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound, "{unknown}");
    assert!(is_alive(&stage, &foreign));
}

/// There is one record for a lease, so a free name is not what is missing.
#[tokio::test(start_paused = true)]
async fn what_carries_the_marks_of_a_live_lease_belongs_to_it_also_where_nothing_else_of_it_is_left()
 {
    let stage = stage(Flavor::UniqueNames);
    let engine = stage.engine();
    let claim = acquired(&engine).await;
    let marks = stage.world().ours_alive().last().unwrap().marks.clone().unwrap();
    let marks = Marks { nonce: "z".repeat(26).parse().unwrap(), ..marks };
    let elsewhere = Stage::over(Arc::clone(stage.store()), Flavor::UniqueNames, &[], None);
    // The ids of what the lease has there are somebody else's here.
    for number in 0..8 {
        elsewhere.world().plant(HOME, Kind::Machine, &format!("another-{number}"), None);
    }
    let copy = elsewhere.world().plant(HOME, Kind::Machine, "a-copy", Some(marks));
    for slug in [None, Some("my-box".parse().unwrap())] {
        let refused = elsewhere.engine().adopt("sim", &copy, slug).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");
        let what = format!("it belongs to {} ({})", claim.slug(), claim.lease());
        assert!(refused.to_string().contains(&what), "{refused}");
    }
    assert!(is_alive(&elsewhere, &copy));
}

/// A lease whose machine was asked for twice, because the first request seemed lost; it is released again.
async fn released_after_a_repeated_create() -> (Stage, Entry) {
    let plain = stage(Flavor::UniqueNames);
    acquired(&plain.engine()).await;
    let trace = plain.script().trace();
    let at = trace.iter().rposition(|it| it.point == Point::Create).unwrap();
    let lost = Planned { at, fault: Fault::LostBefore };
    let stage = Stage::new(Flavor::UniqueNames, &[lost], None).unwrap();
    let engine = stage.engine();
    let claim = acquired(&engine).await;
    assert_eq!(claim.resources().last().unwrap().sends(), 2);
    let machine = stage.world().ours_alive().into_iter().find(|it| it.kind == Kind::Machine);
    engine.release(claim.lease(), by_person()).await.unwrap();
    (stage, machine.unwrap())
}

#[tokio::test(start_paused = true)]
async fn what_a_repeated_create_made_is_reclaimed_when_it_shows_up_after_all() {
    let (stage, machine) = released_after_a_repeated_create().await;
    let engine = stage.engine();
    let late = stage.world().plant(HOME, Kind::Machine, &machine.name, machine.marks.clone());
    let view = engine.observe(None).await.unwrap();
    let steps = plan(&view, SimClock::new().now());
    assert!(matches!(steps.as_slice(), [Step::Reclaim { found, .. }] if found.id == late));
    let report = engine.execute(&steps).await;
    let released = |it: &Done| matches!(it.result, Ok(Outcome::Released));
    assert!(report.done.len() == 1 && report.done.iter().all(released), "{report:?}");
    assert!(!is_alive(&stage, &late));
    assert!(stage.live_claims().await.is_empty(), "its record went the way of the first one");
}

#[tokio::test(start_paused = true)]
async fn what_the_record_of_a_released_lease_does_not_name_is_not_reclaimed_along_with_the_rest() {
    let (stage, machine) = released_after_a_repeated_create().await;
    let plant = |name: &str, marks: &Option<Marks>| {
        stage.world().plant(HOME, Kind::Machine, name, marks.clone())
    };
    let late = plant(&machine.name, &machine.marks);
    let nonce = "z".repeat(26).parse().unwrap();
    let unknown = plant("unknown", &machine.marks.clone().map(|it| Marks { nonce, ..it }));
    stage.look_and_act().await;
    assert!(!is_alive(&stage, &late) && is_alive(&stage, &unknown));
}

/// Marks are labels, and labels are copied with everything else by whoever copies a machine.
#[tokio::test(start_paused = true)]
async fn copies_of_our_marks_are_reported_and_left() {
    let (stage, machine) = released_after_a_repeated_create().await;
    let plant = |name: &str| stage.world().plant(HOME, Kind::Machine, name, machine.marks.clone());
    let renamed = plant("colleagues-database");
    stage.look_and_act().await;
    assert!(is_alive(&stage, &renamed), "it has not the name that was intended");
    let same = plant(&machine.name);
    stage.look_and_act().await;
    assert!(is_alive(&stage, &renamed) && is_alive(&stage, &same), "two have the same marks");
    let refused = stage.engine().adopt("sim", &same, None).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused, "{refused}");

    // What was created once and answered cannot have landed again.
    let stage = self::stage(Flavor::UniqueNames);
    let claim = acquired(&stage.engine()).await;
    let made = stage.world().ours_alive().into_iter().find(|it| it.kind == Kind::Machine).unwrap();
    stage.engine().release(claim.lease(), by_person()).await.unwrap();
    let copy = stage.world().plant(HOME, Kind::Machine, &made.name, made.marks);
    stage.look_and_act().await;
    assert!(is_alive(&stage, &copy));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_ahead_postpones_no_retry() {
    let stage = stage(Flavor::UniqueNames);
    let engine = stage.engine();
    let claim = acquired(&engine).await;
    let clock = SimClock::new();
    let (store, ticking) = (Arc::clone(engine.store()), Arc::new(clock.clone()));
    let mut writer = LeaseWriter::load(store, ticking, claim.lease()).await.unwrap();
    let releasing = Event::Releasing { why: "expired".to_owned(), ends_keep: false };
    let retry_at = clock.now().after(Duration::from_secs(10 * 365 * 24 * 3600));
    let delayed = Event::Delayed {
        kind: ErrorKind::Unavailable,
        message: "no network yet".to_owned(),
        retry_at,
    };
    writer.append(&[releasing, delayed]).await.unwrap();
    let steps = plan(&engine.observe(None).await.unwrap(), clock.now());
    assert!(matches!(steps.as_slice(), [Step::Release { .. }]), "{steps:?}");
}

#[tokio::test(start_paused = true)]
async fn a_machine_without_marks_is_adopted_by_its_exact_id() {
    let stage = stage(Flavor::Markless);
    let engine = stage.engine();
    let machine = stage.world().plant(HOME, Kind::Machine, "mine-i-swear", None);
    let claim = engine.adopt("sim", &machine, Some("my-box".parse().unwrap())).await.unwrap();
    assert_eq!((claim.slug().as_str(), claim.phase()), ("my-box", Phase::Kept));
    let outcome = engine.release(claim.lease(), by_person()).await.unwrap();
    assert!(matches!(outcome, Outcome::Released), "{outcome:?}");
    assert!(!is_alive(&stage, &machine));
}

/// Nothing on such a machine names its lease, so there is no id over which the second of two would stumble.
#[tokio::test(start_paused = true)]
async fn a_machine_without_marks_that_two_adopt_at_once_gets_one_lease() {
    for seed in 0..50 {
        let stage = stage(Flavor::Markless);
        let machine = stage.world().plant(HOME, Kind::Machine, "mine-i-swear", None);
        let (one, other) = (stage.engine(), stage.engine());
        stage.script().jitter(seed);
        let (one, other) =
            tokio::join!(one.adopt("sim", &machine, None), other.adopt("sim", &machine, None));
        let refused = match (one, other) {
            (Ok(_), Err(refused)) | (Err(refused), Ok(_)) => refused,
            both => panic!("with seed {seed} not exactly one has it: {both:?}"),
        };
        assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");
        assert_eq!(stage.live_claims().await.len(), 1, "with seed {seed}");
    }
}

/// A stage whose records are files, and the directory with them.
fn on_files(flavor: Flavor) -> (Stage, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(FsStore::open(dir.path()).unwrap());
    (Stage::over(store, flavor, &[], None), dir)
}

/// Makes the record of a live lease one that nobody can read, and gives it back as it was.
fn damage(dir: &tempfile::TempDir, claim: &Claim) -> (PathBuf, Vec<u8>) {
    let name = format!("{}.{}.jsonl", claim.slug(), claim.lease());
    let path = dir.path().join("leases").join(name);
    let text = fs::read(&path).unwrap();
    fs::write(&path, b"{\n").unwrap();
    (path, text)
}

/// Its record may be the one that cannot be read, so a second one could give it back under somebody's hands.
#[tokio::test(start_paused = true)]
async fn i5_a_machine_without_marks_is_not_adopted_while_a_record_cannot_be_read() {
    let (stage, dir) = on_files(Flavor::Markless);
    let engine = stage.engine();
    let claim = acquired(&engine).await;
    let machine =
        stage.world().ours_alive().iter().find(|it| it.kind == Kind::Machine).unwrap().id.clone();
    let (path, text) = damage(&dir, &claim);
    let refused = engine.adopt("sim", &machine, None).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Corrupt, "{refused}");
    assert!(refused.to_string().contains(claim.slug().as_str()), "{refused}");
    assert_eq!(fs::read_dir(dir.path().join("leases")).unwrap().count(), 1, "a second record");
    assert!(is_alive(&stage, &machine));
    // With the record back, the machine is known for whose it is, whatever else cannot be read.
    fs::write(&path, text).unwrap();
    fs::write(dir.path().join("leases/a-stray-file"), "hello").unwrap();
    let refused = engine.adopt("sim", &machine, None).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");
}

#[tokio::test(start_paused = true)]
async fn marks_say_which_of_the_records_that_cannot_be_read_counts() {
    let (stage, dir) = on_files(Flavor::UniqueNames);
    let engine = stage.engine();
    let (_, of_others) = left_by_a_lost_installation(&stage).await;
    let claim = acquired(&engine).await;
    let own =
        stage.world().ours_alive().iter().find(|it| it.kind == Kind::Machine).unwrap().id.clone();
    damage(&dir, &claim);
    let refused = engine.adopt("sim", &own, None).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Corrupt, "{refused}");
    let adopted = engine.adopt("sim", &of_others, None).await.unwrap();
    assert_ne!(adopted.lease(), claim.lease());
}

#[tokio::test(start_paused = true)]
async fn a_touch_moves_the_deadline_that_the_machine_shows() {
    let stage = stage(Flavor::UniqueNames);
    let engine = stage.engine();
    let claim = acquired(&engine).await;
    let shown = || {
        let ledger = stage.world().ledger();
        let machine = ledger.iter().find(|it| it.kind == Kind::Machine).unwrap();
        (machine.ends_at, machine.marks.clone())
    };
    let (before, marks) = shown();
    assert_eq!(before, None);
    let ends_at = Timestamp::from_millis(4_102_444_800_000);
    let deadlines = Deadlines { idle_ms: None, expires_at: Some(ends_at) };
    engine.touch(claim.lease(), Some(deadlines)).await.unwrap();
    assert_eq!(shown(), (Some(ends_at), marks));
    engine.release(claim.lease(), by_person()).await.unwrap();
    let refused = engine.touch(claim.lease(), Some(deadlines)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_is_over_before_its_deadline_is_looked_at() {
    let stage = stage(Flavor::UniqueNames);
    let engine = stage.engine();
    let mut wish = Acquire::new(Spec::new("sim"));
    wish.total = Some(Duration::from_secs(3600));
    let claim = engine.acquire(wish).await.unwrap();
    pause(Duration::from_secs(7200)).await;
    stage.world().preempt();
    pause(Duration::from_secs(60)).await;
    let clock = SimClock::new();
    clock.jump_ms(3 * 3600 * 1000);
    let steps = plan(&engine.observe(None).await.unwrap(), clock.now());
    let vanished = steps.iter().any(|it| {
        matches!(it, Step::Release { lease, why: lease_core::engine::Why::Vanished, .. }
            if lease == claim.lease())
    });
    assert!(vanished, "{steps:?}");
}
