//! What a box lacks, in the order in which it has to happen, and what is stored afterwards.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use lease_tree::{
    Change, Compare, Content, Delta, Held, Kind, Layout, Listing, Manifest, Scan, WhySkipped,
    write_delta,
};

use crate::fixture::{Case, now_ms};

fn text<'a>(paths: impl Iterator<Item = &'a Path>) -> Vec<String> {
    paths.map(|it| it.to_string_lossy().into_owned()).collect()
}

fn writes(delta: &Delta) -> Vec<(String, Change)> {
    delta.writes().map(|it| (it.entry.path.to_string_lossy().into_owned(), it.change)).collect()
}

/// A tree that the box holds, as far as stamps can tell.
fn synced(paths: &[&str]) -> (Case, Manifest) {
    let case = Case::new();
    for path in paths {
        case.put(path, path);
    }
    case.settle();
    case.sync();
    let held = Manifest::load(&case.manifest_file()).unwrap();
    (case, held)
}

fn between(case: &Case, held: &Manifest, compare: Compare) -> Delta {
    Delta::between(held, &case.scan(Some(held)), compare).unwrap()
}

#[test]
fn what_has_to_happen_is_told_in_order() {
    let (case, held) = synced(&["a", "b", "gone/x/y", "gone/z", "file", "dir/x"]);
    fs::remove_dir_all(case.root.join("gone")).unwrap();
    fs::remove_file(case.root.join("file")).unwrap();
    case.put("file/in", "now a directory");
    fs::remove_dir_all(case.root.join("dir")).unwrap();
    case.put("dir", "now a file");
    case.put("b", "changed");
    case.put("new/deep/n", "new");
    let delta = between(&case, &held, Compare::Stamps);
    assert_eq!(text(delta.removals()), ["gone/x/y", "gone/z", "dir/x", "file"]);
    assert_eq!(text(delta.emptied_directories()), ["gone/x", "gone", "dir"]);
    assert_eq!(text(delta.new_directories()), ["file", "new", "new/deep"]);
    let (added, changed) = (Change::Added, Change::Changed);
    let expected = [("b", changed), ("dir", added), ("file/in", added), ("new/deep/n", added)];
    assert_eq!(writes(&delta), expected.map(|(path, change)| (path.to_owned(), change)));
    assert_eq!(
        (delta.write_count(), delta.removal_count(), delta.bytes()),
        (4, 4, 7 + 10 + 15 + 3)
    );
    assert!(delta.refreshed().is_none());
    case.apply(&delta);
    case.box_is(&case.truth());
}

#[test]
fn a_touched_file_is_no_delta_and_is_read_once() {
    let (case, held) = synced(&["a", "b"]);
    case.put("a", "a");
    case.settle();
    let delta = between(&case, &held, Compare::Stamps);
    assert!(delta.is_empty());
    assert_eq!(delta.hashed_files(), 1);
    let refreshed = delta.refreshed().unwrap();
    assert_eq!(refreshed.digest(), held.digest());
    let delta = between(&case, &refreshed, Compare::Stamps);
    assert_eq!((delta.hashed_files(), delta.refreshed().is_some()), (0, false));
}

#[test]
fn a_young_file_is_read_until_its_stamps_can_be_believed() {
    let case = Case::new();
    case.put("a", "1");
    case.sync();
    case.put("a", "2");
    let (_, delta, _) = case.sync();
    assert_eq!(writes(&delta), [("a".to_owned(), Change::Changed)]);
    case.box_is(&case.truth());
}

/// Newer kernels give a file that was looked at a finer stamp, so edits within a tick cannot be made at will; a scan that
/// believes to be older than the edits stands for them.
#[test]
fn nothing_as_young_as_the_scan_is_believed() {
    let before = now_ms();
    let case = Case::new();
    case.put("a", "1");
    case.settle();
    let hashed = |it: &Scan| {
        let known = it.manifest().entries().filter(|it| it.content.is_some()).count();
        (it.manifest().len() - known, it.listing())
    };
    let young = {
        let scan = case.scan_at(None, before).unwrap();
        case.apply(&Delta::between(&Manifest::default(), &scan, Compare::Stamps).unwrap()).manifest
    };
    let again = case.scan_at(Some(&young), before).unwrap();
    assert_eq!(hashed(&again), (1, Listing::Anew), "neither the file nor the rules are believed");
    case.put("b", "2");
    case.settle();
    let old = case.scan(None);
    let old = Delta::between(&young, &old, Compare::Stamps).unwrap();
    assert_eq!((old.hashed_files(), old.write_count()), (1, 1));
    let old = case.apply(&old).manifest;
    assert_eq!(hashed(&case.scan(Some(&old))), (0, Listing::Kept));
    assert!(case.scan(Some(&old)).manifest().is_same(&old));
}

#[test]
fn permissions_are_content_and_those_of_links_are_not() {
    let (case, held) = synced(&["a"]);
    fs::set_permissions(case.root.join("a"), fs::Permissions::from_mode(0o4711)).unwrap();
    symlink("a", case.root.join("link")).unwrap();
    let delta = between(&case, &held, Compare::Stamps);
    let all: Vec<_> = delta.writes().map(|it| (it.entry.kind, it.entry.permissions)).collect();
    assert_eq!(all[0], (Kind::File, 0o711));
    assert_eq!((delta.bytes(), all[1].0), (1, Kind::Link));
}

