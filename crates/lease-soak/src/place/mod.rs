//! The providers at which leases are made: how each is set up, what of others is there, how things go wrong on the way,
//! and what its own books show.

mod cloud;
mod commands;
mod external;
mod local;
mod slurm;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use async_trait::async_trait;

use crate::house::House;
use crate::judge::Inventory;
use crate::plan::{Harm, Provider};
use crate::processes::entries;
use crate::trouble::Trouble;

/// A provider with things of others in it.
#[async_trait]
pub(crate) trait Place: Send + Sync {
    /// Has this go wrong at the next opportunity; the number chooses the call and the variant.
    async fn harm(&self, harm: Harm, number: u64) -> Result<(), Trouble>;

    /// How often something went wrong.
    fn harmed(&self) -> usize;

    /// Ends whatever is still about to go wrong.
    async fn cure(&self) -> Result<(), Trouble>;

    /// What the provider's own books show.
    async fn inventory(&self) -> Result<Inventory, Trouble>;

    /// Ends the provider with everything in it.
    async fn close(&self) -> Result<(), Trouble>;
}

/// Opens a provider in a directory of its own, with an installation that is configured for it.
pub(crate) async fn open(
    provider: Provider,
    root: &Path,
    program: &Path,
) -> Result<(House, Box<dyn Place>), Trouble> {
    let house = House::build(root.to_path_buf(), program).await?;
    match provider {
        Provider::Hetzner => cloud::hetzner(house).await,
        Provider::Fal => cloud::fal(house).await,
        Provider::Slurm => slurm::open(house).await,
        Provider::External => external::open(house),
        Provider::Local => local::open(house),
    }
}

/// Every file below a directory with what changes when it is touched.
fn look(directory: &Path) -> Vec<(String, String)> {
    let mut seen = Vec::new();
    for path in entries(directory) {
        let Ok(meta) = fs::symlink_metadata(&path) else { continue };
        let state = format!("{} {}.{}", meta.ino(), meta.ctime(), meta.ctime_nsec());
        seen.push((path.display().to_string(), state));
        if meta.is_dir() {
            seen.extend(look(&path));
        }
    }
    seen
}

#[cfg(test)]
mod tests;
