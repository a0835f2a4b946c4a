//! Which files belong to a tree: git's list, or a walk where there is no git.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ignore::WalkBuilder;
use lease_process::{Limits, Output, ProcessError, Program, output};

use super::matcher::Matcher;
use super::path_of;
use super::paths::is_inside;
use crate::error::{Result, SshError, shortened};

/// A list of a million files with long names.
const LIST_BYTES_MAX: usize = 256 * 1024 * 1024;
const LIST_TIME_MAX: Duration = Duration::from_secs(120);
/// Repositories inside repositories, deeper than anybody nests them.
const REPOSITORY_DEPTH_MAX: usize = 16;

/// A local directory whose files are wanted on a box.
#[derive(Clone, Debug)]
pub struct Tree {
    /// The directory. It is only read.
    pub root: PathBuf,
    /// The environment that git gets: `PATH` finds it, `HOME` holds its configuration.
    pub environment: Vec<(OsString, OsString)>,
    /// What is left out beside what `.leaseignore` says, in the same syntax.
    pub ignore: Vec<String>,
}

/// Where the list of files came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// git: what it tracks, and what it neither tracks nor ignores.
    Git,
    /// A walk through the directory that honours `.gitignore` files.
    Walk {
        /// Why git was not asked.
        why: &'static str,
    },
}

/// What would be sent.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the list came from.
    pub source: Source,
    /// Files and symbolic links, sorted by path.
    pub entries: Vec<Entry>,
    /// What the list has and the box will not get.
    pub skipped: Vec<Skipped>,
}

impl Plan {
    /// The sum of the files' sizes, in bytes.
    pub fn bytes(&self) -> u64 {
        self.entries.iter().map(|entry| entry.bytes).sum()
    }
}

/// One file or symbolic link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its path, relative to the tree.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
    /// Its size in bytes; 0 for a symbolic link.
    pub bytes: u64,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A symbolic link, sent as such and never followed.
    Link,
}

/// Something that is not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its path, relative to the tree.
    pub path: PathBuf,
    /// Why not.
    pub why: WhySkipped,
}

/// Why something is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhySkipped {
    /// A socket, FIFO or device.
    Special,
    /// It cannot be read.
    Unreadable,
    /// It kept changing while it was read.
    Changing,
    /// It was there when the tree was listed and is not any more.
    Vanished,
    /// A submodule that is not checked out.
    EmptySubmodule,
}

/// Lists what [`sync`](super::sync) would send. `.git` itself is never sent.
///
/// # Errors
/// When the tree is no readable directory, git fails on it, or `.leaseignore` cannot be read.
///
/// # Cancel safety
/// It changes nothing.
pub async fn plan(tree: &Tree) -> Result<Plan> {
    let meta = fs::metadata(&tree.root).map_err(SshError::storage("reading", &tree.root))?;
    if !meta.is_dir() {
        return Err(SshError::storage("reading", &tree.root)(io::ErrorKind::NotADirectory.into()));
    }
    let matcher = Matcher::of(&tree.root, &tree.ignore)?;
    let mut collected = Collected::default();
    let source = match git_paths(tree, &tree.root).await? {
        Ok(paths) => {
            collect_git(tree, paths, &matcher, &mut collected).await?;
            Source::Git
        }
        Err(why) => {
            walk(&tree.root, &matcher, &mut collected)?;
            Source::Walk { why }
        }
    };
    collected.entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(Plan { source, entries: collected.entries, skipped: collected.skipped })
}

#[derive(Default)]
struct Collected {
    entries: Vec<Entry>,
    skipped: Vec<Skipped>,
}

impl Collected {
    fn skip(&mut self, path: PathBuf, why: WhySkipped) {
        self.skipped.push(Skipped { path, why });
    }

    fn add(&mut self, path: PathBuf, meta: &fs::Metadata) {
        let kind = meta.file_type();
        if kind.is_file() {
            self.entries.push(Entry { path, kind: Kind::File, bytes: meta.size() });
        } else if kind.is_symlink() {
            self.entries.push(Entry { path, kind: Kind::Link, bytes: 0 });
        } else if kind.is_socket()
            || kind.is_fifo()
            || kind.is_block_device()
            || kind.is_char_device()
        {
            self.skip(path, WhySkipped::Special);
        }
    }
}

