//! The list of sentences, in one place, and how one of them is tested.

use tokio::runtime::{Builder, Runtime};

use super::bench::Bench;
use super::{Broken, Harness, Proof, Verdict, create, destroy, listing, lookup, planning};

/// Hands `[arguments]` and the names of all sentences to another macro.
#[doc(hidden)]
#[macro_export]
macro_rules! with_behavior_sentences {
    ([$($then:tt)*] [$($arguments:tt)*]) => {
        $($then)*! {
            [$($arguments)*]
            scope_is_stable scope_mutates_nothing
            plan_mutates_nothing plan_refuses_unknown_options plan_is_not_empty
            create_then_inspect_finds_it create_writes_the_marks create_twice_makes_one
            create_never_takes_a_look_alike
            find_before_create_is_absent find_after_create_is_found find_ignores_look_alikes
            inspect_of_a_stranger_is_absent inspect_of_foreign_shows_foreign_marks
            list_is_complete_or_an_error list_shows_what_create_made list_hides_foreign
            destroy_then_absent destroy_twice_is_success destroy_takes_only_its_own
            renew_keeps_the_marks
            sizes_mutates_nothing sizes_can_be_planned
            doctor_mutates_nothing doctor_reports
        }
    };
}

macro_rules! name_list {
    ([] $($name:ident)*) => {
        /// The name of every numbered sentence of the contract, in its order.
        pub const SENTENCES: &[&str] = &[$(stringify!($name)),*];
    };
}
with_behavior_sentences!([name_list] []);

/// Tests that hold the descriptor itself against the provider.
pub const DESCRIPTOR_TESTS: &[&str] = &["descriptor_is_sound"];

/// Expands to one test per sentence of the provider contract, and one for the descriptor.
///
/// The expression makes a [`Harness`](crate::behavior::Harness). It is evaluated anew in each test, inside a tokio
/// runtime, and may await.
///
/// ```
/// use lease_testkit::behavior::SimHarness;
/// use lease_testkit::sim::Flavor;
///
/// lease_testkit::behavior_tests!(SimHarness::new(Flavor::UniqueNames));
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! behavior_tests {
    ($harness:expr) => {
        $crate::with_behavior_sentences!([$crate::behavior_tests_by_name][$harness]);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! behavior_tests_by_name {
    ([$harness:expr] $($name:ident)*) => {
        #[test]
        fn descriptor_is_sound() {
            $crate::behavior::assert_upheld("descriptor_is_sound", async || $harness);
        }
        $(
            #[test]
            fn $name() {
                $crate::behavior::assert_upheld(stringify!($name), async || $harness);
            }
        )*
    };
}

/// Tests one sentence with a new harness, in a runtime of its own.
///
/// # Panics
/// When the provider breaks the sentence, when there is no such sentence, or when no runtime can be had.
#[expect(clippy::panic, reason = "it is the assertion of a test")]
#[expect(clippy::print_stdout, reason = "the verdict with its reason is the test's output")]
pub fn assert_upheld<H: Harness>(sentence: &'static str, make: impl AsyncFnOnce() -> H) {
    let runtime: Runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => panic!("no runtime: {error}"),
    };
    let verdict = runtime.block_on(async {
        let harness = make().await;
        if harness.simulated_time() {
            tokio::time::pause();
        }
        judge(&harness, sentence).await
    });
    match verdict.result {
        Ok(_) => println!("{verdict}"),
        Err(Broken(_)) => panic!("{verdict}"),
    }
}

/// Tests every sentence and the descriptor, one after the other, on one harness.
///
/// # Cancel safety
/// A cancelled run leaves what its current test had made.
pub async fn run_all(harness: &dyn Harness) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for sentence in DESCRIPTOR_TESTS.iter().chain(SENTENCES) {
        verdicts.push(judge(harness, sentence).await);
    }
    verdicts
}

async fn judge(harness: &dyn Harness, sentence: &'static str) -> Verdict {
    let result = match Bench::set_up(harness).await {
        Ok(mut bench) => {
            // Boxed: each body is a large future, and they are all in one match.
            let proof = Box::pin(body(&mut bench, sentence)).await;
            let cleaned = Box::pin(bench.tear_down()).await;
            proof.and_then(|held| cleaned.map(|()| held))
        }
        Err(error) => Err(Broken(format!("the test cannot begin: {error}"))),
    };
    Verdict { sentence, result }
}

macro_rules! bodies {
    ($bench:ident, $sentence:ident, $($module:ident: $($name:ident)*;)*) => {
        match $sentence {
            $($(stringify!($name) => Box::pin($module::$name($bench)).await,)*)*
            unknown => Err(Broken(format!("{unknown} is not a sentence of the contract"))),
        }
    };
}

async fn body(bench: &mut Bench<'_>, sentence: &str) -> Proof {
    bodies!(bench, sentence,
        planning: descriptor_is_sound scope_is_stable scope_mutates_nothing plan_mutates_nothing
            plan_refuses_unknown_options plan_is_not_empty sizes_mutates_nothing
            sizes_can_be_planned doctor_mutates_nothing doctor_reports;
        create: create_then_inspect_finds_it create_writes_the_marks create_twice_makes_one
            create_never_takes_a_look_alike renew_keeps_the_marks;
        lookup: find_before_create_is_absent find_after_create_is_found find_ignores_look_alikes
            inspect_of_a_stranger_is_absent inspect_of_foreign_shows_foreign_marks;
        listing: list_is_complete_or_an_error list_shows_what_create_made list_hides_foreign;
        destroy: destroy_then_absent destroy_twice_is_success destroy_takes_only_its_own;
    )
}
