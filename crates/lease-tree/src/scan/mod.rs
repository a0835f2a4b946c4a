//! What a tree is now: from the stamps of what is known, from git about what is new, or from a list of everything.

mod changes;
mod discover;
mod everything;
mod look;

use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lease_core::time::Timestamp;
use tokio::time::Instant;

use crate::error::{Result, TreeError};
use crate::list::{open_root, rules};
use crate::manifest::{Manifest, Records};
use crate::order::as_path;
use crate::stat::Began;
use crate::tree::{Skipped, Source, Tree};

pub(crate) use self::everything::slot_of;

/// How a scan came to its list of paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// The list of the manifest still holds. Nothing but the paths themselves was looked at.
    Kept,
    /// The list of the manifest was corrected for directories that had changed; git was asked about new names only.
    Corrected,
    /// The list was made anew.
    Anew,
}

/// What a tree is now.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Scan {
    pub(crate) root: PathBuf,
    pub(crate) manifest: Manifest,
    source: Source,
    listing: Listing,
    unlisted: Vec<Skipped>,
    took: Duration,
}

impl Scan {
    /// The files and links of the tree. [`Entry::content`](crate::Entry::content) is known where the stamps vouch for it.
    ///
    /// It says what the tree is, not what a box holds: it is for looking, not for storing.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where the list came from.
    pub fn source(&self) -> Source {
        self.source
    }

    /// How the list was made.
    pub fn listing(&self) -> Listing {
        self.listing
    }

    /// How long it took.
    pub fn took(&self) -> Duration {
        self.took
    }

    /// What belongs to the tree by its list and is not sent, sorted by path.
    pub fn skipped(&self) -> Vec<Skipped> {
        let records = &self.manifest.0;
        let of = |it: &crate::manifest::Record| {
            let why = it.slot.skipped()?;
            Some(Skipped { path: as_path(records.path(it)).to_owned(), why })
        };
        let listed = records.records.iter().filter_map(of);
        let mut all: Vec<Skipped> = listed.chain(self.unlisted.iter().cloned()).collect();
        all.sort();
        all.dedup();
        all
    }
}

/// Looks at a tree, with the help of what was known of it. `.git` itself is never part of it.
///
/// `now` is read by the caller right before the call, from the clock of this machine: everything that is not older is
/// looked at by content at the next scan. The scan runs on threads of its own beside the caller's.
///
/// # Errors
/// When the tree is no readable directory, git fails on it, or `.leaseignore` cannot be used.
///
/// # Cancel safety
/// It changes nothing. When it is dropped, threads that are looking finish in the background.
pub async fn scan(tree: &Tree, previous: Option<&Manifest>, now: Timestamp) -> Result<Scan> {
    let clock = Instant::now();
    let root = Arc::new(open_root(&tree.root)?);
    let began = Began::at(now.as_millis(), root.as_fd());
    let eye = Eye { tree, root, began };
    if let Some(previous) = previous
        && let Some(rules) = &previous.0.rules
        && rules.inputs == rules::inputs(tree)
        && let Some((manifest, listing)) = changes::changes(&eye, previous).await?
    {
        let (root, source, unlisted) = (tree.root.clone(), Source::Git, Vec::new());
        return Ok(Scan { root, manifest, source, listing, unlisted, took: clock.elapsed() });
    }
    let (records, source, unlisted) = everything::everything(&eye, previous).await?;
    let manifest = Manifest(Arc::new(records));
    let (root, listing) = (tree.root.clone(), Listing::Anew);
    Ok(Scan { root, manifest, source, listing, unlisted, took: clock.elapsed() })
}

/// The tree that is looked at, and when.
struct Eye<'a> {
    tree: &'a Tree,
    root: Arc<File>,
    began: Began,
}

impl Eye<'_> {
    /// Runs what looks at many paths beside the caller.
    async fn beside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&File) -> T + Send + 'static,
    ) -> Result<T> {
        let root = Arc::clone(&self.root);
        tokio::task::spawn_blocking(move || work(&root)).await.map_err(|_| TreeError::CutOff)
    }

    /// Looks at all paths of the records.
    async fn look(&self, records: &Arc<Records>, want: look::Want) -> Result<look::Seen> {
        let records = Arc::clone(records);
        self.beside(move |root| look::look(&records, root.as_fd(), want)).await
    }
}
