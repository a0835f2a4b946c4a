//! Recording on a real directory: bounds, order, ambiguity, what a killed recorder leaves, and pruning.

use super::stream::PART_BYTES_MAX;
use super::*;

const AT: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn start() -> RunStart {
    RunStart {
        command: vec!["cargo".into(), "test".into()],
        lease: "lse-aaaaaaaaaaaaaaaaaaaa".to_owned(),
        slug: "calm-otter".to_owned(),
        provider: "local".to_owned(),
    }
}

fn store() -> (tempfile::TempDir, Runs) {
    let dir = tempfile::tempdir().unwrap();
    let runs = Runs::new(dir.path().join("runs"));
    (dir, runs)
}

#[test]
fn a_run_is_recorded_as_it_was() {
    let (_dir, runs) = store();
    let mut writer = runs.begin(start(), AT).unwrap();
    writer.stdout(b"one\n");
    writer.stderr(b"\xff\0");
    writer.stdout(b"two\n");
    writer.phases().sync_ms = Some(7);
    writer.exited(3).unwrap();
    let record = writer.finish(AT).unwrap();
    assert_eq!(runs.find("last").unwrap(), record);
    assert_eq!((record.exit, record.stdout.bytes, record.phases.sync_ms), (Some(3), 8, Some(7)));
    assert_eq!(runs.stream(&record, Which::Stdout).unwrap().head, b"one\ntwo\n");
    assert_eq!(runs.stream(&record, Which::Stderr).unwrap().head, b"\xff\0");
    assert!(!record.stdout.truncated);
}

/// Every size around the borders of the parts: head and tail are exact, and what is between is counted exactly.
#[test]
fn a_long_stream_keeps_its_beginning_and_its_end() {
    let part = usize::try_from(PART_BYTES_MAX).unwrap();
    for length in
        [part, part + 1, 2 * part, 3 * part - 1, 3 * part, 3 * part + 1, 5 * part + 12_345]
    {
        let (_dir, runs) = store();
        let bytes: Vec<u8> = (0..length).map(|it| u8::try_from(it % 251).unwrap()).collect();
        let mut writer = runs.begin(start(), AT).unwrap();
        for chunk in bytes.chunks(300_007) {
            writer.stdout(chunk);
        }
        let record = writer.finish(AT).unwrap();
        let recorded = runs.stream(&record, Which::Stdout).unwrap();
        assert_eq!(recorded.head, bytes[..part]);
        assert!(bytes.ends_with(&recorded.tail), "{length}");
        assert!(
            recorded.tail.len() >= part.min(length - part),
            "{length}: {}",
            recorded.tail.len()
        );
        let shown = recorded.head.len() + recorded.tail.len();
        assert_eq!(shown as u64 + recorded.left_out_bytes, length as u64);
        assert_eq!(record.stdout.truncated, length > 3 * part, "{length}");
    }
}

#[test]
fn a_killed_recorder_leaves_what_it_had() {
    let (_dir, runs) = store();
    let mut writer = runs.begin(start(), AT).unwrap();
    writer.stdout(b"so far");
    drop(writer);
    let record = runs.find("last").unwrap();
    assert_eq!((record.exit, record.finished_at.clone()), (None, None));
    assert_eq!(runs.stream(&record, Which::Stdout).unwrap().head, b"so far");
}

/// The numbers that the files of a stream's rest have.
fn segments(runs: &Runs, record: &RunRecord) -> Vec<u64> {
    let names = fs::read_dir(runs.directory.join(&record.id)).unwrap();
    let number = |it: std::ffi::OsString| it.to_str()?.strip_prefix("stdout.")?.parse().ok();
    let mut found: Vec<u64> = names.filter_map(|it| number(it.unwrap().file_name())).collect();
    found.sort_unstable();
    found
}

