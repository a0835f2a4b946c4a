//! A list made anew: everything that git or the walk names, looked at, with the contents that the old stamps vouch for.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::Eye;
use super::discover::{Candidate, Certainly, Discovery, discover, relative};
use super::look::{DirectorySeen, Name, PathSeen, Seen, Want};
use crate::error::{Result, TreeError};
use crate::list::matcher::Matcher;
use crate::list::{Listed, list, rules};
use crate::manifest::{
    Content, DirectoryDraft, DirectoryState, EntryDraft, LookHow, Manifest, Records, Rules, Slot,
    Stamp, prefer_directories,
};
use crate::order::{self, as_path, join};
use crate::stat::{Began, Stat};
use crate::tree::{Skipped, Source, WhySkipped};

pub(super) async fn everything(
    eye: &Eye<'_>,
    previous: Option<&Manifest>,
) -> Result<(Records, Source, Vec<Skipped>)> {
    let matcher = Matcher::of(&eye.tree.root, &eye.tree.ignore)?;
    let listed = list(eye.tree, &matcher).await?;
    let draft = Arc::new(draft(&listed)?);
    let is_git = listed.source == Source::Git;
    let want = if is_git { Want::Everything } else { Want::Paths };
    let view = View::of(&draft, eye.look(&draft, want).await?);
    let mut discovery = Discovery::default();
    if is_git {
        let certainly = |path: &[u8], repository| certainly(&listed, path, repository);
        let candidates = view.candidates(&certainly);
        discovery = discover(eye, &listed.prefixes, candidates, &certainly).await?;
    }
    let rules = rules_of(eye, &listed, &view, &discovery);
    let records = view.assemble(eye.began, rules, &discovery, previous.map(|it| &*it.0));
    let unreadable = |path: &PathBuf| Skipped { path: path.clone(), why: WhySkipped::Unreadable };
    let unlisted = listed.unreadable.iter().map(unreadable).collect();
    Ok((records.ok_or_else(too_large)?, listed.source, unlisted))
}

fn too_large() -> TreeError {
    TreeError::invalid("the tree", "its paths are longer than 4 GiB together")
}

/// The listed paths and their directories as records without stamps.
fn draft(listed: &Listed) -> Result<Records> {
    let file = |path| (order::split(path).0, path, Slot::File);
    let empty = |path| (order::split(path).0, path, Slot::EmptySubmodule);
    let mut paths: Vec<(&[u8], &[u8], Slot)> = listed.files.iter().map(file).collect();
    paths.extend(listed.empty.iter().map(|it| empty(it)));
    // Most of it is in order already, which this sort makes use of.
    paths.sort_by(|a, b| order::compare(a.0, b.0).then_with(|| a.1.cmp(b.1)));
    paths.dedup_by(|a, b| a.1 == b.1);
    let mut directories: HashMap<&[u8], DirectoryState> = HashMap::new();
    directories.insert(b"", DirectoryState::Open);
    for same in paths.chunk_by(|a, b| a.0 == b.0) {
        with_above(same[0].0, &mut directories);
    }
    for repository in &listed.prefixes {
        with_above(&repository.prefix, &mut directories);
    }
    for empty in &listed.empty {
        directories.insert(empty, DirectoryState::Foreign);
    }
    let mut directories: Vec<_> = directories.into_iter().collect();
    directories.sort_unstable_by(|a, b| order::compare(a.0, b.0));
    let stat = Stat::default();
    let directories: Vec<_> = directories
        .into_iter()
        .map(|(path, state)| DirectoryDraft { path, state, stat, repository: owner(listed, path) })
        .collect();
    let entries: Vec<_> = paths
        .into_iter()
        .map(|(_, path, slot)| EntryDraft { path, slot, stat, content: None })
        .collect();
    Records::assemble(Began::default(), None, &directories, &entries).ok_or_else(too_large)
}

fn with_above<'a>(mut directory: &'a [u8], all: &mut HashMap<&'a [u8], DirectoryState>) {
    while all.insert(directory, DirectoryState::Open).is_none() {
        directory = order::split(directory).0;
    }
}

