//! Which files belong to a tree, and when the list of before is kept, corrected or made anew.

use std::fs;
use std::os::unix::fs::symlink;

use lease_tree::{Listing, Manifest, Scan, Source, TreeError, WhySkipped};

use crate::fixture::Case;

fn names(scan: &Scan) -> Vec<String> {
    scan.manifest().entries().map(|it| it.path.to_string_lossy().into_owned()).collect()
}

fn skipped(scan: &Scan) -> Vec<(String, WhySkipped)> {
    scan.skipped().into_iter().map(|it| (it.path.to_string_lossy().into_owned(), it.why)).collect()
}

/// Syncs until nothing is racy, and gives the stored manifest.
fn known(case: &Case) -> Manifest {
    case.settle();
    case.sync();
    case.sync();
    Manifest::load(&case.manifest_file()).unwrap()
}

/// What a scan of what is known says after a change, and that a fresh one says the same.
#[track_caller]
fn after(case: &Case, known: &Manifest, listing: Listing, expected: &[&str]) {
    let cached = case.scan(Some(known));
    let fresh = case.scan(None);
    assert_eq!(names(&fresh), expected);
    assert_eq!((names(&cached), skipped(&cached)), (names(&fresh), skipped(&fresh)));
    assert_eq!(cached.listing(), listing);
}

#[test]
fn tracked_and_unignored_files_belong_to_a_tree() {
    let case = Case::new();
    case.put(".gitignore", "*.o\nout/\n");
    for path in ["a.c", "a.o", "out/x", "forced.o", "d/new", "gone"] {
        case.put(path, path);
    }
    case.git(&case.root, &["add", "-f", "a.c", "forced.o", "gone"]);
    fs::remove_file(case.root.join("gone")).unwrap();
    fs::create_dir(case.root.join("empty")).unwrap();
    symlink("nowhere", case.root.join("link")).unwrap();
    let scan = case.scan(None);
    assert_eq!(names(&scan), [".gitignore", "a.c", "forced.o", "link", "d/new"]);
    assert_eq!(
        (scan.source(), scan.listing(), scan.skipped()),
        (Source::Git, Listing::Anew, vec![])
    );
}

#[test]
fn an_unchanged_tree_keeps_its_list_and_its_manifest() {
    let case = Case::new();
    case.put("a", "1");
    case.put("d/b", "2");
    case.put("out/x", "3");
    case.put(".gitignore", "out/\n");
    let known = known(&case);
    case.put("out/y", "an ignored directory may change");
    let scan = case.scan(Some(&known));
    assert_eq!(scan.listing(), Listing::Kept);
    assert!(scan.manifest().is_same(&known), "there is nothing to store");
    // An edit of a file is no change of the list.
    case.put("d/b", "4");
    after(&case, &known, Listing::Kept, &[".gitignore", "a", "d/b"]);
}

#[test]
fn new_names_are_asked_about_one_by_one() {
    let case = Case::new();
    case.put(".gitignore", "*.o\n");
    case.put("a", "1");
    case.put("d/e/b", "2");
    fs::create_dir_all(case.root.join("empty/inner")).unwrap();
    case.put("objects/x.o", "only what is ignored");
    case.git(&case.root, &["add", "a"]);
    let known = known(&case);
    let list = Listing::Corrected;
    case.put("d/e/c", "3");
    case.put("d/e/c.o", "ignored");
    after(&case, &known, list, &[".gitignore", "a", "d/e/b", "d/e/c"]);
    case.put("empty/inner/n", "4");
    after(&case, &known, list, &[".gitignore", "a", "d/e/b", "d/e/c", "empty/inner/n"]);
    case.put("objects/new/y", "5");
    fs::remove_dir_all(case.root.join("d")).unwrap();
    after(&case, &known, list, &[".gitignore", "a", "empty/inner/n", "objects/new/y"]);
    // A directory and a file change places, and a link hides a directory.
    fs::remove_dir_all(case.root.join("empty")).unwrap();
    case.put("empty", "6");
    fs::remove_file(case.root.join("a")).unwrap();
    case.put("a/z", "7");
    fs::rename(case.root.join("objects"), case.root.join("moved")).unwrap();
    symlink("moved", case.root.join("objects")).unwrap();
    let now = [".gitignore", "empty", "objects", "a/z", "moved/new/y"];
    after(&case, &known, list, &now);
}

#[test]
fn a_removed_file_needs_no_question() {
    let case = Case::new();
    case.put("a", "1");
    case.put("d/b", "2");
    let known = known(&case);
    fs::remove_file(case.root.join("d/b")).unwrap();
    after(&case, &known, Listing::Kept, &["a"]);
}

