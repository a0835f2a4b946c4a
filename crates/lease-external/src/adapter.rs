//! The operations of an adapter, whichever form it has, with the protocol's rules about identity.

use std::collections::BTreeMap;
use std::time::Duration;

use lease_core::{Marks, ResourceName, Timestamp};

use crate::answer::judge;
use crate::call::{Caller, Job, MARK, Stdout};
use crate::config::{ExternalConfig, Form};
use crate::error::ExternalError;
use crate::identity::{Carrier, Desired, is_slug, is_wire_id};
use crate::labels;
use crate::lifecycle::Declared;
use crate::wire::{Request, Response, WireLease, operation};

/// The most bytes of an identity where ids are fixed.
const IDENTITY_BYTES_MAX: usize = 4096;

/// Labels that only the core may set where ids are fixed.
const CORE_LABELS: [&str; 5] =
    ["lease", "slug", "name", "externalResourceName", "externalResourceNameFromEnv"];

/// An adapter, ready to be asked.
#[derive(Debug)]
pub(crate) struct Adapter {
    pub(crate) config: ExternalConfig,
    pub(crate) caller: Caller,
    pub(crate) carrier: Carrier,
}

/// What an acquire asks for.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) desired: Desired,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) public_key: String,
    pub(crate) expires_at: Option<Timestamp>,
}

/// What a cleanup of the adapter does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cleanup {
    /// It removes what nobody needs.
    Remove,
    /// It removes nothing.
    DryRun,
}

/// What a lease is resolved for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To log in.
    Login,
    /// To give it back.
    Release,
}

impl Adapter {
    /// What a lease with these marks is called.
    pub(crate) fn desired(&self, marks: &Marks, name: &ResourceName) -> Desired {
        self.carrier.desired(marks, name)
    }

    /// What a wanted lease is found by in a list.
    pub(crate) fn key_for(&self, desired: &Desired) -> Result<String, ExternalError> {
        match (&self.carrier, self.declared()) {
            (Carrier::Names(_), Some(declared)) => declared.resource_name(desired),
            _ => Ok(desired.lease_id.clone()),
        }
    }

