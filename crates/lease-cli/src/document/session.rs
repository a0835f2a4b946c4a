//! Syncs and the reaper as JSON.

use std::path::Path;

use lease_core::LeaseId;
use lease_ssh::{Plan, Skipped, Source, SyncReport, WhySkipped};
use schemars::JsonSchema;
use serde::Serialize;

use crate::catalog::credentials;
use crate::reaper::{Coverage, remedy};

/// `lease sync`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct SyncDocument {
    #[schemars(extend("const" = Self::SCHEMA))]
    schema: &'static str,
    /// The lease.
    id: String,
    /// Whether nothing was sent, because only the plan was asked for.
    dry_run: bool,
    /// `git` or `walk`.
    source: String,
    /// How many files and symbolic links were or would be sent.
    files: u64,
    /// How many bytes of contents.
    bytes: u64,
    /// How many paths of earlier syncs were or would be removed from the box.
    removed: Option<u64>,
    /// What would change on the box; absent after a sync.
    changes: Option<Vec<PlannedChange>>,
    /// The files of the tree that a command had changed on the box.
    drifted: Vec<String>,
    /// Whether an earlier sync was not completed, so that everything was or would be compared anew.
    repaired: bool,
    /// What is not sent, and why.
    skipped: Vec<SkippedPath>,
}

/// A path that a sync would change on the box.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct PlannedChange {
    /// The path in the tree; bytes that are not UTF-8 are shown as U+FFFD.
    pub(crate) path: String,
    /// `add`, `change` or `remove`.
    pub(crate) action: String,
    /// The size of the file that is sent or removed, where it is known here.
    pub(crate) bytes: Option<u64>,
}

impl PlannedChange {
    /// A change of that path.
    pub(crate) fn new(path: &Path, action: &str, bytes: Option<u64>) -> Self {
        Self { path: path.display().to_string(), action: action.to_owned(), bytes }
    }
}

/// A path that is not sent.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct SkippedPath {
    /// The path in the tree; bytes that are not UTF-8 are shown as U+FFFD.
    path: String,
    /// `special`, `unreadable`, `changing`, `vanished` or `empty_submodule`.
    why: String,
}

impl SyncDocument {
    /// The schema's name.
    pub(crate) const SCHEMA: &'static str = "lease.sync/1";

    /// What a sync would do.
    pub(crate) fn of_plan(lease: &LeaseId, plan: &Plan, changes: Vec<PlannedChange>) -> Self {
        Self {
            schema: Self::SCHEMA,
            id: lease.to_string(),
            dry_run: true,
            source: source_name(&plan.source).to_owned(),
            files: plan.writes.len() as u64,
            bytes: plan.bytes,
            removed: Some(plan.removals.len() as u64),
            changes: Some(changes),
            drifted: plan.drifted.iter().map(|it| it.display().to_string()).collect(),
            repaired: plan.repairs,
            skipped: plan.skipped.iter().map(SkippedPath::of).collect(),
        }
    }

    /// What a sync did.
    pub(crate) fn of_report(lease: &LeaseId, report: &SyncReport) -> Self {
        Self {
            schema: Self::SCHEMA,
            id: lease.to_string(),
            dry_run: false,
            source: source_name(&report.source).to_owned(),
            files: report.sent_files,
            bytes: report.sent_bytes,
            removed: Some(report.removed),
            changes: None,
            drifted: report.drifted.iter().map(|it| it.display().to_string()).collect(),
            repaired: report.repaired,
            skipped: report.skipped.iter().map(SkippedPath::of).collect(),
        }
    }
}

impl SkippedPath {
    fn of(skipped: &Skipped) -> Self {
        let why = match skipped.why {
            WhySkipped::Special => "special",
            WhySkipped::Unreadable => "unreadable",
            WhySkipped::Changing => "changing",
            WhySkipped::Vanished => "vanished",
            WhySkipped::EmptySubmodule => "empty_submodule",
        };
        Self { path: skipped.path.display().to_string(), why: why.to_owned() }
    }
}

fn source_name(source: &Source) -> &'static str {
    match source {
        Source::Git => "git",
        Source::Walk { .. } => "walk",
    }
}

/// `lease reaper status`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct ReaperDocument {
    #[schemars(extend("const" = Self::SCHEMA))]
    schema: &'static str,
    /// Whether a reaper watches.
    watching: bool,
    /// The process number of the first one, where that can be read.
    pid: Option<u32>,
    /// The state directory.
    state_dir: String,
    /// Every reaper with what it watches.
    watchers: Vec<WatcherDescription>,
    /// The live leases that nobody watches.
    unwatched: Vec<UnwatchedLease>,
}

/// A reaper that watches the leases of one provider.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct WatcherDescription {
    /// Its process number, where that can be read.
    pid: Option<u32>,
    /// The provider.
    provider: String,
    /// The account whose leases it can give back, once it has asked.
    account: Option<String>,
}

/// A live lease that nobody watches.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct UnwatchedLease {
    /// The lease.
    id: String,
    /// Its short name.
    slug: String,
    /// The provider.
    provider: String,
    /// The account that it is in.
    account: String,
    /// The variables, of which one must hold a credential of that account; none where no credential is needed.
    credentials: Vec<String>,
    /// What to do about it.
    remedy: String,
}

impl ReaperDocument {
    /// The schema's name.
    pub(crate) const SCHEMA: &'static str = "lease.reaper/1";

    /// Who watches what in which directory.
    pub(crate) fn new(coverage: &Coverage, state_dir: &Path) -> Self {
        let watchers = coverage.watchers.iter().map(|it| WatcherDescription {
            pid: it.pid,
            provider: it.provider.clone(),
            account: it.scope.as_ref().map(|it| it.account.clone()),
        });
        let unwatched = coverage.unwatched.iter().map(|it| UnwatchedLease {
            id: it.lease().to_string(),
            slug: it.slug().to_string(),
            provider: it.provider().to_owned(),
            account: it.scope().account.clone(),
            credentials: credentials(it.provider()).iter().map(|it| (*it).to_owned()).collect(),
            remedy: remedy(it),
        });
        Self {
            schema: Self::SCHEMA,
            watching: !coverage.watchers.is_empty(),
            pid: coverage.watchers.first().and_then(|it| it.pid),
            state_dir: state_dir.display().to_string(),
            watchers: watchers.collect(),
            unwatched: unwatched.collect(),
        }
    }
}
