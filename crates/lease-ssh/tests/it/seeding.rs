//! A first sync in which the box fetches from the tree's origin: what is there in the end is what a stream would have brought.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use lease_process::{Input, Limits, Program, Stream, output};
use lease_ssh::{Order, Seeding, SshError, SyncReport, sync};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::fixture::{LEASE, scan, tool, tree_at};
use crate::hooked::{hook, hooked_with};
use crate::syncing::{Case, git};
use crate::warm::shown;

/// What an origin does with those who call.
#[derive(Clone, Debug)]
pub(crate) enum Manner {
    /// It serves the repositories of a directory.
    Serves(PathBuf),
    /// It says nothing until they hang up.
    IsSilent,
    /// It wants to know who they are.
    AsksWho,
}

/// An origin on a port of this machine.
pub(crate) struct Origin {
    pub(crate) port: u16,
    pub(crate) calls: Arc<AtomicUsize>,
    /// How many of them have ended.
    pub(crate) ended: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl Origin {
    pub(crate) async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (calls, ended) = (Arc::default(), Arc::default());
        let counts: (Arc<AtomicUsize>, Arc<AtomicUsize>) = (Arc::clone(&calls), Arc::clone(&ended));
        let serving = tokio::spawn(async move {
            loop {
                let (caller, _) = listener.accept().await.unwrap();
                counts.0.fetch_add(1, Ordering::Relaxed);
                let (manner, ended) = (manner.clone(), Arc::clone(&counts.1));
                tokio::spawn(async move {
                    manner.answer(caller).await;
                    ended.fetch_add(1, Ordering::Relaxed);
                });
            }
        });
        Self { port, calls, ended, serving }
    }

