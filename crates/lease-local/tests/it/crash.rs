//! Whoever makes or removes a box may die at any moment, and others may be at work on the same one.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lease_core::journal::Change;
use lease_core::store::LeaseWriter;
use lease_core::store::fs::FsStore;
use lease_core::{Provider as _, ResourceState, Sighting, Status, Store};
use lease_process::{Program, Signal, Stream, spawn};
use lease_testkit::sim::WallClock;

use crate::bench::{Bench, Lease, config_in, destroy, entries, open};

/// The files of a box in the order in which they are made.
const FILES: [&str; 8] = [
    "lock",
    "box.json",
    "sshd_config",
    "host_key",
    "host_key.pub",
    "authorized_keys",
    "connect",
    "root",
];

/// The hidden name of the lease's box.
fn hidden(bench: &Bench, lease: &Lease, suffix: &str) -> PathBuf {
    let intent = lease.recall();
    let marks = intent.marks();
    let name = format!(
        ".{}.{}.{}.{}.{suffix}",
        intent.name(),
        marks.lease,
        marks.installation,
        marks.nonce
    );
    bench.root().join(name)
}

#[tokio::test]
async fn every_half_made_box_is_found_and_removed() {
    for made in 0..=FILES.len() {
        let bench = Bench::new();
        let mut lease = bench.intend().await;
        lease.send().await;
        let part = hidden(&bench, &lease, "part");
        fs::create_dir(&part).unwrap();
        for name in &FILES[..made] {
            fs::write(part.join(name), "half").unwrap();
        }
        let Sighting::Found(found) = bench.provider.find(&lease.recall()).await.unwrap() else {
            panic!("{made} files and nothing is found")
        };
        assert!(matches!(found.status, Status::Failed { .. }), "{:?}", found.status);
        assert_eq!(bench.provider.list().await.unwrap().items, [*found.clone()]);
        lease.note(Change::Lost { message: "killed".to_owned() }).await;
        lease.note(Change::Found { id: found.id }).await;
        bench.destroy(&mut lease).await.unwrap();
        bench.assert_clean();
    }
}

#[tokio::test]
async fn the_same_create_goes_on_where_a_dead_one_stopped() {
    for made in 0..=FILES.len() {
        let bench = Bench::new();
        let mut lease = bench.intend().await;
        let intent = lease.send().await;
        let part = hidden(&bench, &lease, "part");
        fs::create_dir(&part).unwrap();
        for name in &FILES[..made] {
            fs::write(part.join(name), "half").unwrap();
        }
        let created = bench.provider.create(&intent).await.unwrap();
        lease.note(Change::Created { id: created.id }).await;
        let reach = created.shown.unwrap().reach.unwrap();
        assert_eq!(bench.run(&reach, "echo in").await.stdout, b"in\n");
        bench.destroy(&mut lease).await.unwrap();
        bench.assert_clean();
    }
}

#[tokio::test]
async fn every_half_removed_box_is_found_and_removed() {
    for kept in 0..=FILES.len() {
        let bench = Bench::new();
        let (mut lease, reach) = bench.make().await;
        let gone = hidden(&bench, &lease, "gone");
        fs::rename(Path::new(&reach.root).parent().unwrap(), &gone).unwrap();
        for name in &FILES[kept..] {
            fs::remove_file(gone.join(name)).or_else(|_| fs::remove_dir(gone.join(name))).unwrap();
        }
        let Sighting::Found(found) = bench.provider.find(&lease.recall()).await.unwrap() else {
            panic!("{kept} files and nothing is found")
        };
        assert!(found.reach.is_none() && matches!(found.status, Status::Failed { .. }));
        // It was there once, so the same create must not make another.
        bench.provider.create(&lease.recall()).await.unwrap_err();
        bench.destroy(&mut lease).await.unwrap();
        bench.assert_clean();
    }
}

#[tokio::test]
async fn who_is_at_work_is_seen() {
    let bench = Bench::new();
    let mut lease = bench.intend().await;
    lease.send().await;
    for (suffix, expect) in
        [("part", Status::Starting { waiting_for: None }), ("gone", Status::Stopping)]
    {
        let path = hidden(&bench, &lease, suffix);
        fs::create_dir(&path).unwrap();
        let lock = fs::File::create(path.join("lock")).unwrap();
        lock.lock().unwrap();
        let Sighting::Found(found) = bench.provider.find(&lease.recall()).await.unwrap() else {
            panic!("it is not found")
        };
        assert_eq!(found.status, expect);
        fs::remove_dir_all(&path).unwrap();
    }
}

#[tokio::test]
async fn many_creates_of_one_intent_make_one_box() {
    let bench = Arc::new(Bench::new());
    let mut lease = bench.intend().await;
    let intent = lease.send().await;
    let other = open(config_in(bench.directory.path()));
    let (a, b, c, d) = tokio::join!(
        bench.provider.create(&intent),
        other.create(&intent),
        bench.provider.create(&intent),
        other.create(&intent),
    );
    let ids: BTreeSet<_> = [a, b, c, d].map(|it| it.unwrap().id).into();
    assert_eq!(ids.len(), 1);
    assert_eq!(entries(&bench.root()), [".root-id", intent.name().as_str()]);
    lease.note(Change::Created { id: ids.into_iter().next().unwrap() }).await;
    bench.destroy(&mut lease).await.unwrap();
    bench.assert_clean();
}

