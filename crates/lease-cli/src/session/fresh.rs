//! The tree as it is now, and what is known here of the box that shall hold it.

use std::path::{Path, PathBuf};

use lease_core::Claim;
use lease_ssh::{
    BoxRoot, Compare, Drift, Extent, Mirror, Order, Plan, Progress as Sent, Scan, Seeding,
    SyncReport, Tree,
};
use tokio::sync::watch;

use crate::context::Context;
use crate::failure::{Failure, Meaning};
use crate::output::Output;
use crate::session::attached::{Attached, ssh_failure, unusable};
use crate::session::place::{Place, tell};
use crate::session::size::refuse_large;

/// How many files are named that the box had changed; the others are counted.
const NAMED_MAX: usize = 5;

/// A tree on its way to a box.
#[derive(Debug)]
pub(crate) struct Fresh {
    mirror: Mirror,
    scan: Scan,
    drift: Drift,
    how: How,
    tree: Tree,
    /// How much the tree's origin has to have for the box to fetch it.
    seed: Option<u64>,
}

/// How the tree and the box are compared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How {
    /// By what.
    pub(crate) compare: Compare,
    /// Whether what is known of the box counts.
    pub(crate) extent: Extent,
}

impl Default for How {
    fn default() -> Self {
        Self { compare: Compare::Stamps, extent: Extent::Difference }
    }
}

impl Fresh {
    /// Looks at the tree, with the help of what is known of the box of `claim`, and refuses a first sync that is too
    /// large. The box is not asked.
    pub(crate) async fn look(
        context: &Context<'_>,
        claim: &Claim,
        place: &Place,
    ) -> Result<Self, Failure> {
        let it = Self::any(context, claim, place, How::default()).await?;
        it.refuse_large(context, claim)?;
        Ok(it)
    }

    /// The same however large the tree is.
    pub(crate) async fn any(
        context: &Context<'_>,
        claim: &Claim,
        place: &Place,
        how: How,
    ) -> Result<Self, Failure> {
        let (mirror, scan) = sent_and_here(context, claim, place).await?;
        if scan.manifest().is_empty() {
            let root = place.tree.root.display();
            context.base.output.note(&format!("there is no file in {root} that is synced"));
        }
        let (drift, seed) = (context.settings.sync_drift(), context.settings.sync_seed());
        Ok(Self { mirror, scan, drift, how, tree: place.tree.clone(), seed })
    }

    /// Refuses a first sync that would send more than the settings allow.
    pub(crate) fn refuse_large(&self, context: &Context<'_>, claim: &Claim) -> Result<(), Failure> {
        if !self.is_first() {
            return Ok(());
        }
        let next = format!("lease sync {} --allow-large", claim.slug());
        let refused = refuse_large(context, &self.scan, (Meaning::StillLeased, &next));
        refused.map_err(|failure| failure.lease(claim.lease()))
    }

    /// Whether nothing is known of the box, so that this may take long.
    pub(super) fn is_first(&self) -> bool {
        self.mirror.manifest().is_none()
    }

    /// How large a file is that the box is known to hold.
    pub(crate) fn held_bytes(&self, path: &Path) -> Option<u64> {
        self.mirror.manifest()?.get(path).map(|it| it.bytes)
    }

    /// What is to be on the box, and how far that has come.
    pub(super) fn order(&mut self) -> (Order<'_>, watch::Receiver<Sent>) {
        let (progress, sent) = watch::channel(Sent::default());
        let order = Order {
            mirror: &mut self.mirror,
            scan: &self.scan,
            drift: self.drift,
            compare: self.how.compare,
            extent: self.how.extent,
            progress: Some(progress),
            seeding: self.seed.map(|least| Seeding::new(&self.tree, least)),
        };
        (order, sent)
    }

    /// What a sync would do now. The box is asked, and nothing on it changes.
    pub(crate) async fn plan(&mut self, attached: &Attached) -> Result<Plan, Failure> {
        let (order, _sent) = self.order();
        let planned = Box::pin(lease_ssh::plan(&attached.session, &attached.root, order)).await;
        planned.map_err(|error| ssh_failure(&error, &attached.lease))
    }
}

/// What the box of `claim` was sent, by what is written down here, and the tree as it is. The box is not asked.
pub(super) async fn sent_and_here(
    context: &Context<'_>,
    claim: &Claim,
    place: &Place,
) -> Result<(Mirror, Scan), Failure> {
    let Some(reach) = claim.usable() else { return Err(unusable(claim)) };
    let failed = |error| ssh_failure(&error, claim.lease());
    let root = BoxRoot::new(reach.root.as_str()).map_err(failed)?;
    let client = super::client(&context.base)?;
    let (lease, tree) = (claim.lease().as_str().to_owned(), place.tree.clone());
    // Beside the opening of the connection: this reads a file of the size of the tree's list.
    let read = tokio::task::spawn_blocking(move || client.mirror(&lease, &root, &tree)).await;
    let mirror = read
        .map_err(|error| Failure::tool(format!("read what the box holds: {error}")))?
        .map_err(failed)?;
    let scan = place.scan_with(context, Some(&mirror)).await?;
    Ok((mirror, scan))
}

/// Does the work of a sync, and shows meanwhile how far it is.
pub(super) async fn shown<T>(
    output: &Output,
    mut sent: watch::Receiver<Sent>,
    work: impl Future<Output = T>,
) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            told = sent.changed() => {
                if told.is_err() {
                    return work.await;
                }
                let Sent { bytes, bytes_total, files_total, .. } = *sent.borrow_and_update();
                output.progress().transfer(bytes, bytes_total, files_total);
            }
        }
    }
}

/// Says what a person should know about a sync.
pub(super) fn tell_of(output: &Output, report: &SyncReport, drift: Drift) {
    tell(output, &report.source, &report.skipped);
    if report.seeded_files > 0 {
        output
            .note(&format!("the box fetched {} files from the tree's origin", report.seeded_files));
    }
    let done = match drift {
        Drift::Keep => "they stay until the tree's change",
        Drift::Overwrite | Drift::Fail => "the tree's files are there again",
    };
    tell_of_drift(output, &report.drifted, done);
}

/// Names files of the tree that something on the box has changed, and what becomes of them.
pub(crate) fn tell_of_drift(output: &Output, drifted: &[PathBuf], done: &str) {
    if drifted.is_empty() {
        return;
    }
    let named: Vec<_> = drifted.iter().take(NAMED_MAX).map(|it| it.display().to_string()).collect();
    let more = match drifted.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    output.note(&format!("a command had changed {}{more} on the box; {done}", named.join(", ")));
}
