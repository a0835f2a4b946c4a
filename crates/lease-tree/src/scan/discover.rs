//! The directories that hold no listed file and may come to: each is known, so that a file that appears in it is seen.
//!
//! Of what git ignores only the name is kept: nothing in it can become part of the list without a change of the rules or
//! of the index.

use std::collections::{BTreeMap, HashSet};
use std::os::fd::AsFd as _;

use super::Eye;
use super::look::{Name, names, open_directory};
use crate::error::Result;
use crate::list::Git;
use crate::manifest::{DirectoryDraft, DirectoryState, Repository};
use crate::order::{as_path, join};
use crate::stat::Stat;

/// Each round asks git once, about one more level of directories; deeper ones make the list one that is not kept.
const ROUNDS_MAX: usize = 64;

/// A directory that no list names.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) path: Vec<u8>,
    pub(super) state: DirectoryState,
    pub(super) stat: Stat,
    pub(super) repository: u32,
}

impl Found {
    pub(super) fn draft(&self) -> DirectoryDraft<'_> {
        let Self { path, state, stat, repository } = self;
        DirectoryDraft { path, state: *state, stat: *stat, repository: *repository }
    }
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Discovery {
    pub(super) directories: Vec<Found>,
    /// Directories with a `.gitignore`.
    pub(super) with_rules: Vec<(Vec<u8>, u32)>,
    /// Something was met of which it cannot be told how it will change the list.
    pub(super) in_doubt: bool,
}

/// A directory that is to be told, and the repository it is in.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) path: Vec<u8>,
    pub(super) repository: u32,
    pub(super) certainly: Certainly,
}

/// What is known beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Certainly {
    /// Something listed or tracked is in it.
    NotIgnored,
    Unknown,
}

/// Tells of each candidate, and of what is in it, whether it is ignored.
///
/// `certainly` says what is known of a directory that is found on the way; the candidates themselves carry it.
pub(super) async fn discover(
    eye: &Eye<'_>,
    repositories: &[Repository],
    mut candidates: Vec<Candidate>,
    certainly: impl Fn(&[u8], u32) -> Certainly,
) -> Result<Discovery> {
    let mut found = Discovery::default();
    for _ in 0..ROUNDS_MAX {
        if candidates.is_empty() {
            return Ok(found);
        }
        let mut next = Vec::new();
        for (candidate, ignored) in told(eye, repositories, candidates).await? {
            let Candidate { path, repository, .. } = candidate;
            if ignored {
                let state = DirectoryState::Ignored;
                found.directories.push(Found { path, state, stat: Stat::default(), repository });
                continue;
            }
            let Some((stat, inside)) = read(eye, &path) else {
                found.in_doubt = true;
                continue;
            };
            for Name { name, is_directory } in inside {
                match name.as_slice() {
                    b".git" => found.in_doubt = true,
                    b".gitignore" => found.with_rules.push((path.clone(), repository)),
                    _ if is_directory => {
                        let path = join(&path, &name);
                        let certainly = certainly(&path, repository);
                        next.push(Candidate { path, repository, certainly });
                    }
                    _ => {}
                }
            }
            let state = DirectoryState::Open;
            found.directories.push(Found { path, state, stat, repository });
        }
        candidates = next;
    }
    found.in_doubt |= !candidates.is_empty();
    Ok(found)
}

/// Asks git once for each repository.
async fn told(
    eye: &Eye<'_>,
    repositories: &[Repository],
    candidates: Vec<Candidate>,
) -> Result<Vec<(Candidate, bool)>> {
    let mut by_repository: BTreeMap<u32, Vec<Candidate>> = BTreeMap::new();
    for candidate in candidates {
        by_repository.entry(candidate.repository).or_default().push(candidate);
    }
    let mut all = Vec::new();
    for (number, candidates) in by_repository {
        let prefix = repositories.get(number as usize).map(|it| it.prefix.as_slice());
        let prefix = prefix.unwrap_or_default();
        let below = |path| relative(path, prefix);
        let asked: Vec<&[u8]> = candidates
            .iter()
            .filter(|it| it.certainly == Certainly::Unknown)
            .map(|it| below(&it.path))
            .collect();
        let directory = eye.tree.root.join(as_path(prefix));
        let ignored = if asked.is_empty() {
            HashSet::new()
        } else {
            Git::of(eye.tree, &directory).ignored(&asked).await?
        };
        all.extend(candidates.into_iter().map(|it| {
            let is_ignored =
                it.certainly == Certainly::Unknown && ignored.contains(relative(&it.path, prefix));
            (it, is_ignored)
        }));
    }
    Ok(all)
}

/// The path as the repository at `prefix` calls it.
pub(super) fn relative<'a>(path: &'a [u8], prefix: &[u8]) -> &'a [u8] {
    match path.strip_prefix(prefix) {
        Some([b'/', rest @ ..]) => rest,
        Some(rest) if prefix.is_empty() => rest,
        _ => path,
    }
}

fn read(eye: &Eye<'_>, path: &[u8]) -> Option<(Stat, Vec<Name>)> {
    let fd = open_directory(eye.root.as_fd(), path).ok()?;
    let stat = Stat::from(&rustix::fs::fstat(&fd).ok()?);
    let wanted =
        |name: &[u8], is_directory| is_directory || name == b".gitignore" || name == b".git";
    Some((stat, names(fd, wanted).ok()?))
}
