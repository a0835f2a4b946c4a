//! Random edits of a real tree, each counted when it was done, and what then differs between a tree and a box.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{RngSeed, TestRunner};

const NAMES: [&[u8]; 12] = [
    b"a",
    b"A",
    b"d",
    b"D",
    b"-n",
    b"x y",
    b"\xff'",
    b"new\nline",
    b"back\\slash",
    b"$(id)",
    b"...",
    b" 0",
];
const MODES: [u32; 7] = [0o644, 0o755, 0o600, 0o444, 0o666, 0o777, 0o4711];
const TARGETS: [&str; 7] =
    ["a", "..", "../../outside", "../../outside/a", "/etc/passwd", "new\nline", "OUTSIDE"];
/// Into the request, too large for it, too large to be caught in memory.
const HOLES: [u64; 8] = [10_000, 20_000, 50_000, 100_000, 150_000, 300_000, 700_000, 9_000_000];

/// One thing that a person or a program does to a tree. An index takes one of what is there.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    New(PathBuf, New),
    File(Index, OfFile),
    Name(Index, OfName),
}

/// What comes to a path, whatever was there.
#[derive(Clone, Debug)]
pub(crate) enum New {
    Write(u16, u8),
    Link(&'static str),
    /// A further name of a file.
    HardLink(Index),
    /// A file that is mostly a hole.
    Sparse(u64),
    EmptyDirectory,
    /// More than one request holds, in a directory of its own.
    Many(u8),
}

/// What is done to a file through one of its names.
#[derive(Clone, Copy, Debug)]
pub(crate) enum OfFile {
    /// Other content of the same size, with the modification time of before.
    Behind,
    /// Other content of the same size, with a modification time of long ago.
    Past,
    /// One byte in place, so that each name of the file has it.
    Poke,
    Shrink,
    Chmod(u32),
}

/// What is done to a name.
#[derive(Clone, Debug)]
pub(crate) enum OfName {
    /// Of a file or link.
    Remove,
    RemoveDirectory,
    Rename(PathBuf),
    /// Upper case for lower case in the name of a file, link or directory.
    Case,
    /// A name and the same in the other case change places.
    CaseSwap,
    /// A file or link becomes a directory with a file in it.
    IntoDirectory,
    IntoFile,
    /// The directory moves away, and a link to it takes its place.
    IntoLink(PathBuf),
}

/// Every kind there is, as a [`Tally`] calls it.
pub(crate) const KINDS: [&str; 19] = [
    "Behind",
    "Case",
    "CaseSwap",
    "Chmod",
    "EmptyDirectory",
    "HardLink",
    "IntoDirectory",
    "IntoFile",
    "IntoLink",
    "Link",
    "Many",
    "Past",
    "Poke",
    "Remove",
    "RemoveDirectory",
    "Rename",
    "Shrink",
    "Sparse",
    "Write",
];

fn path() -> impl Strategy<Value = PathBuf> {
    let name = prop::sample::select(&NAMES[..]);
    prop::collection::vec(name, 1..4)
        .prop_map(|names| names.into_iter().map(OsStr::from_bytes).collect())
}

fn new() -> impl Strategy<Value = New> {
    prop_oneof![
        8 => (0..600_u16, any::<u8>()).prop_map(|(bytes, fill)| New::Write(bytes, fill)),
        4 => prop::sample::select(&TARGETS[..]).prop_map(New::Link),
        4 => any::<Index>().prop_map(New::HardLink),
        2 => prop::sample::select(&HOLES[..]).prop_map(New::Sparse),
        1 => Just(New::EmptyDirectory),
        1 => any::<u8>().prop_map(New::Many),
    ]
}

fn of_file() -> impl Strategy<Value = OfFile> {
    prop_oneof![
        5 => Just(OfFile::Behind),
        3 => Just(OfFile::Past),
        4 => Just(OfFile::Poke),
        2 => Just(OfFile::Shrink),
        3 => prop::sample::select(&MODES[..]).prop_map(OfFile::Chmod),
    ]
}

fn of_name() -> impl Strategy<Value = OfName> {
    prop_oneof![
        3 => Just(OfName::Remove),
        1 => Just(OfName::RemoveDirectory),
        3 => path().prop_map(OfName::Rename),
        3 => Just(OfName::Case),
        2 => Just(OfName::CaseSwap),
        2 => Just(OfName::IntoDirectory),
        2 => Just(OfName::IntoFile),
        2 => path().prop_map(OfName::IntoLink),
    ]
}

/// Any edit.
pub(crate) fn edit() -> impl Strategy<Value = Edit> {
    let index = any::<Index>;
    prop_oneof![
        (path(), new()).prop_map(|(path, it)| Edit::New(path, it)),
        (index(), of_file()).prop_map(|(index, it)| Edit::File(index, it)),
        (index(), of_name()).prop_map(|(index, it)| Edit::Name(index, it)),
    ]
}

/// How often each kind of edit was done.
pub(crate) type Tally = BTreeMap<String, usize>;

/// Does the edits, and counts those that could be done.
pub(crate) fn apply_all(tree: &Path, edits: &[Edit], tally: &mut Tally) {
    for edit in edits {
        let (done, kind) = match edit {
            Edit::New(path, it) => (make(tree, path, it), format!("{it:?}")),
            Edit::File(index, it) => (change(tree, *index, *it), format!("{it:?}")),
            Edit::Name(index, it) => (name(tree, *index, it), format!("{it:?}")),
        };
        if done.unwrap_or_else(|error| panic!("{edit:?}: {error}")) {
            *tally.entry(kind.split('(').next().unwrap().to_owned()).or_default() += 1;
        }
    }
}

/// Whether there was something to be done.
fn make(tree: &Path, path: &Path, what: &New) -> io::Result<bool> {
    let path = &tree.join(path);
    let mut source = None;
    if let New::HardLink(it) = what {
        source = one_of(files(tree), *it).filter(|it| !related(it, path));
        if source.is_none() {
            return Ok(false);
        }
    }
    make_way(path)?;
    match what {
        New::Write(bytes, fill) => {
            let content: Vec<u8> =
                (0..*bytes).map(|it| fill.wrapping_mul(it.to_le_bytes()[0])).collect();
            fs::write(path, content)?;
        }
        New::Link(target) => {
            remove(path)?;
            let outside = tree.with_file_name("outside");
            symlink(if *target == "OUTSIDE" { &outside } else { Path::new(target) }, path)?;
        }
        New::HardLink(_) => {
            remove(path)?;
            fs::hard_link(source.unwrap(), path)?;
        }
        New::Sparse(hole) => {
            let file = fs::File::create(path)?;
            file.write_all_at(b"in the middle", hole / 2)?;
            file.write_all_at(b"at the end", *hole)?;
        }
        New::EmptyDirectory => {
            remove(path)?;
            fs::create_dir(path)?;
        }
        New::Many(byte) => {
            make_way(&tree.join("many/0"))?;
            for number in 0..150_usize {
                let file = tree.join(format!("many/{number}"));
                remove(&file)?;
                fs::write(file, vec![*byte; 1_000 + number % 9])?;
            }
        }
    }
    Ok(true)
}

fn change(tree: &Path, index: Index, how: OfFile) -> io::Result<bool> {
    let Some(path) = one_of(files(tree), index) else { return Ok(false) };
    let meta = fs::metadata(&path)?;
    let file = fs::File::options().read(true).write(true).open(&path)?;
    if meta.len() == 0 {
        return Ok(false);
    }
    let poke = || {
        let mut byte = [0];
        file.read_exact_at(&mut byte, meta.len() - 1)?;
        file.write_all_at(&[byte[0].wrapping_add(1)], meta.len() - 1)
    };
    match how {
        OfFile::Behind => {
            poke()?;
            file.set_modified(meta.modified()?)?;
        }
        OfFile::Past => {
            poke()?;
            file.set_modified(UNIX_EPOCH + Duration::from_secs(1_000_000_000))?;
        }
        OfFile::Poke => poke()?,
        OfFile::Shrink => file.set_len(meta.len() / 2)?,
        OfFile::Chmod(mode) => fs::set_permissions(path, fs::Permissions::from_mode(mode))?,
    }
    Ok(true)
}

fn name(tree: &Path, index: Index, how: &OfName) -> io::Result<bool> {
    let all = match how {
        OfName::Remove | OfName::IntoDirectory => leaves(tree),
        OfName::RemoveDirectory | OfName::IntoFile | OfName::IntoLink(_) => directories(tree),
        OfName::Rename(_) | OfName::Case | OfName::CaseSwap => {
            [leaves(tree), directories(tree)].concat()
        }
    };
    let Some(path) = one_of(all, index) else { return Ok(false) };
    match how {
        OfName::Remove | OfName::RemoveDirectory => remove(&path)?,
        OfName::Rename(to) | OfName::IntoLink(to) if related(&path, &tree.join(to)) => {
            return Ok(false);
        }
        OfName::Rename(to) => move_to(&path, &tree.join(to))?,
        OfName::IntoLink(to) => {
            move_to(&path, &tree.join(to))?;
            symlink(tree.join(to), &path)?;
        }
        OfName::Case | OfName::CaseSwap => {
            let other = path.with_file_name(other_case(path.file_name().unwrap()));
            if other == path {
                return Ok(false);
            }
            let is_swap = matches!(how, OfName::CaseSwap);
            if is_swap && other.symlink_metadata().is_err() {
                fs::write(&other, "the other one")?;
            }
            let aside = tree.with_file_name("aside");
            fs::rename(&path, &aside)?;
            if is_swap {
                fs::rename(&other, &path)?;
            } else {
                remove(&other)?;
            }
            fs::rename(aside, other)?;
        }
        OfName::IntoDirectory => {
            remove(&path)?;
            fs::create_dir(&path)?;
            fs::write(path.join("a"), "it was none")?;
        }
        OfName::IntoFile => {
            remove(&path)?;
            fs::write(&path, "it was a directory")?;
        }
    }
    Ok(true)
}

/// Whether one of them is, or lies in, the other.
fn related(a: &Path, b: &Path) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

fn other_case(name: &OsStr) -> OsString {
    let flip = |it: &u8| {
        if it.is_ascii_lowercase() { it.to_ascii_uppercase() } else { it.to_ascii_lowercase() }
    };
    OsString::from_vec(name.as_bytes().iter().map(flip).collect())
}

fn move_to(path: &Path, to: &Path) -> io::Result<()> {
    make_way(to)?;
    remove(to)?;
    fs::rename(path, to)
}

/// Makes the directories of a file to come, and removes what is in their place and what no file can replace.
fn make_way(path: &Path) -> io::Result<()> {
    for above in path.ancestors().skip(1).collect::<Vec<_>>().into_iter().rev() {
        if above.is_symlink() || above.is_file() {
            fs::remove_file(above)?;
        }
    }
    if path.is_dir() || path.is_symlink() {
        remove(path)?;
    }
    fs::create_dir_all(path.parent().unwrap())
}

fn remove(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(it) if it.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    }
}

