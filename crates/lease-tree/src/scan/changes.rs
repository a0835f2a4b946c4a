//! A scan that begins with what is known: only what differs is looked into, and git is asked about new names only.
//!
//! Whenever a difference cannot be explained by what the directories say, the list is made anew.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::fd::AsFd as _;
use std::sync::Arc;

use rustix::fs::{AtFlags, statat};
use rustix::io::Errno;

use super::discover::{Candidate, Certainly, Discovery, discover, relative};
use super::everything::{ignore_stamp, slot_of};
use super::look::{DirectorySeen, Name, PathSeen, Seen, Want, look};
use super::{Eye, Listing};
use crate::error::Result;
use crate::list::matcher::{Matcher, Pathname};
use crate::list::{Git, rules};
use crate::manifest::{
    Directory, DirectoryDraft, DirectoryState, EntryDraft, LookHow, Manifest, Record, Records,
    Rules, Slot, prefer_directories,
};
use crate::order::{self, as_path, join, split};
use crate::stat::Stat;

/// Names that fit into one argument list on every system; more are asked for by a whole list.
const ASKED_BYTES_MAX: usize = 64 * 1024;

/// What the tree is now, by what it was; `None` when that takes a list made anew.
pub(super) async fn changes(
    eye: &Eye<'_>,
    previous: &Manifest,
) -> Result<Option<(Manifest, Listing)>> {
    let known = previous.clone();
    let (stamps, seen) = eye
        .beside(move |root| {
            let stamps = changed_stamps(&known.0)?;
            Some((stamps, look(&known.0, root.as_fd(), Want::Changes)))
        })
        .await?
        .unzip();
    let (Some(stamps), Some(seen)) = (stamps, seen) else { return Ok(None) };
    let records = &*previous.0;
    let Some(rules) = tracked_rules(eye, records, &stamps).await? else { return Ok(None) };
    if stamps.is_empty() && seen.directories.is_empty() && seen.records.is_empty() {
        return Ok(Some((previous.clone(), Listing::Kept)));
    }
    let Some(plan) = Differences::of(records, seen) else { return Ok(None) };
    let Some(news) = News::of(eye, records, &plan).await? else { return Ok(None) };
    let listing = if news.asked { Listing::Corrected } else { Listing::Kept };
    let records = if plan.is_in_place() && news.is_nothing() {
        Some(patched(eye, records, rules, &plan))
    } else {
        assembled(eye, records, rules, &plan, &news)
    };
    Ok(records.map(|it| (Manifest(it.into()), listing)))
}

/// Which stamps of indexes differ or are too young to be believed; `None` when another file that decides the list does.
fn changed_stamps(records: &Records) -> Option<Vec<(usize, Option<Stat>)>> {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    let mut changed = Vec::new();
    for (at, stamp) in records.rules.as_ref()?.stamps.iter().enumerate() {
        let now = rules::look(OsStr::from_bytes(&stamp.path).as_ref(), stamp.how);
        if now == stamp.seen && now.is_none_or(|it| records.began.settles(&it)) {
            continue;
        }
        if stamp.how != LookHow::Index {
            return None;
        }
        changed.push((at, now));
    }
    Some(changed)
}

/// The rules with the new stamps of indexes that track what they tracked; `None` when one tracks something else.
async fn tracked_rules(
    eye: &Eye<'_>,
    records: &Records,
    changed: &[(usize, Option<Stat>)],
) -> Result<Option<Rules>> {
    let Some(mut rules) = records.rules.clone() else { return Ok(None) };
    for (at, now) in changed {
        let number = rules.stamps[*at].repository as usize;
        let Some(repository) = rules.repositories.get(number) else { return Ok(None) };
        let directory = eye.tree.root.join(as_path(&repository.prefix));
        let tracked = Git::of(eye.tree, &directory).tracked().await;
        if !tracked.is_ok_and(|it| it == repository.tracked) {
            return Ok(None);
        }
        rules.stamps[*at].seen = *now;
    }
    Ok(Some(rules))
}

