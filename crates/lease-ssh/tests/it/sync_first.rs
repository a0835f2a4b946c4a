//! The first sync of a box: few requests, a stream that may be compressed, and a cut at any place that the next sync repairs.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, UNIX_EPOCH};

use lease_ssh::SshError;

use crate::hooked::{hook, hook_stream, hooked, hooked_with, program};
use crate::syncing::Case;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    Zstd,
    Plain,
}

impl Packing {
    /// Makes the box have `zstd`, or something else under that name, and log how it is called.
    fn on(self, case: &Case) {
        let log = case.it.at("zstd.log").display().to_string();
        let rest = match self {
            Self::Zstd => "exec /usr/bin/zstd \"$@\"",
            Self::Plain => "exit 1",
        };
        program(&case.it, "bin/zstd", &format!("#!/bin/sh\necho \"$@\" >>{log}\n{rest}\n"));
    }

    #[track_caller]
    fn was_used(self, case: &Case) {
        let log = fs::read_to_string(case.it.at("zstd.log")).unwrap();
        assert_eq!(log.contains("-dc"), self == Self::Zstd, "{log}");
    }
}

fn fill(case: &Case) {
    for index in 0..30 {
        case.put(&format!("d{}/f{index}", index % 4), &format!("{index} ").repeat(2_000));
    }
    // What cannot be compressed, and is longer than a block of a frame.
    let mut state = 1_u64;
    let noise: Vec<u8> = (0..3_000_000)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        })
        .collect();
    fs::write(case.tree.join("noise"), noise).unwrap();
    let old = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let noise = fs::File::options().write(true).open(case.tree.join("noise"));
    noise.unwrap().set_modified(old).unwrap();
}

#[tokio::test]
async fn a_first_sync_is_two_requests_and_its_stream_arrives_packed_or_not() {
    for packing in [Packing::Zstd, Packing::Plain] {
        let case = Case::on(hooked_with("LogLevel DEBUG1").await).await;
        packing.on(&case);
        fill(&case);
        let before = case.channels();
        let report = case.sync().await;
        assert_eq!(case.channels() - before, 2, "{packing:?}");
        assert_eq!((report.sent_files, report.removed, report.repaired), (31, 0, false));
        packing.was_used(&case);
        case.is_there();
        assert_eq!(fs::metadata(case.on_box("noise")).unwrap().mtime(), 1_000_000_000);
        let (report, ran) = case.run("r", "cat d0/f0 | wc -c").await;
        assert_eq!((report.sent_files, ran.code()), (0, 0));
        case.it.end().await;
    }
}

#[tokio::test]
async fn a_large_change_is_three_requests_and_keeps_what_it_does_not_touch() {
    let case = Case::on(hooked_with("LogLevel DEBUG1").await).await;
    case.put("kept", "one");
    case.put("gone/x", "one");
    case.sync().await;
    fs::write(case.on_box("built"), "by the box").unwrap();
    case.remove("gone");
    fill(&case);
    let before = case.channels();
    let report = case.sync().await;
    assert_eq!(case.channels() - before, 3);
    assert_eq!((report.sent_files, report.removed), (31, 1));
    case.has("built", "by the box");
    fs::remove_file(case.on_box("built")).unwrap();
    case.is_there();
    case.it.end().await;
}

#[tokio::test]
async fn a_first_sync_that_is_cut_anywhere_is_repaired_by_the_next() {
    // In the list of all paths, right behind it, in a file, among the files, and right before the last member: as many
    // bytes from the start, or with a hyphen from the end.
    let plain = ["700", "1536", "2000000", "3100000", "-1536"];
    for (packing, cuts) in
        [(Packing::Plain, &plain[..]), (Packing::Zstd, &["0", "700", "1500000", "-5"])]
    {
        for bytes in cuts {
            let case = Case::on(hooked().await).await;
            packing.on(&case);
            fill(&case);
            let part = case.it.at("part").display().to_string();
            hook_stream(&case.it, &format!("head -c {bytes} >{part}; exec <{part}"));
            let cut = case.try_sync().await;
            assert!(matches!(cut, Err(SshError::Box { .. })), "{packing:?} {bytes}: {cut:?}");
            fs::remove_file(case.it.at("hook")).unwrap();
            // A file of the cut stream that the tree has no more goes, and what the box made stays.
            case.remove("d1/f1");
            fs::write(case.on_box("built"), "by the box").unwrap();
            let report = case.sync().await;
            assert!(report.repaired, "{packing:?} {bytes}: {report:?}");
            case.has("built", "by the box");
            fs::remove_file(case.on_box("built")).unwrap();
            case.is_there();
            case.it.end().await;
        }
    }
}