#[tokio::test]
async fn a_dropped_create_is_found_or_nothing() {
    let bench = Bench::new();
    for turns in 0..40 {
        let mut lease = bench.intend().await;
        let intent = lease.send().await;
        {
            let mut create = std::pin::pin!(bench.provider.create(&intent));
            let mut done = false;
            for _ in 0..turns {
                let polled = futures_poll(create.as_mut()).await;
                done = done || polled;
                if done {
                    break;
                }
            }
        }
        lease.note(Change::Lost { message: "dropped".to_owned() }).await;
        // Whatever is still at work on the disk holds the lock, and destroy waits for it.
        if let Sighting::Found(found) = bench.provider.find(&intent).await.unwrap() {
            lease.note(Change::Found { id: found.id }).await;
            bench.destroy(&mut lease).await.unwrap();
        }
        bench.assert_clean();
    }
}

/// Polls once and lets others run; says whether it is done.
async fn futures_poll<F: Future + Unpin>(mut future: F) -> bool {
    let done = std::future::poll_fn(|context| {
        std::task::Poll::Ready(std::pin::Pin::new(&mut future).poll(context).is_ready())
    });
    let done = done.await;
    tokio::task::yield_now().await;
    done
}

/// Where the victim of [`check_kill`] finds out in which directory it has to work.
const VICTIM: &str = "LEASE_LOCAL_TEST_DIRECTORY";

/// Makes a box; whoever starts this program for it kills it on the way. By itself it comes to a good end.
#[tokio::test]
async fn the_victim_makes_a_box() {
    #[expect(clippy::disallowed_methods, reason = "it is how one test talks to itself")]
    let given = std::env::var_os(VICTIM).map(PathBuf::from);
    let own = tempfile::tempdir().unwrap();
    let directory = given.clone().unwrap_or_else(|| own.path().to_owned());
    let store = Arc::new(FsStore::open(directory.join("state")).unwrap());
    let bench = Bench::of(own, store, |config| config.root = directory.join("boxes"));
    let (mut lease, _) = bench.make().await;
    if given.is_none() {
        bench.destroy(&mut lease).await.unwrap();
        bench.assert_clean();
    }
}

/// Kills the victim as soon as `is_time`, and clears up with nothing but its journal.
async fn check_kill(what: &str, is_time: impl Fn(&Path) -> bool) {
    let directory = tempfile::tempdir().unwrap();
    let boxes = directory.path().join("boxes");
    let program = Program::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::the_victim_makes_a_box", "--test-threads=1"])
        .env(VICTIM, directory.path())
        .env("TMPDIR", directory.path())
        .env("PATH", "/usr/bin:/bin")
        .stdout(Stream::Null)
        .stderr(Stream::Null);
    let child = spawn(&program).unwrap();
    // Without a pause: some of these moments are short.
    while !is_time(&boxes) && child.try_wait().unwrap().is_none() {
        std::hint::spin_loop();
    }
    let _already_over = child.signal(Signal::Kill);
    child.wait().await.unwrap();

    let provider = open(config_in(directory.path()));
    let store: Arc<dyn Store> = Arc::new(FsStore::open(directory.path().join("state")).unwrap());
    for (lease, _) in store.names().await.unwrap() {
        let writer =
            LeaseWriter::load(Arc::clone(&store), Arc::new(WallClock), &lease).await.unwrap();
        let mut lease = Lease { writer };
        let state =
            lease.writer.claim().resources().first().map(lease_core::claim::ClaimedResource::state);
        match state {
            None | Some(ResourceState::Intended) => continue,
            Some(ResourceState::Creating) => {
                lease.note(Change::Lost { message: "killed".to_owned() }).await;
                match provider.find(&lease.recall()).await.unwrap() {
                    Sighting::Found(found) => lease.note(Change::Found { id: found.id }).await,
                    Sighting::Absent => continue,
                    Sighting::Suspects(several) => panic!("{what}: {several:?}"),
                    Sighting::Unclear(error) => panic!("{what}: {error}"),
                }
            }
            Some(_) => {}
        }
        destroy(&provider, &mut lease).await.unwrap();
    }
    assert_eq!(entries(&boxes), [".root-id"], "killed when {what}");
}

#[tokio::test]
async fn a_killed_create_leaves_what_is_found_or_nothing() {
    let part = |boxes: &Path| {
        let entries = fs::read_dir(boxes).ok()?.filter_map(Result::ok);
        entries.map(|it| it.path()).find(|it| it.extension().is_some_and(|it| it == "part"))
    };
    for _ in 0..3 {
        check_kill("it had not begun", |_| true).await;
        check_kill("the directory was there", |boxes| boxes.join(".root-id").exists()).await;
        for name in FILES {
            let is_time = |boxes: &Path| part(boxes).is_some_and(|it| it.join(name).exists());
            check_kill(name, is_time).await;
        }
        let is_named = |boxes: &Path| entries(boxes).iter().any(|it| it.starts_with("lse-"));
        check_kill("it had its name", |boxes| boxes.is_dir() && is_named(boxes)).await;
        check_kill("it was over", |_| false).await;
    }
}
