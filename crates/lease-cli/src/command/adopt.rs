//! `lease adopt`: takes over a machine that has no record here, so that it can be released like any other.

use lease_core::descriptor::Ownership;
use lease_core::{Claim, Error, ErrorKind, ResourceId, Slug};

use crate::args::AdoptArgs;
use crate::catalog;
use crate::command::release;
use crate::context::Base;
use crate::document::AdoptDocument;
use crate::exit::Exit;
use crate::failure::{Failure, one_line};
use crate::interrupt::Interrupts;

/// Adopts what was named, and releases it if that was asked for.
pub(crate) async fn run(base: Base<'_>, args: &AdoptArgs) -> Result<Exit, Failure> {
    let provider = catalog::resolve(&args.provider)?;
    let id = resource(provider, &args.id)?;
    let slug = args.slug.as_deref().map(slug).transpose()?;
    let context = base.open_own().await?;
    let mut interrupts = Interrupts::listen()?;
    let adopted = tokio::select! {
        adopted = context.engine.adopt(provider, &id, slug) => adopted,
        _ = interrupts.next() => {
            let failure = Failure::tool("interrupted while it was adopted").kind("interrupted");
            return Err(failure.exit_with(Exit::Interrupted).next("lease list"));
        }
    };
    let claim = adopted.map_err(|error| refused(error, provider))?;
    let evidence = evidence(&base, &context.engine, &claim).await?;
    let mut document = AdoptDocument::of(&claim, evidence);
    if !args.release {
        base.output.result(&document, || text(&document, &claim))?;
        return Ok(Exit::Success);
    }
    let (lease, name) = (claim.lease(), claim.slug().as_str());
    let outcome = release::release(&context, lease, false, &mut interrupts).await?;
    let released = release::described(lease, name, &outcome);
    document.released = Some(released.clone());
    let is_released = released.outcome == "released";
    base.output.result(&document, || {
        let after = if is_released { release::line(&released) + "\n" } else { String::new() };
        adopted_text(&document) + &after
    })?;
    match outcome {
        Err(error) => Err(Failure::from(error).lease(lease)),
        Ok(_) if is_released => Ok(Exit::Success),
        Ok(_) => Err(release::unfinished(&released, 1, 1)),
    }
}

fn resource(provider: &str, text: &str) -> Result<ResourceId, Failure> {
    text.parse().map_err(|error: Error| {
        let what = format!("{text:?} is no id of a resource: {}", error.message());
        Failure::invalid(what, plan_of(provider)).kind("usage")
    })
}

fn slug(text: &str) -> Result<Slug, Failure> {
    text.parse().map_err(|error: Error| {
        let what = format!("--name: {}", error.message());
        Failure::invalid(what, "lease adopt PROVIDER ID --name NAME").kind("usage")
    })
}

/// Why it was not adopted, with what helps: the list of what could be, or of what is leased.
fn refused(error: Error, provider: &str) -> Failure {
    let kind = error.kind();
    let failure = Failure::from(error);
    if matches!(kind, ErrorKind::NotFound | ErrorKind::Refused) {
        failure.next(plan_of(provider))
    } else if kind == ErrorKind::Conflict {
        failure.next("lease list")
    } else {
        failure
    }
}

fn plan_of(provider: &str) -> String {
    format!("lease cleanup --dry-run --provider {provider}")
}

/// What says that it is ours to give back.
async fn evidence(
    base: &Base<'_>,
    engine: &lease_core::Engine,
    claim: &Claim,
) -> Result<String, Failure> {
    let provider = engine.provider(claim.provider())?;
    if provider.descriptor().ownership == Ownership::CreateAnswer {
        let what = "has nowhere to put marks: that it is yours is your word";
        base.output.note(&format!("{} {what}", claim.provider()));
        return Ok("the word of the person who named its id; there are no marks".to_owned());
    }
    let whose = if engine.store().installation().await? == *claim.installation() {
        "this installation".to_owned()
    } else {
        format!("installation {}, which is another one", claim.installation())
    };
    Ok(format!("its marks name {} of {whose}", claim.lease()))
}

fn adopted_text(document: &AdoptDocument) -> String {
    let resources: Vec<_> = document
        .resources
        .iter()
        .map(|it| format!("{} {}", it.kind, it.id.as_deref().unwrap_or_default()))
        .collect();
    let (lease, evidence) = (&document.lease, &document.evidence);
    let line = format!("adopted {} as {}: {evidence}", resources.join(", "), lease.slug);
    one_line(&line) + "\n"
}

fn text(document: &AdoptDocument, claim: &Claim) -> String {
    let slug = claim.slug();
    format!(
        "{}it is kept: nothing deletes it until you release it\n  lease show {slug}\n  lease release {slug}\n",
        adopted_text(document)
    )
}