#[test]
fn a_checksum_finds_what_no_stamp_shows() {
    let (case, held) = synced(&["a", "b"]);
    // The box holds something else than the manifest of a liar says.
    let lied = held.entries().map(|it| Held {
        path: it.path.to_owned(),
        kind: it.kind,
        permissions: it.permissions,
        bytes: it.bytes,
        content: if it.path == Path::new("a") { Content::of(b"z") } else { it.content.unwrap() },
    });
    let told = Manifest::of_held(lied).unwrap();
    let delta = Delta::between(&told, &case.scan(Some(&held)), Compare::Stamps).unwrap();
    assert_eq!(
        (writes(&delta), delta.hashed_files()),
        (vec![("a".to_owned(), Change::Changed)], 0)
    );
    let delta = between(&case, &held, Compare::Checksum);
    assert_eq!((delta.is_empty(), delta.hashed_files()), (true, 2));
}

#[test]
fn what_a_box_lists_is_compared_without_stamps() {
    let case = Case::new();
    case.put("d/a", "one");
    case.put("d/b", "two");
    let listed = |path: &str, content: &str| Held {
        path: PathBuf::from(path),
        kind: Kind::File,
        permissions: 0o644,
        bytes: content.len() as u64,
        content: Content::of(content.as_bytes()),
    };
    fs::set_permissions(case.root.join("d/a"), fs::Permissions::from_mode(0o644)).unwrap();
    let held = Manifest::of_held([listed("e/gone", "x"), listed("d/a", "one")]).unwrap();
    let delta = Delta::between(&held, &case.scan(None), Compare::Stamps).unwrap();
    assert_eq!(writes(&delta), [("d/b".to_owned(), Change::Added)]);
    assert_eq!(text(delta.removals()), ["e/gone"]);
    assert_eq!(text(delta.emptied_directories()), ["e"]);
    assert!(Manifest::of_held([listed("../x", "")]).is_none());
    assert!(Manifest::of_held([listed("x", ""), listed("x", "")]).is_none());
}

#[test]
fn a_removed_path_that_the_box_never_got_is_not_removed_there() {
    let (case, held) = synced(&["a", "b"]);
    case.put("b", "changed");
    let delta = between(&case, &held, Compare::Stamps);
    fs::remove_file(case.root.join("b")).unwrap();
    let written = case.apply(&delta);
    assert_eq!(written.left_out[0].why, WhySkipped::Vanished);
    assert_eq!(written.retracted, [PathBuf::from("b")]);
    assert_eq!(written.manifest.get(Path::new("b")).unwrap().content, None);
    case.box_is(&case.truth());
    let next = between(&case, &written.manifest, Compare::Stamps);
    assert_eq!(next.removal_count(), 0);
    case.put("b", "back");
    let next = between(&case, &written.manifest, Compare::Stamps);
    assert_eq!(writes(&next), [("b".to_owned(), Change::Added)]);
}

#[test]
fn a_file_that_cannot_be_caught_again_is_told_and_not_sent() {
    let (case, held) = synced(&["a", "b"]);
    case.put("b", "changed");
    let delta = between(&case, &held, Compare::Stamps);
    fs::remove_file(case.root.join("b")).unwrap();
    let written = case.apply(&delta).manifest;
    // The scan still sees a file, the reader does not: root may read everything, so a swap stands for a lack of rights.
    case.put("b", "back");
    let scan = case.scan(Some(&written));
    fs::remove_file(case.root.join("b")).unwrap();
    symlink("a", case.root.join("b")).unwrap();
    let delta = Delta::between(&written, &scan, Compare::Stamps).unwrap();
    let left: Vec<_> = delta.left_out().iter().map(|it| (it.path.as_path(), it.why)).collect();
    assert_eq!(left, [(Path::new("b"), WhySkipped::Changing)]);
    assert!(delta.is_empty());
    let kept = delta.refreshed().unwrap();
    let delta = between(&case, &kept, Compare::Stamps);
    assert_eq!(writes(&delta), [("b".to_owned(), Change::Added)]);
    case.apply(&delta);
    case.box_is(&case.truth());
}

#[test]
fn the_biggest_directories_point_at_the_cause() {
    let case = Case::new();
    for (path, bytes) in
        [("a/b/c/big", 10_000), ("a/small", 10), ("d/x", 3_000), ("d/e/y", 3_000), ("z", 9)]
    {
        case.put(path, &"x".repeat(bytes));
    }
    let delta = Delta::between(&Manifest::default(), &case.scan(None), Compare::Stamps).unwrap();
    let biggest = delta.biggest_directories(2);
    assert_eq!(biggest, [(PathBuf::from("a/b/c"), 10_000), (PathBuf::from("d"), 6_000)]);
}

#[test]
fn a_delta_is_the_same_bytes_each_time() {
    let (case, held) = synced(&["a"]);
    case.put("d/b", "2");
    symlink("x".repeat(300), case.root.join("link")).unwrap();
    case.put(&"n".repeat(200), "3");
    let layout = Layout { prefix: b"w/".to_vec(), ..Layout::default() };
    let stream = || {
        let mut bytes = Vec::new();
        write_delta(&between(&case, &held, Compare::Stamps), &layout, &mut bytes).unwrap();
        bytes
    };
    let first = stream();
    assert!(first == stream());
    assert!(first.len() < 10_000);
}

#[test]
fn a_stored_manifest_is_private_and_replaced_whole() {
    let (case, held) = synced(&["a"]);
    let file = case.manifest_file();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    held.save(&file).unwrap();
    let beside = fs::read_dir(case.directory.path()).unwrap();
    assert_eq!(beside.count(), 4, "tree, box, home, manifest");
    assert_eq!(Manifest::load(&file).unwrap().digest(), held.digest());
    assert!(held.save(&case.root.join("nowhere/manifest")).is_err());
    assert!(
        Manifest::load(&case.root).is_none() && Manifest::load(&case.root.join("no")).is_none()
    );
}
