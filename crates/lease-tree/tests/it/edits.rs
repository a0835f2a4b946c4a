//! Random edits of a real tree: after each sync the box is the tree, and a scan that relies on what is known says the
//! same as one that knows nothing.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use lease_tree::{Manifest, Scan, Source};
use proptest::prelude::*;

use crate::fixture::Case;

const DIRECTORIES: [&[u8]; 7] = [b"", b"d", b"d/e", b"x", b"-r", b"sub", b"sub/d"];
const NAMES: [&[u8]; 14] = [
    b"a", b"A", b"b", b"n\nl", b"\xff", b"-rf", b"*", b":(top)q", b"t.log", b"d", b"e", b"x",
    b"sub", b"-r",
];
/// Files that are ignored to begin with, so that only the index decides about them.
const IGNORED: [&[u8]; 3] = [b"t.log", b"x/t.log", b"d/e/t.log"];
const PATTERNS: [&str; 8] =
    ["*.log\n", "d/\n", "/x\n", "*\n!a\n!.gitignore\n", "!t.log\n", "e\n", "/d/*\n!/d/e/\n", "\n"];

/// One thing that a person or a program does to a tree.
#[derive(Clone, Debug)]
enum Edit {
    Write(Vec<u8>, u8),
    /// Other content of the same size, with the modification time of before.
    WriteBehind(Vec<u8>),
    Chmod(Vec<u8>, u32),
    Touch(Vec<u8>),
    Link(Vec<u8>, Vec<u8>),
    HardLink(Vec<u8>, Vec<u8>),
    Directory(Vec<u8>),
    Fifo(Vec<u8>),
    Remove(Vec<u8>),
    Rename(Vec<u8>, Vec<u8>),
    /// The directory moves away, and a link to it takes its place.
    Swap(Vec<u8>, Vec<u8>),
    Ignore(Vec<u8>, usize),
    Exclude(usize),
    GlobalIgnore(usize),
    LeaseIgnore(usize),
    Git(&'static [&'static str], Option<Vec<u8>>),
    Repository(Vec<u8>),
    /// Lets the stamps grow old enough to be believed.
    Settle,
}

fn path() -> impl Strategy<Value = Vec<u8>> {
    let parts = (prop::sample::select(&DIRECTORIES[..]), prop::sample::select(&NAMES[..]));
    parts.prop_map(|(directory, name)| {
        if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
    })
}

fn directory() -> impl Strategy<Value = Vec<u8>> {
    prop::sample::select(&DIRECTORIES[..]).prop_map(<[u8]>::to_vec)
}

fn ignored() -> impl Strategy<Value = Vec<u8>> {
    prop::sample::select(&IGNORED[..]).prop_map(<[u8]>::to_vec)
}

fn edit() -> impl Strategy<Value = Edit> {
    let pattern = || 0..PATTERNS.len();
    let git = |args: &'static [&'static str]| Just(Edit::Git(args, None));
    let git_at =
        |args: &'static [&'static str]| path().prop_map(move |it| Edit::Git(args, Some(it)));
    prop_oneof![
        10 => (path(), any::<u8>()).prop_map(|(path, it)| Edit::Write(path, it)),
        6 => path().prop_map(Edit::WriteBehind),
        3 => (path(), prop::sample::select(&[0o600, 0o644, 0o755, 0o400][..])).prop_map(|(path, it)| Edit::Chmod(path, it)),
        2 => path().prop_map(Edit::Touch),
        4 => (path(), path()).prop_map(|(path, target)| Edit::Link(path, target)),
        2 => (path(), path()).prop_map(|(path, to)| Edit::HardLink(path, to)),
        4 => directory().prop_map(Edit::Directory),
        1 => path().prop_map(Edit::Fifo),
        4 => path().prop_map(Edit::Remove),
        5 => (path(), path()).prop_map(|(path, to)| Edit::Rename(path, to)),
        3 => (directory(), path()).prop_map(|(path, to)| Edit::Swap(path, to)),
        4 => (directory(), pattern()).prop_map(|(path, it)| Edit::Ignore(path, it)),
        1 => pattern().prop_map(Edit::Exclude),
        1 => pattern().prop_map(Edit::GlobalIgnore),
        3 => git_at(&["add", "-f", "--"]),
        3 => ignored().prop_map(|it| Edit::Git(&["add", "-f", "--"], Some(it))),
        2 => ignored().prop_map(|it| Edit::Git(&["rm", "--cached", "-q", "-f", "--"], Some(it))),
        2 => git_at(&["rm", "--cached", "-r", "-f", "-q", "--"]),
        2 => git(&["add", "-A"]),
        2 => git(&["status", "--porcelain"]),
        1 => git(&["commit", "-qm", "x"]),
        1 => git(&["checkout-index", "-a", "-f", "-q"]),
        2 => directory().prop_map(Edit::Repository),
        6 => Just(Edit::Settle),
    ]
}

fn with_leaseignore() -> impl Strategy<Value = Edit> {
    prop_oneof![
        9 => edit(),
        1 => (0..PATTERNS.len()).prop_map(Edit::LeaseIgnore),
    ]
}

