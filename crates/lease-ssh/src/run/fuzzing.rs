//! Any bytes as what a box says about a run.

use std::sync::Arc;

use tokio::io::AsyncReadExt as _;

use super::beginning::{Beginning, Behind};
use super::job::{self, JobState};
use crate::fuzzing::NONCE;

pub(crate) fn said(choice: u8, said: &[u8]) {
    if choice == b'j' {
        record(&String::from_utf8_lossy(said));
    } else {
        stream(said);
    }
}

fn record(text: &str) {
    let Some(record) = job::parse(text) else { return };
    for bytes in [0, 1, u64::MAX] {
        let missing = record.out.missing(bytes).saturating_add(record.err.missing(bytes));
        assert!(bytes != u64::MAX || missing == 0, "more is missing than there can be");
    }
    let (started, exit) = (record.started, record.exit);
    let state = JobState::from(record);
    assert_eq!(state == JobState::Absent, !started);
    assert!(!started || exit.is_none_or(|code| state == JobState::Finished(code)));
}

/// What is passed on is what stands behind the line, and nothing where there is no line.
fn stream(said: &[u8]) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else { return };
    let line = format!("lease-1 {NONCE} started\n").into_bytes();
    let found = said.windows(line.len()).position(|it| it == line);
    let beginning = Arc::<Beginning>::default();
    let mut passed_on = Vec::new();
    let mut from = Behind::line(said, NONCE, &beginning);
    let read = runtime.block_on(from.read_to_end(&mut passed_on));
    assert!(read.is_ok());
    let expected = found.map(|at| &said[at + line.len()..]).unwrap_or_default();
    assert!(passed_on == expected, "it begins elsewhere than behind its line");
    assert_eq!(beginning.is_seen(), found.is_some());
    assert_eq!(beginning.is_missing(), found.is_none());
}
