//! The contract, method by method. How an adapter is asked, and what its answers mean, is in the other files.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use lease_core::journal::Disposition;
use lease_core::provider::{Check, refuse_unknown_options};
use lease_core::{
    Candidate, Clock, Created, Descriptor, Effect, Found, Held, Intent, Inventory, Marks, Owned,
    Provider, ResourceId, Result, Scope, Sighting, Size, Spec, Status, Template, Timestamp,
};
use lease_process::{ProcessError, ProcessTable};

use crate::adapter::{Adapter, Cleanup, Purpose, Wanted};
use crate::call::{Caller, Listener, MARK};
use crate::config::{ExternalConfig, Form, GIVE_BACK_DEADLINE, Identity};
use crate::descriptor::{DESCRIPTOR, KIND, descriptor};
use crate::error::ExternalError;
use crate::identity::{Carrier, Desired, long_id, read_id, short_id};
use crate::labels::{self, Moments};
use crate::sighting::{Seen, pick};
use crate::wire::WireLease;
use crate::{checks, login};

const OPEN: &str = "open the external provider";
const PLAN: &str = "plan a lease of an adapter";
const CREATE: &str = "acquire from the adapter";
const FIND: &str = "search the adapter's list";
const INSPECT: &str = "look at a lease of the adapter";
const LIST: &str = "list the adapter's leases";
const DESTROY: &str = "release to the adapter";
const RENEW: &str = "tell the adapter the deadline";

/// How many characters of a fingerprint tell one configuration from another.
const FINGERPRINT_CHARS: usize = 24;

/// Machines behind an adapter.
pub struct ExternalProvider {
    adapter: Adapter,
    descriptor: Descriptor,
    scope: Scope,
    clock: Arc<dyn Clock>,
}

/// Shows nothing of configuration and environment.
impl fmt::Debug for ExternalProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExternalProvider").field("scope", &self.scope).finish_non_exhaustive()
    }
}

impl ExternalProvider {
    /// Makes the provider from its configuration. Nothing is run.
    ///
    /// # Errors
    /// When a configured value cannot be used.
    pub fn open(
        config: ExternalConfig,
        clock: Arc<dyn Clock>,
        listener: Arc<dyn Listener>,
    ) -> Result<Self> {
        config.check().map_err(|error| error.harmless(OPEN))?;
        let scope = scope_of(&config).map_err(|error| error.harmless(OPEN))?;
        let carrier = match &config.installation {
            Some(installation) if config.lists_names() => Carrier::Names(installation.clone()),
            _ => Carrier::Leases,
        };
        let caller = Caller::of(&config, listener);
        let descriptor = descriptor(&config);
        Ok(Self { adapter: Adapter { config, caller, carrier }, descriptor, scope, clock })
    }

    /// Has the adapter remove what nobody needs; the engine never asks for that by itself.
    ///
    /// # Errors
    /// Whatever the adapter met.
    ///
    /// # Cancel safety
    /// A cancelled cleanup is ended and may have removed a part.
    pub async fn cleanup(&self, which: Cleanup) -> Result<()> {
        const CLEANUP: &str = "clean up behind the adapter";
        let done = self.adapter.cleanup(which).await;
        done.map_err(|error| match which {
            Cleanup::Remove => error.unsettled(CLEANUP),
            Cleanup::DryRun => error.harmless(CLEANUP),
        })
    }

    /// The listed lease with that key.
    async fn seen(&self, key: &str) -> Result<Option<Seen>, ExternalError> {
        Ok(pick(&self.adapter, self.adapter.list().await?, key))
    }

    async fn acquire(&self, wanted: &Wanted) -> Result<WireLease, ExternalError> {
        let lease = self.adapter.acquire(wanted).await?;
        let reach = login::reach(&lease, None, self.adapter.config.work_root.as_deref())?;
        let waits =
            matches!(crate::sighting::status(lease.status.as_deref()), Status::Starting { .. });
        if reach.is_none() && !waits {
            return Err(ExternalError::login("host", "it is missing"));
        }
        Ok(lease)
    }

