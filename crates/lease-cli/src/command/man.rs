//! `lease man`: the man pages, one for each command.

use std::fs;

use crate::args::{self, ManArgs};
use crate::context::Base;
use crate::exit::Exit;
use crate::failure::Failure;

/// Writes the pages.
pub(crate) fn run(base: &Base<'_>, args: &ManArgs) -> Result<Exit, Failure> {
    let directory = base.environment.absolute(&args.directory)?;
    let written = fs::create_dir_all(&directory)
        .and_then(|()| clap_mangen::generate_to(args::command(), &directory));
    written.map_err(|error| {
        Failure::tool(format!("write the man pages: {}: {error}", directory.display()))
            .next("lease man DIR")
    })?;
    base.output.note(&format!("the man pages are in {}", directory.display()));
    Ok(Exit::Success)
}
