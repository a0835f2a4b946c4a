//! The behaviour suite against the simulated provider in every flavour, and against the contract's own text.

mod unique_names {
    //! Names are unique and marks are stored.
    use lease_testkit::behavior::SimHarness;
    use lease_testkit::sim::Flavor;
    lease_testkit::behavior_tests!(SimHarness::new(Flavor::UniqueNames));
}

mod keyed {
    //! Creates carry an idempotency key.
    use lease_testkit::behavior::SimHarness;
    use lease_testkit::sim::Flavor;
    lease_testkit::behavior_tests!(SimHarness::new(Flavor::Keyed));
}

mod searching {
    //! Creates are never repeated.
    use lease_testkit::behavior::SimHarness;
    use lease_testkit::sim::Flavor;
    lease_testkit::behavior_tests!(SimHarness::new(Flavor::Searching));
}

mod lagging {
    //! Everything shows late.
    use lease_testkit::behavior::SimHarness;
    use lease_testkit::sim::Flavor;
    lease_testkit::behavior_tests!(SimHarness::lagging(Flavor::UniqueNames));
}

mod markless {
    //! There is nowhere to put marks.
    use lease_testkit::behavior::SimHarness;
    use lease_testkit::sim::Flavor;
    lease_testkit::behavior_tests!(SimHarness::new(Flavor::Markless));
}

const CONTRACT: &str = include_str!("../../lease-core/src/provider.rs");

/// The names in backquotes on the numbered lines of the contract, wrapped lines included.
fn numbered_sentences() -> Vec<String> {
    const METHODS: [&str; 10] = [
        "scope_", "plan_", "create_", "find_", "inspect_", "list_", "destroy_", "renew_", "sizes_",
        "doctor_",
    ];
    let mut names = Vec::new();
    for line in CONTRACT.lines().filter_map(|it| it.trim().strip_prefix("/// ")) {
        let Some((number, sentence)) = line.split_once(". ") else { continue };
        if number.is_empty() || !number.bytes().all(|it| it.is_ascii_digit()) {
            continue;
        }
        let quoted = sentence.split('`').skip(1).step_by(2);
        let sentence_names =
            quoted.filter(|it| METHODS.iter().any(|method| it.starts_with(method)));
        names.extend(sentence_names.map(ToOwned::to_owned));
    }
    names
}

#[test]
fn each_numbered_sentence_of_the_contract_has_a_test_and_no_test_is_without() {
    let sentences = numbered_sentences();
    assert!(sentences.len() > 20, "the contract was not read: {sentences:?}");
    assert_eq!(sentences, lease_testkit::behavior::SENTENCES);
}

#[tokio::test(start_paused = true)]
async fn run_all_gives_one_verdict_per_sentence() {
    use lease_testkit::behavior::{DESCRIPTOR_TESTS, SENTENCES, SimHarness, run_all};
    let harness = SimHarness::new(lease_testkit::sim::Flavor::UniqueNames);
    let verdicts = run_all(&harness).await;
    assert_eq!(verdicts.len(), SENTENCES.len() + DESCRIPTOR_TESTS.len());
    let broken: Vec<_> = verdicts.iter().filter(|it| it.result.is_err()).collect();
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(harness.world().ours_alive().is_empty(), "the suite cleans up");
    assert_eq!(harness.world().foreign_alive(), 0, "the suite uproots what it planted");
}
