//! Which paths belong to a tree: git's list, or a walk where there is no git, less what a person leaves out.

pub(crate) mod git;
pub(crate) mod matcher;
mod paths;
pub(crate) mod rules;
mod walk;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub(crate) use self::git::Git;
use self::git::Listing;
use self::matcher::{Matcher, Pathname};
pub(crate) use self::paths::Paths;
use crate::error::{Result, TreeError};
use crate::manifest::{Repository, Stamp};
use crate::order::{as_path, join};
use crate::tree::{Source, Tree};

/// Repositories inside repositories, deeper than anybody nests them.
const REPOSITORY_DEPTH_MAX: usize = 16;

/// The list of a tree, before anybody looked at what is on the disk.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) source: Source,
    /// Paths of what should be files and links, in no order; some may be twice.
    pub(crate) files: Paths,
    /// Submodules that are not checked out, and repositories that are nested too deeply.
    pub(crate) empty: Vec<Vec<u8>>,
    /// What the walk could not read.
    pub(crate) unreadable: Vec<PathBuf>,
    /// The repositories that listed it, outer before inner.
    pub(crate) repositories: Vec<Listing>,
    pub(crate) prefixes: Vec<Repository>,
    /// What the list depends on, beside the directories; `None` when it cannot be told.
    pub(crate) stamps: Option<Vec<Stamp>>,
}

/// Lists a tree.
pub(crate) async fn list(tree: &Tree, matcher: &Matcher) -> Result<Listed> {
    let mut listed = Listed {
        source: Source::Git,
        files: Paths::default(),
        empty: Vec::new(),
        unreadable: Vec::new(),
        repositories: Vec::new(),
        prefixes: Vec::new(),
        stamps: Some(Vec::new()),
    };
    if let Err(why) = Git::of(tree, &tree.root).lists().await? {
        listed.source = Source::Walk { why };
        listed.stamps = None;
        walk::walk(&tree.root, matcher, &mut listed)?;
        return Ok(listed);
    }
    let mut open = vec![(Vec::new(), 0_usize)];
    while let Some((prefix, depth)) = open.pop() {
        let directory = tree.root.join(as_path(&prefix));
        let git = Git::of(tree, &directory);
        let number = u32::try_from(listed.repositories.len()).unwrap_or(u32::MAX);
        let (listing, stamps) = tokio::join!(git.all(), rules::stamps(tree, &directory, number));
        let listing = listing?;
        for path in listing.files.iter() {
            let path = join(&prefix, path);
            if !matcher.leaves_out(as_path(&path), Pathname::OfFile) {
                listed.files.push(&[&path]);
            }
        }
        for inner in &listing.inner {
            let path = join(&prefix, inner);
            match on_disk(tree, &path, matcher) {
                OnDisk::Repository if depth < REPOSITORY_DEPTH_MAX => {
                    confirm(tree, &path).await?;
                    open.push((path, depth + 1));
                }
                OnDisk::Repository | OnDisk::Directory => listed.empty.push(path),
                OnDisk::File => {
                    listed.files.push(&[&path]);
                }
                OnDisk::Nothing => {}
            }
        }
        listed.prefixes.push(Repository { prefix, tracked: listing.tracked });
        listed.repositories.push(listing);
        match (&mut listed.stamps, stamps) {
            (Some(all), Some(stamps)) => all.extend(stamps),
            _ => listed.stamps = None,
        }
    }
    Ok(listed)
}

/// An inner repository that git does not list would be left out silently.
async fn confirm(tree: &Tree, path: &[u8]) -> Result<()> {
    let lists = Git::of(tree, &tree.root.join(as_path(path))).lists().await?;
    lists.map_err(|why| TreeError::Git { detail: format!("{}: {why}", as_path(path).display()) })
}

enum OnDisk {
    Repository,
    Directory,
    File,
    Nothing,
}

/// What stands where git tracks or found another repository.
fn on_disk(tree: &Tree, path: &[u8], matcher: &Matcher) -> OnDisk {
    let full = tree.root.join(as_path(path));
    let leaves_out = |what| matcher.leaves_out(as_path(path), what);
    match fs::symlink_metadata(&full) {
        Ok(meta) if meta.is_dir() && leaves_out(Pathname::OfDirectory) => OnDisk::Nothing,
        Ok(meta) if meta.is_dir() && full.join(".git").exists() => OnDisk::Repository,
        Ok(meta) if meta.is_dir() => OnDisk::Directory,
        Ok(_) if leaves_out(Pathname::OfFile) => OnDisk::Nothing,
        // What cannot be looked at is listed, so that it is reported.
        Ok(_) => OnDisk::File,
        Err(error) if is_absent(&error) => OnDisk::Nothing,
        Err(_) => OnDisk::File,
    }
}

/// Opens the root, or says why there is no tree.
pub(crate) fn open_root(root: &Path) -> Result<fs::File> {
    let wrong = || TreeError::storage("reading", root);
    let opened = fs::File::open(root).map_err(wrong())?;
    let meta = opened.metadata().map_err(wrong())?;
    if meta.is_dir() { Ok(opened) } else { Err(wrong()(io::ErrorKind::NotADirectory.into())) }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
