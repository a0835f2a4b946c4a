//! Making a directory on the box equal to a local tree. The one seam: what is sent and how is private to this module.
//!
//! [`plan`] says which files belong to the tree, [`sync`] sends them. Today each sync sends every file as one tar stream
//! in three channels: *begin* claims the sync and reads what the last one put there, *clear* writes the marker and
//! removes what is gone, *apply* unpacks and seals. The box keeps in `<root>/.lease/sync`:
//!
//! * `manifest` – the paths that syncs put there, each ended by a NUL. While a sync is going on it is the union of old
//!   and new, so that a sync that dies in the middle forgets nothing of ours.
//! * `dirty` – there from the first change until the manifest is right again.
//! * `owner` – the nonce of the sync that began last. An older one stops at its next step.
//!
//! On the box only paths from the manifest are deleted (invariant I14), and nothing is written or removed through a
//! symbolic link. The local tree is only read.

mod list;
mod matcher;
mod paths;
mod remote;
mod stream;

use std::path::PathBuf;

pub use list::{Entry, Kind, Plan, Skipped, Source, Tree, WhySkipped, plan};

use self::paths::PathSet;
use self::remote::Remote;
use crate::box_root::BoxRoot;
use crate::error::Result;
use crate::session::Session;

/// What a sync did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncReport {
    /// Where the list of files came from.
    pub source: Source,
    /// How many files and symbolic links were sent.
    pub sent_files: u64,
    /// How many bytes of file contents were sent.
    pub sent_bytes: u64,
    /// How many paths of earlier syncs were removed from the box.
    pub removed: u64,
    /// What belongs to the tree by its list and is not on the box, with the reason.
    pub skipped: Vec<Skipped>,
    /// Whether an earlier sync of this box had not been completed.
    pub repaired: bool,
}

/// Makes `<root>/work` on the box equal to the tree: afterwards it holds every file of the plan, none that an earlier
/// sync put there and that is not in the tree any more, and untouched whatever else was made on the box.
///
/// Directories appear with the files in them; an empty directory is not sent. Files keep their permission bits (without
/// set-user-id) and their modification time in whole seconds; hard links arrive as copies.
///
/// # Errors
/// [`SshError::Blocked`](crate::SshError::Blocked) when files made on the box are in the way,
/// [`SshError::BoxFull`](crate::SshError::BoxFull), [`SshError::BoxLacks`](crate::SshError::BoxLacks),
/// [`SshError::Superseded`](crate::SshError::Superseded), and those of [`plan`]. After any error the next sync repairs.
///
/// # Cancel safety
/// A cancelled sync leaves the marker on the box; the next one repairs.
pub async fn sync(session: &Session, tree: &Tree, root: &BoxRoot) -> Result<SyncReport> {
    let plan = plan(tree).await?;
    let remote = Remote::new(session, root)?;
    let began = remote.begin().await?;
    let new = PathSet::new(plan.entries.iter().map(|entry| entry.path.clone()));
    let removed = remote.clear(&began.manifest, &new).await?;
    let applied = remote.apply(&tree.root, &plan, &began).await?;
    let mut skipped = plan.skipped;
    skipped.extend(applied.left_out);
    Ok(SyncReport {
        source: plan.source,
        sent_files: applied.sent_files,
        sent_bytes: applied.sent_bytes,
        removed,
        skipped,
        repaired: began.dirty,
    })
}

/// The relative path as the box sees it.
fn member(path: &std::path::Path) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt as _;
    path.as_os_str().as_bytes().to_vec()
}

fn path_of(bytes: Vec<u8>) -> PathBuf {
    use std::os::unix::ffi::OsStringExt as _;
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}
