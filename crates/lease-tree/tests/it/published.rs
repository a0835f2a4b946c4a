//! What of a tree anybody may fetch: the right commit, and of its files those that are the same here.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use lease_tree::{Compare, Delta, Manifest, Overlap, Published, Tree};

use crate::fixture::Case;

const URL: &str = "https://example.org/a.git";

impl Case {
    fn commit(&self, name: &str) -> String {
        self.put(name, name);
        self.git(&self.root, &["add", "."]);
        self.git(&self.root, &["commit", "-q", "-m", name]);
        self.head()
    }

    fn head(&self) -> String {
        let (_, said) = self.try_git(&self.root, &["rev-parse", "HEAD"]);
        String::from_utf8(said).unwrap().trim().to_owned()
    }

    fn track(&self, name: &str, commit: &str) {
        self.git(&self.root, &["update-ref", &format!("refs/remotes/{name}"), commit]);
    }

    fn published(&self) -> Option<Published> {
        self.wait(Published::find(&self.tree, &["https"]))
    }

    fn overlap(&self) -> Overlap {
        let scan = self.scan(None);
        let delta = Delta::between(&Manifest::default(), &scan, Compare::Stamps).unwrap();
        Overlap::of(&delta, &self.published().unwrap())
    }
}

/// A tree of one commit that was pushed.
fn pushed() -> Case {
    let case = Case::new();
    case.git(&case.root, &["config", "remote.origin.url", URL]);
    let commit = case.commit("a");
    case.track("origin/main", &commit);
    case
}

#[test]
fn the_nearest_commit_that_the_origin_has_is_found() {
    let case = pushed();
    let first = case.head();
    let commit = |case: &Case| case.published().map(|it| (it.url, it.commit));
    assert_eq!(commit(&case), Some((URL.to_owned(), first.clone())));
    case.commit("b");
    let second = case.commit("c");
    assert_eq!(commit(&case), Some((URL.to_owned(), first.clone())));
    // Another branch of the origin, and one of somebody else.
    case.track("origin/other", &format!("{second}~1"));
    case.track("else/main", &second);
    let (_, between) = case.try_git(&case.root, &["rev-parse", &format!("{second}~1")]);
    let between = String::from_utf8(between).unwrap().trim().to_owned();
    assert_eq!(commit(&case), Some((URL.to_owned(), between)));
    // The origin is ahead.
    case.track("origin/other", &second);
    case.git(&case.root, &["reset", "-q", "--hard", &first]);
    assert_eq!(commit(&case), Some((URL.to_owned(), first)));
}

#[test]
fn where_nothing_is_known_to_be_there_for_everybody_nothing_is_found() {
    assert_eq!(Case::without_git().published(), None);
    assert_eq!(Case::new().published(), None);
    let stories: [(&str, &[&str]); 5] = [
        ("no origin", &["remote", "remove", "origin"]),
        ("nothing pushed", &["update-ref", "-d", "refs/remotes/origin/main"]),
        ("a secret", &["config", "remote.origin.url", "https://x@example.org/a"]),
        (
            "a secret by rewriting",
            &["config", "url.https://x@example.org/.insteadOf", "https://example.org/"],
        ),
        ("ssh by rewriting", &["config", "url.git@example.org:.insteadOf", "https://example.org/"]),
    ];
    for (why, args) in stories {
        let case = pushed();
        assert!(case.published().is_some());
        case.git(&case.root, args);
        assert_eq!(case.published(), None, "{why}");
    }
    let case = pushed();
    fs::create_dir(case.root.join("part")).unwrap();
    let tree = Tree { root: case.root.join("part"), ..case.tree.clone() };
    assert_eq!(case.wait(Published::find(&tree, &["https"])), None, "a part");
    case.git(&case.root, &["checkout", "-q", "--orphan", "other"]);
    case.commit("b");
    assert_eq!(case.published(), None, "another history");
}

#[test]
fn what_is_common_is_taken_out_and_the_rest_stays() {
    let case = pushed();
    let program = case.root.join("program");
    case.put("program", "x");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    case.put("changed", "x");
    let commit = case.commit("b");
    case.track("origin/main", &commit);
    case.put("changed", "y");
    case.put("new", "x");
    let overlap = case.overlap();
    let left: Vec<&Path> = overlap.rest.writes().map(|it| it.entry.path).collect();
    assert_eq!(left, [Path::new("changed"), Path::new("new")]);
    assert_eq!(overlap.without, [Path::new("changed")]);
    assert_eq!((overlap.files, overlap.bytes, overlap.mask & 0o022), (3, 3, 0o022));
    // What is stored in the end covers both.
    let written = case.apply(&overlap.rest);
    assert_eq!(written.manifest.entries().filter(|it| it.content.is_some()).count(), 5);
    fs::set_permissions(&program, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(case.overlap().without, [Path::new("changed"), Path::new("program")]);
}

#[test]
fn a_file_that_changes_after_the_scan_is_not_common() {
    let case = pushed();
    let scan = case.scan(None);
    let delta = Delta::between(&Manifest::default(), &scan, Compare::Stamps).unwrap();
    let published = case.published().unwrap();
    assert_eq!(Overlap::of(&delta, &published).files, 1);
    case.settle();
    // The same bytes at another time.
    case.put("a", "a");
    let overlap = Overlap::of(&delta, &published);
    assert_eq!((overlap.files, overlap.rest.write_count()), (0, 1));
}
