//! What a command left on its box and is wanted here.

use std::path::{Path, PathBuf};

use lease_core::Claim;
use lease_ssh::{Copied, Existing, Overwrite, Patterns};

use crate::context::Context;
use crate::failure::{Failure, Meaning};
use crate::interrupt::Interrupts;
use crate::output::Output;
use crate::session::attached::{Attached, ssh_failure};
use crate::session::attended::attended;
use crate::session::difference::Difference;
use crate::session::place::Place;

/// How many files are named that were left out or have another name; the others are counted.
const NAMED_MAX: usize = 5;

/// Which files are fetched after a command, and where they go.
#[derive(Clone, Debug)]
pub(crate) struct Artifacts {
    patterns: Patterns,
    to: PathBuf,
}

impl Artifacts {
    /// What the flags and the settings name; nothing if they name none.
    pub(crate) fn of(
        context: &Context<'_>,
        named: &[String],
        to: Option<&Path>,
        place: &Place,
    ) -> Result<Option<Self>, Failure> {
        let patterns = Patterns::new(named.iter().chain(context.settings.artifacts()));
        let patterns = patterns.map_err(|error| {
            let failure = Failure::invalid(error.to_string(), "lease run --help");
            failure.meaning(Meaning::NothingCreated)
        })?;
        let to = match to {
            Some(to) => context.base.environment.absolute(to)?,
            None => place.tree.root.clone(),
        };
        Ok((!patterns.is_empty()).then_some(Self { patterns, to }))
    }

    /// Fetches them.
    ///
    /// A file of the tree that was changed here since it was sent stays, and what was fetched gets a name beside it.
    pub(crate) async fn fetch(
        &self,
        (context, claim): (&Context<'_>, &Claim),
        place: &Place,
        interrupts: &mut Interrupts,
    ) -> Result<Copied, Failure> {
        let output = context.base.output;
        output.progress().step("fetching what the command left");
        let shown = self.to.display();
        std::fs::create_dir_all(&self.to).map_err(|error| {
            Failure::tool(format!("{shown}: {error}")).kind("storage").lease(claim.lease())
        })?;
        let overwrite = self.overwrite(context, claim, place).await?;
        let attached = Attached::to(context, claim).await?;
        let fetched =
            attached.session.download(&attached.root, &self.patterns, &self.to, overwrite);
        let fetched = attended((context, &attached), interrupts, Box::pin(fetched)).await?;
        output.progress().clear();
        let copied = fetched.map_err(|error| ssh_failure(&error, claim.lease()))?;
        self.tell(output, &copied);
        if copied.missing.is_empty() {
            return Ok(copied);
        }
        let what = format!("the box has no {}", copied.missing.join(", "));
        let failure = Failure::tool(what).meaning(Meaning::StillLeased).kind("not_found");
        Err(failure.next(format!("lease exec {} -- ls", claim.slug())).lease(claim.lease()))
    }

    async fn overwrite(
        &self,
        context: &Context<'_>,
        claim: &Claim,
        place: &Place,
    ) -> Result<Overwrite, Failure> {
        let Ok(below) = self.to.strip_prefix(&place.tree.root) else {
            return Ok(Overwrite(Box::new(|_| Existing::Replaced)));
        };
        let below = below.to_owned();
        let difference = Difference::look(context, claim, place).await?;
        Ok(Overwrite(Box::new(move |path| {
            let is_changed = difference.is_changed(&below.join(path));
            if is_changed { Existing::Stays } else { Existing::Replaced }
        })))
    }

    fn tell(&self, output: &Output, copied: &Copied) {
        let shown = |path: &Path| self.to.join(path).display().to_string();
        for (stays, beside) in copied.beside.iter().take(NAMED_MAX) {
            let (stays, beside) = (shown(stays), shown(beside));
            output.note(&format!("{stays} was changed here and stays; the box's is {beside}"));
        }
        if let Some(more) = copied.beside.len().checked_sub(NAMED_MAX).filter(|it| *it > 0) {
            output.note(&format!("{more} more were changed here and stay, with the box's beside"));
        }
        for it in copied.left_out.iter().take(NAMED_MAX) {
            output.note(&format!("not fetched: {} ({})", it.path.display(), it.why));
        }
        if let Some(more) = copied.left_out.len().checked_sub(NAMED_MAX).filter(|it| *it > 0) {
            output.note(&format!("not fetched: {more} more"));
        }
        output.note(&format!("{} files fetched to {}", copied.files, self.to.display()));
    }
}
