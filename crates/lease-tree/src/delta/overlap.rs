//! What a delta and a published commit have in common: files whose bytes need not be sent where the commit can be had.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::hash::blobs;
use super::{Change, Delta, permissions};
use crate::manifest::{Kind, Record};
use crate::order::as_path;
use crate::published::Published;

/// The masks that people have, and file servers.
const MASKS: [u32; 5] = [0o022, 0o002, 0o077, 0o027, 0o007];
/// How many moments are told apart. Files with rarer ones are sent.
const TIMES_MAX: usize = 64;
const FILE: u32 = 0o666;
const PROGRAM: u32 = 0o777;
const NANOSECONDS: i64 = 1_000_000_000;

/// A delta, divided into what a published commit holds and the rest.
#[derive(Clone, Debug)]
pub struct Overlap {
    /// What is left to be written once the files of the commit are there. What is stored of it in the end covers both.
    pub rest: Delta,
    /// The paths of the commit that are not as the tree has them: changed, removed, left out, no files.
    pub without: Vec<PathBuf>,
    /// The bits that the commit's files do not have: the files are 0666 less these, and executable ones 0777.
    pub mask: u32,
    /// When the files were modified, in whole seconds since the epoch, and which they are; the most frequent time first.
    pub times: Vec<(u64, Vec<PathBuf>)>,
    /// How many files the commit has.
    pub files: u64,
    /// How many bytes they hold.
    pub bytes: u64,
}

impl Overlap {
    /// Finds the files that need not be sent. It blocks: each file that may be one is read, and is one when it is what git
    /// names so, byte for byte, whatever attributes say about line ends or filters.
    pub fn of(delta: &Delta, published: &Published) -> Self {
        let find = |record: &Record| {
            let path = delta.records.path(record);
            let find = published.files.binary_search_by(|it| it.path.as_slice().cmp(path));
            find.ok().filter(|at| published.files[*at].blob.is_some())
        };
        let is_whole = |(at, change): &&(usize, Change)| {
            let record = &delta.records.records[*at];
            *change == Change::Added
                && record.slot.kind() == Some(Kind::File)
                && record.stat.mtime >= 0
        };
        let mut pairs: Vec<(usize, usize)> = delta
            .writes
            .iter()
            .filter(is_whole)
            .filter_map(|(at, _)| Some((*at, find(&delta.records.records[*at])?)))
            .collect();
        let mask = usual_mask(delta, &pairs);
        pairs.retain(|(own, theirs)| {
            let wanted = if published.files[*theirs].is_executable { PROGRAM } else { FILE };
            permissions(delta.records.records[*own].stat.mode) == wanted & !mask
        });
        keep_usual_times(delta, &mut pairs);
        Self::caught(delta, published, &pairs, mask)
    }

    /// Reads what may be the same, and divides the delta.
    fn caught(delta: &Delta, published: &Published, pairs: &[(usize, usize)], mask: u32) -> Self {
        let wanted: Vec<usize> = pairs.iter().map(|(own, _)| *own).collect();
        let read = blobs(&delta.records, &wanted, &delta.root);
        let mut records = Arc::clone(&delta.records);
        let mut is_there = vec![false; published.files.len()];
        let mut is_rest = vec![true; records.records.len()];
        let mut times: HashMap<i64, Vec<PathBuf>> = HashMap::new();
        let (mut files, mut bytes) = (0, 0);
        for ((own, theirs), read) in pairs.iter().zip(read) {
            let Some((stat, content, blob)) = read else { continue };
            // One that has changed since the scan has another time or other permissions than it was chosen for.
            if published.files[*theirs].blob != Some(blob) || stat != records.records[*own].stat {
                continue;
            }
            Arc::make_mut(&mut records).records[*own].content = Some(content);
            (is_there[*theirs], is_rest[*own]) = (true, false);
            let path = as_path(records.path(&records.records[*own])).to_owned();
            times.entry(stat.mtime.div_euclid(NANOSECONDS)).or_default().push(path);
            files += 1;
            bytes += stat.bytes;
        }
        let mut times: Vec<(u64, Vec<PathBuf>)> = times
            .into_iter()
            .map(|(time, paths)| (u64::try_from(time).unwrap_or(0), paths))
            .collect();
        times.sort_by_key(|(time, paths)| (Reverse(paths.len()), *time));
        let others = published.files.iter().zip(&is_there).filter(|(_, there)| !**there);
        let without = others.map(|(it, _)| as_path(&it.path).to_owned()).collect();
        let writes = delta.writes.iter().copied().filter(|(at, _)| is_rest[*at]).collect();
        let rest = Delta { records, writes, ..delta.clone() };
        Self { rest, without, mask, times, files, bytes }
    }
}

/// The mask that most of the files were made with.
fn usual_mask(delta: &Delta, pairs: &[(usize, usize)]) -> u32 {
    let fits = |mask: u32| {
        let one = |(own, _): &&(usize, usize)| {
            let mode = permissions(delta.records.records[*own].stat.mode);
            mode == FILE & !mask || mode == PROGRAM & !mask
        };
        pairs.iter().filter(one).count()
    };
    MASKS.into_iter().max_by_key(|it| (fits(*it), Reverse(*it))).unwrap_or(MASKS[0])
}

/// Keeps the files of the most frequent times.
fn keep_usual_times(delta: &Delta, pairs: &mut Vec<(usize, usize)>) {
    let time = |own: usize| delta.records.records[own].stat.mtime.div_euclid(NANOSECONDS);
    let mut counts: HashMap<i64, usize> = HashMap::new();
    for (own, _) in pairs.iter() {
        *counts.entry(time(*own)).or_default() += 1;
    }
    if counts.len() <= TIMES_MAX {
        return;
    }
    let mut usual: Vec<(usize, i64)> = counts.iter().map(|(time, count)| (*count, *time)).collect();
    usual.sort_unstable_by_key(|(count, time)| (Reverse(*count), *time));
    for (_, time) in &usual[TIMES_MAX..] {
        counts.remove(time);
    }
    pairs.retain(|(own, _)| counts.contains_key(&time(*own)));
}
