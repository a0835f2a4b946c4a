//! Leases as JSON.

use lease_core::journal::Disposition;
use lease_core::{Claim, Liveness, Retention};
use schemars::JsonSchema;
use serde::Serialize;

use super::{RunRecord, Time};

/// One lease in few words.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct LeaseSummary {
    /// `lse-` and 20 characters.
    pub(crate) id: String,
    /// The short name.
    pub(crate) slug: String,
    /// The provider's registered name.
    pub(crate) provider: String,
    /// `acquiring`, `ready`, `releasing`, `released`, `kept` or `needs_attention`.
    pub(crate) phase: String,
    /// What ends it: `with_owner`, `until_deadline` or `keep`.
    pub(crate) retention: String,
    /// What it was opened for.
    pub(crate) purpose: String,
    /// The size that was asked for.
    pub(crate) class: Option<String>,
    /// The machine type that was asked for.
    pub(crate) machine_type: Option<String>,
    /// When it was opened.
    pub(crate) created_at: Time,
    /// When it was last used.
    pub(crate) last_used_at: Time,
    /// When its record last changed.
    pub(crate) updated_at: Time,
    /// The earlier of its idle and total deadline.
    pub(crate) ends_at: Option<Time>,
    /// Why it is kept.
    pub(crate) kept_because: Option<String>,
    /// What stands in the way of its release.
    pub(crate) obstacle: Option<String>,
}

impl LeaseSummary {
    /// The summary of a claim.
    pub(crate) fn of(claim: &Claim) -> Self {
        Self {
            id: claim.lease().to_string(),
            slug: claim.slug().to_string(),
            provider: claim.provider().to_owned(),
            phase: word(&claim.phase()),
            retention: word(&claim.retention()),
            purpose: claim.purpose().to_owned(),
            class: claim.spec().class.clone(),
            machine_type: claim.spec().machine_type.clone(),
            created_at: claim.created_at().into(),
            last_used_at: claim.last_used().into(),
            updated_at: claim.updated_at().into(),
            ends_at: claim
                .ends_at()
                .filter(|_| claim.retention() != Retention::Keep)
                .map(Time::from),
            kept_because: claim.keep_reason().map(str::to_owned),
            obstacle: claim.obstacle().map(|it| it.message.clone()),
        }
    }
}

/// `lease acquire`, `touch` and `keep`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct LeaseDocument {
    #[schemars(extend("const" = Self::SCHEMA))]
    schema: &'static str,
    /// The lease.
    pub(crate) lease: LeaseSummary,
}

impl LeaseDocument {
    /// The schema's name.
    pub(crate) const SCHEMA: &'static str = "lease.lease/1";

    /// The document of a claim.
    pub(crate) fn of(claim: &Claim) -> Self {
        Self { schema: Self::SCHEMA, lease: LeaseSummary::of(claim) }
    }
}

/// `lease list`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct ListDocument {
    #[schemars(extend("const" = Self::SCHEMA))]
    schema: &'static str,
    /// The live leases, the newest last.
    pub(crate) leases: Vec<LeaseSummary>,
    /// The records that cannot be read; what they are about may exist.
    pub(crate) unreadable: Vec<UnreadableLease>,
}

impl ListDocument {
    /// The schema's name.
    pub(crate) const SCHEMA: &'static str = "lease.list/1";

    /// The document of these.
    pub(crate) fn new(leases: Vec<LeaseSummary>, unreadable: Vec<UnreadableLease>) -> Self {
        Self { schema: Self::SCHEMA, leases, unreadable }
    }
}

/// A record that cannot be read.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct UnreadableLease {
    /// What it is called.
    pub(crate) name: String,
    /// The lease, if that can be told.
    pub(crate) id: Option<String>,
    /// The class of the error.
    pub(crate) kind: String,
    /// What is wrong with it.
    pub(crate) message: String,
}

/// `lease show`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct ShowDocument {
    #[schemars(extend("const" = Self::SCHEMA))]
    schema: &'static str,
    /// The lease in few words.
    pub(crate) lease: LeaseSummary,
    /// Everything else.
    pub(crate) details: LeaseDetails,
}

/// What `lease list` does not show.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct LeaseDetails {
    /// Where the provider's interface is.
    pub(crate) endpoint: String,
    /// What tells the account from every other there.
    pub(crate) account: String,
    /// The installation that opened it.
    pub(crate) installation: String,
    /// The options that were asked for.
    pub(crate) options: serde_json::Value,
    /// The idle limit in milliseconds.
    pub(crate) idle_ms: Option<u64>,
    /// When it ends in any case.
    pub(crate) expires_at: Option<Time>,
    /// The process that is responsible for it.
    pub(crate) owner: Option<OwnerDescription>,
    /// How to log in.
    pub(crate) reach: Option<ReachDescription>,
    /// Everything that belongs to it, in the order of creation.
    pub(crate) resources: Vec<ResourceDescription>,
    /// The release under way.
    pub(crate) releasing: Option<ReleasingDescription>,
    /// The runs on it whose end is not recorded here, the newest first.
    pub(crate) runs: Vec<OpenRun>,
    /// The candidates that were given up.
    pub(crate) given_up: Vec<String>,
    /// The number of the last event of its record.
    pub(crate) sequence: u64,
}

