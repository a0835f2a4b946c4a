//! Sync: the box's directory becomes the tree, whatever is in the tree and whatever lies on the box.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use lease_ssh::{
    Compare, Drift, Extent, Order, Session, Source, SshError, SyncReport, WhySkipped, sync,
};

use crate::fixture::{Box, LEASE, mode_of, names, scan, tool, tree_at};

/// A box, a connection to it, and a tree.
pub(crate) struct Case {
    pub(crate) it: Box,
    pub(crate) session: Session,
    pub(crate) tree: PathBuf,
}

impl Case {
    pub(crate) async fn new() -> Self {
        Self::on(Box::new().await).await
    }

    pub(crate) async fn on(it: Box) -> Self {
        let session = it.connect().await;
        let tree = it.at("tree");
        fs::create_dir(&tree).unwrap();
        git(&tree, &["init", "-q"]).await;
        Self { it, session, tree }
    }

    /// Has the next run take the box for one that is not near, and its look at the tree for a short one.
    pub(crate) fn far(&self) {
        for name in ["near", "look"] {
            drop(fs::remove_file(self.it.at("keys").join(LEASE).join(name)));
        }
    }

    pub(crate) fn put(&self, path: &str, content: &str) {
        let path = self.tree.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn remove(&self, path: &str) {
        let path = self.tree.join(path);
        if path.is_dir() && !path.is_symlink() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
    }

    pub(crate) async fn try_sync(&self) -> Result<SyncReport, SshError> {
        self.sync_with(Drift::Overwrite).await
    }

    pub(crate) async fn sync_with(&self, drift: Drift) -> Result<SyncReport, SshError> {
        let tree = tree_at(&self.tree);
        let mut mirror = self.it.client.mirror(LEASE, &self.it.root, &tree).unwrap();
        let scan = scan(&tree, mirror.manifest()).await?;
        let order = Order {
            mirror: &mut mirror,
            scan: &scan,
            drift,
            compare: Compare::Stamps,
            extent: Extent::Difference,
            progress: None,
            seeding: None,
        };
        sync(&self.session, &self.it.root, order).await
    }

    pub(crate) async fn sync(&self) -> SyncReport {
        self.try_sync().await.unwrap()
    }

    pub(crate) fn on_box(&self, path: &str) -> PathBuf {
        self.it.work().join(path)
    }

    #[track_caller]
    pub(crate) fn has(&self, path: &str, content: &str) {
        assert_eq!(fs::read_to_string(self.on_box(path)).unwrap(), content, "{path}");
    }

    #[track_caller]
    pub(crate) fn lacks(&self, path: &str) {
        assert!(fs::symlink_metadata(self.on_box(path)).is_err(), "{path} is still there");
    }
}

pub(crate) async fn git(tree: &Path, args: &[&str]) {
    let tree = tree.display().to_string();
    let config = [
        "-C",
        &tree,
        "-c",
        "user.name=x",
        "-c",
        "user.email=x@example.org",
        "-c",
        "protocol.file.allow=always",
    ];
    tool("git", &config.into_iter().chain(args.iter().copied()).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn a_tree_arrives_with_modes_times_and_links() {
    let case = Case::new().await;
    case.put("a.txt", "tracked");
    git(&case.tree, &["add", "."]).await;
    case.put("dir/new.sh", "untracked");
    case.put("ignored.o", "x");
    case.put(".gitignore", "*.o\n");
    case.put("empty", "");
    fs::set_permissions(case.tree.join("dir/new.sh"), fs::Permissions::from_mode(0o4755)).unwrap();
    fs::set_permissions(case.tree.join("a.txt"), fs::Permissions::from_mode(0o640)).unwrap();
    let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    fs::File::options()
        .write(true)
        .open(case.tree.join("a.txt"))
        .unwrap()
        .set_modified(old)
        .unwrap();
    let target = "x".repeat(300);
    symlink(&target, case.tree.join("long")).unwrap();
    symlink(".//dir/../dir", case.tree.join("odd")).unwrap();
    symlink("loop", case.tree.join("loop")).unwrap();
    let report = case.sync().await;
    assert_eq!(
        (report.source, report.sent_files, report.removed, report.repaired),
        (Source::Git, 7, 0, false)
    );
    assert_eq!(report.skipped, []);
    case.has("a.txt", "tracked");
    case.has("dir/new.sh", "untracked");
    case.has("empty", "");
    case.lacks("ignored.o");
    case.lacks(".git");
    assert_eq!(
        (mode_of(&case.on_box("dir/new.sh")), mode_of(&case.on_box("a.txt"))),
        (0o755, 0o640)
    );
    assert_eq!(fs::metadata(case.on_box("dir/new.sh")).unwrap().mode() & 0o4000, 0);
    assert_eq!(fs::metadata(case.on_box("a.txt")).unwrap().mtime(), 1_000_000_000);
    assert_eq!(fs::read_link(case.on_box("long")).unwrap(), Path::new(&target));
    assert_eq!(fs::read_link(case.on_box("odd")).unwrap().as_os_str(), ".//dir/../dir");
    assert!(case.on_box("loop").is_symlink());
    case.it.end().await;
}

#[tokio::test]
async fn deletions_are_limited_to_what_a_sync_put_there_i14() {
    let case = Case::new().await;
    for path in ["keep", "gone", "dir/gone", "deep/a/b/gone", "mixed/gone"] {
        case.put(path, path);
    }
    case.sync().await;
    fs::create_dir_all(case.on_box("target")).unwrap();
    fs::write(case.on_box("target/output"), "built").unwrap();
    fs::write(case.on_box("mixed/output"), "built").unwrap();
    for path in ["gone", "dir", "deep", "mixed"] {
        case.remove(path);
    }
    let report = case.sync().await;
    assert_eq!((report.removed, report.sent_files), (4, 0));
    for path in ["gone", "dir", "deep", "mixed/gone"] {
        case.lacks(path);
    }
    case.has("keep", "keep");
    case.has("target/output", "built");
    case.has("mixed/output", "built");
    case.it.end().await;
}

#[tokio::test]
async fn nothing_is_written_or_removed_through_a_link() {
    let case = Case::new().await;
    let outside = case.it.at("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "outside").unwrap();
    let unharmed = || {
        assert_eq!(fs::read_to_string(outside.join("file")).unwrap(), "outside");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    };

    // A file becomes a link to outside, and a file again.
    case.put("a", "one");
    case.put("d/file", "inside");
    case.sync().await;
    case.remove("a");
    symlink(outside.join("file"), case.tree.join("a")).unwrap();
    case.sync().await;
    unharmed();
    case.remove("a");
    case.put("a", "two");
    case.sync().await;
    unharmed();
    case.has("a", "two");

    // A directory becomes a link to outside, and a directory again.
    case.remove("d");
    symlink(&outside, case.tree.join("d")).unwrap();
    case.sync().await;
    unharmed();
    assert!(case.on_box("d").is_symlink());
    case.remove("d");
    case.put("d/file", "inside");
    case.sync().await;
    unharmed();
    case.has("d/file", "inside");

    // The box itself swaps our directory for a link: an update, and then a deletion below it.
    for remove in [false, true] {
        fs::remove_dir_all(case.on_box("d")).unwrap();
        symlink(&outside, case.on_box("d")).unwrap();
        if remove {
            case.remove("d");
        }
        case.sync().await;
        unharmed();
        assert!(!case.on_box("d").is_symlink());
    }
    case.it.end().await;
}

#[tokio::test]
async fn a_file_and_a_directory_may_change_places() {
    let case = Case::new().await;
    case.put("x", "file");
    case.put("y/z", "inner");
    case.sync().await;
    case.remove("x");
    case.remove("y");
    case.put("x/z", "inner");
    case.put("y", "file");
    case.sync().await;
    case.has("x/z", "inner");
    case.has("y", "file");
    case.it.end().await;
}

#[tokio::test]
async fn what_the_box_made_is_not_overwritten_by_a_change_of_kind() {
    let case = Case::new().await;
    case.put("other", "o");
    case.sync().await;
    fs::create_dir(case.on_box("out")).unwrap();
    fs::write(case.on_box("out/result"), "built").unwrap();
    symlink("/nonexistent", case.on_box("link")).unwrap();
    case.put("out", "a file now");
    case.put("link/below", "x");
    let blocked = case.try_sync().await.unwrap_err();
    let SshError::Blocked { mut paths } = blocked else { panic!("{blocked:?}") };
    paths.sort();
    assert_eq!(paths, [PathBuf::from("link"), PathBuf::from("out")]);
    case.has("out/result", "built");
    fs::remove_dir_all(case.on_box("out")).unwrap();
    fs::remove_file(case.on_box("link")).unwrap();
    assert!(case.sync().await.repaired);
    case.has("out", "a file now");
    case.it.end().await;
}

#[tokio::test]
async fn odd_names_arrive() {
    let case = Case::new().await;
    let long = "n".repeat(250);
    let names: [&[u8]; 9] =
        [b"a\nb", b"-rf", b"--", b"\xff\xfe", b" x ", b"'\"`$(id)", b"a\\b", b"*", long.as_bytes()];
    let name = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    for bytes in names {
        fs::create_dir_all(case.tree.join(name(bytes))).unwrap();
        fs::write(case.tree.join(name(bytes)).join(name(bytes)), bytes).unwrap();
    }
    case.sync().await;
    for bytes in names {
        assert_eq!(fs::read(case.it.work().join(name(bytes)).join(name(bytes))).unwrap(), bytes);
        fs::remove_dir_all(case.tree.join(name(bytes))).unwrap();
    }
    case.put("last", "");
    assert_eq!(case.sync().await.removed, 9);
    assert_eq!(fs::read_dir(case.it.work()).unwrap().count(), 1);
    case.it.end().await;
}

#[tokio::test]
async fn special_files_are_listed_and_not_sent() {
    let case = Case::new().await;
    case.put("plain", "x");
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, case.tree.join("pipe"), fifo, rustix::fs::Mode::RUSR, 0)
        .unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(case.tree.join("socket")).unwrap();
    // git does not list them, a walk does.
    fs::remove_dir_all(case.tree.join(".git")).unwrap();
    let report = case.sync().await;
    let skipped: Vec<_> =
        report.skipped.iter().map(|it| (it.path.to_str().unwrap(), it.why)).collect();
    assert_eq!(skipped.len(), 2, "{skipped:?}");
    assert!(
        skipped.contains(&("pipe", WhySkipped::Special))
            && skipped.contains(&("socket", WhySkipped::Special))
    );
    assert_eq!(report.sent_files, 1);
    case.it.end().await;
}

#[tokio::test]
async fn without_git_the_walk_says_so() {
    let case = Case::new().await;
    fs::remove_dir_all(case.tree.join(".git")).unwrap();
    case.put(".gitignore", "*.o\n");
    case.put("sub/.gitignore", "local\n");
    for path in ["a.o", "sub/local", "a.c", "sub/.hidden", "not/for/lease", ".git/x"] {
        case.put(path, "x");
    }
    fs::remove_dir_all(case.tree.join(".git")).unwrap();
    case.put(".leaseignore", "not\n");
    let listed = scan(&tree_at(&case.tree), None).await.unwrap();
    assert_eq!(listed.source(), Source::Walk { why: "it is not a git tree" });
    assert_eq!(
        names(&listed),
        [".gitignore", ".leaseignore", "a.c", "sub/.gitignore", "sub/.hidden"]
    );
    case.it.end().await;
}

#[tokio::test]
async fn leaseignore_holds_for_git_trees() {
    let case = Case::new().await;
    case.put(".leaseignore", "# data\n/data/\n*.bin\n!keep.bin\n");
    for path in ["data/x", "sub/data/x", "a.bin", "keep.bin", "a.c"] {
        case.put(path, "12345");
    }
    git(&case.tree, &["add", "."]).await;
    let listed = scan(&tree_at(&case.tree), None).await.unwrap();
    assert_eq!(names(&listed), [".leaseignore", "a.c", "keep.bin", "sub/data/x"]);
    assert_eq!(listed.manifest().bytes(), 15 + 30);
    let mut narrowed = tree_at(&case.tree);
    narrowed.ignore = vec!["*.c".to_owned()];
    let listed = scan(&narrowed, None).await.unwrap();
    assert_eq!(
        names(&listed),
        [".leaseignore", "keep.bin", "sub/data/x"],
        "the caller's patterns hold too"
    );
    case.put(".leaseignore", "[z-a]\n");
    assert!(scan(&tree_at(&case.tree), None).await.unwrap_err().to_string().contains("line 1"));
    case.it.end().await;
}

#[tokio::test]
async fn submodules_and_inner_repositories_are_listed() {
    let case = Case::new().await;
    let other = case.it.at("other");
    fs::create_dir(&other).unwrap();
    git(&other, &["init", "-q"]).await;
    fs::write(other.join("inner"), "submodule").unwrap();
    git(&other, &["add", "."]).await;
    git(&other, &["commit", "-qm", "x"]).await;
    let url = other.display().to_string();
    git(&case.tree, &["submodule", "--quiet", "add", &url, "sub"]).await;
    git(&case.tree, &["submodule", "--quiet", "add", &url, "empty"]).await;
    git(&case.tree, &["submodule", "--quiet", "deinit", "-f", "empty"]).await;
    case.put("nested/.gitignore", "no\n");
    case.put("nested/no", "x");
    case.put("nested/yes", "x");
    git(&case.tree.join("nested"), &["init", "-q"]).await;
    let report = case.sync().await;
    case.has("sub/inner", "submodule");
    case.has("nested/yes", "x");
    case.lacks("nested/no");
    case.lacks("sub/.git");
    let skipped: Vec<_> =
        report.skipped.iter().map(|it| (it.path.to_str().unwrap(), it.why)).collect();
    assert_eq!(skipped, [("empty", WhySkipped::EmptySubmodule)]);
    case.it.end().await;
}
