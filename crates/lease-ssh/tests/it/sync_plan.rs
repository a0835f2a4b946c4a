//! What a sync would do, everything sent again, and how far it has come.

use std::fs;
use std::path::{Path, PathBuf};

use lease_ssh::{Change, Compare, Drift, Extent, Order, Plan, Progress, SyncReport};
use tokio::sync::watch;

use crate::fixture::{LEASE, scan, tree_at};
use crate::syncing::Case;
use crate::warm::shown;

async fn plan(case: &Case, extent: Extent, drift: Drift) -> Plan {
    let tree = tree_at(&case.tree);
    let mut mirror = case.it.client.mirror(LEASE, &case.it.root, &tree).unwrap();
    let scan = scan(&tree, mirror.manifest()).await.unwrap();
    let compare = Compare::Stamps;
    let order = Order { drift, compare, extent, ..Order::new(&mut mirror, &scan) };
    lease_ssh::plan(&case.session, &case.it.root, order).await.unwrap()
}

async fn sync(case: &Case, extent: Extent, progress: watch::Sender<Progress>) -> SyncReport {
    let tree = tree_at(&case.tree);
    let mut mirror = case.it.client.mirror(LEASE, &case.it.root, &tree).unwrap();
    let scan = scan(&tree, mirror.manifest()).await.unwrap();
    let (drift, compare, progress) = (Drift::Overwrite, Compare::Stamps, Some(progress));
    let order = Order { drift, compare, extent, progress, ..Order::new(&mut mirror, &scan) };
    lease_ssh::sync(&case.session, &case.it.root, order).await.unwrap()
}

fn sizes(plan: &Plan) -> Vec<(&Path, u64, Change)> {
    plan.writes.iter().map(|it| (it.path.as_path(), it.bytes, it.change)).collect()
}

#[tokio::test]
async fn a_plan_says_what_a_sync_does_and_does_nothing() {
    let case = Case::new().await;
    case.put("a", "one");
    case.put("d/b", "four");
    let first = plan(&case, Extent::Difference, Drift::Fail).await;
    let added = Change::Added;
    assert_eq!(sizes(&first), [(Path::new("a"), 3, added), (Path::new("d/b"), 4, added)]);
    assert_eq!((first.bytes, first.removals.len(), first.repairs), (7, 0, false));
    assert_eq!(shown(&case.it.work()).len(), 0);

    case.run("first", "echo edited >>a").await;
    case.looked().await;
    case.remove("d");
    case.put("e/c", "five5");
    let before = shown(&case.it.work());
    for _ in 0..2 {
        let next = plan(&case, Extent::Difference, Drift::Fail).await;
        let (a, c) = (Path::new("a"), Path::new("e/c"));
        assert_eq!(sizes(&next), [(a, 3, Change::Changed), (c, 5, added)]);
        assert_eq!((next.removals, next.drifted), (vec![PathBuf::from("d/b")], vec![a.to_owned()]));
        assert_eq!(next.biggest, [(PathBuf::from("e"), 5)]);
    }
    assert_eq!(shown(&case.it.work()), before);
    let report = case.sync().await;
    assert_eq!((report.sent_files, report.removed), (2, 1));
    assert_eq!(report.drifted, [PathBuf::from("a")]);
    let last = plan(&case, Extent::Difference, Drift::Overwrite).await;
    assert_eq!((last.writes.len(), last.removals.len(), last.drifted.len()), (0, 0, 0));
    assert_eq!(plan(&case, Extent::Everything, Drift::Overwrite).await.writes.len(), 2);
    case.it.end().await;
}

#[tokio::test]
async fn everything_is_sent_whatever_is_known() {
    let case = Case::new().await;
    case.put("a", "one");
    case.put("b", "two");
    case.sync().await;
    // A change that no look can find: its time was set back.
    let on_box = case.on_box("a");
    let stamp = fs::metadata(case.it.at("box/.lease/sync/stamp")).unwrap();
    fs::write(&on_box, "odd").unwrap();
    fs::remove_file(case.it.at("box/.lease/sync/stamp")).unwrap();
    fs::write(case.it.at("box/.lease/sync/stamp"), "").unwrap();
    assert!(stamp.is_file());
    case.remove("b");
    let (sender, seen) = watch::channel(Progress::default());
    let report = sync(&case, Extent::Everything, sender).await;
    assert_eq!((report.sent_files, report.removed, report.repaired), (1, 1, false));
    let all = Progress { files: 1, files_total: 1, bytes: 3, bytes_total: 3 };
    assert_eq!(*seen.borrow(), all);
    case.is_there();
    assert_eq!(case.sync().await.sent_files, 0);
    case.it.end().await;
}

#[tokio::test]
async fn a_large_change_tells_how_far_it_has_come() {
    let case = Case::new().await;
    for index in 0..40 {
        fs::write(case.tree.join(format!("f{index:02}")), vec![b'x'; 200_000]).unwrap();
    }
    let (sender, mut seen) = watch::channel(Progress::default());
    let watching = async {
        let mut told = Vec::new();
        while seen.changed().await.is_ok() {
            told.push(*seen.borrow_and_update());
        }
        told
    };
    let (report, told) = tokio::join!(sync(&case, Extent::Difference, sender), watching);
    assert_eq!(report.sent_files, 40);
    let (files_total, bytes_total) = (40, 8_000_000);
    let steps = told.iter().filter(|it| it.files_total > 0);
    assert!(steps.clone().all(|it| (it.files_total, it.bytes_total) == (files_total, bytes_total)));
    assert!(steps.is_sorted_by_key(|it| (it.bytes, it.files)), "{told:?}");
    assert!(told.iter().any(|it| it.bytes > 0 && it.bytes < bytes_total), "{told:?}");
    let last = told.last().unwrap();
    assert_eq!((last.files, last.bytes), (files_total, bytes_total));
    case.it.end().await;
}
