//! `lease providers`: what this build can lease from. It asks nobody and needs no settings.

use std::fmt::Write as _;

use crate::args::{ProvidersArgs, ProvidersCommand};
use crate::catalog;
use crate::context::Base;
use crate::document::{ProviderDescription, ProvidersDocument};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Table;

/// Lists the providers, or describes one.
pub(crate) fn run(base: &Base<'_>, args: &ProvidersArgs) -> Result<Exit, Failure> {
    let descriptors = catalog::descriptors();
    match &args.command {
        None | Some(ProvidersCommand::List) => {
            let document = ProvidersDocument::of(descriptors);
            base.output.result(&document, || table(&document.providers))?;
        }
        Some(ProvidersCommand::Describe { name }) => {
            let name = catalog::resolve(name)?;
            let document =
                ProvidersDocument::of(descriptors.into_iter().filter(|it| it.name == name));
            base.output.result(&document, || document.providers.iter().map(text).collect())?;
        }
    }
    Ok(Exit::Success)
}

fn table(providers: &[ProviderDescription]) -> String {
    let mut table = Table::new(&["NAME", "STATUS", "ENDS ABANDONED", "SANDBOX", "WHAT IT IS"]);
    for it in providers {
        table.row([
            it.name.clone(),
            it.status.clone(),
            it.ends_abandoned.clone(),
            yes_or_no(it.sandbox).to_owned(),
            it.summary.clone(),
        ]);
    }
    table.render()
}

fn text(it: &ProviderDescription) -> String {
    let mut text = String::new();
    let mut line =
        |name: &str, value: &str| writeln!(text, "{name:<20} {value}").unwrap_or_default();
    line("name", &it.name);
    line("aliases", &it.aliases.join(", "));
    line("what it is", &it.summary);
    line("status", &it.status);
    line("ends abandoned", &it.ends_abandoned);
    line("proof of ownership", &it.ownership.replace('_', " "));
    line("host key", &it.host_key.replace('_', " "));
    line(
        "repeating a create",
        &it.replay.to_string().replace(['"', '{', '}'], "").replace('_', " "),
    );
    line("settle time", &format!("{} ms", it.settle_ms));
    line("sandbox", yes_or_no(it.sandbox));
    line("makes", &it.resources.join(", "));
    line("cannot promise", &it.caveat);
    text
}

fn yes_or_no(flag: bool) -> &'static str {
    if flag { "yes" } else { "no" }
}