fn one_of(mut all: Vec<PathBuf>, index: Index) -> Option<PathBuf> {
    all.sort();
    (!all.is_empty()).then(|| index.get(&all).clone())
}

/// What stands below a directory, without git's own.
fn below(root: &Path) -> Vec<(PathBuf, fs::Metadata)> {
    let (mut found, mut open) = (Vec::new(), vec![root.to_owned()]);
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            if path.ends_with(".git") {
                continue;
            }
            if meta.is_dir() {
                open.push(path.clone());
            }
            found.push((path, meta));
        }
    }
    found
}

fn those(root: &Path, wanted: impl Fn(&fs::Metadata) -> bool) -> Vec<PathBuf> {
    below(root).into_iter().filter(|(_, meta)| wanted(meta)).map(|(path, _)| path).collect()
}

fn files(root: &Path) -> Vec<PathBuf> {
    those(root, fs::Metadata::is_file)
}

/// Files and links.
pub(crate) fn leaves(root: &Path) -> Vec<PathBuf> {
    those(root, |it| !it.is_dir())
}

fn directories(root: &Path) -> Vec<PathBuf> {
    those(root, fs::Metadata::is_dir)
}

/// A path, with a sign for each byte that is none.
fn shown(path: &Path) -> String {
    path.as_os_str().as_bytes().escape_ascii().to_string()
}

