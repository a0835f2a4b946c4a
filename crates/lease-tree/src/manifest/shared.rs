//! A long array of which a copy costs little: the two share it, and a copy remembers what it changes.
//!
//! A scan that finds one file changed gives the records back with that one exchanged, and so does the writing of a delta.
//! Fresh memory for all of them would cost more than to look at a few hundred files.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::mem;
use std::ops::{Index, IndexMut, Range};
use std::sync::Arc;

/// From one changed item in so many on, a copy is an array of its own.
const CHANGED_SHARE_MAX: usize = 16;

/// An array that copies share.
#[derive(Clone, Debug)]
pub(crate) struct Shared<T> {
    base: Arc<Vec<T>>,
    /// What stands in place of items of the base.
    changed: BTreeMap<usize, T>,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl<T> From<Vec<T>> for Shared<T> {
    fn from(items: Vec<T>) -> Self {
        Self { base: Arc::new(items), changed: BTreeMap::new() }
    }
}

impl<T: PartialEq> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<T> Shared<T> {
    pub(crate) fn len(&self) -> usize {
        self.base.len()
    }

    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        if !self.changed.is_empty()
            && let Some(changed) = self.changed.get(&at)
        {
            return Some(changed);
        }
        self.base.get(at)
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &T> {
        self.range(0..self.len())
    }

    /// The items of a range, all of which must be there.
    pub(crate) fn range(&self, range: Range<usize>) -> impl ExactSizeIterator<Item = &T> {
        range.map(|at| &self[at])
    }

    /// Where the item is that compares as equal in an ordered range, or where it would be.
    pub(crate) fn search(
        &self,
        range: Range<usize>,
        mut compare: impl FnMut(&T) -> Ordering,
    ) -> Result<usize, usize> {
        let (mut start, mut end) = (range.start, range.end);
        while start < end {
            let middle = start + (end - start) / 2;
            match compare(&self[middle]) {
                Ordering::Less => start = middle + 1,
                Ordering::Greater => end = middle,
                Ordering::Equal => return Ok(middle),
            }
        }
        Err(start)
    }
}

impl<T> Index<usize> for Shared<T> {
    type Output = T;

    fn index(&self, at: usize) -> &T {
        self.get(at).unwrap_or_else(|| &self.base[at])
    }
}

impl<T: Clone> IndexMut<usize> for Shared<T> {
    fn index_mut(&mut self, at: usize) -> &mut T {
        let is_own = Arc::get_mut(&mut self.base).is_some();
        let is_much = self.changed.len() >= self.base.len() / CHANGED_SHARE_MAX;
        if !is_own && !is_much {
            let base = &self.base;
            return self.changed.entry(at).or_insert_with(|| base[at].clone());
        }
        let own = Arc::make_mut(&mut self.base);
        for (place, item) in mem::take(&mut self.changed) {
            own[place] = item;
        }
        &mut own[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(len: usize) -> Shared<usize> {
        (0..len).collect::<Vec<_>>().into()
    }

    #[test]
    fn it_is_the_array_that_was_put_in() {
        for len in [0, 1, 2, 100] {
            let array = array(len);
            assert_eq!((array.len(), array.iter().len()), (len, len));
            assert!(array.iter().copied().eq(0..len));
            assert!((0..len).all(|at| array[at] == at && array.get(at) == Some(&at)));
            assert_eq!(array.get(len), None);
            for middle in [0, len / 2, len] {
                assert!(array.range(middle..len).copied().eq(middle..len));
                let found = array.search(0..len, |it| it.cmp(&middle));
                assert_eq!(found, if middle < len { Ok(middle) } else { Err(len) });
            }
        }
        let odd = array(100);
        assert_eq!(odd.search(10..20, |it| it.cmp(&5)), Err(10));
        assert_eq!(odd.search(10..20, |it| it.cmp(&50)), Err(20));
    }

    #[test]
    fn a_copy_that_changes_leaves_the_other_and_shares_the_rest() {
        let array = array(320);
        let mut copy = array.clone();
        for at in (0..320).step_by(17) {
            copy[at] = 1000 + at;
            copy[at] += 1;
            assert!(Arc::ptr_eq(&array.base, &copy.base), "{at}: the rest was copied");
        }
        let expected = (0..320).map(|at| if at % 17 == 0 { 1001 + at } else { at });
        assert!(copy.iter().copied().eq(expected));
        assert!(array.iter().copied().eq(0..320) && array != copy);
        for at in (0..320).step_by(17) {
            copy[at] = at;
        }
        assert!(array == copy);
    }

    #[test]
    fn a_copy_that_changes_much_and_one_without_another_are_arrays_of_their_own() {
        let array = array(320);
        let mut copy = array.clone();
        for at in 0..320 {
            copy[at] += 5;
        }
        assert!(
            copy.changed.len() < 320 / CHANGED_SHARE_MAX && !Arc::ptr_eq(&array.base, &copy.base)
        );
        assert!(copy.iter().copied().eq(5..325) && array.iter().copied().eq(0..320));
        let mut alone = array.clone();
        alone[7] = 0;
        drop(array);
        assert_eq!(alone.changed.len(), 1);
        alone[8] = 0;
        assert!(alone.changed.is_empty() && (alone[7], alone[8], alone[9]) == (0, 0, 9));
    }
}
