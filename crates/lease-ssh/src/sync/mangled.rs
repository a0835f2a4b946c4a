//! What the scripts of a sync do on a box with lists that no client of ours sends, and with streams that break off.
//!
//! Each case is a real shell below a directory of its own, so there are few of them; what a client sends in earnest is
//! tested with real syncs. The lists of `clear.sh` are hostile because it alone removes what it is told by name from a
//! tree that commands may have filled with links.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use lease_process::{Input, Limits, Output, Program, output};
use proptest::prelude::*;
use proptest::sample::select;

use super::script;
use super::stream::packed;

const NONCE: &str = "abcdefgh01234567";
const LISTS: [&str; 6] = ["union", "new", "delete", "owned", "emptied", "directories"];
/// Members of a tar archive begin at multiples of this; two empty ones end it.
const BLOCK_BYTES: usize = 512;

/// Names with which something could be reached that is not below the tree, or be taken for an option or a command.
const NAMES: &[&str] = &[
    "a",
    "d/e",
    "d",
    "out",
    "out/keep",
    "d/up/file",
    "../outside/keep",
    "d/../../outside/keep",
    "OUTSIDE/keep",
    "./a",
    "/",
    "//",
    "..",
    ".",
    "",
    "-rf",
    "--",
    "*",
    "$(touch ../outside/made)",
    "`touch ../outside/made`",
    "a'b\"c\\",
    "new\nline",
    "d/e/f",
    "../.lease",
];

/// A box whose tree has links that lead out, and something beside it that no script may touch.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let it = Self(tempfile::tempdir().unwrap());
        for name in ["outside/dir", "root/work/d", "root/.lease/sync"] {
            fs::create_dir_all(it.at(name)).unwrap();
        }
        for name in
            ["outside/keep", "outside/file", "outside/dir/file", "root/work/a", "root/work/d/e"]
        {
            fs::write(it.at(name), name).unwrap();
        }
        symlink("../../outside", it.at("root/work/out")).unwrap();
        symlink("../../../outside/dir", it.at("root/work/d/up")).unwrap();
        it
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Everything below, as text, sorted.
    fn all(&self, below: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut todo = vec![self.at(below)];
        while let Some(path) = todo.pop() {
            let meta = fs::symlink_metadata(&path).unwrap();
            let content = if meta.is_dir() {
                todo.extend(fs::read_dir(&path).unwrap().map(|it| it.unwrap().path()));
                Vec::new()
            } else if meta.is_symlink() {
                fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
            } else {
                fs::read(&path).unwrap()
            };
            found.push(format!("{} {}", path.display(), content.escape_ascii()));
        }
        found.sort();
        found
    }

    fn run(&self, script: Vec<u8>, args: &[&str], stdin: Vec<u8>) -> Output {
        let script = String::from_utf8(script).unwrap();
        let root = self.at("root");
        let program = Program::new("sh").args(["-c", &script, "lease", root.to_str().unwrap()]);
        let program = program.args(args).cwd(self.0.path()).stdin(Input::Bytes(stdin));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(output(&program, Limits::default())).unwrap()
    }

    fn list(&self, names: &[&str]) -> Vec<u8> {
        let outside = self.at("outside").display().to_string();
        let paths = names.iter().map(|it| it.replace("OUTSIDE", &outside));
        paths.flat_map(|it| [it.into_bytes(), vec![0]].concat()).collect()
    }
}

/// How much of a stream arrives, in thousandths.
fn arriving() -> impl Strategy<Value = usize> {
    prop_oneof![3 => Just(1000_usize), 2 => 0_usize..1000]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(40) })]
    #[test]
    fn i14_clearing_removes_nothing_outside_of_the_tree_whatever_it_is_told(
        lists in prop::collection::vec(prop::collection::vec(select(NAMES), 0..6), LISTS.len()),
        arriving in arriving(),
    ) {
        let place = Place::new();
        let (outside, tree) = (place.all("outside"), place.all("root/work"));
        let mut members: Vec<_> =
            LISTS.iter().zip(&lists).map(|(name, names)| (*name, place.list(names))).collect();
        members.push(("complete", Vec::new()));
        let mut sent = packed(&members).unwrap();
        let whole = sent.len();
        sent.truncate(whole * arriving / 1000);
        let is_cut = sent.len() <= whole - 3 * BLOCK_BYTES;
        let left = place.run(script::clear(), &[NONCE, "-", "-", ""], sent);
        prop_assert_eq!(place.all("outside"), outside, "{:?}", left);
        prop_assert!(only_ours(&place.at("root")), "{:?}", left);
        if is_cut {
            prop_assert!(!left.status.success(), "lists that broke off were believed");
            prop_assert_eq!(place.all("root/work"), tree);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(16) })]
    #[test]
    fn i14_a_stream_that_breaks_off_is_never_sealed(
        retracted in prop::collection::vec(select(&["a", "d/e", "d/up/file", "out/keep", "out"][..]), 0..4),
        arriving in arriving(),
    ) {
        let place = Place::new();
        let outside = place.all("outside");
        let records = place.at(&format!("root/.lease/sync/in.{NONCE}"));
        fs::create_dir(records).unwrap();
        fs::write(place.at("root/.lease/sync/generation"), format!("dirty {NONCE}\n")).unwrap();
        let ours = |name: &str| format!(".lease/sync/in.{NONCE}/{name}");
        let names = ["manifest", "paths", "directories", "wrote", "retract", "sealed"].map(ours);
        let mut members = vec![("work/new", b"new".to_vec())];
        for name in &names {
            let is_list = name.ends_with("retract");
            members.push((name, if is_list { place.list(&retracted) } else { Vec::new() }));
        }
        let mut sent = b"'' '' 'next' '' '' ''\n".to_vec();
        sent.extend(packed(&members).unwrap());
        let whole = sent.len();
        sent.truncate(whole * arriving / 1000);
        let is_cut = sent.len() <= whole - 3 * BLOCK_BYTES;
        let left = place.run(script::unpack(), &[NONCE], sent);
        let sealed = fs::read(place.at("root/.lease/sync/generation")).unwrap().starts_with(b"next ");
        prop_assert_eq!(place.all("outside"), outside, "{:?}", left);
        prop_assert_eq!(sealed, left.status.success(), "{:?}", left);
        prop_assert!(!(is_cut && sealed), "a stream that broke off was sealed: {:?}", left);
        prop_assert!(arriving < 1000 || sealed, "a whole stream was not sealed: {:?}", left);
    }
}

/// Whether the lease's directory holds the tree and our records, and nothing else.
fn only_ours(root: &Path) -> bool {
    let names = fs::read_dir(root).unwrap().map(|it| it.unwrap().file_name());
    names.into_iter().all(|it| it == "work" || it == ".lease")
}
