//! The store on a real directory: tearing, corruption, conflicts, locks and refusals.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::id::Nonce;
use crate::journal::Change;
use crate::store::tests::opened;

const AT: Timestamp = Timestamp::from_millis(1_000);

fn kept() -> [Event; 1] {
    [Event::Kept { why: "a test".to_owned() }]
}

#[tokio::test]
async fn i10_only_one_of_two_writers_wins() {
    let dir = tempfile::tempdir().unwrap();
    let store = FsStore::open(dir.path()).unwrap();
    let claim = store.open(AT, opened("calm-otter"), &[]).await.unwrap();
    store.append(claim.lease(), claim.sequence(), AT, &kept()).await.unwrap();
    let late = store.append(claim.lease(), claim.sequence(), AT, &kept()).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Conflict);
    assert_eq!(store.load(claim.lease()).await.unwrap().sequence(), Sequence::FIRST.plus(1));
}

#[test]
fn i10_a_writer_waits_for_whoever_has_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    let store = FsStore::open(dir.path()).unwrap();
    let claim = runtime().block_on(store.open(AT, opened("calm-otter"), &[])).unwrap();
    let held = File::open(store.path_of(claim.lease()).unwrap()).unwrap();
    held.lock().unwrap();
    let events = kept();
    let append = || {
        runtime().block_on(store.append(claim.lease(), claim.sequence(), AT, &events)).unwrap();
    };
    std::thread::scope(|scope| {
        let writer = scope.spawn(append);
        // Time enough for one that does not wait; one that does is waiting at the end of it, however slow the machine.
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_millis(200);
        while tokio::time::Instant::now() < deadline {
            let last = runtime().block_on(store.load(claim.lease())).unwrap().sequence();
            assert_eq!(last, claim.sequence(), "it wrote into a journal that somebody else has");
        }
        held.unlock().unwrap();
        writer.join().unwrap();
    });
    let last = runtime().block_on(store.load(claim.lease())).unwrap().sequence();
    assert_eq!(last, claim.sequence().plus(1));
}

#[tokio::test]
async fn a_slug_is_given_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = FsStore::open(dir.path()).unwrap();
    store.open(AT, opened("calm-otter"), &[]).await.unwrap();
    let again =
        FsStore::open(dir.path()).unwrap().open(AT, opened("calm-otter"), &[]).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict);
    assert_eq!(store.scan().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_torn_line_is_overwritten_by_the_next_append() {
    let dir = tempfile::tempdir().unwrap();
    let store = FsStore::open(dir.path()).unwrap();
    let claim = store.open(AT, opened("calm-otter"), &[]).await.unwrap();
    let path = store.path_of(claim.lease()).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend_from_slice(b"{\"v\":1,\"seq\":2,\"at\":5,\"eve");
    fs::write(&path, bytes).unwrap();
    assert_eq!(store.load(claim.lease()).await.unwrap().sequence(), Sequence::FIRST);
    store.append(claim.lease(), Sequence::FIRST, AT, &kept()).await.unwrap();
    assert_eq!(store.load(claim.lease()).await.unwrap().keep_reason(), Some("a test"));
}

#[tokio::test]
async fn an_unreadable_journal_hides_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = FsStore::open(dir.path()).unwrap();
    let good = store.open(AT, opened("calm-otter"), &[]).await.unwrap();
    for (slug, text) in [("bad-corrupt", "{]\n"), ("bad-newer", "{\"v\":99}\n"), ("bad-empty", "")]
    {
        let claim = store.open(AT, opened(slug), &[]).await.unwrap();
        fs::write(store.path_of(claim.lease()).unwrap(), text).unwrap();
    }
    fs::write(dir.path().join("leases/notes.txt"), "hello").unwrap();
    let other = store.open(AT, opened("bad-foreign"), &[]).await.unwrap();
    fs::copy(store.path_of(good.lease()).unwrap(), store.path_of(other.lease()).unwrap()).unwrap();
    let mut seen: Vec<_> = store
        .scan()
        .await
        .unwrap()
        .into_iter()
        .map(|it| (it.name, it.claim.err().map(|it| it.kind())))
        .collect();
    seen.sort_by(|one, two| one.0.cmp(&two.0));
    let expected = [
        ("bad-corrupt", Some(ErrorKind::Corrupt)),
        ("bad-empty", Some(ErrorKind::Corrupt)),
        ("bad-foreign", Some(ErrorKind::Corrupt)),
        ("bad-newer", Some(ErrorKind::NewerFormat)),
        ("calm-otter", None),
        ("notes.txt", Some(ErrorKind::Corrupt)),
    ];
    assert_eq!(seen, expected.map(|(name, kind)| (name.to_owned(), kind)));
}