    /// What something listed is found by.
    pub(crate) fn key_of<'s>(&self, shown: &'s WireLease) -> Option<&'s str> {
        match self.carrier {
            Carrier::Names(_) => shown.name.as_deref(),
            Carrier::Leases => shown.lease_id.as_deref().filter(|it| is_wire_id(it)),
        }
    }

    fn declared(&self) -> Option<Declared<'_>> {
        match &self.config.form {
            Form::Command { .. } => None,
            Form::Lifecycle { lifecycle, connection } => {
                Some(Declared { config: &self.config, lifecycle, connection, caller: &self.caller })
            }
        }
    }

    pub(crate) async fn doctor(&self) -> Result<String, ExternalError> {
        if let Some(declared) = self.declared() {
            return declared.doctor().await;
        }
        let response = self.ask(Request::new(operation::DOCTOR), self.config.call_deadline).await?;
        Ok(response.message.unwrap_or_default())
    }

    /// Makes a lease.
    pub(crate) async fn acquire(&self, wanted: &Wanted) -> Result<WireLease, ExternalError> {
        let desired = &wanted.desired;
        let lease = if let Some(declared) = self.declared() {
            declared.acquire(desired, (MARK, &desired.lease_id)).await?
        } else {
            let expires_at = wanted.expires_at.map(labels::seconds);
            let request = Request::new(operation::ACQUIRE)
                .with("desired", desired)?
                .with("repo", &self.config.repo)?
                .with("publicKey", &wanted.public_key)?
                .with("labels", &wanted.labels)?
                .with("expiresAt", expires_at)?;
            self.ask(request, self.config.acquire_deadline)
                .await?
                .lease
                .ok_or_else(|| ExternalError::answer(operation::ACQUIRE, "it has no `lease`"))?
        };
        self.check_trust(&lease)?;
        self.check_acquired(desired, &lease)?;
        Ok(WireLease {
            lease_id: lease.lease_id.or_else(|| Some(desired.lease_id.clone())),
            slug: lease.slug.or_else(|| Some(desired.slug.clone())),
            ..lease
        })
    }

    pub(crate) fn check_acquired(
        &self,
        desired: &Desired,
        lease: &WireLease,
    ) -> Result<(), ExternalError> {
        if self.config.idempotent_lease_id {
            check_raw_identity(operation::ACQUIRE, lease)?;
            check_same("slug", lease.slug.as_deref(), &desired.slug)?;
            if self.declared().is_none() {
                check_same("name", lease.name.as_deref(), &desired.name)?;
            }
        }
        check_same("leaseId", lease.lease_id.as_deref(), &desired.lease_id)?;
        if lease.name.as_deref().is_none_or(|it| it.trim().is_empty()) {
            return Err(ExternalError::answer(operation::ACQUIRE, "its `lease.name` is missing"));
        }
        Ok(())
    }

    pub(crate) async fn list(&self) -> Result<Vec<WireLease>, ExternalError> {
        let leases = if let Some(declared) = self.declared() {
            declared.list().await?
        } else {
            let request = Request::new(operation::LIST).with("all", true)?.with("refresh", true)?;
            let response = self.ask(request, self.config.call_deadline).await?;
            match response.leases {
                None if self.config.idempotent_lease_id => {
                    let why = "with fixed lease ids its `leases` must be an array";
                    return Err(ExternalError::answer(operation::LIST, why));
                }
                leases => leases.unwrap_or_default(),
            }
        };
        if self.config.idempotent_lease_id {
            leases.iter().try_for_each(|it| check_raw_identity(operation::LIST, it))?;
        }
        leases.iter().try_for_each(|it| self.check_trust(it))?;
        let mut keys = std::collections::BTreeSet::new();
        match leases.iter().filter_map(|it| self.key_of(it)).find(|it| !keys.insert(*it)) {
            None => Ok(leases),
            Some(key) => {
                let why = format!("it lists {:?} more than once", crate::answer::shortened(key));
                Err(ExternalError::answer(operation::LIST, why))
            }
        }
    }

    /// Looks at one lease that was listed.
    pub(crate) async fn resolve(
        &self,
        desired: &Desired,
        shown: &WireLease,
        purpose: Purpose,
    ) -> Result<WireLease, ExternalError> {
        let lease = if let Some(declared) = self.declared() {
            let flags: &[&str] = if purpose == Purpose::Release { &["releaseOnly"] } else { &[] };
            declared.resolve(desired, shown, flags).await?
        } else {
            let expected = serde_json::json!({
                "leaseId": desired.lease_id,
                "slug": shown.slug.as_deref().unwrap_or(&desired.slug),
            });
            let request = Request::new(operation::RESOLVE)
                .with("id", shown.name.as_deref().unwrap_or(&desired.name))?
                .with("desired", desired)?
                .with("expected", expected)?
                .with("releaseOnly", purpose == Purpose::Release)?
                .with("repo", &self.config.repo)?;
            let response = self.ask(request, self.config.call_deadline).await?;
            response
                .lease
                .ok_or_else(|| ExternalError::answer(operation::RESOLVE, "it has no `lease`"))?
        };
        check_same("leaseId", lease.lease_id.as_deref(), &desired.lease_id)?;
        check_shown("slug", lease.slug.as_deref(), shown.slug.as_deref())?;
        check_shown("name", lease.name.as_deref(), shown.name.as_deref())?;
        if purpose == Purpose::Login {
            self.check_trust(&lease)?;
        }
        Ok(lease)
    }

    /// Gives a lease back.
    pub(crate) async fn release(
        &self,
        desired: &Desired,
        lease: &WireLease,
        deadline: Duration,
    ) -> Result<(), ExternalError> {
        if let Some(declared) = self.declared() {
            return declared.release(desired, lease, deadline).await;
        }
        let request = Request::new(operation::RELEASE).with("lease", lease)?.with("force", true)?;
        self.ask(request, deadline).await.map(drop)
    }

    /// Tells the adapter what state and labels a lease has now.
    pub(crate) async fn touch(
        &self,
        desired: &Desired,
        lease: &WireLease,
        state: &str,
    ) -> Result<(), ExternalError> {
        if let Some(declared) = self.declared() {
            return declared.touch(desired, lease, state).await;
        }
        let request = Request::new(operation::TOUCH).with("lease", lease)?.with("state", state)?;
        let answer = self.ask(request, self.config.call_deadline).await?;
        let Some(answered) = answer.lease else { return Ok(()) };
        check_same("leaseId", answered.lease_id.as_deref(), &desired.lease_id)?;
        check_shown("slug", answered.slug.as_deref(), lease.slug.as_deref())?;
        check_shown("name", answered.name.as_deref(), lease.name.as_deref())
    }

    /// Has the adapter remove what nobody needs, or say what it would remove.
    pub(crate) async fn cleanup(&self, which: Cleanup) -> Result<(), ExternalError> {
        match (self.declared(), which) {
            (Some(_), Cleanup::DryRun) => Ok(()),
            (Some(declared), Cleanup::Remove) => declared.cleanup().await,
            (None, _) => {
                let dry_run = which == Cleanup::DryRun;
                let request = Request::new(operation::CLEANUP).with("dryRun", dry_run)?;
                self.ask(request, self.config.call_deadline).await.map(drop)
            }
        }
    }

    /// Sends any request; for the conformance checks, too.
    pub(crate) async fn ask(
        &self,
        request: Request,
        deadline: Duration,
    ) -> Result<Response, ExternalError> {
        let Form::Command { argv } = &self.config.form else {
            return Err(ExternalError::Request("a lifecycle answers no requests".to_owned()));
        };
        let request = request.with("config", &self.config.config)?;
        let mark = match request.operation {
            operation::ACQUIRE => request.lease_id().map(|it| (MARK.to_owned(), it.to_owned())),
            _ => None,
        };
        let job = Job {
            operation: request.operation,
            argv,
            env: mark.into_iter().collect(),
            stdin: request.line(),
            deadline,
            stdout: Stdout::Answer,
        };
        let said = self.caller.run(job).await?;
        let mut judged = judge(request.operation, &said);
        if let Err(ExternalError::Refused { said, .. }) = &mut judged {
            *said = self.caller.redacted_text(std::mem::take(said));
        }
        judged
    }

    fn check_trust(&self, lease: &WireLease) -> Result<(), ExternalError> {
        // What the templates of the own configuration say is not the adapter's word.
        let is_answer = self.declared().is_none();
        if is_answer && lease.login().is_some() && !self.config.trust_provider_output {
            return Err(ExternalError::Untrusted);
        }
        Ok(())
    }
}