/// What differs from the records, as far as the disk tells it.
#[derive(Default)]
struct Differences {
    /// Directories that are there, with other stamps.
    directories: HashMap<usize, Stat>,
    gone_directories: HashSet<usize>,
    /// Paths that are there, with other stamps.
    paths: HashMap<usize, Stat>,
    gone: HashSet<usize>,
    /// Names that the records do not explain: path, whether it is a directory, repository.
    new_names: Vec<(Vec<u8>, Pathname, u32)>,
}

impl Differences {
    fn of(records: &Records, seen: Seen) -> Option<Self> {
        let mut all = Self::default();
        let mut names = HashMap::new();
        for (at, it) in seen.directories {
            match it {
                DirectorySeen::Closed => return None,
                DirectorySeen::Gone => {
                    all.gone_directories.insert(at);
                }
                DirectorySeen::There { stat, names: found } => {
                    all.directories.insert(at, stat);
                    names.insert(at, found);
                }
            }
        }
        all.bury(records);
        let mut changed_kind = Vec::new();
        for (at, it) in seen.records {
            match it {
                PathSeen::Failed => return None,
                PathSeen::Gone => {
                    all.gone.insert(at);
                }
                PathSeen::There(stat) => {
                    let old = records.records[at].slot;
                    if matches!(old, Slot::EmptySubmodule | Slot::Unreadable) {
                        return None;
                    }
                    if slot_of(&stat) == Some(old) {
                        all.paths.insert(at, stat);
                    } else {
                        all.gone.insert(at);
                        if !stat.is_directory() {
                            changed_kind.push(at);
                        }
                    }
                }
            }
        }
        for (at, found) in &names {
            if !all.gone_directories.contains(at) {
                all.compare(records, *at, found)?;
            }
        }
        all.explained(records, &changed_kind)?;
        Some(all)
    }

    /// What is below a directory that is gone is gone, even when a link leads to it.
    fn bury(&mut self, records: &Records) {
        if self.gone_directories.is_empty() {
            return;
        }
        for (at, directory) in records.directories.iter().enumerate().skip(1) {
            if self.gone_directories.contains(&(directory.parent as usize)) {
                self.gone_directories.insert(at);
            }
        }
        for at in &self.gone_directories {
            let directory = &records.directories[*at];
            self.gone.extend(directory.first as usize..directory.end as usize);
        }
    }

    /// Finds the names of a directory that are new. `None` when they do not fit what was seen of its paths.
    fn compare(&mut self, records: &Records, at: usize, names: &[Name]) -> Option<()> {
        let directory = &records.directories[at];
        if directory.state == DirectoryState::Foreign {
            return None;
        }
        let path = records.directory(directory);
        let own = directory.first as usize..directory.end as usize;
        for (offset, record) in records.records_of(directory).enumerate() {
            let name = split(records.path(record)).1;
            let is_there = names.binary_search_by(|it| it.name.as_slice().cmp(name)).is_ok();
            let is_gone = self.gone.contains(&(directory.first as usize + offset));
            // A file system that knows two spellings of a name finds a path that the directory does not list.
            if !is_there && !is_gone {
                return None;
            }
        }
        for Name { name, is_directory } in names {
            let full = join(path, name);
            let find = |it: &Record| split(records.path(it)).1.cmp(name.as_slice());
            let record = records.records.search(own.clone(), find).ok();
            match name.as_slice() {
                b".git" if !is_root(records, path) => return None,
                b".git" => {}
                _ if *is_directory => match records.find_directory(&full) {
                    Some(it) if self.gone_directories.contains(&it) => return None,
                    Some(_) => {}
                    None => {
                        let repository = directory.repository;
                        self.new_names.push((full, Pathname::OfDirectory, repository));
                    }
                },
                _ if record.is_some() => {}
                b".gitignore" => return None,
                _ => self.new_names.push((full, Pathname::OfFile, directory.repository)),
            }
        }
        Some(())
    }