#[tokio::test]
async fn locks_exclude_and_end_with_their_guard() {
    let dir = tempfile::tempdir().unwrap();
    let store = FsStore::open(dir.path()).unwrap();
    let lease = LeaseId::draw(&OsEntropy).unwrap();
    let held = store.lock(&lease, LockKind::Operate).await.unwrap();
    assert!(held.is_some());
    assert!(store.lock(&lease, LockKind::Operate).await.unwrap().is_none());
    assert!(store.lock(&lease, LockKind::Use).await.unwrap().is_some());
    drop(held);
    assert!(store.lock(&lease, LockKind::Operate).await.unwrap().is_some());
}

/// Who opens a lease sweeps; the one who adopts at that moment has opened none yet.
#[tokio::test]
async fn the_lock_of_adoptions_outlives_the_opening_of_a_lease() {
    let dir = tempfile::tempdir().unwrap();
    let store = FsStore::open(dir.path()).unwrap();
    let litter = LeaseId::draw(&OsEntropy).unwrap();
    drop(store.lock(&litter, LockKind::Operate).await.unwrap().unwrap());
    let held = store.lock(&LeaseId::of_adoptions(), LockKind::Operate).await.unwrap();
    assert!(held.is_some());
    store.open(AT, opened("calm-otter"), &[]).await.unwrap();
    let left: Vec<_> = fs::read_dir(dir.path().join("locks")).unwrap().flatten().collect();
    assert_eq!(left.len(), 1, "the other lock was swept: {left:?}");
    assert!(store.lock(&LeaseId::of_adoptions(), LockKind::Operate).await.unwrap().is_none());
}

#[tokio::test]
async fn only_a_released_lease_is_archived() {
    let dir = tempfile::tempdir().unwrap();
    let store = FsStore::open(dir.path()).unwrap();
    let claim = store.open(AT, opened("calm-otter"), &[]).await.unwrap();
    assert_eq!(store.archive(claim.lease()).await.unwrap_err().kind(), ErrorKind::Refused);
    let end = [Event::Releasing { why: "a test".to_owned(), ends_keep: false }];
    store.append(claim.lease(), claim.sequence(), AT, &end).await.unwrap();
    store.archive(claim.lease()).await.unwrap();
    store.archive(claim.lease()).await.unwrap();
    assert!(store.scan().await.unwrap().is_empty());
    assert_eq!(store.load(claim.lease()).await.unwrap().phase(), Phase::Released);
}

/// Whoever is second finds the work done at whatever step it has come to.
#[test]
fn a_lease_that_several_archive_at_once_is_archived_for_each_of_them() {
    const ARCHIVERS: usize = 4;
    let dir = tempfile::tempdir().unwrap();
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    let store = FsStore::open(dir.path()).unwrap();
    let leases: Vec<LeaseId> = (0..50)
        .map(|number| {
            let opened = store.open(AT, opened(&format!("calm-otter-{number}")), &[]);
            let claim = runtime().block_on(opened).unwrap();
            let releasing = [Event::Releasing { why: "test".to_owned(), ends_keep: false }];
            let append = store.append(claim.lease(), claim.sequence(), AT, &releasing);
            runtime().block_on(append).unwrap();
            claim.lease().clone()
        })
        .collect();
    let together = std::sync::Barrier::new(ARCHIVERS);
    let problems = std::sync::Mutex::new(Vec::new());
    let archive_all = || {
        let (runtime, store) = (runtime(), FsStore::open(dir.path()).unwrap());
        for lease in &leases {
            together.wait();
            let archived = runtime.block_on(store.archive(lease));
            problems.lock().unwrap().extend(archived.err().map(|it| it.to_string()));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..ARCHIVERS {
            scope.spawn(archive_all);
        }
    });
    assert_eq!(problems.into_inner().unwrap(), Vec::<String>::new());
    assert!(store.live_files().unwrap().is_empty());
}

#[tokio::test]
async fn files_are_private_and_the_installation_stays() {
    let dir = tempfile::tempdir().unwrap();
    let store = FsStore::open(dir.path().join("state")).unwrap();
    let claim = store.open(AT, opened("calm-otter"), &[]).await.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir.path().join("state/leases")), 0o700);
    assert_eq!(mode(&store.path_of(claim.lease()).unwrap()), 0o600);
    let again = FsStore::open(dir.path().join("state")).unwrap();
    assert_eq!(store.installation().await.unwrap(), again.installation().await.unwrap());
}