    /// Gives back by its wanted identity what an acquire may have made although its answer cannot be used: the
    /// adapter's failure is not a machine to go on with. What this does not reach is found by the list.
    async fn give_back(&self, desired: &Desired) {
        let lease = WireLease {
            lease_id: Some(desired.lease_id.clone()),
            slug: Some(desired.slug.clone()),
            name: Some(desired.name.clone()),
            ..WireLease::default()
        };
        let deadline = GIVE_BACK_DEADLINE.min(self.adapter.config.release_deadline);
        if let Err(error) = self.adapter.release(desired, &lease, deadline).await {
            tracing::warn!(lease = %desired.lease_id, %error, "what an acquire may have made is left to the list");
        }
    }

    /// The id under which the lease goes on. One that the list shows without its marks can only be given back.
    async fn id_of(&self, key: &str, marks: &Marks) -> Option<ResourceId> {
        match self.seen(key).await {
            Ok(Some(seen)) if !seen.is_recognisable(&self.adapter) => long_id(key, marks),
            _ => short_id(key),
        }
    }

    async fn search(&self, intent: &Intent) -> Result<Sighting, ExternalError> {
        let desired = self.adapter.desired(intent.marks(), intent.name());
        if let Some(pid) = at_work(&desired.lease_id)? {
            return Err(ExternalError::StillAtWork(pid));
        }
        let key = self.adapter.key_for(&desired)?;
        let Some(seen) = self.seen(&key).await? else { return Ok(Sighting::Absent) };
        let found = match &seen.marks {
            Some(_) => seen.found(),
            None => seen.given_up(intent.marks()),
        };
        found.map_or_else(|| Err(unusable_key(&key)), |it| Ok(Sighting::Found(Box::new(it))))
    }

    async fn look(&self, id: &ResourceId) -> Result<Sighting, ExternalError> {
        let Some((key, carried)) = read_id(id) else { return Ok(Sighting::Absent) };
        let Some(seen) = self.seen(key).await? else { return Ok(Sighting::Absent) };
        let found = match carried {
            Some(marks) => seen.given_up(&marks),
            None => seen.found(),
        };
        let Some(found) = found else { return Err(unusable_key(key)) };
        let is_up = found.status == Status::Running;
        if is_up && seen.lease.login().is_none() {
            return self.resolved(seen, found).await;
        }
        let wants_login = !matches!(found.status, Status::Failed { .. });
        let found = if wants_login { seen.with_login(&self.adapter, found) } else { found };
        Ok(Sighting::Found(Box::new(found)))
    }

    /// With the login that only a closer look shows.
    async fn resolved(&self, mut seen: Seen, mut found: Found) -> Result<Sighting, ExternalError> {
        let desired = seen.desired(&self.adapter, None);
        match self.adapter.resolve(&desired, &seen.lease, Purpose::Login).await {
            Ok(lease) => {
                found.status = crate::sighting::status(lease.status.as_deref());
                seen.lease.ssh = lease.ssh;
                if lease.labels.is_some() {
                    seen.lease.labels = lease.labels;
                }
                found = seen.with_login(&self.adapter, found);
            }
            Err(error @ (ExternalError::Identity(_) | ExternalError::Untrusted)) => {
                return Err(error);
            }
            // It is listed, so it is there; that it cannot be looked at closely yet is what it waits for.
            Err(error) => {
                found.status = Status::Starting { waiting_for: Some(error.to_string()) };
            }
        }
        Ok(Sighting::Found(Box::new(found)))
    }

    async fn release(&self, owned: &Owned) -> Result<(), ExternalError> {
        let Some((key, _)) = read_id(owned.id()) else {
            return Err(unusable_key(owned.id().as_str()));
        };
        let Some(seen) = self.seen(key).await? else { return Ok(()) };
        if seen.marks.as_ref().is_some_and(|it| it != owned.marks()) {
            return Err(ExternalError::Identity(format!("{key} carries other marks now")));
        }
        let desired = seen.desired(&self.adapter, Some(owned.marks()));
        let desired = Desired { lease_id: self.wire_id(&seen, desired.lease_id), ..desired };
        let closer = self.adapter.resolve(&desired, &seen.lease, Purpose::Release).await;
        let lease = match closer {
            Ok(lease) => merged(seen.lease, lease),
            Err(error @ ExternalError::Identity(_)) => return Err(error),
            // What can be listed can be released, whether it can be looked at or not.
            Err(error) => {
                tracing::debug!(%key, %error, "released without a closer look");
                seen.lease
            }
        };
        let lease = WireLease {
            lease_id: lease.lease_id.or_else(|| Some(desired.lease_id.clone())),
            slug: lease.slug.or_else(|| Some(desired.slug.clone())),
            name: lease.name.or_else(|| Some(desired.name.clone())),
            ..lease
        };
        self.adapter.release(&desired, &lease, self.adapter.config.release_deadline).await
    }