/// The innermost repository that holds the directory.
fn owner(listed: &Listed, directory: &[u8]) -> u32 {
    let holds = listed.prefixes.iter().enumerate();
    let holds = holds.filter(|(_, it)| order::is_below(directory, &it.prefix));
    let innermost = holds.max_by_key(|(_, it)| it.prefix.len());
    innermost.and_then(|(at, _)| u32::try_from(at).ok()).unwrap_or(0)
}

fn certainly(listed: &Listed, path: &[u8], repository: u32) -> Certainly {
    let at = repository as usize;
    let (Some(listing), Some(own)) = (listed.repositories.get(at), listed.prefixes.get(at)) else {
        return Certainly::Unknown;
    };
    if listing.tracks_below(relative(path, &own.prefix)) {
        Certainly::NotIgnored
    } else {
        Certainly::Unknown
    }
}

/// Under which conditions the list may be kept; `None` when that cannot be told.
fn rules_of(
    eye: &Eye<'_>,
    listed: &Listed,
    view: &View<'_>,
    discovery: &Discovery,
) -> Option<Rules> {
    if view.is_in_doubt(listed) || discovery.in_doubt {
        return None;
    }
    let mut stamps = listed.stamps.clone()?;
    let found = discovery.with_rules.iter().map(|(path, number)| (path.as_slice(), *number));
    for (directory, repository) in view.with_rules().chain(found) {
        stamps.push(ignore_stamp(eye, directory, repository)?);
    }
    let inputs = rules::inputs(eye.tree);
    Some(Rules { inputs, repositories: listed.prefixes.clone(), stamps })
}

/// The stamp of the `.gitignore` in a directory of the tree; `None` for one that not every git reads.
pub(super) fn ignore_stamp(eye: &Eye<'_>, directory: &[u8], repository: u32) -> Option<Stamp> {
    use std::os::unix::ffi::OsStringExt as _;
    let path = eye.tree.root.join(as_path(&join(directory, b".gitignore")));
    let how = LookHow::Itself;
    let seen = rules::look(&path, how);
    seen.as_ref().is_none_or(rules::is_plain).then(|| Stamp {
        path: path.into_os_string().into_vec(),
        how,
        seen,
        repository,
    })
}

/// What a listed path is, by its stamps; `None` when it is nothing that a list holds.
pub(crate) fn slot_of(stat: &Stat) -> Option<Slot> {
    use rustix::fs::FileType;
    match stat.file_type() {
        FileType::RegularFile => Some(Slot::File),
        FileType::Symlink => Some(Slot::Link),
        FileType::Directory | FileType::Unknown => None,
        FileType::Fifo | FileType::Socket | FileType::CharacterDevice | FileType::BlockDevice => {
            Some(Slot::Special)
        }
        #[expect(unreachable_patterns, reason = "some systems have more types than others")]
        _ => None,
    }
}

/// A directory of the draft as it is on the disk.
enum Now {
    Gone,
    Closed,
    There { stat: Stat, names: Vec<Name> },
}

/// What was seen of each record of a draft.
struct View<'a> {
    draft: &'a Records,
    directories: Vec<Now>,
    records: Vec<PathSeen>,
}

impl<'a> View<'a> {
    fn of(draft: &'a Records, seen: Seen) -> Self {
        let mut directories: Vec<Now> = draft.directories.iter().map(|_| Now::Gone).collect();
        let mut records = vec![PathSeen::Gone; draft.records.len()];
        for (at, it) in seen.records {
            records[at] = it;
        }
        for (at, it) in seen.directories {
            directories[at] = match it {
                DirectorySeen::There { stat, names } => Now::There { stat, names },
                DirectorySeen::Gone => Now::Gone,
                DirectorySeen::Closed => Now::Closed,
            };
        }
        // What is reached through a link in the place of a directory is not in the tree.
        for at in 1..directories.len() {
            let parent = draft.directories[at].parent as usize;
            if matches!(directories[parent], Now::Gone) {
                directories[at] = Now::Gone;
            }
        }
        Self { draft, directories, records }
    }

