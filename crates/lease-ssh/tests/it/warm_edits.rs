//! A property: whatever is edited here and done to the tree there, after the next run the box is the tree, byte for byte,
//! and nothing beside it was touched.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use lease_ssh::{Command, Order, Outcome, Scan, Sinks, SyncReport};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{RngSeed, TestRunner};

use crate::edits::{Edit, KINDS, Tally, apply_all, differences, edit, leaves};
use crate::fixture::{LEASE, scan, tree_at};
use crate::syncing::Case;
use crate::warm::shown;

/// What a command does to the tree on the box. Its words are the kind, the path, and a file or directory outside.
const ATTACK: &str = r#"case $1 in
edit) echo more >>"$2" ;;
mode) chmod 700 "$2" ;;
gone) rm -rf -- "$2" ;;
link) rm -rf -- "$2" && ln -s -- "$3" "$2" ;;
hard) rm -f -- "$2" && ln -- "$3" "$2" ;;
moved) mv -- "$2" "$2.moved" && ln -s -- "$3" "$2" && rm -rf -- "$2.moved" ;;
esac"#;
/// Of a file, and of a directory.
const ATTACKS: [&[&str]; 2] =
    [&["edit", "mode", "gone", "link", "hard"], &["gone", "link", "moved"]];

/// What lies outside of the tree and the box: mode and content of each path.
type Outside = BTreeMap<PathBuf, (u32, Vec<u8>)>;

/// What happens between two comparisons.
#[derive(Clone, Debug)]
struct Step {
    edits: Vec<Edit>,
    /// After the tree was scanned, and before anything was sent.
    late: Vec<Edit>,
    /// What a command does to the box afterwards.
    attack: Option<(Index, Index)>,
}

fn step() -> impl Strategy<Value = Step> {
    let late = prop_oneof![2 => Just(Vec::new()).boxed(), 1 => prop::collection::vec(edit(), 1..5).boxed()];
    let attack = prop::option::weighted(0.45, any::<(Index, Index)>());
    (prop::collection::vec(edit(), 0..8), late, attack).prop_map(|(edits, late, attack)| Step {
        edits,
        late,
        attack,
    })
}

async fn run(case: &Case, scan: &Scan, name: &str, command: &Command) -> (SyncReport, Outcome) {
    if name.ends_with(['1', '3', '5', '7', '9']) {
        case.far();
    }
    let tree = tree_at(&case.tree);
    let mut mirror = case.it.client.mirror(LEASE, &case.it.root, &tree).unwrap();
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut sinks = Sinks::new(&mut stdout, &mut stderr);
    let order = Order::new(&mut mirror, scan);
    let started = case.session.start_synced((&case.it.root, name), order, command).await.unwrap();
    let report = started.report().clone();
    let outcome = Box::pin(started.carry(&b""[..], &mut sinks)).await.unwrap();
    (report, outcome)
}

async fn scanned(case: &Case) -> Scan {
    let tree = tree_at(&case.tree);
    let mirror = case.it.client.mirror(LEASE, &case.it.root, &tree).unwrap();
    scan(&tree, mirror.manifest()).await.unwrap()
}

/// The command of an attack, if there is something to attack. What has a line's end in its name is not seen to change.
fn attack(case: &Case, (which, how): (Index, Index)) -> Option<(&'static str, Command)> {
    let all: BTreeSet<PathBuf> = leaves(&case.tree)
        .iter()
        .map(|it| it.strip_prefix(&case.tree).unwrap())
        // The last ancestor is the tree itself. A directory without a file in it is not on the box.
        .flat_map(|it| it.ancestors().filter(|it| !it.as_os_str().is_empty()))
        .filter(|it| !it.as_os_str().as_bytes().contains(&b'\n'))
        .map(|it| case.tree.join(it))
        .filter(|it| !it.is_symlink())
        .collect();
    let all: Vec<_> = all.into_iter().collect();
    let path = (!all.is_empty()).then(|| which.get(&all))?;
    let kinds = ATTACKS[usize::from(path.is_dir())];
    let kind = *how.get(kinds);
    let target = case.it.at(if path.is_dir() { "outside" } else { "outside/a" });
    let path = Path::new(".").join(path.strip_prefix(&case.tree).unwrap());
    let words = [b"sh", b"-c".as_slice(), ATTACK.as_bytes(), b"attack", kind.as_bytes()];
    let paths = [path.as_os_str().as_bytes(), target.as_os_str().as_bytes()];
    Some((kind, Command::new(words.into_iter().chain(paths))))
}

