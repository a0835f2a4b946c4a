//! What a sync would do.

use std::path::PathBuf;

use lease_tree::{Change, Skipped, Source};

/// What a sync would do to the box as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// Where the list of files came from.
    pub source: Source,
    /// What would be sent, in the order in which it would be.
    pub writes: Vec<PlannedWrite>,
    /// Paths of earlier syncs that would be removed, sorted.
    pub removals: Vec<PathBuf>,
    /// How many bytes of file contents would be sent.
    pub bytes: u64,
    /// The directories with the most bytes among them, largest first, at most ten.
    pub biggest: Vec<(PathBuf, u64)>,
    /// What belongs to the tree by its list and would not be on the box, with the reason.
    pub skipped: Vec<Skipped>,
    /// Whether an earlier sync of this box had not been completed, so that everything would be sent.
    pub repairs: bool,
    /// Which files of the tree something on the box has changed, whatever the order says is done about it.
    pub drifted: Vec<PathBuf>,
}

/// A file or link that would be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlannedWrite {
    /// Its path, relative to the tree.
    pub path: PathBuf,
    /// The size of a file in bytes; 0 for a link.
    pub bytes: u64,
    /// Whether the box holds something else there.
    pub change: Change,
}
