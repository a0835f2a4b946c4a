//! The comparison itself: two lists in one order, walked side by side.

use std::cmp::Ordering;
use std::fs::File;
use std::sync::Arc;

use super::hash::hash_all;
use super::{Change, Compare};
use crate::manifest::{Record, Records, differs_in_form};
use crate::order;
use crate::tree::WhySkipped;

pub(super) struct Difference {
    /// The tree's records, with the contents that were read.
    pub(super) records: Arc<Records>,
    /// Indexes into what is held.
    pub(super) removals: Vec<usize>,
    /// Indexes into the tree's records, ascending.
    pub(super) writes: Vec<(usize, Change)>,
    /// What the box does not hold and cannot be given, by index into the tree's records.
    pub(super) left_out: Vec<(usize, WhySkipped)>,
    pub(super) hashed_files: u64,
}

impl Difference {
    pub(super) fn of(
        held: &Arc<Records>,
        records: Arc<Records>,
        compare: Compare,
        root: &File,
    ) -> Self {
        let mut it = Self {
            records,
            removals: Vec::new(),
            writes: Vec::new(),
            left_out: Vec::new(),
            hashed_files: 0,
        };
        if is_nothing(held, &it.records, compare) {
            return it;
        }
        let unsure = it.side_by_side(held, compare);
        if unsure.is_empty() {
            return it;
        }
        let wanted: Vec<usize> = unsure.iter().map(|(_, own)| *own).collect();
        let hashed = hash_all(&it.records, &wanted, root);
        it.hashed_files = wanted.len() as u64;
        let records = Arc::make_mut(&mut it.records);
        for ((theirs, own), hashed) in unsure.into_iter().zip(hashed) {
            let record = &mut records.records[own];
            record.content = None;
            let held = &held.records[theirs];
            match hashed {
                Ok((stat, content)) => {
                    (record.stat, record.content) = (stat, Some(content));
                    if held.content.is_none() {
                        it.writes.push((own, Change::Added));
                    } else if record.content != held.content || differs_in_form(record, held) {
                        it.writes.push((own, Change::Changed));
                    }
                }
                // It could not be caught before and cannot now: there is nothing to send.
                Err(why) if held.content.is_none() => it.left_out.push((own, why)),
                Err(_) => it.writes.push((own, Change::Changed)),
            }
        }
        it.writes.sort_unstable_by_key(|(at, _)| *at);
        it
    }

    /// Finds what differs for certain; returns the pairs that have to be read: index of the held one, of the own one.
    fn side_by_side(&mut self, held: &Records, compare: Compare) -> Vec<(usize, usize)> {
        let own = Arc::clone(&self.records);
        let mut unsure = Vec::new();
        let (mut theirs_at, mut own_at) = (0, 0);
        loop {
            let (theirs, mine) = (held.records.get(theirs_at), own.records.get(own_at));
            let order = match (theirs, mine) {
                (None, None) => return unsure,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(a), Some(b)) if held.path(a) == own.path(b) => Ordering::Equal,
                (Some(a), Some(b)) => order::by_directory(held.path(a), own.path(b)),
            };
            let theirs = theirs.filter(|_| order.is_le()).filter(|it| it.slot.kind().is_some());
            let mine = mine.filter(|_| order.is_ge()).filter(|it| it.slot.kind().is_some());
            match (theirs, mine) {
                (None, None) => {}
                (Some(theirs), None) if theirs.content.is_none() => {}
                (Some(_), None) => self.removals.push(theirs_at),
                (None, Some(_)) => self.writes.push((own_at, Change::Added)),
                (Some(theirs), Some(mine)) => match verdict(theirs, mine, compare) {
                    Verdict::Same => {}
                    Verdict::Differs => self.writes.push((own_at, Change::Changed)),
                    Verdict::Unsure => unsure.push((theirs_at, own_at)),
                },
            }
            theirs_at += usize::from(order.is_le());
            own_at += usize::from(order.is_ge());
        }
    }
}

enum Verdict {
    Same,
    Differs,
    Unsure,
}

fn verdict(held: &Record, own: &Record, compare: Compare) -> Verdict {
    if held.content.is_none() {
        return Verdict::Unsure;
    }
    if differs_in_form(held, own) {
        return Verdict::Differs;
    }
    match own.content.filter(|_| compare == Compare::Stamps) {
        None => Verdict::Unsure,
        content if content == held.content => Verdict::Same,
        Some(_) => Verdict::Differs,
    }
}

/// Whether the two are one and the same, and nothing in it has to be read to know that.
pub(super) fn is_nothing(held: &Arc<Records>, own: &Arc<Records>, compare: Compare) -> bool {
    let is_settled = |it: &Record| it.slot.kind().is_none() || it.content.is_some();
    let is_same = Arc::ptr_eq(held, own) && compare == Compare::Stamps;
    is_same && held.records.iter().all(is_settled)
}

/// The directories that hold something of a box and not of the tree, and the reverse, by index, in order.
pub(super) fn directories(held: &Arc<Records>, own: &Arc<Records>) -> (Vec<usize>, Vec<usize>) {
    if Arc::ptr_eq(held, own) {
        return (Vec::new(), Vec::new());
    }
    let (theirs, mine) = (populated(held), populated(own));
    (without(held, &theirs, own, &mine), without(own, &mine, held, &theirs))
}

/// Which directories, without the root, have files or links, directly or below. One that could not be caught counts: its
/// directory was made all the same.
fn populated(records: &Records) -> Vec<bool> {
    let holds = |it: &Record| it.slot.kind().is_some();
    let mut populated: Vec<bool> =
        records.directories.iter().map(|it| records.records_of(it).any(holds)).collect();
    // Parents stand before children, so each one is told by the time its own parent is.
    for at in (1..populated.len()).rev() {
        if populated[at] {
            populated[records.directories[at].parent as usize] = true;
        }
    }
    if let Some(root) = populated.first_mut() {
        *root = false;
    }
    populated
}

fn without(a: &Records, a_holds: &[bool], b: &Records, b_holds: &[bool]) -> Vec<usize> {
    let mut only = Vec::new();
    let mut left = 0;
    for (at, directory) in a.directories.iter().enumerate().filter(|(at, _)| a_holds[*at]) {
        let path = a.directory(directory);
        let path_of = |at: usize| b.directories.get(at).map(|it| b.directory(it));
        while path_of(left).is_some_and(|it| it != path && order::compare(it, path).is_lt()) {
            left += 1;
        }
        if path_of(left) != Some(path) || !b_holds[left] {
            only.push(at);
        }
    }
    only
}
