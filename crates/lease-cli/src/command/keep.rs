//! `lease keep`: nothing automatic deletes anything of the lease until a person releases it.

use crate::args::KeepArgs;
use crate::context::Base;
use crate::document::LeaseDocument;
use crate::exit::Exit;
use crate::failure::Failure;

/// Keeps one lease, also one that is half made or half released.
pub(crate) async fn run(base: Base<'_>, args: &KeepArgs) -> Result<Exit, Failure> {
    let context = base.open_own().await?;
    let lease = context.resolve(&args.lease).await?;
    let claim = context.engine.keep(&lease, &args.why).await;
    let claim = claim.map_err(|error| Failure::from(error).lease(&lease))?;
    base.output.result(&LeaseDocument::of(&claim), || {
        format!("{} is kept until you run: lease release {}", claim.slug(), claim.slug())
    })?;
    Ok(Exit::Success)
}