/// Does an edit; one that cannot be done is none.
fn apply(case: &Case, edit: &Edit) {
    let at = |path: &[u8]| case.path(path);
    let done = match edit {
        Edit::Write(path, it) => write(&at(path), &vec![b'a' + it % 3; usize::from(it % 5)]),
        Edit::WriteBehind(path) => write_behind(&at(path)),
        Edit::Chmod(path, mode) if !at(path).is_symlink() && at(path).is_file() => {
            fs::set_permissions(at(path), fs::Permissions::from_mode(*mode))
        }
        Edit::Chmod(..) => Ok(()),
        // To open a FIFO for writing waits for whoever reads it.
        Edit::Touch(path) if !at(path).is_file() => Ok(()),
        Edit::Touch(path) => fs::File::options()
            .append(true)
            .open(at(path))
            .and_then(|file| file.set_modified(UNIX_EPOCH + Duration::from_secs(1_000_000_000))),
        Edit::Link(path, target) => {
            drop(fs::remove_file(at(path)));
            symlink(OsStr::from_bytes(target), at(path))
        }
        Edit::HardLink(path, to) => fs::hard_link(at(path), at(to)),
        Edit::Directory(path) => fs::create_dir_all(at(path)),
        Edit::Fifo(path) => {
            let (fifo, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
            drop(fs::remove_file(at(path)));
            rustix::fs::mknodat(rustix::fs::CWD, at(path), fifo, mode, 0).map_err(Into::into)
        }
        Edit::Remove(path) => remove(&at(path)),
        Edit::Rename(path, to) => fs::rename(at(path), at(to)),
        Edit::Swap(path, to) if !path.is_empty() => {
            fs::rename(at(path), at(to)).and_then(|()| symlink(at(to), at(path)))
        }
        Edit::Swap(..) => Ok(()),
        Edit::Ignore(path, it) if *it + 1 == PATTERNS.len() => remove(&at(path).join(".gitignore")),
        Edit::Ignore(path, it) => fs::write(at(path).join(".gitignore"), PATTERNS[*it]),
        Edit::Exclude(it) => fs::write(at(b".git/info/exclude"), PATTERNS[*it]),
        Edit::GlobalIgnore(it) => {
            let file = case.directory.path().join("home/.config/git/ignore");
            fs::create_dir_all(file.parent().unwrap()).and_then(|()| fs::write(file, PATTERNS[*it]))
        }
        Edit::LeaseIgnore(it) => fs::write(at(b".leaseignore"), PATTERNS[*it]),
        Edit::Git(args, path) => {
            let path = path.clone().map(OsString::from_vec);
            let args: Vec<OsString> = args.iter().map(OsString::from).chain(path).collect();
            case.try_git(&case.root, &args);
            Ok(())
        }
        Edit::Repository(path) => {
            if at(path).is_dir() && !at(path).is_symlink() {
                case.try_git(&at(path), &["init", "-q"]);
            }
            Ok(())
        }
        Edit::Settle => {
            case.settle();
            Ok(())
        }
    };
    drop(done);
}

fn write(path: &Path, content: &[u8]) -> std::io::Result<()> {
    if path.is_symlink() {
        fs::remove_file(path)?;
    }
    fs::create_dir_all(path.parent().unwrap())?;
    if path.exists() && !path.is_file() {
        return Ok(());
    }
    fs::write(path, content)
}

fn write_behind(path: &Path) -> std::io::Result<()> {
    if path.is_symlink() || !path.is_file() {
        return Ok(());
    }
    let before = fs::metadata(path)?;
    let content: Vec<u8> = fs::read(path)?.iter().map(|it| it ^ 1).collect();
    fs::write(path, content)?;
    fs::File::options().append(true).open(path)?.set_modified(before.modified()?)
}

fn remove(path: &Path) -> std::io::Result<()> {
    if path.is_dir() && !path.is_symlink() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    }
}

/// What two scans of one tree must agree on.
fn said(scan: &Scan) -> Vec<String> {
    let entry = |it: lease_tree::Entry<'_>| {
        let path = it.path.as_os_str().as_bytes().escape_ascii();
        format!("{path} {:?} {:o} {}", it.kind, it.permissions, it.bytes)
    };
    let skipped = scan.skipped().into_iter().map(|it| format!("{it:?}"));
    scan.manifest().entries().map(entry).chain(skipped).collect()
}

/// Syncs after each group of edits and compares with the truth, as far as `agrees` knows it.
fn play(case: &Case, steps: &[Vec<Edit>], agrees: impl Fn(&Case)) {
    for (number, edits) in steps.iter().enumerate() {
        for edit in edits {
            apply(case, edit);
        }
        let held = Manifest::load(&case.manifest_file());
        let (fresh, cached) = (case.scan(None), case.scan(held.as_ref()));
        assert_eq!(said(&cached), said(&fresh), "step {number}: the cached and the fresh scan");
        let (scan, _, written) = case.sync();
        assert_eq!(scan.source(), Source::Git);
        assert_eq!(written.left_out, []);
        agrees(case);
    }
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn steps(edit: impl Strategy<Value = Edit>) -> impl Strategy<Value = Vec<Vec<Edit>>> {
    prop::collection::vec(prop::collection::vec(edit, 1..5), 1..10)
}

/// A tree with a little of everything, so that edits meet something.
fn furnished() -> Case {
    let case = Case::new();
    for path in ["a", "d/a", "d/e/b", "x/t.log", "sub/a", "sub/d/a", "-r/b"] {
        case.put(path, path);
    }
    case.git(&case.root, &["add", "a", "d"]);
    case.put(".gitignore", "*.log\n");
    case.put("t.log", "ignored");
    case.put("d/e/t.log", "ignored");
    case.settle();
    case.sync();
    case
}

proptest! {
    #![proptest_config(config(24))]

    #[test]
    fn after_any_edits_the_box_is_the_tree(steps in steps(edit())) {
        let case = furnished();
        play(&case, &steps, |case| case.box_is(&case.truth()));
    }

    #[test]
    fn after_any_edits_a_kept_list_is_a_fresh_one(steps in steps(with_leaseignore())) {
        let case = furnished();
        play(&case, &steps, |_| {});
    }
}