    /// The lease id as the adapter itself says it, where it does.
    fn wire_id(&self, seen: &Seen, derived: String) -> String {
        match self.adapter.carrier {
            Carrier::Leases => seen.key.clone(),
            Carrier::Names(_) => derived,
        }
    }

    async fn tell_deadline(
        &self,
        held: &Held,
        ends_at: Option<Timestamp>,
    ) -> Result<(), ExternalError> {
        let changed =
            || ExternalError::Identity(format!("{} is not the lease's any more", held.id()));
        let (key, _) = read_id(held.id()).ok_or_else(changed)?;
        let seen = self.seen(key).await?.ok_or_else(changed)?;
        if seen.marks.as_ref() != Some(held.marks()) {
            return Err(changed());
        }
        let desired = seen.desired(&self.adapter, None);
        let moments = Moments { now: self.clock.now(), ends_at };
        let state = seen.lease.status.clone().unwrap_or_else(|| "ready".to_owned());
        let labels = labels::for_touch(&seen.lease, held.marks(), &desired, &state, moments);
        let lease = WireLease { labels: Some(labels), ..seen.lease };
        self.adapter.touch(&desired, &lease, &state).await
    }
}

/// What a listing shows, with what a closer look adds.
fn merged(listed: WireLease, closer: WireLease) -> WireLease {
    let mut rest = listed.rest;
    rest.extend(closer.rest);
    WireLease {
        lease_id: closer.lease_id.or(listed.lease_id),
        slug: closer.slug.or(listed.slug),
        name: closer.name.or(listed.name),
        cloud_id: closer.cloud_id.or(listed.cloud_id),
        status: closer.status.or(listed.status),
        server_type: closer.server_type.or(listed.server_type),
        labels: closer.labels.or(listed.labels),
        ssh: closer.ssh.or(listed.ssh),
        rest,
    }
}

fn unusable_key(key: &str) -> ExternalError {
    ExternalError::Request(format!("{key:?} cannot be the id of a resource"))
}

/// The process that is at work on an acquire of this lease, if one is: that of a client which is gone, since ours ends
/// with its call. What an adapter left behind in a session of its own is not waited for.
fn at_work(lease_id: &str) -> Result<Option<String>, ProcessError> {
    let mark = format!("{MARK}={lease_id}");
    let table = ProcessTable::read()?;
    let leads_group = |it: &lease_process::Process| it.pgid == Some(it.pid);
    let leads_session = |it: &lease_process::Process| it.sid == Some(it.pid);
    let mut found = table.iter().filter(|it| {
        leads_group(it) && !leads_session(it) && !it.state.has_ended() && it.has_env(&mark)
    });
    Ok(found.next().map(|it| it.pid.to_string()))
}

fn scope_of(config: &ExternalConfig) -> Result<Scope, ExternalError> {
    let fingerprint = |what: &str, value: String| {
        let context = format!("lease-external {what} fingerprint v1");
        let digest = blake3::Hash::from(blake3::derive_key(&context, value.as_bytes())).to_hex();
        digest.chars().take(FINGERPRINT_CHARS).collect::<String>()
    };
    let endpoint = match &config.form {
        Form::Command { argv } => {
            let program = argv.first().map_or("", |it| it.trim());
            let path = checks::resolve(program, config)
                .map_or_else(|| program.to_owned(), |it| it.to_string_lossy().into_owned());
            match argv.get(1..).filter(|it| !it.is_empty()) {
                Some(args) => format!("{path}#{}", fingerprint("arguments", args.join("\0"))),
                None => path,
            }
        }
        Form::Lifecycle { lifecycle, connection } => {
            format!(
                "lifecycle#{}",
                fingerprint("lifecycle", format!("{lifecycle:?}{connection:?}"))
            )
        }
    };
    let account = match &config.account {
        Some(account) if account.trim().is_empty() => {
            return Err(ExternalError::config("account", "it is blank"));
        }
        Some(account) => account.clone(),
        None => {
            let text = serde_json::Value::Object(config.config.clone()).to_string();
            fingerprint("configuration", text)
        }
    };
    Ok(Scope { provider: DESCRIPTOR.name.to_owned(), endpoint, account })
}