#[test]
fn rules_that_change_lead_to_a_new_list() {
    type Change<'a> = (&'a str, &'a dyn Fn(&Case));
    let changes: [Change<'_>; 9] = [
        ("a rule in the root", &|it| it.put(".gitignore", "a\n")),
        ("a rule in a directory", &|it| it.put("d/.gitignore", "*\n")),
        ("the repository's own exclusions", &|it| it.put(".git/info/exclude", "a\n")),
        ("the user's file", &|it| it.put("../home/.config/git/ignore", "a\n")),
        ("the user's configuration", &|it| {
            it.put("../home/patterns", "a\n");
            it.put("../home/.gitconfig", "[core]\nexcludesFile = ~/patterns\n");
        }),
        ("the repository's configuration", &|it| {
            it.put("../home/patterns", "a\n");
            it.git(&it.root, &["config", "core.excludesFile", "~/patterns"]);
        }),
        ("what is left out", &|it| it.put(".leaseignore", "a\n")),
        ("what is tracked", &|it| it.git(&it.root, &["add", "-f", "out/ignored"])),
        ("a repository", &|it| it.git(&it.root.join("d"), &["init", "-q"])),
    ];
    for (what, change) in changes {
        let case = Case::new();
        for path in ["a", "d/b", "out/ignored", ".gitignore"] {
            case.put(path, "out/\n");
        }
        let known = known(&case);
        assert_eq!(case.scan(Some(&known)).listing(), Listing::Kept, "{what}");
        change(&case);
        let (cached, fresh) = (case.scan(Some(&known)), case.scan(None));
        assert_eq!((names(&cached), cached.listing()), (names(&fresh), Listing::Anew), "{what}");
    }
}

#[test]
fn a_file_of_patterns_that_the_configuration_names_is_watched() {
    let case = Case::new();
    case.put("a", "1");
    case.put("../home/patterns", "");
    case.put("../home/more", "[core]\nexcludesFile = ~/patterns\n");
    case.put("../home/.gitconfig", "[include]\npath = more\n");
    let known = known(&case);
    assert_eq!(case.scan(Some(&known)).listing(), Listing::Kept);
    case.put("../home/patterns", "a\n");
    after(&case, &known, Listing::Anew, &[]);
    case.put("../home/more", "");
    after(&case, &known, Listing::Anew, &["a"]);
}

#[test]
fn an_index_that_was_only_refreshed_keeps_the_list() {
    let case = Case::new();
    case.put("a", "1");
    case.put("b", "2");
    case.git(&case.root, &["add", "a"]);
    let known = known(&case);
    case.put("a", "3");
    case.git(&case.root, &["add", "a"]);
    after(&case, &known, Listing::Kept, &["a", "b"]);
    case.git(&case.root, &["rm", "--cached", "-qf", "a"]);
    case.put(".gitignore", "");
    let known = case.scan(Some(&known));
    assert_eq!(known.listing(), Listing::Anew);
}

#[test]
fn other_inputs_are_another_list() {
    let mut case = Case::new();
    case.put("a.c", "1");
    case.put("b.h", "2");
    let known = known(&case);
    case.tree.ignore = vec!["*.h".to_owned()];
    after(&case, &known, Listing::Anew, &["a.c"]);
    case.tree.ignore = vec!["{".to_owned()];
    assert!(matches!(case.try_scan(Some(&known)), Err(TreeError::Invalid { .. })));
}

#[test]
fn leaseignore_holds_for_new_files_too() {
    let case = Case::new();
    case.put(".leaseignore", "# data\n/data/\n*.bin\n!keep.bin\n");
    for path in ["data/x", "sub/data/x", "a.bin", "keep.bin", "a.c"] {
        case.put(path, "12345");
    }
    case.git(&case.root, &["add", "."]);
    let known = known(&case);
    assert_eq!(names(&case.scan(None)), [".leaseignore", "a.c", "keep.bin", "sub/data/x"]);
    for path in ["data/y/z", "data/keep.bin", "sub/b.bin", "sub/b.c"] {
        case.put(path, "12345");
    }
    let now = [".leaseignore", "a.c", "keep.bin", "data/keep.bin", "sub/b.c", "sub/data/x"];
    after(&case, &known, Listing::Corrected, &now);
    case.put(".leaseignore", "[z-a]\n");
    let wrong = case.try_scan(Some(&known)).unwrap_err();
    assert!(wrong.to_string().contains("line 1"), "{wrong}");
}