    /// The names that matter in each directory that git was asked about.
    fn names(&self) -> impl Iterator<Item = (&'a [u8], u32, &Name)> {
        let open = self.draft.directories.iter().zip(&self.directories);
        let open = open.filter(|(it, _)| it.state == DirectoryState::Open);
        open.flat_map(|(directory, now)| {
            let names = if let Now::There { names, .. } = now { names.as_slice() } else { &[] };
            let path = self.draft.directory(directory);
            names.iter().map(move |name| (path, directory.repository, name))
        })
    }

    fn candidates(&self, certainly: &impl Fn(&[u8], u32) -> Certainly) -> Vec<Candidate> {
        let unlisted = self.names().filter_map(|(directory, repository, name)| {
            let path = join(directory, &name.name);
            let unknown = name.is_directory
                && name.name != b".git"
                && self.draft.find_directory(&path).is_none();
            unknown.then(|| {
                let certainly = certainly(&path, repository);
                Candidate { path, repository, certainly }
            })
        });
        unlisted.collect()
    }

    fn with_rules(&self) -> impl Iterator<Item = (&'a [u8], u32)> {
        let rules = self.names().filter(|(_, _, name)| name.name == b".gitignore");
        rules.map(|(directory, repository, _)| (directory, repository))
    }

    /// Whether something was met that a kept list could not be relied on with.
    fn is_in_doubt(&self, listed: &Listed) -> bool {
        let is_root = |path: &[u8]| listed.prefixes.iter().any(|it| it.prefix == path);
        self.directories.iter().any(|it| matches!(it, Now::Closed))
            || self.records.iter().any(|it| matches!(it, PathSeen::Failed))
            || self.names().any(|(path, _, name)| name.name == b".git" && !is_root(path))
    }

    fn assemble(
        &self,
        began: Began,
        rules: Option<Rules>,
        discovery: &Discovery,
        previous: Option<&Records>,
    ) -> Option<Records> {
        let mut directories: Vec<DirectoryDraft<'_>> = Vec::new();
        let mut entries: Vec<EntryDraft<'_>> = Vec::new();
        let mut known = Known::of(previous);
        for (directory, now) in self.draft.directories.iter().zip(&self.directories) {
            let stat = match now {
                Now::Gone => continue,
                Now::Closed => Stat::default(),
                Now::There { stat, .. } => *stat,
            };
            let (path, state) = (self.draft.directory(directory), directory.state);
            directories.push(DirectoryDraft {
                path,
                state,
                stat,
                repository: directory.repository,
            });
            for at in directory.first as usize..directory.end as usize {
                let record = &self.draft.records[at];
                let path = self.draft.path(record);
                let (slot, stat) = match self.records[at] {
                    PathSeen::Gone => continue,
                    PathSeen::Failed => (Slot::Unreadable, Stat::default()),
                    PathSeen::There(stat) => match slot_of(&stat) {
                        Some(slot) => (slot, stat),
                        None if record.slot == Slot::EmptySubmodule => (record.slot, stat),
                        None => continue,
                    },
                };
                entries.push(EntryDraft { path, slot, stat, content: known.content(path, &stat) });
            }
        }
        directories.extend(discovery.directories.iter().map(|it| it.draft()));
        directories.sort_by(|a, b| order::compare(a.path, b.path));
        prefer_directories(&directories, &mut entries);
        Records::assemble(began, rules, &directories, &entries)
    }
}

/// The contents that an earlier manifest vouches for, asked in its own order.
struct Known<'a> {
    records: Option<&'a Records>,
    left: usize,
}

impl<'a> Known<'a> {
    fn of(records: Option<&'a Records>) -> Self {
        Self { records, left: 0 }
    }

    fn content(&mut self, path: &[u8], now: &Stat) -> Option<Content> {
        let records = self.records?;
        let known = loop {
            let next = records.records.get(self.left)?;
            let known = records.path(next);
            if known == path {
                break next;
            }
            if order::by_directory(known, path).is_gt() {
                return None;
            }
            self.left += 1;
        };
        known.content.filter(|_| known.stat == *now && records.began.settles(now))
    }
}
