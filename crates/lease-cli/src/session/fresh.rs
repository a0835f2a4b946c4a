//! The tree as it is now, and what is known here of the box that shall hold it.

use lease_core::Claim;
use lease_ssh::{BoxRoot, Compare, Drift, Mirror, Order, Scan, SyncReport};

use crate::context::Context;
use crate::failure::Failure;
use crate::output::Output;
use crate::session::attached::{ssh_failure, unusable};
use crate::session::place::{Place, tell};

/// How many files are named that the box had changed; the others are counted.
const NAMED_MAX: usize = 5;

/// A tree on its way to a box.
#[derive(Debug)]
pub(crate) struct Fresh {
    mirror: Mirror,
    scan: Scan,
    drift: Drift,
}

impl Fresh {
    /// Looks at the tree, with the help of what is known of the box of `claim`. The box is not asked.
    pub(crate) async fn look(
        context: &Context<'_>,
        claim: &Claim,
        place: &Place,
    ) -> Result<Self, Failure> {
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
        if scan.manifest().is_empty() {
            let root = place.tree.root.display();
            context.base.output.note(&format!("there is no file in {root} that is synced"));
        }
        Ok(Self { mirror, scan, drift: context.settings.sync_drift() })
    }

    /// Whether nothing is known of the box, so that this may take long.
    pub(super) fn is_first(&self) -> bool {
        self.mirror.manifest().is_none()
    }

    /// What is to be on the box.
    pub(super) fn order(&mut self) -> Order<'_> {
        Order {
            mirror: &mut self.mirror,
            scan: &self.scan,
            drift: self.drift,
            compare: Compare::Stamps,
        }
    }
}

/// Says what a person should know about a sync.
pub(super) fn tell_of(output: &Output, report: &SyncReport, drift: Drift) {
    tell(output, &report.source, &report.skipped);
    if report.drifted.is_empty() {
        return;
    }
    let named: Vec<_> =
        report.drifted.iter().take(NAMED_MAX).map(|it| it.display().to_string()).collect();
    let more = match report.drifted.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let done = match drift {
        Drift::Keep => "they stay until the tree's change",
        Drift::Overwrite | Drift::Fail => "the tree's files are there again",
    };
    output.note(&format!("a command had changed {}{more} on the box; {done}", named.join(", ")));
}