    /// Each path that came, went or changed its kind shows in its directory; where it does not, something moved meanwhile.
    fn explained(&mut self, records: &Records, changed_kind: &[usize]) -> Option<()> {
        let told = |all: &Self, at: usize| {
            all.directories.contains_key(&at) || all.gone_directories.contains(&at)
        };
        for at in &self.gone_directories {
            let parent = records.directories[*at].parent as usize;
            if parent == *at || !told(self, parent) {
                return None;
            }
        }
        let directory_of =
            |at: usize| records.directories.partition_point(|it: &Directory| it.end as usize <= at);
        for at in &self.gone {
            if !told(self, directory_of(*at)) {
                return None;
            }
        }
        for at in changed_kind {
            let directory = directory_of(*at);
            if !self.gone_directories.contains(&directory) {
                let path = records.path(&records.records[*at]).to_vec();
                let repository = records.directories[directory].repository;
                self.new_names.push((path, Pathname::OfFile, repository));
            }
        }
        Some(())
    }

    /// Whether the same paths are there.
    fn is_in_place(&self) -> bool {
        self.gone.is_empty() && self.gone_directories.is_empty()
    }
}

fn is_root(records: &Records, path: &[u8]) -> bool {
    let all = records.rules.as_ref().map(|it| it.repositories.as_slice());
    all.unwrap_or_default().iter().any(|it| it.prefix == path)
}

/// What is new in the tree.
#[derive(Default)]
struct News {
    asked: bool,
    discovery: Discovery,
    /// Listed paths, in the order of records.
    paths: Vec<(Vec<u8>, Slot, Stat)>,
}

impl News {
    async fn of(
        eye: &Eye<'_>,
        records: &Records,
        differences: &Differences,
    ) -> Result<Option<Self>> {
        let mut news = Self::default();
        if differences.new_names.is_empty() {
            return Ok(Some(news));
        }
        let matcher = Matcher::of(&eye.tree.root, &eye.tree.ignore)?;
        let mut asked: BTreeMap<u32, Vec<&[u8]>> = BTreeMap::new();
        for (path, what, repository) in &differences.new_names {
            // A directory that is left out may hold a file that is taken back in.
            if *what == Pathname::OfDirectory || !matcher.leaves_out(as_path(path), *what) {
                asked.entry(*repository).or_default().push(path);
            }
        }
        news.asked = !asked.is_empty();
        let repositories =
            records.rules.as_ref().map(|it| it.repositories.as_slice()).unwrap_or_default();
        let mut listed: Vec<Vec<u8>> = Vec::new();
        let mut tracks: HashMap<u32, crate::list::git::Listing> = HashMap::new();
        for (number, paths) in asked {
            let Some(repository) = repositories.get(number as usize) else { return Ok(None) };
            let prefix = &repository.prefix;
            let Some(listing) = ask(eye, prefix, &paths).await else { return Ok(None) };
            let full = listing.files.iter().map(|it| join(prefix, it));
            listed.extend(full.filter(|it| !matcher.leaves_out(as_path(it), Pathname::OfFile)));
            tracks.insert(number, listing);
        }
        listed.sort_unstable_by(|a, b| order::by_directory(a, b));
        listed.dedup();
        let mut needed: HashSet<&[u8]> = HashSet::new();
        for path in &listed {
            let mut directory = split(path).0;
            while needed.insert(directory) {
                directory = split(directory).0;
            }
        }
        let certainly = |path: &[u8], number: u32| {
            let prefix = repositories.get(number as usize).map(|it| it.prefix.as_slice());
            let own = relative(path, prefix.unwrap_or_default());
            let tracked = tracks.get(&number).is_some_and(|it| it.tracks_below(own));
            if tracked || needed.contains(path) {
                Certainly::NotIgnored
            } else {
                Certainly::Unknown
            }
        };
        let directories = differences.new_names.iter().filter(|it| it.1 == Pathname::OfDirectory);
        let candidates = directories
            .map(|(path, _, number)| {
                let certainly = certainly(path, *number);
                Candidate { path: path.clone(), repository: *number, certainly }
            })
            .collect();
        news.discovery = discover(eye, repositories, candidates, &certainly).await?;
        let complete = !news.discovery.in_doubt && news.look_at(eye, records, &listed);
        Ok(complete.then_some(news))
    }