/// A run that goes on, as far as is known here.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct OpenRun {
    /// The run.
    pub(crate) id: String,
    /// The command; bytes that are not UTF-8 are shown as U+FFFD.
    pub(crate) command: Vec<String>,
    /// When it began.
    pub(crate) started_at: Time,
    /// Whether the process that follows and records it runs: `alive`, `dead` or `unknown`.
    pub(crate) client: String,
}

impl OpenRun {
    /// The description of a run.
    pub(crate) fn of(record: RunRecord, client: Liveness) -> Self {
        let RunRecord { id, command, started_at, .. } = record;
        Self { id, command, started_at, client: word(&client) }
    }
}

/// A process.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct OwnerDescription {
    /// The machine it runs on.
    pub(crate) host: String,
    /// Its number.
    pub(crate) pid: u32,
    /// `alive`, `dead` or `unknown`.
    pub(crate) liveness: String,
}

/// How to log in.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct ReachDescription {
    /// Host name or address.
    pub(crate) host: String,
    /// TCP port.
    pub(crate) port: u16,
    /// Login name.
    pub(crate) user: String,
    /// Whether a program on this machine is the connection.
    pub(crate) proxied: bool,
    /// `pinned` before the first contact, or learnt at the `first_use`.
    pub(crate) host_key: String,
    /// The directory of the lease on the box.
    pub(crate) root: String,
}

/// One resource.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct ResourceDescription {
    /// Its kind in the provider's terms.
    pub(crate) kind: String,
    /// Its name.
    pub(crate) name: String,
    /// The provider's id, once known.
    pub(crate) id: Option<String>,
    /// `intended`, `creating`, `uncertain`, `present`, `destroying` or `gone`.
    pub(crate) state: String,
    /// Whether the lease created it; what it only refers to is never destroyed.
    pub(crate) own: bool,
    /// When a create was first sent.
    pub(crate) sent_at: Option<Time>,
    /// The last thing that went wrong with it.
    pub(crate) note: Option<String>,
}

/// A release under way.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct ReleasingDescription {
    /// When it began.
    pub(crate) since: Time,
    /// Who asked and why.
    pub(crate) why: String,
    /// How often it was delayed.
    pub(crate) attempts: u32,
    /// When it is tried again.
    pub(crate) retry_at: Option<Time>,
}

impl ShowDocument {
    /// The schema's name.
    pub(crate) const SCHEMA: &'static str = "lease.show/1";

    /// The document of a claim.
    pub(crate) fn of(claim: &Claim, liveness: Liveness, runs: Vec<OpenRun>) -> Self {
        Self {
            schema: Self::SCHEMA,
            lease: LeaseSummary::of(claim),
            details: details(claim, liveness, runs),
        }
    }
}

fn details(claim: &Claim, liveness: Liveness, runs: Vec<OpenRun>) -> LeaseDetails {
    LeaseDetails {
        endpoint: claim.scope().endpoint.clone(),
        account: claim.scope().account.clone(),
        installation: claim.installation().to_string(),
        options: claim.spec().options.clone().into(),
        idle_ms: claim.deadlines().idle_ms,
        expires_at: claim.deadlines().expires_at.map(Time::from),
        owner: claim.owner().map(|owner| OwnerDescription {
            host: owner.host.clone(),
            pid: owner.pid,
            liveness: word(&liveness),
        }),
        reach: claim.usable().map(|reach| ReachDescription {
            host: reach.host.clone(),
            port: reach.port,
            user: reach.user.clone(),
            proxied: !reach.proxy.is_empty(),
            host_key: match reach.host_key {
                lease_core::HostKey::Pinned(_) => "pinned".to_owned(),
                lease_core::HostKey::FirstUse => "first_use".to_owned(),
            },
            root: reach.root.clone(),
        }),
        resources: claim.resources().iter().map(ResourceDescription::of).collect(),
        releasing: claim.releasing().map(|it| ReleasingDescription {
            since: it.since.into(),
            why: it.why.clone(),
            attempts: it.attempts,
            retry_at: it.last.as_ref().map(|obstacle| obstacle.retry_at.into()),
        }),
        runs,
        given_up: claim.failed_candidates().iter().map(|it| it.message.clone()).collect(),
        sequence: claim.sequence().get(),
    }
}

impl ResourceDescription {
    /// The description of a resource of a claim.
    pub(crate) fn of(resource: &lease_core::claim::ClaimedResource) -> Self {
        Self {
            kind: resource.intended().kind.clone(),
            name: resource.intended().name.to_string(),
            id: resource.id().map(ToString::to_string),
            state: resource.state().to_string(),
            own: resource.intended().disposition == Disposition::Own,
            sent_at: resource.sent_at().map(|it| Time::from(it.at)),
            note: resource.note().map(str::to_owned),
        }
    }
}

/// The stable name of a unit variant.
pub(super) fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(_) | Err(_) => String::new(),
    }
}
