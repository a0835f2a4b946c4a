//! A recorded intent, always of the same lease, so that an input can hold its marks.

use std::sync::Arc;

use lease_core::entropy::Entropy;
use lease_core::journal::{Change, Disposition, Event, Intended, Opened};
use lease_core::spec::{Deadlines, Retention};
use lease_core::store::LeaseWriter;
use lease_core::store::memory::MemoryStore;
use lease_core::{
    Clock, Intent, LeaseId, Nonce, ResourceId, Result, Scope, Slug, Spec, Steady, Timestamp,
};
use serde_json::Value;

/// An intent of a resource with this request, after resources of these kinds that exist.
pub(crate) async fn intent(
    (provider, kind): (&str, &str),
    request: Value,
    before: &[(&str, &str)],
) -> Result<Intent> {
    let store = Arc::new(MemoryStore::with_entropy(&Same)?);
    let lease = LeaseId::draw(&Same)?;
    let opened = Opened {
        lease: lease.clone(),
        slug: Slug::draw(&Same)?,
        installation: lease_core::InstallationId::draw(&Same)?,
        scope: Scope {
            provider: provider.to_owned(),
            endpoint: "https://cloud.example".to_owned(),
            account: "ours".to_owned(),
        },
        spec: Spec::new(provider),
        owner: None,
        retention: Retention::UntilDeadline,
        deadlines: Deadlines::default(),
        purpose: String::new(),
    };
    let mut writer = LeaseWriter::open(store, Arc::new(Still), opened).await?;
    let intended = |(index, (kind, request)): (usize, (&str, Value))| -> Result<Intended> {
        Ok(Intended {
            candidate: 0,
            kind: kind.to_owned(),
            disposition: Disposition::Own,
            name: lease.resource_name(index),
            nonce: Nonce::draw(&Same)?,
            request,
            public_key: PUBLIC_KEY.to_owned(),
            id: None,
        })
    };
    let kinds = before.iter().map(|(kind, _)| (*kind, Value::Null)).chain([(kind, request)]);
    let intended: Result<Vec<_>> = kinds.enumerate().map(intended).collect();
    writer.append(&[Event::Intended(intended?)]).await?;
    for (index, (_, id)) in before.iter().enumerate() {
        writer.send(index).await?;
        let id: ResourceId = id.parse()?;
        writer.append(&[Event::Resource { index, change: Change::Created { id } }]).await?;
    }
    writer.send(before.len()).await
}

const PUBLIC_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti lease";

/// Randomness that is always the same.
#[derive(Debug)]
struct Same;

impl Entropy for Same {
    fn fill(&self, bytes: &mut [u8]) -> Result<()> {
        bytes.fill(7);
        Ok(())
    }
}

/// A clock that stands.
#[derive(Debug)]
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_767_225_600_000)
    }

    fn steady(&self) -> Option<Steady> {
        None
    }
}