#[test]
fn a_file_in_the_way_is_a_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("state"), "").unwrap();
    let error = FsStore::open(dir.path().join("state")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
    assert!(error.to_string().contains("state"), "{error}");
}

#[tokio::test]
async fn a_damaged_journal_is_neither_read_around_nor_archived() {
    let dir = tempfile::tempdir().unwrap();
    let store = FsStore::open(dir.path()).unwrap();
    let opened = opened("calm-otter");
    let lease = opened.lease.clone();
    let releasing = Event::Releasing { why: "a test".to_owned(), ends_keep: false };
    store.open(AT, opened.clone(), &[releasing]).await.unwrap();
    store.archive(&lease).await.unwrap();
    store.open(AT, opened, &[]).await.unwrap();
    fs::write(store.path_of(&lease).unwrap(), "not a journal\n").unwrap();
    // The record of its first life is whole, and says nothing about the second.
    assert_eq!(store.load(&lease).await.unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(store.archive(&lease).await.unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(store.live_files().unwrap().len(), 1);
}

#[test]
fn an_installation_that_cannot_be_read_is_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("installation")).unwrap();
    let error = FsStore::open(dir.path()).unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::Storage, "read the installation id"));
}

#[test]
fn a_nonce_is_not_an_installation_file() {
    let dir = tempfile::tempdir().unwrap();
    FsStore::open(dir.path()).unwrap();
    fs::write(dir.path().join("installation"), format!("{}x\n", Nonce::draw(&OsEntropy).unwrap()))
        .unwrap();
    assert_eq!(FsStore::open(dir.path()).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn a_file_system_without_locks_is_named_with_the_remedy() {
    let error = no_locks(Path::new("somewhere/open.lock"), io::ErrorKind::Unsupported.into());
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Storage, Effect::None));
    let text = error.to_string();
    assert!(text.contains("somewhere/open.lock") && text.contains("LEASE_STATE_DIR"), "{text}");
}

#[tokio::test]
async fn litter_of_killed_processes_is_swept_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let store = FsStore::open(dir.path()).unwrap();
    let live = store.open(AT, opened("calm-otter"), &[]).await.unwrap();
    let held = store.lock(live.lease(), LockKind::Use).await.unwrap();
    let dead = LeaseId::draw(&OsEntropy).unwrap();
    drop(store.lock(&dead, LockKind::Operate).await.unwrap());
    fs::write(dir.path().join("leases/x.unfinished"), "{").unwrap();
    store.open(AT, opened("swift-lynx"), &[]).await.unwrap();
    let names = |path: &str| -> Vec<_> {
        let entries = fs::read_dir(dir.path().join(path)).unwrap();
        entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect()
    };
    assert_eq!(names("locks"), [format!("{}.use", live.lease())]);
    assert!(!names("leases").concat().contains(UNFINISHED));
    drop(held);
}

#[tokio::test]
async fn what_a_lease_begins_with_is_there_from_the_first_moment() {
    let dir = tempfile::tempdir().unwrap();
    let store = FsStore::open(dir.path()).unwrap();
    let then = [Event::Kept { why: "adopted".into() }];
    let claim = store.open(AT, opened("calm-otter"), &then).await.unwrap();
    assert_eq!(claim.keep_reason(), Some("adopted"));
    assert_eq!(store.load(claim.lease()).await.unwrap().sequence(), Sequence::FIRST.plus(1));
    // What the model forbids begins nothing.
    let impossible = [Event::Resource { index: 0, change: Change::NeverSent }];
    store.open(AT, opened("swift-lynx"), &impossible).await.unwrap_err();
    assert_eq!(store.live_files().unwrap().len(), 1);
}

#[tokio::test]
async fn a_second_life_of_a_lease_leaves_the_record_of_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let store = FsStore::open(dir.path()).unwrap();
    let first = opened("calm-otter");
    let release = |why: &str| [Event::Releasing { why: why.into(), ends_keep: false }];
    for (slug, why) in [("calm-otter", "first"), ("calm-otter", "second"), ("other-otter", "third")]
    {
        let opened = Opened { slug: slug.parse().unwrap(), ..first.clone() };
        store.open(AT, opened, &release(why)).await.unwrap();
        store.archive(&first.lease).await.unwrap();
        let last = store.load(&first.lease).await.unwrap();
        assert_eq!(last.releasing().unwrap().why, why);
    }
    let texts = fs::read_dir(dir.path().join("archive")).unwrap();
    let texts: String = texts.map(|it| fs::read_to_string(it.unwrap().path()).unwrap()).collect();
    assert!(["first", "second", "third"].iter().all(|it| texts.contains(it)), "{texts}");
}