    /// Looks at the new paths; says whether all could be told.
    fn look_at(&mut self, eye: &Eye<'_>, records: &Records, listed: &[Vec<u8>]) -> bool {
        let open = self.discovery.directories.iter();
        let open = open.filter(|it| it.state == DirectoryState::Open);
        let new: HashSet<&[u8]> = open.map(|it| it.path.as_slice()).collect();
        for path in listed {
            let directory = split(path).0;
            if !new.contains(directory) && records.find_directory(directory).is_none() {
                return false;
            }
            let now = statat(eye.root.as_fd(), as_path(path), AtFlags::SYMLINK_NOFOLLOW);
            let stat = match now {
                Ok(raw) => Stat::from(&raw),
                Err(Errno::NOENT | Errno::NOTDIR) => continue,
                Err(_) => return false,
            };
            if let Some(slot) = slot_of(&stat) {
                self.paths.push((path.clone(), slot, stat));
            }
        }
        true
    }

    fn is_nothing(&self) -> bool {
        self.paths.is_empty() && self.discovery.directories.is_empty()
    }
}

/// git's list of new names; `None` when it takes a whole list.
async fn ask(eye: &Eye<'_>, prefix: &[u8], paths: &[&[u8]]) -> Option<crate::list::git::Listing> {
    let asked: Vec<Vec<u8>> = paths.iter().map(|it| relative(it, prefix).to_vec()).collect();
    if asked.iter().map(|it| it.len() + 1).sum::<usize>() > ASKED_BYTES_MAX {
        return None;
    }
    let directory = eye.tree.root.join(as_path(prefix));
    let listing = Git::of(eye.tree, &directory).among(&asked).await.ok()?;
    listing.inner.is_empty().then_some(listing)
}

/// The records with new stamps, where the same paths are there.
fn patched(eye: &Eye<'_>, records: &Records, rules: Rules, now: &Differences) -> Records {
    let mut records = records.clone();
    records.began = eye.began;
    records.rules = Some(rules);
    for (at, stat) in &now.directories {
        Arc::make_mut(&mut records.directories)[*at].stat = *stat;
    }
    for (at, stat) in &now.paths {
        let record = &mut records.records[*at];
        (record.stat, record.content) = (*stat, None);
    }
    records
}

/// The records with what came and without what went. `None` when they do not fit together.
fn assembled(
    eye: &Eye<'_>,
    records: &Records,
    mut rules: Rules,
    now: &Differences,
    news: &News,
) -> Option<Records> {
    for (directory, repository) in &news.discovery.with_rules {
        rules.stamps.push(ignore_stamp(eye, directory, *repository)?);
    }
    let there = records.directories.iter().enumerate();
    let there = there.filter(|(at, _)| !now.gone_directories.contains(at));
    let mut directories: Vec<DirectoryDraft<'_>> = there
        .map(|(at, it)| DirectoryDraft {
            path: records.directory(it),
            state: it.state,
            stat: now.directories.get(&at).copied().unwrap_or(it.stat),
            repository: it.repository,
        })
        .chain(news.discovery.directories.iter().map(|it| it.draft()))
        .collect();
    directories.sort_by(|a, b| order::compare(a.path, b.path));
    let kept = records.records.iter().enumerate().filter(|(at, _)| !now.gone.contains(at));
    let mut entries: Vec<EntryDraft<'_>> = kept
        .map(|(at, it)| {
            let (path, slot) = (records.path(it), it.slot);
            match now.paths.get(&at) {
                Some(stat) => EntryDraft { path, slot, stat: *stat, content: None },
                None => EntryDraft { path, slot, stat: it.stat, content: it.content },
            }
        })
        .collect();
    let new = news.paths.iter();
    entries.extend(new.map(|(path, slot, stat)| EntryDraft {
        path,
        slot: *slot,
        stat: *stat,
        content: None,
    }));
    entries.sort_by(|a, b| order::by_directory(a.path, b.path));
    prefer_directories(&directories, &mut entries);
    Records::assemble(eye.began, Some(rules), &directories, &entries)
}
