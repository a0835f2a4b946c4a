//! Any bytes as a lease's journal: what is read is what stands there, as far as it is whole, and nothing is passed over.

use lease_core::journal::{Record, decode, decode_tail, encode};
use lease_core::{Claim, Result};

/// Reads the bytes as a journal, and as one that broke off at several places.
///
/// # Panics
/// When a whole record is dropped without an error, when a torn end changes what stands before it, when what was read is
/// not written again as it was, or when a journal folds whose beginning does not.
pub fn journal(bytes: &[u8]) {
    let records: Vec<Result<Record>> = decode(bytes).collect();
    let lines = lines_in(bytes);
    assert_eq!(records.len(), lines, "each whole line is a record or an error");
    let whole: Vec<&Record> = records.iter().map_while(|it| it.as_ref().ok()).collect();
    is_written_again(&whole);
    let folds = Claim::try_fold(decode(bytes)).is_ok();
    assert!(!folds || whole.len() == lines, "a journal with a line that cannot be read was folded");
    if whole.len() == lines {
        let last = whole.last().map(|it| it.seq);
        let tail = decode_tail(bytes).ok().flatten().map(|(seq, _)| seq);
        assert_eq!(tail, last, "the tail alone reads as the whole does");
    }
    for cut in cuts(bytes) {
        let torn = &bytes[..cut];
        let kept = lines_in(torn);
        let read: Vec<_> = decode(torn).map_while(Result::ok).collect();
        assert!(
            read.iter().eq(whole.iter().copied().take(kept)),
            "torn at {cut}, another beginning is read"
        );
        if folds && kept > 0 {
            assert!(Claim::try_fold(decode(torn)).is_ok(), "torn at {cut}, it does not fold");
        }
    }
}

/// How many lines have an end.
fn lines_in(bytes: &[u8]) -> usize {
    bytes.split(|it| *it == b'\n').count() - 1
}

/// A few places where a write may have broken off: around each of the last lines, and in between.
fn cuts(bytes: &[u8]) -> Vec<usize> {
    const LINES: usize = 3;
    let ends = bytes.iter().enumerate().rev().filter(|(_, it)| **it == b'\n').take(LINES);
    let around = ends.flat_map(|(at, _)| [at, at + 1, at + 2]);
    around.chain([0, bytes.len() / 3, bytes.len() / 2]).filter(|it| *it <= bytes.len()).collect()
}

/// What was read means the same after it is written and read again.
fn is_written_again(records: &[&Record]) {
    let mut again = Vec::new();
    for record in records {
        let line = encode(record.seq, record.at, std::slice::from_ref(&record.event));
        assert!(line.is_ok(), "what was read cannot be written");
        again.extend(line.unwrap_or_default());
    }
    let read: Vec<Record> = decode(&again).map_while(Result::ok).collect();
    assert!(read.iter().eq(records.iter().copied()), "what was written again reads otherwise");
}