#[test]
fn submodules_and_inner_repositories_are_listed() {
    let case = Case::new();
    let other = case.directory.path().join("other");
    fs::create_dir(&other).unwrap();
    case.git(&other, &["init", "-q"]);
    case.put("../other/inner", "submodule");
    case.git(&other, &["add", "."]);
    case.git(&other, &["commit", "-qm", "x"]);
    let url = other.display().to_string();
    case.git(&case.root, &["submodule", "--quiet", "add", &url, "sub"]);
    case.git(&case.root, &["submodule", "--quiet", "add", &url, "empty"]);
    case.git(&case.root, &["submodule", "--quiet", "deinit", "-f", "empty"]);
    case.put("nested/.gitignore", "no\n");
    case.put("nested/no", "x");
    case.put("nested/yes", "x");
    case.git(&case.root.join("nested"), &["init", "-q"]);
    let known = known(&case);
    let scan = case.scan(None);
    let all = [".gitmodules", "nested/.gitignore", "nested/yes", "sub/inner"];
    assert_eq!(names(&scan), all);
    assert_eq!(skipped(&scan), [("empty".to_owned(), WhySkipped::EmptySubmodule)]);
    assert_eq!(case.scan(Some(&known)).listing(), Listing::Kept);
    // The inner repository is asked about its own new names.
    case.put("nested/d/no", "x");
    case.put("nested/d/new", "x");
    let all = [".gitmodules", "nested/.gitignore", "nested/yes", "nested/d/new", "sub/inner"];
    after(&case, &known, Listing::Corrected, &all);
    case.git(
        &case.root,
        &["-c", "protocol.file.allow=always", "submodule", "--quiet", "update", "--init"],
    );
    let all = [
        ".gitmodules",
        "empty/inner",
        "nested/.gitignore",
        "nested/yes",
        "nested/d/new",
        "sub/inner",
    ];
    after(&case, &known, Listing::Anew, &all);
}

#[test]
fn a_tree_inside_of_a_repository_obeys_the_rules_above_it() {
    let mut case = Case::new();
    case.put("part/a.c", "1");
    case.put("part/a.o", "2");
    case.put("other", "3");
    case.tree.root = case.root.join("part");
    let known = {
        case.settle();
        case.sync();
        Manifest::load(&case.manifest_file()).unwrap()
    };
    after(&case, &known, Listing::Kept, &["a.c", "a.o"]);
    case.put(".gitignore", "*.o\n");
    after(&case, &known, Listing::Anew, &["a.c"]);
}

#[test]
fn without_git_a_walk_lists_the_tree_each_time() {
    let case = Case::without_git();
    for path in ["a.o", "sub/local", "a.c", "sub/.hidden", "not/for/lease"] {
        case.put(path, "x");
    }
    case.put(".gitignore", "*.o\n");
    case.put("sub/.gitignore", "local\n");
    case.put(".leaseignore", "not\n");
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, case.root.join("pipe"), fifo, rustix::fs::Mode::RUSR, 0)
        .unwrap();
    let known = known(&case);
    let scan = case.scan(Some(&known));
    assert_eq!(scan.source(), Source::Walk { why: "it is not a git tree" });
    assert_eq!(
        names(&scan),
        [".gitignore", ".leaseignore", "a.c", "sub/.gitignore", "sub/.hidden"]
    );
    assert_eq!(skipped(&scan), [("pipe".to_owned(), WhySkipped::Special)]);
    assert!(
        scan.manifest().entries().all(|it| it.content.is_some()),
        "the stamps hold without git too"
    );
    // A repository that appears is found.
    case.git(&case.root, &["init", "-q"]);
    assert_eq!(case.scan(Some(&known)).source(), Source::Git);
}

#[test]
fn a_tracked_file_behind_a_link_is_not_in_the_tree() {
    let case = Case::new();
    case.put("d/a", "1");
    case.git(&case.root, &["add", "d/a"]);
    let known = known(&case);
    fs::rename(case.root.join("d"), case.directory.path().join("outside")).unwrap();
    symlink(case.directory.path().join("outside"), case.root.join("d")).unwrap();
    after(&case, &known, Listing::Anew, &["d"]);
}

#[test]
fn a_tree_that_is_not_there_is_named() {
    let mut case = Case::new();
    case.put("file", "x");
    for path in ["nowhere", "file"] {
        case.tree.root = case.root.join(path);
        let error = case.try_scan(None).unwrap_err();
        assert!(matches!(error, TreeError::Storage { .. }), "{error:?}");
    }
}
