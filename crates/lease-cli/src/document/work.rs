//! What was done, what would be done, and what went wrong, as JSON.

use lease_core::engine::{Step, Whose};
use lease_core::provider::Verdict;
use lease_core::{Claim, Found};
use schemars::JsonSchema;
use serde::Serialize;

use super::Time;
use super::lease::{LeaseSummary, ResourceDescription, word};

/// Every failure, with `--json`, as one line on standard error.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct ErrorDocument {
    #[schemars(extend("const" = Self::SCHEMA))]
    pub(crate) schema: &'static str,
    /// The class, a stable name.
    pub(crate) kind: String,
    /// What happened.
    pub(crate) what: String,
    /// What it means for the machine, a stable name: `nothing_created`, `nothing_changed`, `released`, `still_leased`,
    /// `releasing` or `may_exist`.
    pub(crate) meaning: String,
    /// The same in words.
    pub(crate) meaning_text: String,
    /// The next command to type.
    pub(crate) next: String,
    /// The exit code.
    pub(crate) exit: u8,
    /// The lease it is about.
    pub(crate) lease: Option<String>,
}

impl ErrorDocument {
    /// The schema's name.
    pub(crate) const SCHEMA: &'static str = "lease.error/1";
}

/// `lease release`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct ReleaseDocument {
    #[schemars(extend("const" = Self::SCHEMA))]
    schema: &'static str,
    /// One entry for each lease that was named.
    pub(crate) leases: Vec<ReleasedLease>,
}

impl ReleaseDocument {
    /// The schema's name.
    pub(crate) const SCHEMA: &'static str = "lease.release/1";

    /// The document of these.
    pub(crate) fn new(leases: Vec<ReleasedLease>) -> Self {
        Self { schema: Self::SCHEMA, leases }
    }
}

/// What became of one lease.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct ReleasedLease {
    /// The lease; what was typed when there is none of that name.
    pub(crate) id: String,
    /// What people call it: its short name, or what was typed.
    pub(crate) name: String,
    /// `released`, `kept`, `pending` or `failed`.
    pub(crate) outcome: String,
    /// What stands in the way, or that it was released before.
    pub(crate) message: Option<String>,
    /// When it is tried again.
    pub(crate) retry_at: Option<Time>,
}

/// `lease adopt`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct AdoptDocument {
    #[schemars(extend("const" = Self::SCHEMA))]
    schema: &'static str,
    /// The lease that was recorded for it.
    pub(crate) lease: LeaseSummary,
    /// What says that it is ours to give back.
    pub(crate) evidence: String,
    /// Everything that belongs to it, in the order of creation.
    pub(crate) resources: Vec<ResourceDescription>,
    /// What became of it, where it was to be released at once.
    pub(crate) released: Option<ReleasedLease>,
}

impl AdoptDocument {
    /// The schema's name.
    pub(crate) const SCHEMA: &'static str = "lease.adopt/1";

    /// The document of a claim that was adopted.
    pub(crate) fn of(claim: &Claim, evidence: String) -> Self {
        Self {
            schema: Self::SCHEMA,
            lease: LeaseSummary::of(claim),
            evidence,
            resources: claim.resources().iter().map(ResourceDescription::of).collect(),
            released: None,
        }
    }
}

/// `lease cleanup --dry-run`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct PlanDocument {
    #[schemars(extend("const" = Self::SCHEMA))]
    schema: &'static str,
    /// What would be done, and what would be left.
    pub(crate) steps: Vec<StepDescription>,
}

impl PlanDocument {
    /// The schema's name.
    pub(crate) const SCHEMA: &'static str = "lease.plan/1";

    /// The document of a plan.
    pub(crate) fn of<'a>(steps: impl IntoIterator<Item = &'a Step>) -> Self {
        Self { schema: Self::SCHEMA, steps: steps.into_iter().map(StepDescription::of).collect() }
    }
}

/// `lease cleanup`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct CleanupDocument {
    #[schemars(extend("const" = Self::SCHEMA))]
    schema: &'static str,
    /// The plan.
    pub(crate) steps: Vec<StepDescription>,
    /// What carrying it out came to.
    pub(crate) done: Vec<ReleasedLease>,
}

impl CleanupDocument {
    /// The schema's name.
    pub(crate) const SCHEMA: &'static str = "lease.cleanup/1";

    /// The document of a plan and its results.
    pub(crate) fn new(steps: Vec<StepDescription>, done: Vec<ReleasedLease>) -> Self {
        Self { schema: Self::SCHEMA, steps, done }
    }
}

