//! A tree with a git of its own, a directory that stands for the box, and a second opinion on what belongs to the tree.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Read as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lease_core::time::Timestamp;
use lease_process::{Limits, Program, output};
use lease_tree::{Compare, Delta, Layout, Manifest, Scan, Tree, Written, scan, write_delta};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// More than the margin of a scan, so that what was written before is believed.
const SETTLED_MS: u64 = 25;

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    File { mode: u32, content: Vec<u8> },
    Link(Vec<u8>),
}

/// Files and links by path, relative to a tree.
pub(crate) type Nodes = BTreeMap<Vec<u8>, Node>;

pub(crate) struct Case {
    pub(crate) directory: TempDir,
    pub(crate) root: PathBuf,
    pub(crate) tree: Tree,
    runtime: Runtime,
}

impl Case {
    /// An empty repository.
    pub(crate) fn new() -> Self {
        let case = Self::without_git();
        case.git(&case.root, &["init", "-q"]);
        case
    }

    pub(crate) fn without_git() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("tree");
        for name in ["tree", "box", "home"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        let home = directory.path().join("home").into_os_string();
        let variable = |name: &str, value: OsString| (OsString::from(name), value);
        let environment = vec![
            variable("PATH", "/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin".into()),
            variable("HOME", home),
            variable("GIT_CONFIG_NOSYSTEM", "1".into()),
            variable("GIT_AUTHOR_NAME", "x".into()),
            variable("GIT_AUTHOR_EMAIL", "x@example.org".into()),
            variable("GIT_COMMITTER_NAME", "x".into()),
            variable("GIT_COMMITTER_EMAIL", "x@example.org".into()),
        ];
        let tree = Tree { root: root.clone(), environment, ignore: Vec::new() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { directory, root, tree, runtime }
    }

    pub(crate) fn box_root(&self) -> PathBuf {
        self.directory.path().join("box")
    }

    pub(crate) fn manifest_file(&self) -> PathBuf {
        self.directory.path().join("manifest")
    }

    pub(crate) fn path(&self, path: &[u8]) -> PathBuf {
        self.root.join(OsStr::from_bytes(path))
    }

    pub(crate) fn put(&self, path: &str, content: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Runs git and says whether it succeeded, with what it printed.
    pub(crate) fn try_git<S: AsRef<OsStr>>(&self, at: &Path, args: &[S]) -> (bool, Vec<u8>) {
        let program = Program::new("git")
            .inherit_env(self.tree.environment.iter().cloned())
            .arg("-C")
            .arg(at)
            .args(["-c", "protocol.file.allow=always"])
            .args(args.iter().map(AsRef::as_ref));
        let answer = self.runtime.block_on(output(&program, Limits::default())).unwrap();
        (answer.status.success(), answer.stdout)
    }

    #[track_caller]
    pub(crate) fn git(&self, at: &Path, args: &[&str]) {
        assert!(self.try_git(at, args).0, "git {args:?}");
    }

    pub(crate) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Waits until stamps of before are older than the next scan.
    pub(crate) fn settle(&self) {
        let from = now_ms();
        let later = || now_ms() > from + SETTLED_MS;
        let waited =
            lease_process::wait::until(Duration::from_secs(10), Duration::from_millis(1), later);
        assert!(self.runtime.block_on(waited));
    }

    pub(crate) fn try_scan(&self, previous: Option<&Manifest>) -> lease_tree::Result<Scan> {
        self.scan_at(previous, now_ms())
    }

    /// A scan that believes to have begun at that moment.
    pub(crate) fn scan_at(
        &self,
        previous: Option<&Manifest>,
        now_ms: u64,
    ) -> lease_tree::Result<Scan> {
        self.runtime.block_on(scan(&self.tree, previous, Timestamp::from_millis(now_ms)))
    }

    #[track_caller]
    pub(crate) fn scan(&self, previous: Option<&Manifest>) -> Scan {
        self.try_scan(previous).unwrap()
    }

    /// One sync with what is stored, through the manifest's file, into the directory that stands for the box.
    pub(crate) fn sync(&self) -> (Scan, Delta, Written) {
        let held = Manifest::load(&self.manifest_file());
        let scan = self.scan(held.as_ref());
        let delta = Delta::between(&held.unwrap_or_default(), &scan, Compare::Stamps).unwrap();
        let written = self.apply(&delta);
        written.manifest.save(&self.manifest_file()).unwrap();
        (scan, delta, written)
    }

    /// Does to the box what a delta asks for.
    pub(crate) fn apply(&self, delta: &Delta) -> Written {
        let root = self.box_root();
        for path in delta.removals() {
            fs::remove_file(root.join(path)).unwrap();
        }
        for path in delta.emptied_directories() {
            fs::remove_dir(root.join(path)).unwrap();
        }
        for path in delta.new_directories() {
            fs::create_dir(root.join(path)).unwrap();
        }
        let layout =
            Layout { prefix: b"work/".to_vec(), retract: None, complete: Some(b"end".to_vec()) };
        let mut stream = Vec::new();
        let written = write_delta(delta, &layout, &mut stream).unwrap();
        let mut complete = false;
        for member in tar::Archive::new(stream.as_slice()).entries().unwrap() {
            let mut member = member.unwrap();
            assert!(!complete, "something follows the last member");
            let name = member.path_bytes().into_owned();
            let Some(path) = name.strip_prefix(b"work/") else {
                assert_eq!(name, b"end");
                complete = true;
                continue;
            };
            let path = root.join(OsStr::from_bytes(path));
            if fs::symlink_metadata(&path).is_ok() {
                fs::remove_file(&path).unwrap();
            }
            if let Some(target) = member.link_name_bytes() {
                symlink(OsStr::from_bytes(&target), &path).unwrap();
            } else {
                let mut content = Vec::new();
                member.read_to_end(&mut content).unwrap();
                fs::write(&path, content).unwrap();
                let mode = member.header().mode().unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            }
        }
        assert!(complete);
        for path in &written.retracted {
            if fs::symlink_metadata(root.join(path)).is_ok() {
                fs::remove_file(root.join(path)).unwrap();
            }
        }
        written
    }

    /// What git says belongs to the tree, read from the disk, without a word of the crate under test.
    pub(crate) fn truth(&self) -> Nodes {
        let mut nodes = Nodes::new();
        let mut repositories = vec![Vec::new()];
        while let Some(prefix) = repositories.pop() {
            let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
            let (_, listed) = self.try_git(&self.path(&prefix), &list);
            for name in listed.split(|it| *it == 0).filter(|it| !it.is_empty()) {
                let mut path = prefix.clone();
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend_from_slice(name.strip_suffix(b"/").unwrap_or(name));
                if self.is_behind_link(&path) {
                    continue;
                }
                let full = self.path(&path);
                if full.is_dir() && !full.is_symlink() {
                    if full.join(".git").exists() && name.ends_with(b"/") {
                        repositories.push(path);
                    }
                } else if let Some(node) = node(&full) {
                    nodes.insert(path, node);
                }
            }
        }
        nodes
    }

    fn is_behind_link(&self, path: &[u8]) -> bool {
        let slashes = path.iter().enumerate().filter(|(_, it)| **it == b'/');
        slashes.into_iter().any(|(at, _)| self.path(&path[..at]).is_symlink())
    }

    /// The box is the tree: the same files and links, and no directory without one.
    #[track_caller]
    pub(crate) fn box_is(&self, truth: &Nodes) {
        let mut found = Nodes::new();
        let mut directories = BTreeSet::new();
        let root = self.box_root();
        let mut open = vec![root.clone()];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let full = entry.unwrap().path();
                let path = full.strip_prefix(&root).unwrap().as_os_str().as_bytes().to_vec();
                if full.is_dir() && !full.is_symlink() {
                    directories.insert(path);
                    open.push(full);
                } else {
                    found.insert(path, node(&full).unwrap());
                }
            }
        }
        if found != *truth {
            let name = |it: &Vec<u8>| String::from_utf8_lossy(it).into_owned();
            let wrong: Vec<_> = truth
                .keys()
                .chain(found.keys())
                .filter(|it| truth.get(*it) != found.get(*it))
                .map(|it| (name(it), truth.get(it), found.get(it)))
                .collect();
            panic!("the box is not the tree (path, tree, box): {wrong:?}");
        }
        let mut needed = BTreeSet::new();
        for path in truth.keys() {
            for (at, _) in path.iter().enumerate().filter(|(_, it)| **it == b'/') {
                needed.insert(path[..at].to_vec());
            }
        }
        assert_eq!(directories, needed, "directories of the box");
    }
}

/// What stands at a path; `None` for nothing, and for what is no file and no link.
pub(crate) fn node(path: &Path) -> Option<Node> {
    let meta = fs::symlink_metadata(path).ok()?;
    if meta.is_symlink() {
        return Some(Node::Link(fs::read_link(path).unwrap().into_os_string().into_vec()));
    }
    let mode = meta.permissions().mode() & 0o777;
    meta.is_file().then(|| Node::File { mode, content: fs::read(path).unwrap() })
}

pub(crate) fn now_ms() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    u64::try_from(now.tv_sec).unwrap() * 1000 + u64::try_from(now.tv_nsec).unwrap() / 1_000_000
}