fn check_same(what: &str, answered: Option<&str>, expected: &str) -> Result<(), ExternalError> {
    match answered {
        Some(other) if other != expected => Err(ExternalError::Identity(format!(
            "its `{what}` is {:?}, not {expected:?}",
            crate::answer::shortened(other)
        ))),
        Some(_) | None => Ok(()),
    }
}

fn check_shown(
    what: &str,
    answered: Option<&str>,
    shown: Option<&str>,
) -> Result<(), ExternalError> {
    shown.map_or(Ok(()), |it| check_same(what, answered, it))
}

/// Where ids are fixed, each lease is fully identified by the adapter itself.
fn check_raw_identity(operation: &'static str, lease: &WireLease) -> Result<(), ExternalError> {
    let wrong = |why: String| Err(ExternalError::answer(operation, why));
    let fields = [
        ("leaseId", &lease.lease_id),
        ("slug", &lease.slug),
        ("name", &lease.name),
        ("cloudId", &lease.cloud_id),
    ];
    for (name, value) in fields {
        let Some(value) = value.as_deref().filter(|it| !it.is_empty()) else {
            return wrong(format!("with fixed lease ids each lease has a `{name}`"));
        };
        let plain = value.trim() == value && !value.chars().any(char::is_control);
        if !plain || value.len() > IDENTITY_BYTES_MAX {
            return wrong(format!(
                "a `{name}` has blanks around it, control characters, or no end"
            ));
        }
    }
    if !lease.lease_id.as_deref().is_some_and(is_wire_id) {
        return wrong("a `leaseId` is none of the protocol".to_owned());
    }
    if !lease.slug.as_deref().is_some_and(is_slug) {
        return wrong("a `slug` is not normalised".to_owned());
    }
    if let Some(name) = CORE_LABELS.into_iter().find(|it| lease.label(it).is_some()) {
        return wrong(format!("the label `{name}` is not the adapter's to set"));
    }
    Ok(())
}
