//! The program that fills a state directory for benchmarks writes what the file store reads.

use lease_core::state::Phase;
use lease_core::store::fs::FsStore;
use lease_core::{Store, store::resolve};

#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "the program under test is this crate's own and ends by itself"
)]
async fn written_claims_are_live_leases() {
    let dir = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_lease-claims");
    let status = std::process::Command::new(program).arg(dir.path()).arg("25").status().unwrap();
    assert!(status.success());
    let store = FsStore::open(dir.path()).unwrap();
    let entries = store.scan().await.unwrap();
    assert_eq!(entries.len(), 25);
    for entry in entries {
        assert_eq!(entry.claim.unwrap().phase(), Phase::Ready);
    }
    let lease = resolve(&store, "bench-7").await.unwrap();
    assert!(store.load(&lease).await.unwrap().usable().is_some());
    let again = std::process::Command::new(program).arg(dir.path()).arg("many").status().unwrap();
    assert_eq!(again.code(), Some(2), "a count that is no number is refused");
}
