//! `lease` without a word: what it does, what is leased right now, and what to type.

use lease_core::Store as _;

use crate::args::ListArgs;
use crate::command::list;
use crate::config::Layers;
use crate::context::Base;
use crate::exit::Exit;
use crate::failure::Failure;

const PAGE: &str = "\
lease: a remote machine for one piece of work, given back afterwards

  lease run -- COMMAND      lease a box, sync this tree, run, give the box back
  lease acquire             lease a box and leave it ready
  lease run --id NAME -- …  run on a leased box; it stays leased
  lease list                what is leased
  lease release NAME        give it back
  lease doctor              check everything that would fail later
  lease --help              everything else

";

/// Where the next box comes from, if the settings can be read.
fn origin(base: &Base<'_>) -> String {
    let settings = Layers::read(base.environment, &[]).and_then(|it| it.resolve());
    match settings {
        Ok(it) => format!("A box comes from {}: lease providers", it.provider()),
        Err(_) => "The settings cannot be read: lease doctor".to_owned(),
    }
}

/// Prints the page; as data it is the list. It makes nothing: where no records are, nothing is leased.
pub(crate) async fn run(base: &Base<'_>) -> Result<Exit, Failure> {
    if base.output.is_json() {
        return list::run(base, &ListArgs::default()).await;
    }
    let live = if base.state_dir()?.join("leases").is_dir() {
        base.store()?.names().await?.len()
    } else {
        0
    };
    let now = match live {
        0 => format!("Nothing is leased right now. {}", origin(base)),
        1 => "One box is leased right now: lease list".to_owned(),
        more => format!("{more} boxes are leased right now: lease list"),
    };
    base.output.bytes(format!("{PAGE}{now}\n").as_bytes())?;
    Ok(Exit::Success)
}