#[derive(PartialEq, Eq)]
enum Node {
    File(u32, Vec<u8>),
    Link(PathBuf),
}

impl Node {
    fn at(path: &Path, meta: &fs::Metadata) -> Self {
        if meta.is_symlink() {
            return Self::Link(fs::read_link(path).unwrap());
        }
        Self::File(meta.permissions().mode() & 0o777, fs::read(path).unwrap())
    }

    fn words(it: Option<&Self>) -> String {
        match it {
            None => "nothing".to_owned(),
            Some(Self::Link(to)) => format!("a link to {}", shown(to)),
            Some(Self::File(mode, content)) => {
                let head = content.get(..content.len().min(20)).unwrap();
                let (tail, bytes) = (content.last(), content.len());
                format!("{bytes} bytes of mode {mode:o}, {}..{tail:?}", head.escape_ascii())
            }
        }
    }
}

fn nodes(root: &Path) -> (BTreeMap<PathBuf, Node>, BTreeSet<PathBuf>) {
    let (mut nodes, mut directories) = (BTreeMap::new(), BTreeSet::new());
    for (path, meta) in below(root) {
        let name = path.strip_prefix(root).unwrap().to_owned();
        if meta.is_dir() {
            directories.insert(name);
        } else {
            nodes.insert(name, Node::at(&path, &meta));
        }
    }
    (nodes, directories)
}

