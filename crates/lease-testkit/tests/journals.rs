//! Golden journals. They are what users have on their disks: they are never changed, only added to.
//!
//! Each `NAME.jsonl` stands beside a `NAME.md` that says what it is and, in its first line, how it reads.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is the test")]

use std::fs;
use std::path::{Path, PathBuf};

use lease_core::journal::decode;
use lease_core::{Claim, ErrorKind, Phase};

fn journals() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/journals/v1");
    let entries = fs::read_dir(&dir).unwrap().map(|it| it.unwrap().path());
    let mut paths: Vec<_> =
        entries.filter(|it| it.extension().is_some_and(|it| it == "jsonl")).collect();
    paths.sort();
    paths
}

fn read(path: &Path) -> Result<Claim, ErrorKind> {
    Claim::try_fold(decode(&fs::read(path).unwrap())).map_err(|error| error.kind())
}

/// What the description beside a journal says about it: `Phase: ready` or `Error: corrupt`.
fn recorded(path: &Path) -> Result<Phase, ErrorKind> {
    let text = fs::read_to_string(path.with_extension("md")).unwrap();
    let first = text.lines().next().unwrap();
    let (key, value) = first.split_once(": ").unwrap();
    let value = serde_json::Value::from(value.trim_matches('`'));
    match key {
        "Phase" => Ok(serde_json::from_value(value).unwrap()),
        "Error" => Err(serde_json::from_value(value).unwrap()),
        other => panic!("{}: {other} is neither `Phase` nor `Error`", path.display()),
    }
}

#[test]
fn every_golden_journal_reads_as_recorded() {
    let journals = journals();
    assert!(journals.len() >= 29, "only {} journals were found", journals.len());
    for path in journals {
        assert_eq!(read(&path).map(|it| it.phase()), recorded(&path), "{}", path.display());
    }
}

#[test]
fn every_phase_has_a_golden_journal() {
    let recorded: Vec<_> = journals().iter().filter_map(|it| recorded(it).ok()).collect();
    for phase in [
        Phase::Acquiring,
        Phase::Ready,
        Phase::Releasing,
        Phase::Released,
        Phase::Kept,
        Phase::NeedsAttention,
    ] {
        assert!(recorded.contains(&phase), "no golden journal is {phase}");
    }
}

#[test]
fn what_is_read_is_written_the_same() {
    for path in journals() {
        let bytes = fs::read(&path).unwrap();
        let Ok(records) = decode(&bytes).collect::<Result<Vec<_>, _>>() else { continue };
        let mut again = Vec::new();
        for record in &records {
            let event = std::slice::from_ref(&record.event);
            again.extend(lease_core::journal::encode(record.seq, record.at, event).unwrap());
        }
        let complete = bytes.iter().rposition(|it| *it == b'\n').map_or(0, |it| it + 1);
        assert_eq!(again, bytes[..complete], "{}", path.display());
    }
}
