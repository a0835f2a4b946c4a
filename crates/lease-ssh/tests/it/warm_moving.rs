//! Runs of a tree that is edited all the while: of each file the box gets a state that it had meanwhile, whole, and the
//! next run is right.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{JoinHandle, spawn};

use crate::edits::{Chance, differences, leaves};
use crate::syncing::Case;

const FILES: u32 = 40;
/// What the tests do to the tree before they are told to end.
const EDITS_MIN: u32 = 200;

/// A thread that edits until it is told to end.
struct Editor {
    /// How many edits were made; the highest bit ends it.
    count: Arc<AtomicU32>,
    thread: JoinHandle<()>,
}

const END: u32 = 1 << 31;

impl Editor {
    /// Ends by itself after so many edits at the latest.
    fn start(edits_max: u32, mut edit: impl FnMut(u32) + Send + 'static) -> Self {
        let count = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&count);
        let thread = spawn(move || {
            loop {
                let number = seen.fetch_add(1, Ordering::SeqCst);
                if number >= edits_max {
                    return;
                }
                edit(number);
            }
        });
        Self { count, thread }
    }

    fn end(self) -> u32 {
        let count = self.count.fetch_or(END, Ordering::SeqCst);
        self.thread.join().unwrap();
        count & !END
    }
}

fn name(number: u32) -> PathBuf {
    PathBuf::from(format!("d{}/f{}", number % 5, number % FILES))
}

/// A state of a file that can be told from every other: its version, again and again.
fn state(version: u32) -> Vec<u8> {
    let line = format!("{version:08}\n");
    // Some fit into a request, and some do not.
    line.repeat(if version.is_multiple_of(7) { 9_000 } else { 60 }).into_bytes()
}

/// The version of a state. A mixture of two has none.
fn version(content: &[u8]) -> Option<u32> {
    let version = std::str::from_utf8(content.get(..8)?).ok()?.parse().ok()?;
    (content == state(version)).then_some(version)
}

fn versions(root: &Path) -> BTreeMap<PathBuf, Option<u32>> {
    let files = leaves(root).into_iter();
    files
        .map(|it| (it.strip_prefix(root).unwrap().to_owned(), version(&fs::read(&it).unwrap())))
        .collect()
}

/// Puts a state in place at once: a rename is seen before or after, and never in between.
fn replace(tree: &Path, version: u32) {
    let draft = tree.with_file_name("draft");
    fs::write(&draft, state(version)).unwrap();
    fs::rename(draft, tree.join(name(version))).unwrap();
}

#[tokio::test]
async fn of_a_file_that_is_replaced_during_a_run_the_box_gets_a_whole_state_and_none_of_before_the_run()
 {
    let case = Case::new().await;
    for number in 0..5 {
        fs::create_dir(case.tree.join(format!("d{number}"))).unwrap();
    }
    let mut first = FILES;
    (0..FILES).for_each(|it| replace(&case.tree, it));
    case.run("first", "true").await;
    let mut moved = 0;
    for round in 0..12 {
        let before = versions(&case.tree);
        let tree = case.tree.clone();
        let base = first;
        // Files go as well, and come back.
        let editor = Editor::start(END, move |number| {
            let version = base + number;
            if number % 9 == 0 {
                drop(fs::remove_file(tree.join(name(version))));
            } else {
                replace(&tree, version);
            }
        });
        let (report, _) = case.run(&format!("during-{round}"), "true").await;
        let there = versions(&case.it.work());
        first += editor.end();
        let is_skipped = |path: &Path| report.skipped.iter().any(|it| it.path == path);
        for (path, version) in &there {
            let version = version.unwrap_or_else(|| panic!("round {round}: {path:?} is a mixture"));
            let before = before.get(path).copied().flatten();
            assert!(!is_skipped(path), "round {round}: {path:?} was left out and is there");
            assert!(
                before.is_none_or(|it| it <= version),
                "round {round}: {path:?} is an old state"
            );
            moved += usize::from(before.is_some_and(|it| it < version));
        }
        case.run(&format!("after-{round}"), "true").await;
        let wrong = differences(&case.tree, &case.it.work());
        assert!(wrong.is_empty(), "round {round}: {wrong:#?}");
    }
    assert!(moved > 0 && first > EDITS_MIN, "too little happened: {moved} of {first}");
    case.it.end().await;
}

#[tokio::test]
async fn after_a_run_during_which_files_were_written_in_place_moved_and_linked_the_next_one_is_right()
 {
    let case = Case::new().await;
    (0..FILES).for_each(|it| case.put(name(it).to_str().unwrap(), "begin"));
    case.run("first", "true").await;
    let (mut chance, mut edits) = (Chance::new(4), 0);
    for round in 0..12 {
        let tree = case.tree.clone();
        // The last edit may come right after the file was read, where a file system's clock shows no difference.
        let edits_max = if round % 2 == 0 { END } else { chance.below(2_000).try_into().unwrap() };
        let editor = Editor::start(edits_max, move |number| {
            let file = tree.join(name(number * 7));
            let directory = file.parent().unwrap();
            drop(match number % 13 {
                0 => fs::remove_file(&file),
                1 => fs::create_dir(&file),
                2 => fs::remove_dir(&file),
                3 => fs::rename(directory, tree.join("moved")),
                4 => symlink("../moved", &file),
                5 => fs::rename(tree.join("moved"), directory),
                6 => fs::hard_link(tree.join(name(number)), &file),
                7 => fs::rename(&file, file.with_extension("F")),
                8 => fs::rename(file.with_extension("F"), &file),
                // The same size each time, so that only stamps tell.
                _ => fs::write(&file, format!("{number:05}")),
            });
        });
        let (_, ran) = case.run(&format!("during-{round}"), "exit 3").await;
        assert_eq!(ran.code(), 3);
        edits += editor.end();
        let (report, _) = case.run(&format!("after-{round}"), "true").await;
        assert_eq!(report.skipped, []);
        let wrong = differences(&case.tree, &case.it.work());
        assert!(wrong.is_empty(), "round {round}: {wrong:#?}");
    }
    assert!(edits > EDITS_MIN, "too little happened: {edits}");
    case.it.end().await;
}
