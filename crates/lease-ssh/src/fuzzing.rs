//! Any bytes as what a box says: records of runs and of files, answers to questions, and streams.
//!
//! The first byte chooses the reader. A fuzzer reaches this with `cfg(fuzzing)`; it is part of no other build.

use crate::{run, sync};

/// The word of the attempt that is asked about.
pub(crate) const NONCE: &str = "abcdefgh01234567";

/// Reads the bytes.
///
/// # Panics
/// When a path would lead outside of the tree, when a stream begins elsewhere than behind its line, or when an answer is
/// read out of something that is none.
pub fn remote(input: &[u8]) {
    let Some((choice, said)) = input.split_first() else { return };
    match choice {
        b'j' | b'b' => run::fuzzing::said(*choice, said),
        _ => sync::fuzzing::said(*choice, said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_of_the_words_of_boxes_breaks_nothing() {
        lease_testkit::corpus::replay("remote", 3_000, remote);
    }
}
