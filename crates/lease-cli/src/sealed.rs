//! A provider whose settings name programs of a repository: before each call it is looked whether they are still what
//! was trusted, whoever calls and however long after.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use lease_core::provider::{Candidate, Check, Created, Size};
use lease_core::{
    Descriptor, Error, ErrorKind, Held, Intent, Inventory, Owned, Provider, ResourceId, Result,
    Scope, Sighting, Spec, Timestamp,
};

use crate::config::seal::Seal;
use crate::config::trust::TrustStore;

/// A provider behind seals.
#[derive(Debug)]
pub(crate) struct Sealed {
    inner: Arc<dyn Provider>,
    seals: Vec<Seal>,
    trust: TrustStore,
    asking: Asking,
}

/// What a provider does to say which account it leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asking {
    /// It knows that by its settings.
    RunsNothing,
    /// It runs what is sealed.
    RunsPrograms,
}

/// Something of a repository is not what it was when it was trusted.
#[derive(Debug)]
pub(crate) struct Untrusted {
    /// What changed.
    program: PathBuf,
    /// The file to trust again.
    pub(crate) file: PathBuf,
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (program, file) = (self.program.display(), self.file.display());
        write!(
            f,
            "{program} has changed since {file} was trusted, so it is not run; read it, then `lease trust {file}`"
        )
    }
}

impl std::error::Error for Untrusted {}

impl Sealed {
    /// `inner`, which is as it was where nothing is sealed.
    pub(crate) fn around(
        inner: Arc<dyn Provider>,
        seals: Vec<Seal>,
        trust: TrustStore,
        asking: Asking,
    ) -> Arc<dyn Provider> {
        if seals.is_empty() { inner } else { Arc::new(Self { inner, seals, trust, asking }) }
    }

    fn check(&self) -> Result<()> {
        self.check_as(ErrorKind::Denied)
    }

    fn check_as(&self, kind: ErrorKind) -> Result<()> {
        let Some(broken) = Seal::first_broken(&self.seals, &self.trust) else { return Ok(()) };
        let why = Untrusted { program: broken.named(), file: broken.file.clone() };
        let error = Error::harmless(kind, "ask the provider", why.to_string());
        Err(error.with_source(why))
    }
}

#[async_trait]
impl Provider for Sealed {
    fn descriptor(&self) -> &Descriptor {
        self.inner.descriptor()
    }

    async fn scope(&self) -> Result<Scope> {
        // Without an account a reaper cannot tell its leases from others; of such it must not say that they need a person.
        if self.asking == Asking::RunsPrograms {
            self.check_as(ErrorKind::Unsupported)?;
        }
        self.inner.scope().await
    }

    async fn plan(&self, spec: &Spec) -> Result<Vec<Candidate>> {
        self.check()?;
        self.inner.plan(spec).await
    }

    async fn create(&self, intent: &Intent) -> Result<Created> {
        self.check()?;
        self.inner.create(intent).await
    }

    async fn find(&self, intent: &Intent) -> Result<Sighting> {
        self.check()?;
        self.inner.find(intent).await
    }

    async fn inspect(&self, id: &ResourceId) -> Result<Sighting> {
        self.check()?;
        self.inner.inspect(id).await
    }

    async fn list(&self) -> Result<Inventory> {
        self.check()?;
        self.inner.list().await
    }

    async fn destroy(&self, owned: &Owned) -> Result<()> {
        self.check()?;
        self.inner.destroy(owned).await
    }

    async fn renew(&self, held: &Held, ends_at: Option<Timestamp>) -> Result<()> {
        self.check()?;
        self.inner.renew(held, ends_at).await
    }

    async fn sizes(&self) -> Result<Vec<Size>> {
        self.check()?;
        self.inner.sizes().await
    }

    async fn doctor(&self) -> Result<Vec<Check>> {
        self.check()?;
        self.inner.doctor().await
    }
}