    pub(crate) fn url(&self, scheme: &str) -> String {
        format!("{scheme}://127.0.0.1:{}/repo.git", self.port)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Manner {
    async fn answer(&self, mut caller: TcpStream) {
        let mut heard = [0; 4096];
        match self {
            Self::Serves(directory) => {
                let caller = caller.into_std().unwrap();
                caller.set_nonblocking(false).unwrap();
                let caller = Arc::new(File::from(OwnedFd::from(caller)));
                let program = Program::new("git")
                    .args(["daemon", "--inetd", "--export-all"])
                    .arg(format!("--base-path={}", directory.display()))
                    .arg(directory)
                    .env("PATH", "/usr/local/bin:/usr/bin:/bin")
                    .env("GIT_CONFIG_NOSYSTEM", "1")
                    .stdin(Input::File(Arc::clone(&caller)))
                    .stdout(Stream::File(caller));
                output(&program, Limits::default()).await.unwrap();
            }
            Self::IsSilent => while caller.read(&mut heard).await.is_ok_and(|it| it > 0) {},
            Self::AsksWho => {
                let read = caller.read(&mut heard).await.unwrap();
                assert!(heard[..read].starts_with(b"GET /repo.git/info/refs"));
                let answer =
                    b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\n\
                    Content-Length: 0\r\nConnection: close\r\n\r\n";
                caller.write_all(answer).await.unwrap();
            }
        }
    }
}

impl Case {
    /// A box that logs how many requests it gets, and a tree of a few pushed files.
    pub(crate) async fn published() -> Self {
        let case = Self::on(hooked_with("LogLevel DEBUG1").await).await;
        for index in 0..20 {
            case.put(&format!("d{}/e/f{index}", index % 3), &format!("{index} ").repeat(500));
        }
        git(&case.tree, &["add", "."]).await;
        git(&case.tree, &["commit", "-q", "-m", "x"]).await;
        case
    }

    /// The tree's commit as a repository that can be served.
    pub(crate) async fn push(&self) -> PathBuf {
        let directory = self.it.at("origin");
        let repository = directory.join("repo.git").display().to_string();
        let tree = self.tree.display().to_string();
        tool("git", &["clone", "-q", "--bare", &tree, &repository]).await;
        self.track("HEAD").await;
        directory
    }

    /// Makes this the state of a branch of the origin when it was last asked.
    pub(crate) async fn track(&self, commit: &str) {
        git(&self.tree, &["update-ref", "refs/remotes/origin/main", commit]).await;
    }

    pub(crate) async fn origin_is(&self, url: &str) {
        git(&self.tree, &["config", "remote.origin.url", url]).await;
    }

    pub(crate) async fn try_seed(
        &self,
        wanted: impl FnOnce(&mut Seeding<'_>),
    ) -> Result<SyncReport, SshError> {
        let tree = tree_at(&self.tree);
        let mut mirror = self.it.client.mirror(LEASE, &self.it.root, &tree).unwrap();
        let scan = scan(&tree, mirror.manifest()).await?;
        let mut seeding = Seeding { schemes: &["git", "http"], ..Seeding::new(&tree, 1) };
        wanted(&mut seeding);
        let order = Order { seeding: Some(seeding), ..Order::new(&mut mirror, &scan) };
        sync(&self.session, &self.it.root, order).await
    }

    pub(crate) async fn seed(&self) -> SyncReport {
        self.try_seed(|_| {}).await.unwrap()
    }

    /// What a later client and a later look at the box go by.
    fn remembered(&self) -> BTreeMap<&'static str, Vec<u8>> {
        let read = |name: &str| fs::read(self.it.at("box/.lease/sync").join(name)).unwrap();
        ["manifest", "paths", "directories"].into_iter().map(|it| (it, read(it))).collect()
    }

    /// The modes of directories, and the times of files.
    fn outside_of_content(&self) -> BTreeMap<PathBuf, (u32, i64)> {
        let mut seen = BTreeMap::new();
        let mut open = vec![self.it.work()];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(&directory).unwrap() {
                let path = entry.unwrap().path();
                let meta = fs::symlink_metadata(&path).unwrap();
                let name = path.strip_prefix(self.it.work()).unwrap().to_owned();
                let time = if meta.is_dir() { 0 } else { meta.mtime() };
                seen.insert(name, (meta.permissions().mode(), time));
                if meta.is_dir() {
                    open.push(path);
                }
            }
        }
        seen
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn set_time(path: &Path, seconds: u64) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
}

/// A tree with everything that git might bring to a box otherwise than it is here.
async fn fill_oddly(case: &Case) {
    let put = |name: &[u8], content: &[u8]| {
        fs::write(case.tree.join(std::ffi::OsStr::from_bytes(name)), content).unwrap();
    };
    case.put(
        ".gitattributes",
        "*.crlf text eol=crlf\n*.lf text eol=lf\n*.id ident\n*.big filter=up\n\
         *.wide working-tree-encoding=UTF-16LE-BOM\n*.sub export-subst\n*.out export-ignore\n",
    );
    case.put("a.crlf", "one\r\ntwo\r\n");
    case.put("lone.crlf", "x");
    case.put("a.lf", "one\ntwo\n");
    case.put("a.id", "$Id$\n");
    case.put("a.sub", "$Format:%H$\n");
    case.put("a.out", "kept\n");
    case.put("a.big", "as it is here\n");
    put(b"a.wide", b"\xff\xfeh\0i\0\n\0");
    put(b"-rf", b"a name like an option");
    put(b"new\nline", b"a name of two lines");
    put(b"\xff\xfe", b"a name in no encoding");
    put(b"a b'\"$(x)", b"a name for a shell");
    case.put("program", "#!/bin/sh\n");
    set_mode(&case.tree.join("program"), 0o755);
    for name in ["changed", "removed", "becomes-a-link", "becomes-a-directory", "becomes-a-program"]
    {
        case.put(name, "as committed");
    }
    case.put("gone/deep/x", "as committed");
    case.put("ignored-later", "as committed");
    symlink("a.lf", case.tree.join("link")).unwrap();
    case.put("inner/x", "of a submodule");
    git(&case.tree.join("inner"), &["init", "-q"]).await;
    git(&case.tree.join("inner"), &["add", "."]).await;
    git(&case.tree.join("inner"), &["commit", "-q", "-m", "x"]).await;
    git(&case.tree, &["-c", "filter.up.clean=tr a-z A-Z", "add", "."]).await;
    git(&case.tree, &["commit", "-q", "-m", "y"]).await;
}

fn change(case: &Case) {
    case.put("changed", "since");
    case.put("untracked", "new");
    case.put(".leaseignore", "/ignored-later\n");
    case.remove("removed");
    case.remove("gone");
    change_links(case);
    set_mode(&case.tree.join("becomes-a-program"), 0o755);
    set_mode(&case.tree.join("d0/e/f0"), 0o600);
    // More moments than lists are made for.
    for index in 1..20_u64 {
        set_time(&case.tree.join(format!("d{}/e/f{index}", index % 3)), 1_000_000_000 + index / 4);
    }
    for index in 0..80_u64 {
        set_time(&case.tree.join(format!("times/f{index}")), 1_100_000_000 + index);
    }
}

#[tokio::test]
async fn what_a_box_fetched_is_what_a_stream_would_have_brought() {
    let (mut seen, mut remembered, mut outside) = (Vec::new(), Vec::new(), Vec::new());
    let case = Case::published().await;
    fill_oddly(&case).await;
    for index in 0..80 {
        case.put(&format!("times/f{index}"), &index.to_string());
    }
    git(&case.tree, &["add", "times"]).await;
    git(&case.tree, &["commit", "-q", "-m", "z"]).await;
    let origin = Origin::start(Manner::Serves(case.push().await)).await;
    case.origin_is(&origin.url("git")).await;
    // A commit that nobody else has.
    case.put("local", "not pushed");
    git(&case.tree, &["add", "local"]).await;
    git(&case.tree, &["commit", "-q", "-m", "local"]).await;
    change(&case);
    for is_seeded in [true, false] {
        let report = if is_seeded { case.seed().await } else { case.sync().await };
        seen.push((report.seeded_files > 60, report.sent_files + report.seeded_files));
        let mut tree = shown(&case.tree);
        tree.remove(Path::new("ignored-later")).unwrap();
        assert_eq!(shown(&case.it.work()), tree);
        remembered.push(case.remembered());
        outside.push(case.outside_of_content());
        let left: Vec<_> = fs::read_dir(case.it.at("box/.lease/sync")).unwrap().collect();
        let names = left.into_iter().map(|it| it.unwrap().file_name());
        let names: Vec<_> = names.filter(|it| it.as_bytes().starts_with(b"in.")).collect();
        assert!(names.is_empty(), "{names:?}");
        let again = case.sync().await;
        assert_eq!((again.sent_files, again.removed, again.drifted.len()), (0, 0, 0));
        // The same box anew.
        case.vanished().await;
        fs::remove_dir_all(case.it.at("keys").join(LEASE).join("mirror")).unwrap_or_default();
    }
    assert_eq!(origin.calls.load(Ordering::Relaxed), 1);
    assert_eq!((seen[0].0, seen[1].0), (true, false));
    assert_eq!(seen[0].1, seen[1].1);
    assert!(remembered[0] == remembered[1], "{remembered:#?}");
    assert_eq!(outside[0], outside[1]);
    case.it.end().await;
}

#[tokio::test]
async fn a_seeded_sync_is_three_requests_and_a_box_with_files_of_its_own_fetches_nothing() {
    let case = Case::published().await;
    let origin = Origin::start(Manner::Serves(case.push().await)).await;
    case.origin_is(&origin.url("git")).await;
    let before = case.channels();
    let report = case.seed().await;
    assert_eq!(case.channels() - before, 3);
    assert_eq!((report.seeded_files, report.sent_files, report.sent_bytes), (20, 0, 0));
    case.is_there();
    case.put("more", "x");
    let report = case.seed().await;
    assert_eq!((report.seeded_files, report.sent_files), (0, 1));
    let other = Case::published().await;
    other.push().await;
    other.origin_is(&origin.url("git")).await;
    fs::create_dir_all(other.on_box("own")).unwrap();
    let report = other.seed().await;
    assert_eq!((report.seeded_files, report.sent_files), (0, 20));
    other.is_there();
    assert_eq!(origin.calls.load(Ordering::Relaxed), 1);
    case.it.end().await;
    other.it.end().await;
}

#[tokio::test]
async fn every_shell_has_git_fetch() {
    for shell in ["dash", "bash", "busybox sh"] {
        let case = Case::published().await;
        let change =
            format!("SSH_ORIGINAL_COMMAND=\"exec {shell} ${{SSH_ORIGINAL_COMMAND#exec /bin/sh}}\"");
        hook(&case.it, "/bin/sh", &change);
        if shell.starts_with("busybox") {
            for name in ["env", "find", "mkdir", "mv", "rm", "tar", "timeout", "touch", "xargs"] {
                symlink("/usr/bin/busybox", case.it.at("bin").join(name)).unwrap();
            }
        }
        fill_oddly(&case).await;
        let origin = Origin::start(Manner::Serves(case.push().await)).await;
        case.origin_is(&origin.url("git")).await;
        change_links(&case);
        let report = case.seed().await;
        assert!(report.seeded_files > 30 && report.sent_files < 15, "{shell}: {report:?}");
        case.is_there();
        let again = case.sync().await;
        assert_eq!((again.sent_files, again.drifted.len()), (0, 0), "{shell}");
        case.it.end().await;
    }
}

/// Replaces what was a file when it was committed.
fn change_links(case: &Case) {
    case.remove("becomes-a-link");
    symlink("nowhere", case.tree.join("becomes-a-link")).unwrap();
    case.remove("becomes-a-directory");
    case.put("becomes-a-directory/x", "x");
}
