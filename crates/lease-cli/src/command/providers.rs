//! `lease providers`: what this build can lease from. Only the list of machines asks anybody.

use std::fmt::Write as _;
use std::time::Duration;

use lease_core::Found;
use lease_core::claim::ClaimedResource;

use crate::args::{ProvidersArgs, ProvidersCommand};
use crate::catalog;
use crate::command::adapter;
use crate::context::Base;
use crate::document::{
    InventoryDocument, ProviderDescription, ProvidersDocument, SizeDescription, SizesDocument,
};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Table;

/// How long a provider may take to list its machines.
const LIST_TIME_MAX: Duration = Duration::from_secs(120);

/// Lists the providers, describes one, or lists its machines.
pub(crate) async fn run(base: Base<'_>, args: &ProvidersArgs) -> Result<Exit, Failure> {
    match &args.command {
        None | Some(ProvidersCommand::List) => {
            let document = ProvidersDocument::of_all();
            base.output.result(&document, || table(&document))?;
        }
        Some(ProvidersCommand::Describe { name }) => {
            let name = catalog::resolve(name)?;
            let descriptors = catalog::descriptors();
            let document =
                ProvidersDocument::of(descriptors.into_iter().filter(|it| it.name == name));
            base.output.result(&document, || document.providers.iter().map(text).collect())?;
        }
        Some(ProvidersCommand::Sizes { name }) => sizes(base, catalog::resolve(name)?).await?,
        Some(ProvidersCommand::Inventory { name }) => {
            inventory(base, catalog::resolve(name)?).await?;
        }
        Some(ProvidersCommand::Test(args)) => return adapter::test(base, args).await,
        Some(ProvidersCommand::New { directory, language }) => {
            adapter::begin(base, directory, *language)?;
        }
    }
    Ok(Exit::Success)
}

async fn sizes(base: Base<'_>, name: &str) -> Result<(), Failure> {
    let context = base.open(&[]).await?;
    base.output.progress().step(&format!("asking {name}"));
    let sizes = asked(name, context.engine.provider(name)?.sizes()).await?;
    let document = SizesDocument::new(name, &sizes);
    if document.sizes.is_empty() {
        base.output
            .note(&format!("{name} has one kind of machine, and no type or class chooses it"));
    }
    base.output.result(&document, || size_table(&document.sizes))
}

async fn inventory(base: Base<'_>, name: &str) -> Result<(), Failure> {
    let context = base.open_own().await?;
    base.output.progress().step(&format!("asking {name}"));
    let inventory = asked(name, context.engine.provider(name)?.list()).await?;
    let entries = context.engine.store().scan().await?;
    let claims: Vec<_> = entries.into_iter().filter_map(|it| it.claim.ok()).collect();
    let claimed_by = |found: &Found| {
        let has = |it: &ClaimedResource| match &found.marks {
            Some(marks) => it.intended().nonce == marks.nonce,
            None => it.id() == Some(&found.id),
        };
        let mut here = claims.iter().filter(|it| *it.scope() == inventory.scope);
        let holder = here.find(|it| it.resources().iter().any(has));
        holder.map(|it| it.slug().to_string())
    };
    let document = InventoryDocument::new(&inventory, claimed_by);
    base.output.result(&document, || inventory_table(&document))
}

/// What a provider answers, if it does in time.
async fn asked<T>(
    name: &str,
    call: impl Future<Output = lease_core::Result<T>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(LIST_TIME_MAX, call).await {
        Ok(answer) => Ok(answer?),
        Err(_elapsed) => {
            let what = format!("{name} did not answer in {} s", LIST_TIME_MAX.as_secs());
            Err(Failure::tool(what).kind("timeout"))
        }
    }
}

fn inventory_table(document: &InventoryDocument) -> String {
    if document.resources.is_empty() {
        return format!("{} has nothing of this tool\n", document.account);
    }
    let mut table = Table::new(&["KIND", "ID", "NAME", "STATUS", "LEASE", "HERE"]);
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    for it in &document.resources {
        table.row([
            it.kind.clone(),
            it.id.clone(),
            or_dash(&it.name),
            it.status.clone(),
            or_dash(&it.lease),
            or_dash(&it.claimed_by),
        ]);
    }
    table.render()
}

fn size_table(sizes: &[SizeDescription]) -> String {
    if sizes.is_empty() {
        return String::new();
    }
    let headings = ["CLASS", "TYPE", "CORES", "MEMORY", "PRICE/HOUR", "AVAILABLE", "NOTES"];
    let mut table = Table::new(&headings);
    for it in sizes {
        let price = it.price_per_hour.as_ref();
        table.row([
            if it.classes.is_empty() { "-".to_owned() } else { it.classes.join(", ") },
            it.machine_type.clone(),
            it.cores.to_string(),
            format!("{} GiB", it.memory_gib),
            price.map_or("-".to_owned(), |it| format!("{} {}", it.amount, it.currency)),
            it.available.map_or("-", yes_or_no).to_owned(),
            it.notes.clone(),
        ]);
    }
    table.render()
}

fn table(document: &ProvidersDocument) -> String {
    let mut table = Table::new(&["NAME", "STATUS", "ENDS ABANDONED", "SANDBOX", "WHAT IT IS"]);
    for it in &document.providers {
        table.row([
            it.name.clone(),
            it.status.clone(),
            it.ends_abandoned.clone(),
            yes_or_no(it.sandbox).to_owned(),
            it.summary.clone(),
        ]);
    }
    for it in &document.not_built {
        let add = format!("add it with `{}`", it.install);
        table.row([it.name.clone(), it.status.clone(), "-".to_owned(), "-".to_owned(), add]);
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
    line("landing time", &format!("{} ms", it.landing_ms));
    line("sandbox", yes_or_no(it.sandbox));
    line("makes", &it.resources.join(", "));
    line("cannot promise", &it.caveat);
    for option in &it.options {
        line("option", &format!("{}: {}", option.name, option.about));
    }
    if !it.credentials.is_empty() {
        line("credential", &format!("from {}", it.credentials.join(" or ")));
    }
    line("types and classes", &format!("lease providers sizes {}", it.name));
    text
}

fn yes_or_no(flag: bool) -> &'static str {
    if flag { "yes" } else { "no" }
}