/// One step of a plan.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct StepDescription {
    /// `release`, `archive`, `reclaim`, `wait`, `leave`, `attention`, `orphan`, `unclaimed` or `unlisted`. The first
    /// three are done by `lease cleanup`; `attention`, `orphan` and `unlisted` are for a person.
    pub(crate) action: String,
    /// The lease, where it is known.
    pub(crate) id: Option<String>,
    /// What it is called: a slug, a file, a resource or a provider.
    pub(crate) name: String,
    /// The rule, for a release.
    pub(crate) rule: Option<String>,
    /// Why, in words.
    pub(crate) why: String,
    /// When it is worth looking again.
    pub(crate) until: Option<Time>,
    /// What a person may type about it.
    pub(crate) next: Option<String>,
}

impl StepDescription {
    /// The description of a step.
    pub(crate) fn of(step: &Step) -> Self {
        let plain = |action: &str, id: Option<String>, name: String, why: String| Self {
            action: action.to_owned(),
            id,
            name,
            rule: None,
            why,
            until: None,
            next: None,
        };
        match step {
            Step::Release { lease, slug, why, evidence } => Self {
                rule: Some(snake(&format!("{why:?}"))),
                ..plain("release", Some(lease.to_string()), slug.to_string(), evidence.clone())
            },
            Step::Archive { lease, slug } => {
                let why = "everything of it is proven gone".to_owned();
                plain("archive", Some(lease.to_string()), slug.to_string(), why)
            }
            Step::Wait { lease, slug, until, why } => Self {
                until: until.map(Time::from),
                ..plain("wait", Some(lease.to_string()), slug.to_string(), why.clone())
            },
            Step::Leave { lease, slug, why } => {
                plain("leave", Some(lease.to_string()), slug.to_string(), why.clone())
            }
            Step::Attention { name, lease, why } => plain(
                "attention",
                lease.as_ref().map(ToString::to_string),
                name.clone(),
                why.clone(),
            ),
            Step::Reclaim { provider, found, why } => {
                plain("reclaim", lease_of(found), named(provider, found), why.clone())
            }
            Step::Orphan { provider, found, whose, why } => {
                let action = match whose {
                    Whose::Ours => "orphan",
                    Whose::AnotherInstallations => "unclaimed",
                };
                Self {
                    next: Some(format!("lease adopt {provider} {}", found.id)),
                    ..plain(action, lease_of(found), named(provider, found), why.clone())
                }
            }
            Step::Unlisted { provider, why } => {
                plain("unlisted", None, provider.clone(), why.clone())
            }
            other => plain("unknown", None, String::new(), format!("{other:?}")),
        }
    }
}

/// The lease that the marks of a resource name.
fn lease_of(found: &Found) -> Option<String> {
    found.marks.as_ref().map(|it| it.lease.to_string())
}

/// A resource without a record, as it is called where it lives.
fn named(provider: &str, found: &Found) -> String {
    format!("{provider} {} {}", found.kind, found.id)
}

/// `lease doctor`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct DoctorDocument {
    #[schemars(extend("const" = Self::SCHEMA))]
    schema: &'static str,
    /// Whether no check found a problem.
    pub(crate) ok: bool,
    /// What was looked at.
    pub(crate) checks: Vec<CheckDescription>,
}

impl DoctorDocument {
    /// The schema's name.
    pub(crate) const SCHEMA: &'static str = "lease.doctor/1";

    /// The document of these checks.
    pub(crate) fn new(checks: Vec<CheckDescription>) -> Self {
        let ok = checks.iter().all(|it| it.verdict != word(&Verdict::Problem));
        Self { schema: Self::SCHEMA, ok, checks }
    }
}

/// One check.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct CheckDescription {
    /// What it belongs to: `lease`, or a provider's name.
    pub(crate) group: String,
    /// What was looked at.
    pub(crate) name: String,
    /// `ok`, `warning` or `problem`.
    pub(crate) verdict: String,
    /// What was seen, and for a problem what to do.
    pub(crate) detail: String,
}

impl CheckDescription {
    /// The description of a check.
    pub(crate) fn of(group: &str, check: &lease_core::provider::Check) -> Self {
        Self {
            group: group.to_owned(),
            name: check.name.clone(),
            verdict: word(&check.verdict),
            detail: check.detail.clone(),
        }
    }
}

/// `OwnerDied` as `owner_died`.
fn snake(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.extend(c.to_lowercase());
    }
    text
}
