//! Sync that meets trouble: files that change, disks that fill, syncs that are cut off, records that lie.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lease_ssh::{SshError, WhySkipped};

use crate::fixture::{Box, scan, sh, tree_at};
use crate::syncing::{Case, git};

#[tokio::test]
async fn a_growing_file_never_tears_the_stream() {
    let case = Case::new().await;
    for index in 0..50 {
        case.put(&format!("f{index:02}"), &format!("content {index}"));
    }
    // Large enough to be streamed, small enough to be held.
    for (name, bytes) in [("large", 9 * 1024 * 1024), ("small", 1024 * 1024)] {
        fs::write(case.tree.join(name), vec![b'x'; bytes]).unwrap();
    }
    let stop = Arc::new(AtomicBool::new(false));
    let writer = {
        let (stop, tree) = (Arc::clone(&stop), case.tree.clone());
        std::thread::spawn(move || {
            let open = |name: &str| fs::File::options().write(true).open(tree.join(name)).unwrap();
            let (large, small) = (open("large"), open("small"));
            let mut bytes = 0;
            while !stop.load(Ordering::Relaxed) {
                bytes += 1;
                large.set_len(9 * 1024 * 1024 + bytes).unwrap();
                small.set_len(1024 * 1024 - bytes % 512).unwrap();
            }
        })
    };
    let report = case.sync().await;
    stop.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    for index in 0..50 {
        case.has(&format!("f{index:02}"), &format!("content {index}"));
    }
    for skipped in &report.skipped {
        assert_eq!(skipped.why, WhySkipped::Changing);
        case.lacks(skipped.path.to_str().unwrap());
    }
    assert!(!report.skipped.is_empty(), "nothing changed while it was read");
    let report = case.sync().await;
    assert_eq!(report.skipped, []);
    assert!(fs::read(case.tree.join("large")).unwrap() == fs::read(case.on_box("large")).unwrap());
    case.it.end().await;
}

#[tokio::test]
async fn a_full_disk_is_named_and_repaired() {
    // The limit holds for each file that the box writes.
    let case = Case::on(Box::with("ulimit -f 2048", "").await).await;
    case.put("small", "fits");
    case.sync().await;
    fs::write(case.tree.join("big"), vec![1; 9 * 1024 * 1024]).unwrap();
    case.put("gone-later", "x");
    let full = case.try_sync().await.unwrap_err();
    assert!(matches!(full, SshError::BoxFull { .. }), "{full:?}");
    case.remove("big");
    case.remove("gone-later");
    let report = case.sync().await;
    assert!(report.repaired);
    case.lacks("big");
    case.lacks("gone-later");
    case.has("small", "fits");
    case.it.end().await;
}

#[tokio::test]
async fn a_cancelled_sync_is_repaired_and_forgets_nothing() {
    let case = Case::new().await;
    case.put("old", "x");
    case.sync().await;
    case.remove("old");
    for index in 0..200 {
        fs::write(case.tree.join(format!("n{index}")), vec![b'n'; 100 * 1024]).unwrap();
    }
    let seen = case.on_box("n0");
    {
        let syncing = std::pin::pin!(case.try_sync());
        let cancelled = async {
            let half = || seen.exists();
            lease_process::wait::until(
                std::time::Duration::from_secs(30),
                std::time::Duration::from_millis(1),
                half,
            )
            .await
        };
        tokio::select! {
            // Too fast to be cancelled is fine: the rest of the test holds all the same.
            _ = syncing => {}
            _ = cancelled => {}
        }
    }
    for index in 0..200 {
        case.remove(&format!("n{index}"));
    }
    case.put("last", "x");
    case.sync().await;
    let left: Vec<_> =
        fs::read_dir(case.it.work()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(left, ["last"]);
    case.it.end().await;
}

#[tokio::test]
async fn a_manifest_that_leads_outside_is_refused() {
    let case = Case::new().await;
    case.put("a", "x");
    case.sync().await;
    fs::write(case.it.at("outside"), "x").unwrap();
    fs::write(case.it.at("box/.lease/sync/manifest"), b"- 0 0 - ../../outside\0").unwrap();
    // A client that knows the box does not ask.
    fs::remove_file(case.it.at("keys").join(crate::fixture::LEASE).join("mirror")).unwrap();
    let refused = case.try_sync().await.unwrap_err();
    assert!(refused.to_string().contains("manifest"), "{refused}");
    assert!(case.it.at("outside").exists());
    case.it.end().await;
}

#[tokio::test]
async fn a_box_without_tar_is_named() {
    let it = Box::with("", "SetEnv PATH=/nonexistent").await;
    let bin = it.at("bin");
    fs::create_dir(&bin).unwrap();
    for name in ["sh", "mkdir", "cat", "rm"] {
        let found = ["/bin", "/usr/bin"]
            .map(|it| Path::new(it).join(name))
            .into_iter()
            .find(|it| it.exists());
        symlink(found.unwrap(), bin.join(name)).unwrap();
    }
    let config = fs::read_to_string(it.at("sshd_config")).unwrap();
    fs::write(it.at("sshd_config"), config.replace("/nonexistent", &bin.display().to_string()))
        .unwrap();
    let case = Case::on(it).await;
    let lacking = case.try_sync().await.unwrap_err();
    assert!(matches!(lacking, SshError::BoxLacks { program: "tar" }), "{lacking:?}");
    case.it.end().await;
}

#[tokio::test]
async fn the_tree_is_never_written_i14() {
    let case = Case::new().await;
    case.put("a", "x");
    case.put(".lease/own", "the tree's own");
    git(&case.tree, &["add", "a"]).await;
    let state = |root: &Path| {
        let mut found = Vec::new();
        let mut open = vec![root.to_owned()];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                let meta = fs::symlink_metadata(&path).unwrap();
                if meta.is_dir() {
                    open.push(path.clone());
                }
                found.push((
                    path,
                    meta.ino(),
                    meta.len(),
                    meta.mtime(),
                    meta.mtime_nsec(),
                    meta.ctime_nsec(),
                ));
            }
        }
        found.sort();
        found
    };
    let before = state(&case.tree);
    case.sync().await;
    let ran = case.it.run(&case.session, "r", &sh("echo changed >a; cat .lease/own"), b"").await;
    assert_eq!((ran.code(), ran.stdout.as_slice()), (0, b"the tree's own".as_slice()));
    case.sync().await;
    assert_eq!(state(&case.tree), before);
    case.has("a", "x");
    case.it.end().await;
}

#[tokio::test]
async fn a_tree_that_is_not_there_is_named() {
    let case = Case::new().await;
    for path in ["nowhere", "file"] {
        fs::write(case.it.at("file"), "x").unwrap();
        let error = scan(&tree_at(&case.it.at(path)), None).await.unwrap_err();
        assert!(matches!(error, SshError::Tree(_)), "{error:?}");
    }
    case.it.end().await;
}