#[tokio::test]
async fn a_session_that_is_not_told_what_comes_does_nothing() {
    for bytes in [0, 20] {
        let case = Case::on(hooked().await).await;
        fill(&case);
        let part = case.it.at("part").display().to_string();
        hook(&case.it, "the stream was cut off", &format!("head -c {bytes} >{part}; exec <{part}"));
        let cut = case.try_sync().await;
        assert!(matches!(cut, Err(SshError::Box { .. })), "{bytes}: {cut:?}");
        fs::remove_file(case.it.at("hook")).unwrap();
        assert_eq!(fs::read_dir(case.on_box("")).unwrap().count(), 0);
        let report = case.sync().await;
        assert_eq!((report.sent_files, report.repaired), (31, false));
        case.is_there();
        case.it.end().await;
    }
}

#[tokio::test]
async fn each_session_of_a_first_run_is_opened_beside_the_one_before() {
    let case = Case::on(hooked_with("LogLevel DEBUG1").await).await;
    fill(&case);
    let at = |name: &str| case.it.at(name).display().to_string();
    // The question is not answered before the session for the stream is there, and the stream is not taken before that for
    // the command is.
    let wait = |path: &str| {
        format!(
            "count=0; while [ ! -e {path} ]; do count=$((count + 1)); [ $count -lt 1000 ] || exit 1; sleep 0.01; done"
        )
    };
    let (second, third) = (at("second"), at("third"));
    let (answers, takes) = (wait(&second), wait(&third));
    let script = format!(
        "case $SSH_ORIGINAL_COMMAND in
*'lease-survey-1'*) {answers} ;;
*'the stream was cut off'*) : >{second}; {takes} ;;
*'lease_mode= '*) : >{third} ;;
esac"
    );
    hook(&case.it, "", &script);
    let before = case.channels();
    let (report, ran) = case.run("r", "cat d0/f0 | wc -c").await;
    assert_eq!((report.sent_files, ran.code()), (31, 0));
    assert_eq!(case.channels() - before, 3);
    case.it.end().await;
}

#[tokio::test]
async fn a_first_run_whose_session_is_lost_beside_the_stream_runs_once() {
    let case = Case::on(hooked().await).await;
    fill(&case);
    hook(&case.it, "lease_mode= ", "exit 1");
    let (report, ran) = case.run("r", "echo x >>log; cat log").await;
    assert_eq!((report.sent_files, ran.code()), (31, 0));
    case.has("log", "x\n");
    case.it.end().await;
}

#[tokio::test]
async fn a_box_that_opens_one_session_at_a_time_is_synced_all_the_same() {
    let case = Case::on(hooked_with("MaxSessions 1").await).await;
    fill(&case);
    let report = case.sync().await;
    assert_eq!((report.sent_files, report.repaired), (31, false));
    case.is_there();
    case.remove("d1/f1");
    fill(&case);
    case.sync().await;
    case.is_there();
    let (report, ran) = case.run("r", "cat d0/f0 | wc -c").await;
    assert_eq!((report.sent_files, ran.code()), (0, 0));
    case.it.end().await;
}

#[tokio::test]
async fn a_box_with_files_of_its_own_is_not_taken_for_an_empty_one() {
    let case = Case::on(hooked().await).await;
    case.put("mine", "one");
    case.put("dir/x", "one");
    fs::create_dir_all(case.on_box("dir")).unwrap();
    fs::write(case.on_box(".own"), "the box's").unwrap();
    fs::write(case.on_box("mine"), "the box's").unwrap();
    fs::create_dir_all(case.on_box("other")).unwrap();
    let report = case.sync().await;
    assert_eq!((report.sent_files, report.repaired), (2, false));
    case.has(".own", "the box's");
    case.has("mine", "one");
    // What appears after the question, and is in the way, is seen as well.
    let other = Case::on(hooked().await).await;
    other.put("mine", "one");
    let own = other.on_box("mine").display().to_string();
    hook_stream(&other.it, &format!("mkdir -p {own}; echo own >{own}/file"));
    let blocked = other.try_sync().await.unwrap_err();
    assert!(matches!(blocked, SshError::Blocked { .. }), "{blocked:?}");
    other.has("mine/file", "own\n");
    case.it.end().await;
    other.it.end().await;
}