/// Whether the box is the tree, and what is beside it is as it was.
fn is_right(case: &Case, outside: &Outside) -> Result<(), TestCaseError> {
    let wrong = differences(&case.tree, &case.it.work());
    prop_assert!(wrong.is_empty(), "{wrong:#?}");
    prop_assert!(*outside == shown(&case.it.at("outside")), "something outside was touched");
    let beside: Vec<_> = fs::read_dir(case.it.at("box")).unwrap().collect();
    prop_assert_eq!(beside.len(), 2, "{:?}", beside);
    Ok(())
}

async fn play(case: &Case, steps: &[Step], tally: &mut Tally) -> Result<(), TestCaseError> {
    for path in ["a", "d/a", "D/d/a", "many/1"] {
        case.put(path, "here");
        let outside = case.it.at("outside").join(path);
        fs::create_dir_all(outside.parent().unwrap()).unwrap();
        fs::write(outside, "outside").unwrap();
    }
    let outside = shown(&case.it.at("outside"));
    let mut is_attacked = false;
    for (number, step) in steps.iter().enumerate() {
        apply_all(&case.tree, &step.edits, tally);
        let mut scan = scanned(case).await;
        let command = Command::new(["true"]);
        if !step.late.is_empty() {
            apply_all(&case.tree, &step.late, tally);
            let (report, _) = run(case, &scan, &format!("late-{number}"), &command).await;
            prop_assert_eq!(!report.drifted.is_empty(), is_attacked, "{:?}", report);
            is_attacked = false;
            scan = scanned(case).await;
        }
        let (report, outcome) = run(case, &scan, &format!("run-{number}"), &command).await;
        prop_assert_eq!(outcome, Outcome::Finished(0));
        prop_assert_eq!(!report.drifted.is_empty(), is_attacked, "{:?}", report);
        prop_assert_eq!(&report.skipped, &[]);
        is_right(case, &outside)?;
        *tally.entry("sent".to_owned()).or_default() += usize::from(report.sent_files > 0);
        *tally.entry("removed".to_owned()).or_default() += usize::from(report.removed > 0);
        let attack = step.attack.and_then(|it| attack(case, it));
        is_attacked = attack.is_some();
        if let Some((kind, command)) = attack {
            let name = format!("attack-{number}");
            let outcome = run(case, &scanned(case).await, &name, &command).await.1;
            prop_assert_eq!(outcome, Outcome::Finished(0), "{}", kind);
            *tally.entry(kind.to_owned()).or_default() += 1;
        }
    }
    Ok(())
}

#[test]
fn after_any_edits_and_a_run_the_box_is_the_tree_byte_for_byte() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tally = Cell::new(Tally::new());
    let config = ProptestConfig {
        cases: 12,
        rng_seed: RngSeed::Fixed(20_261_121),
        failure_persistence: None,
        max_shrink_iters: 60,
        ..ProptestConfig::default()
    };
    let steps = prop::collection::vec(step(), 3..9);
    let done = TestRunner::new(config).run(&steps, |steps| {
        runtime.block_on(async {
            let case = Case::new().await;
            let mut own = tally.take();
            let done = play(&case, &steps, &mut own).await;
            tally.set(own);
            case.it.end().await;
            done
        })
    });
    if let Err(error) = done {
        panic!("{error}");
    }
    // A property of edits that never happen holds.
    let tally = tally.into_inner();
    let kinds = KINDS.into_iter().chain(ATTACKS.concat());
    let never: Vec<_> = kinds.filter(|it| !tally.contains_key(*it)).collect();
    assert!(never.is_empty(), "never done: {never:?} of {tally:?}");
    assert!(tally["sent"] > 30 && tally["removed"] > 10, "{tally:?}");
}