#[async_trait]
impl Provider for ExternalProvider {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    async fn scope(&self) -> Result<Scope> {
        Ok(self.scope.clone())
    }

    async fn plan(&self, spec: &Spec) -> Result<Vec<Candidate>> {
        refuse_unknown_options(spec, &[])?;
        let refuse = |what: &str| {
            let why =
                format!("an adapter takes no {what}; put what it needs into its configuration");
            Err(ExternalError::Request(why).harmless(PLAN))
        };
        if spec.class.as_deref().is_some_and(|it| it != "any") {
            return refuse("class");
        }
        if spec.machine_type.is_some() {
            return refuse("machine type");
        }
        let request = serde_json::json!({ "protocol_version": crate::wire::VERSION });
        let machine =
            Template { kind: KIND.to_owned(), disposition: Disposition::Own, id: None, request };
        Ok(vec![Candidate { label: "a lease of the adapter".to_owned(), resources: vec![machine] }])
    }

    async fn create(&self, intent: &Intent) -> Result<Created> {
        if intent.kind() != KIND {
            let why = format!("there are no resources of the kind {:?}", intent.kind());
            return Err(ExternalError::Request(why).harmless(CREATE));
        }
        let desired = self.adapter.desired(intent.marks(), intent.name());
        let key = self.adapter.key_for(&desired).map_err(|error| error.harmless(CREATE))?;
        let wanted = Wanted {
            desired,
            labels: labels::of_marks(intent.marks()),
            public_key: intent.public_key().to_owned(),
            expires_at: intent.expires_at(),
        };
        if let Err(error) = self.acquire(&wanted).await {
            let error = error.unsettled(CREATE);
            if error.effect() == Effect::Unknown {
                self.give_back(&wanted.desired).await;
            }
            return Err(error);
        }
        let id = self.id_of(&key, intent.marks()).await;
        let id = id.ok_or_else(|| unusable_key(&key).unsettled(CREATE))?;
        Ok(Created { id, shown: None })
    }

    async fn find(&self, intent: &Intent) -> Result<Sighting> {
        let sighting = self.search(intent).await;
        Ok(sighting.unwrap_or_else(|error| Sighting::Unclear(error.harmless(FIND))))
    }

    async fn inspect(&self, id: &ResourceId) -> Result<Sighting> {
        let sighting = self.look(id).await;
        Ok(sighting.unwrap_or_else(|error| Sighting::Unclear(error.harmless(INSPECT))))
    }

    async fn list(&self) -> Result<Inventory> {
        let listed = self.adapter.list().await.map_err(|error| error.harmless(LIST))?;
        let answered = self.adapter.config.identity == Identity::Answered;
        let seen = listed.into_iter().filter_map(|it| Seen::of(&self.adapter, it));
        let ours = seen.filter(|it| it.marks.is_some() || answered);
        let items = ours.filter_map(|it| it.found()).collect();
        Ok(Inventory { scope: self.scope.clone(), items })
    }

    async fn destroy(&self, owned: &Owned) -> Result<()> {
        self.release(owned).await.map_err(|error| error.unsettled(DESTROY))
    }

    async fn renew(&self, held: &Held, ends_at: Option<Timestamp>) -> Result<()> {
        if !self.descriptor.shows_deadline {
            return Ok(());
        }
        self.tell_deadline(held, ends_at).await.map_err(|error| error.unsettled(RENEW))
    }

    async fn sizes(&self) -> Result<Vec<Size>> {
        Ok(Vec::new())
    }

    async fn doctor(&self) -> Result<Vec<Check>> {
        Ok(checks::all(&self.adapter).await)
    }
}
