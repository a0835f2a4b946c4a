//! Many paths in one string: a hundred thousand of them are two allocations.

/// Where a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    start: usize,
    end: usize,
}

/// Paths in the order they came.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    bytes: Vec<u8>,
    ranges: Vec<Range>,
}

impl Paths {
    /// Adds a path that is given in pieces.
    pub(crate) fn push(&mut self, pieces: &[&[u8]]) -> Range {
        let start = self.bytes.len();
        for piece in pieces {
            self.bytes.extend_from_slice(piece);
        }
        let range = Range { start, end: self.bytes.len() };
        self.ranges.push(range);
        range
    }

    pub(crate) fn at(&self, range: Range) -> &[u8] {
        &self.bytes[range.start..range.end]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.ranges.iter().map(|it| self.at(*it))
    }
}