/// What a recorder holds back is written when the output pauses, and only what is to stay ever is.
#[test]
fn a_flood_is_written_where_it_pauses() {
    let part = usize::try_from(PART_BYTES_MAX).unwrap();
    let (_dir, runs) = store();
    let mut writer = runs.begin(start(), AT).unwrap();
    let bytes: Vec<u8> = (0..9 * part + 99).map(|it| u8::try_from(it % 251).unwrap()).collect();
    let mut at = 0;
    for pause in [part + 5, 4 * part + 7, 5 * part - 1, 5 * part + 3, 9 * part + 99] {
        writer.stdout(&bytes[at..pause]);
        writer.keep(Which::Stdout);
        at = pause;
        // As if it were killed here: another process reads what there is.
        let record = runs.find("last").unwrap();
        let recorded = runs.stream(&record, Which::Stdout).unwrap();
        assert_eq!(recorded.head, bytes[..part], "{pause}");
        assert!(bytes[..pause].ends_with(&recorded.tail), "{pause}");
        assert!(recorded.tail.len() >= part.min(pause - part), "{pause}");
        let shown = (recorded.head.len() + recorded.tail.len()) as u64;
        assert_eq!(shown + recorded.left_out_bytes, pause as u64);
        let last = (pause / part) as u64;
        assert!(
            segments(&runs, &record).iter().all(|it| (last - 1..=last).contains(it)),
            "{pause}"
        );
    }
}

#[test]
fn names_are_ids_their_beginnings_or_last() {
    let (_dir, runs) = store();
    assert!(runs.find("last").unwrap_err().what().contains("no run"));
    let first = runs.begin(start(), AT).unwrap().finish(AT).unwrap();
    let second = runs
        .begin(start(), Timestamp::from_millis(AT.as_millis() + 1))
        .unwrap()
        .finish(AT)
        .unwrap();
    assert!(first.id < second.id);
    assert_eq!(runs.find(&first.id).unwrap(), first);
    assert_eq!(runs.find(&second.id[4..]).unwrap(), second);
    let ambiguous = runs.find("run-").unwrap_err();
    assert!(
        ambiguous.what().contains(&first.id) && ambiguous.what().contains(&second.id),
        "{ambiguous}"
    );
    assert!(runs.find("../leases").is_err());
}

#[test]
fn a_damaged_record_hides_no_other() {
    let (dir, runs) = store();
    let good = runs.begin(start(), AT).unwrap().finish(AT).unwrap();
    let bad = runs
        .begin(start(), Timestamp::from_millis(AT.as_millis() + 1))
        .unwrap()
        .finish(AT)
        .unwrap();
    fs::write(dir.path().join("runs").join(&bad.id).join(RECORD), "{").unwrap();
    assert_eq!(runs.list(10).unwrap(), [good]);
    assert!(runs.find(&bad.id).unwrap_err().what().contains("not the record of a run"));
}

#[test]
fn the_oldest_are_forgotten_and_the_unfinished_are_not() {
    let (_dir, runs) = store();
    let at = |number: u64| Timestamp::from_millis(AT.as_millis() + number);
    let running = runs.begin(start(), at(0)).unwrap();
    let oldest = runs.begin(start(), at(1)).unwrap().finish(at(1)).unwrap();
    for number in 2..=u64::try_from(RUNS_MAX).unwrap() + 1 {
        runs.begin(start(), at(number)).unwrap().finish(at(number)).unwrap();
    }
    assert!(runs.find(&oldest.id).is_err());
    assert!(runs.find(running.id()).is_ok());
    assert_eq!(runs.list(usize::MAX).unwrap().len(), RUNS_MAX + 1);
}

#[test]
fn ids_are_in_the_order_of_time() {
    let early = draw_id(Timestamp::from_millis(31)).unwrap();
    let late = draw_id(Timestamp::from_millis(32)).unwrap();
    assert!(early < late, "{early} {late}");
    assert_eq!(early.len(), "run-".len() + 17);
}