/// Where a box is not the tree, byte for byte; and each directory that it has and that no file of the tree needs.
pub(crate) fn differences(tree: &Path, on_box: &Path) -> Vec<String> {
    let (ours, _) = nodes(tree);
    let (theirs, directories) = nodes(on_box);
    let names: BTreeSet<&PathBuf> = ours.keys().chain(theirs.keys()).collect();
    let mut found: Vec<String> = names
        .into_iter()
        .filter(|it| ours.get(*it) != theirs.get(*it))
        .map(|it| {
            let (here, there) = (Node::words(ours.get(it)), Node::words(theirs.get(it)));
            format!("{}: {here} here, {there} there", shown(it))
        })
        .collect();
    let needed: BTreeSet<&Path> = ours.keys().flat_map(|it| it.ancestors().skip(1)).collect();
    let superfluous = directories.iter().filter(|it| !needed.contains(it.as_path()));
    found.extend(superfluous.map(|it| format!("{}: an empty directory there", shown(it))));
    found
}

/// Edits and numbers that look like chance and are the same each time.
pub(crate) struct Chance {
    runner: TestRunner,
    pub(crate) tally: Tally,
}

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        let config = ProptestConfig {
            rng_seed: RngSeed::Fixed(seed),
            failure_persistence: None,
            ..ProptestConfig::default()
        };
        Self { runner: TestRunner::new(config), tally: Tally::new() }
    }

    pub(crate) fn drawn<T: std::fmt::Debug>(&mut self, from: impl Strategy<Value = T>) -> T {
        from.new_tree(&mut self.runner).unwrap().current()
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.drawn(0..end)
    }

    /// Does so many edits.
    pub(crate) fn edit(&mut self, tree: &Path, count: usize) {
        let edits: Vec<Edit> = (0..count).map(|_| self.drawn(edit())).collect();
        apply_all(tree, &edits, &mut self.tally);
    }
}
