//! Fills a state directory with live leases, for benchmarks: `lease-claims DIR COUNT`.
//!
//! The journals are written without an fsync each, in the layout of the file store.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use lease_core::host::{HostKey, Reach};
use lease_core::journal::{Change, Disposition, Event, Intended, Opened, Sequence, encode};
use lease_core::spec::{Deadlines, Retention};
use lease_core::store::fs::FsStore;
use lease_core::{
    Entropy, Error, ErrorKind, InstallationId, LeaseId, Nonce, Scope, Spec, Store, Timestamp,
};
use lease_testkit::sim::SeededEntropy;

/// 2026-01-01T00:00:00Z.
const OPENED_AT: Timestamp = Timestamp::from_millis(1_767_225_600_000);
/// The leases end in the year 2100, so that nothing that looks at them begins to release them.
const ENDS_AT: Timestamp = Timestamp::from_millis(4_102_444_800_000);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let [dir, count] = arguments.as_slice() else { return fail("usage: lease-claims DIR COUNT") };
    let Some(count) = count.to_str().and_then(|it| it.parse().ok()) else {
        return fail("COUNT must be a number");
    };
    match write_claims(Path::new(dir), count).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string()),
    }
}

async fn write_claims(dir: &Path, count: u32) -> Result<(), Error> {
    let store = FsStore::open(dir)?;
    let installation = store.installation().await?;
    let entropy = SeededEntropy::new(u64::from(count));
    for number in 0..count {
        let slug = format!("bench-{number}");
        let lease = LeaseId::draw(&entropy)?;
        let bytes = journal(&lease, &slug, installation.clone(), &entropy)?;
        let path = dir.join("leases").join(format!("{slug}.{lease}.jsonl"));
        fs::write(&path, bytes).map_err(|error| {
            Error::harmless(
                ErrorKind::Storage,
                "write a journal",
                format!("{}: {error}", path.display()),
            )
        })?;
    }
    Ok(())
}

/// A lease that was acquired and is ready.
fn journal(
    lease: &LeaseId,
    slug: &str,
    installation: InstallationId,
    entropy: &dyn Entropy,
) -> Result<Vec<u8>, Error> {
    let scope = Scope {
        provider: "local".to_owned(),
        endpoint: "bench".to_owned(),
        account: "bench".to_owned(),
    };
    let opened = Opened {
        lease: lease.clone(),
        slug: slug.parse()?,
        installation,
        scope,
        spec: Spec::new("local"),
        owner: None,
        retention: Retention::UntilDeadline,
        deadlines: Deadlines { idle_ms: None, expires_at: Some(ENDS_AT) },
        purpose: "bench".to_owned(),
    };
    let intended = Intended {
        candidate: 0,
        kind: "box".to_owned(),
        disposition: Disposition::Own,
        name: lease.resource_name(0),
        nonce: Nonce::draw(entropy)?,
        request: serde_json::json!({}),
        public_key: "ssh-ed25519 AAAA lease".to_owned(),
        id: None,
    };
    let host_key = HostKey::Pinned("ssh-ed25519 AAAA".to_owned());
    let reach = Reach::new("box.invalid", "bench", host_key, "/work");
    let events = [
        Event::Opened(Box::new(opened)),
        Event::Intended(vec![intended]),
        Event::Resource { index: 0, change: Change::Sent { steady: None } },
        Event::Resource { index: 0, change: Change::Created { id: lease.as_str().parse()? } },
        Event::Ready(reach),
    ];
    encode(Sequence::FIRST, OPENED_AT, &events)
}

fn fail(message: &str) -> ExitCode {
    // There is nobody else to tell when even this cannot be written.
    drop(writeln!(std::io::stderr(), "lease-claims: {message}"));
    ExitCode::from(2)
}
