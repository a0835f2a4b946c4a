//! One file of more than two gibibytes, nearly all of it a hole, so that it costs little here.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use crate::fixture::tool;
use crate::syncing::Case;

/// More than a scan's margin.
const SETTLED: Duration = Duration::from_millis(50);
/// Where numbers of 31 bits end.
const EDGE: u64 = 1 << 31;

#[tokio::test]
async fn a_file_of_more_than_two_gibibytes_arrives_byte_for_byte() {
    let case = Case::new().await;
    let path = case.tree.join("large");
    let file = fs::File::create(&path).unwrap();
    for (at, word) in [(0, "begin"), (EDGE - 3, "edge"), (EDGE + 5_000_000, "end")] {
        file.write_all_at(word.as_bytes(), at).unwrap();
    }
    // What is as young as the scan is not believed, and would be read once more.
    let written = path.metadata().unwrap().modified().unwrap();
    let is_old = || {
        let now = tempfile::tempfile().unwrap().metadata().unwrap().modified().unwrap();
        now.duration_since(written).unwrap() > SETTLED
    };
    assert!(lease_process::wait::until(SETTLED * 100, SETTLED / 10, is_old).await);
    let (report, _) = case.run("first", "true").await;
    assert_eq!((report.sent_files, report.sent_bytes), (1, EDGE + 5_000_003));
    assert_eq!(fs::metadata(case.on_box("large")).unwrap().len(), EDGE + 5_000_003);
    // Each byte is looked at, by a program that shares nothing with ours.
    tool("cmp", &[&path, &case.on_box("large")].map(|it| it.to_str().unwrap())).await;
    assert_eq!(case.run("again", "true").await.0.sent_files, 0);
    case.it.end().await;
}