/// Looks at each path of git's list; a directory among them is another repository, which is listed in turn.
async fn collect_git(
    tree: &Tree,
    paths: BTreeSet<PathBuf>,
    matcher: &Matcher,
    into: &mut Collected,
) -> Result<()> {
    let mut lists = vec![(PathBuf::new(), paths, 0_usize)];
    while let Some((prefix, paths, depth)) = lists.pop() {
        for relative in paths {
            let path = prefix.join(relative);
            let full = tree.root.join(&path);
            let meta = match fs::symlink_metadata(&full) {
                Ok(meta) => meta,
                // Tracked and deleted: it is simply not part of the tree any more.
                Err(error) if is_absent(&error) => continue,
                Err(_) => {
                    into.skip(path, WhySkipped::Unreadable);
                    continue;
                }
            };
            if matcher.leaves_out(&path, meta.is_dir()) {
                continue;
            }
            if !meta.is_dir() {
                into.add(path, &meta);
            } else if depth < REPOSITORY_DEPTH_MAX && full.join(".git").exists() {
                let inner = git_paths(tree, &full).await?;
                let inner = inner.map_err(|why| SshError::Git {
                    detail: format!("{}: {why}", path.display()),
                })?;
                lists.push((path, inner, depth + 1));
            } else {
                into.skip(path, WhySkipped::EmptySubmodule);
            }
        }
    }
    Ok(())
}

/// git's list of a directory: tracked, and untracked but not ignored. The inner error says why there is none.
async fn git_paths(
    tree: &Tree,
    directory: &Path,
) -> Result<Result<BTreeSet<PathBuf>, &'static str>> {
    let git = |args: &[&str]| {
        Program::new("git")
            .inherit_env(tree.environment.iter().cloned())
            // Listing must not write the index, and its messages are matched below.
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("LC_ALL", "C")
            .arg("-C")
            .arg(directory)
            .args(args.iter().map(OsString::from))
    };
    let inside = match bounded(&git(&["rev-parse", "--is-inside-work-tree"])).await {
        Ok(it) => it,
        Err(ProcessError::NotFound { .. }) => return Ok(Err("git is not installed")),
        Err(error) => return Err(error.into()),
    };
    if !inside.status.success() {
        let said = String::from_utf8_lossy(&inside.stderr);
        if said.contains("not a git repository") {
            return Ok(Err("it is not a git tree"));
        }
        return Err(SshError::Git { detail: shortened(&inside.stderr) });
    }
    if inside.stdout.trim_ascii() != b"true" {
        return Ok(Err("it is inside of a `.git` directory or a bare repository"));
    }
    let listed =
        bounded(&git(&["ls-files", "-z", "--cached", "--others", "--exclude-standard"])).await?;
    if !listed.status.success() {
        return Err(SshError::Git { detail: shortened(&listed.stderr) });
    }
    let mut paths = BTreeSet::new();
    for name in listed.stdout.split(|it| *it == 0).filter(|it| !it.is_empty()) {
        // A repository inside that is not a submodule is listed with a slash at its end.
        let name = name.strip_suffix(b"/").unwrap_or(name);
        if !is_inside(name) {
            return Err(SshError::Git {
                detail: "it listed a path outside of the tree".to_owned(),
            });
        }
        paths.insert(path_of(name.to_vec()));
    }
    Ok(Ok(paths))
}

async fn bounded(program: &Program) -> Result<Output, ProcessError> {
    let limits =
        Limits { deadline: LIST_TIME_MAX, stdout_bytes_max: LIST_BYTES_MAX, ..Limits::default() };
    output(program, limits).await
}

fn walk(root: &Path, matcher: &Matcher, into: &mut Collected) -> Result<()> {
    let walk = WalkBuilder::new(root)
        .hidden(false)
        .ignore(false)
        .parents(false)
        .git_global(false)
        .git_exclude(false)
        .git_ignore(true)
        .require_git(false)
        .follow_links(false)
        .filter_entry(|entry| entry.file_name() != ".git")
        .build();
    for found in walk {
        let entry = match found {
            Ok(entry) => entry,
            Err(error) => {
                into.skip(path_of_walk_error(root, &error)?, WhySkipped::Unreadable);
                continue;
            }
        };
        let Ok(path) = entry.path().strip_prefix(root) else { continue };
        if path.as_os_str().is_empty() {
            continue;
        }
        match fs::symlink_metadata(entry.path()) {
            Ok(meta) if meta.is_dir() || matcher.leaves_out(path, false) => {}
            Ok(meta) => into.add(path.to_owned(), &meta),
            Err(error) if is_absent(&error) => {}
            Err(_) => into.skip(path.to_owned(), WhySkipped::Unreadable),
        }
    }
    Ok(())
}

/// Below which path the walk failed. A failure of the root itself is the caller's.
fn path_of_walk_error(root: &Path, error: &ignore::Error) -> Result<PathBuf> {
    let mut inner = error;
    while let ignore::Error::WithPath { err, .. } | ignore::Error::WithDepth { err, .. } = inner {
        if let ignore::Error::WithPath { path, .. } = inner
            && let Ok(relative) = path.strip_prefix(root)
            && !relative.as_os_str().is_empty()
        {
            return Ok(relative.to_owned());
        }
        inner = err;
    }
    let why = error.io_error().map_or(io::ErrorKind::Other, io::Error::kind);
    Err(SshError::storage("listing", root)(why.into()))
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
