//! Random lives: commands in any order, with faults anywhere, against the simulated cloud; and processes that act at
//! once on one store.

#![expect(clippy::unwrap_used, reason = "a failed expectation is the test")]

use std::time::Duration;

use lease_core::engine::{Acquire, By, Release};
use lease_core::retry::pause;
use lease_core::spec::Retention;
use lease_core::{LeaseId, Spec};
use lease_testkit::faults::{End, Fault, Planned, Stage};
use lease_testkit::sim::{Flavor, Processes};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;

/// What a person, a program or a timer does.
#[derive(Clone, Debug)]
enum Command {
    Acquire { pid: u32, retention: Retention, keep_on_failure: bool },
    Release { which: usize, by: ByWhom },
    Keep(usize),
    Touch(usize),
    Reap,
    Die(u32),
    Wait(u64),
}

#[derive(Clone, Copy, Debug)]
enum ByWhom {
    Person,
    Owner,
}

fn command() -> impl Strategy<Value = Command> {
    let retention = select(vec![Retention::WithOwner, Retention::UntilDeadline, Retention::Keep]);
    prop_oneof![
        3 => (1_u32..4, retention, any::<bool>())
            .prop_map(|(pid, retention, keep_on_failure)| Command::Acquire { pid, retention, keep_on_failure }),
        2 => (0_usize..3, select(vec![ByWhom::Person, ByWhom::Owner]))
            .prop_map(|(which, by)| Command::Release { which, by }),
        1 => (0_usize..3).prop_map(Command::Keep),
        1 => (0_usize..3).prop_map(Command::Touch),
        2 => Just(Command::Reap),
        1 => (1_u32..4).prop_map(Command::Die),
        1 => (1_u64..4_000).prop_map(Command::Wait),
    ]
}

fn planned() -> impl Strategy<Value = Vec<Planned>> {
    let one =
        (0_usize..400, select(Fault::ALL.to_vec())).prop_map(|(at, fault)| Planned { at, fault });
    proptest::collection::vec(one, 0..5)
}

async fn lease_number(stage: &Stage, which: usize) -> Option<LeaseId> {
    let claims = stage.live_claims().await;
    (!claims.is_empty()).then(|| claims[which % claims.len()].lease().clone())
}

async fn obey(stage: &Stage, command: &Command) {
    let engine = stage.engine();
    match command {
        Command::Acquire { pid, retention, keep_on_failure } => {
            let mut request = Acquire::new(Spec::new("sim"));
            request.owner = Some(Processes::owner(*pid));
            request.retention = *retention;
            request.keep_on_failure = *keep_on_failure;
            request.total = Some(Duration::from_secs(3_600));
            let acquired = stage.process(Box::pin(engine.acquire(request))).await;
            if let (End::Returned(Ok(claim)), Retention::Keep) = (acquired, retention) {
                stage.promise_kept(claim.lease());
            }
        }
        Command::Release { which, by } => {
            let Some(lease) = lease_number(stage, *which).await else { return };
            let by = match by {
                ByWhom::Person => By::Person,
                ByWhom::Owner => By::Owner,
            };
            // A person takes back what was promised.
            if matches!(by, By::Person) {
                stage.take_back(&lease);
            }
            let release = Release::new(by, "a command");
            stage.process(Box::pin(engine.release(&lease, release))).await;
        }
        Command::Keep(which) => {
            let Some(lease) = lease_number(stage, *which).await else { return };
            if let End::Returned(Ok(_)) =
                stage.process(Box::pin(engine.keep(&lease, "a command"))).await
            {
                stage.promise_kept(&lease);
            }
        }
        Command::Touch(which) => {
            let Some(lease) = lease_number(stage, *which).await else { return };
            stage.process(Box::pin(engine.touch(&lease, None))).await;
        }
        Command::Reap => {
            stage.process(Box::pin(stage.look_and_act())).await;
        }
        Command::Die(pid) => stage.processes().end(*pid),
        Command::Wait(seconds) => pause(Duration::from_secs(*seconds)).await,
    }
}

fn in_simulated_time<T>(body: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(body)
}

proptest! {
    // The seed is fixed, so that the suite is the same each time; more cases are tried by changing the numbers here.
    #![proptest_config(ProptestConfig {
        cases: 1000,
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_order_of_commands_and_faults_leaks(
        flavor in select(vec![Flavor::UniqueNames, Flavor::Keyed, Flavor::Searching]),
        commands in proptest::collection::vec(command(), 1..10),
        planned in planned(),
    ) {
        let possible = |it: &Planned| it.fault != Fault::DeliveredTwice || flavor != Flavor::Searching;
        let planned: Vec<_> = planned.into_iter().filter(possible).collect();
        let run = in_simulated_time(async {
            let stage = Stage::new(flavor, &planned, None).unwrap();
            for command in &commands {
                obey(&stage, command).await;
            }
            for pid in 1..4 {
                stage.processes().end(pid);
            }
            stage.conclude().await
        });
        prop_assert!(run.audit.is_clean() && run.audit.pending.is_empty(), "{:?}", run.audit);
    }
}

/// Two processes at once, with calls that take a random time, so that they meet everywhere.
fn at_once(seed: u64, other: &Command, warm: bool) -> lease_testkit::faults::Run {
    in_simulated_time(async {
        let stage = Stage::new(Flavor::UniqueNames, &[], None).unwrap();
        stage.world().let_destroys_cross_keeps();
        stage.script().jitter(seed);
        let acquire =
            Command::Acquire { pid: 1, retention: Retention::WithOwner, keep_on_failure: false };
        if warm {
            obey(&stage, &acquire).await;
        }
        let release = Command::Release { which: 0, by: ByWhom::Owner };
        let begins = Duration::from_millis(seed * 37 % 2_000);
        let one = async {
            let first = if warm { &release } else { &acquire };
            obey(&stage, first).await;
        };
        let two = async {
            pause(begins).await;
            obey(&stage, other).await;
        };
        tokio::join!(one, two);
        stage.processes().end(1);
        stage.conclude().await
    })
}

#[test]
fn two_processes_on_one_store_agree() {
    let others = [
        Command::Reap,
        Command::Keep(0),
        Command::Touch(0),
        Command::Release { which: 0, by: ByWhom::Person },
        Command::Release { which: 0, by: ByWhom::Owner },
        Command::Acquire { pid: 2, retention: Retention::UntilDeadline, keep_on_failure: false },
    ];
    for other in &others {
        for warm in [true, false] {
            for seed in 1..60 {
                let run = at_once(seed, other, warm);
                assert_eq!(
                    run.complaint(),
                    None,
                    "{other:?} beside {}, seed {seed}",
                    if warm { "release" } else { "acquire" }
                );
            }
        }
    }
}

#[test]
fn a_slug_has_one_winner() {
    in_simulated_time(async {
        let stage = Stage::new(Flavor::UniqueNames, &[], None).unwrap();
        stage.script().jitter(3);
        let acquire = || {
            let mut request = Acquire::new(Spec::new("sim"));
            request.slug = Some("one-name".parse().unwrap());
            request.retention = Retention::WithOwner;
            request.owner = Some(Processes::owner(1));
            request
        };
        let (one, two) = (stage.engine(), stage.engine());
        let (first, second) = tokio::join!(one.acquire(acquire()), two.acquire(acquire()));
        assert_eq!(u32::from(first.is_ok()) + u32::from(second.is_ok()), 1, "{first:?} {second:?}");
        let loser = first.err().or(second.err()).unwrap();
        assert_eq!(loser.error.kind(), lease_core::ErrorKind::Conflict);
        stage.processes().end(1);
        assert_eq!(stage.conclude().await.complaint(), None);
    });
}
