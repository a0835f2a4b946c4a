//! Making a directory on the box equal to a local tree, as cheaply as what is known allows.
//!
//! A client keeps a [`Mirror`]: what the box holds, and the name of the generation in which it holds it. A request names
//! the generation it expects, and the box does nothing when it is in another one, when a change was not completed, or
//! when a command has changed files of ours. A small change travels in the request that starts the command
//! (`patch.sh`), a large one in steps of its own (`clear.sh`, `unpack.sh`). Whatever is not as expected leads
//! to a question (`survey.sh`), and at the worst to sending everything. `docs/data-plane.md` has the states.
//!
//! On the box only paths of the records are deleted (invariant I14), and nothing is written or removed through a
//! symbolic link. The local tree is only read.

mod flow;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
#[cfg(test)]
mod mangled;
mod mirror;
mod packing;
mod patch;
mod paths;
mod plan;
mod progress;
mod records;
mod remote;
mod script;
mod seed;
mod stream;
mod warm;

use std::path::PathBuf;

use lease_tree::{Compare, Scan, Skipped, Source};
use tokio::sync::watch;

use self::flow::Flow;
pub use self::mirror::Mirror;
pub(crate) use self::mirror::{is_synced, look_of};
pub use self::plan::{Plan, PlannedWrite};
pub use self::progress::Progress;
pub(crate) use self::script::{lean, prelude};
pub use self::seed::Seeding;
pub use self::warm::Started;
use crate::box_root::BoxRoot;
use crate::error::Result;
use crate::session::Session;

/// What is done about files of the tree that something on the box has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Drift {
    /// The tree's files are sent again.
    #[default]
    Overwrite,
    /// The box's files stay until the tree's change.
    Keep,
    /// It is an error.
    Fail,
}

/// How much of the tree is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Extent {
    /// What the box lacks, by what is known of it.
    #[default]
    Difference,
    /// Everything. The box is asked which paths are ours and is believed nothing of what they hold.
    Everything,
}

/// What is to be on the box.
#[derive(Debug)]
pub struct Order<'a> {
    /// What is known about the box; brought up to date.
    pub mirror: &'a mut Mirror,
    /// The tree as it is.
    pub scan: &'a Scan,
    /// What is done about what the box has changed.
    pub drift: Drift,
    /// How files are compared that both sides have.
    pub compare: Compare,
    /// How much is sent.
    pub extent: Extent,
    /// Where a large change tells how far it has come.
    pub progress: Option<watch::Sender<Progress>>,
    /// Whether a box that has nothing may fetch files from the tree's origin itself.
    pub seeding: Option<Seeding<'a>>,
}

impl<'a> Order<'a> {
    /// What the box lacks by the stamps of the files, over whatever commands have changed there.
    pub fn new(mirror: &'a mut Mirror, scan: &'a Scan) -> Self {
        Self {
            mirror,
            scan,
            drift: Drift::default(),
            compare: Compare::default(),
            extent: Extent::default(),
            progress: None,
            seeding: None,
        }
    }
}

/// What a sync did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SyncReport {
    /// Where the list of files came from.
    pub source: Source,
    /// How many files and symbolic links were sent.
    pub sent_files: u64,
    /// How many bytes of file contents were sent.
    pub sent_bytes: u64,
    /// How many files were not sent because the box fetched them from the tree's origin.
    pub seeded_files: u64,
    /// How many paths of earlier syncs were removed from the box.
    pub removed: u64,
    /// What belongs to the tree by its list and is not on the box, with the reason.
    pub skipped: Vec<Skipped>,
    /// Whether an earlier sync of this box had not been completed.
    pub repaired: bool,
    /// Which files of the tree something on the box had changed.
    pub drifted: Vec<PathBuf>,
    /// Whether the box can tell what its commands change.
    pub sees_drift: bool,
}

/// Makes `<root>/work` on the box equal to the tree: afterwards it holds every file of the scan, none that an earlier
/// sync put there and that is not in the tree any more, and untouched whatever else was made on the box.
///
/// Directories appear with the files in them; an empty directory is not sent. Files keep their permission bits (without
/// set-user-id); hard links arrive as copies. The first sync of a box keeps modification times in whole seconds, later
/// ones leave them to the box.
///
/// # Errors
/// [`SshError::Blocked`](crate::SshError::Blocked) when files made on the box are in the way,
/// [`SshError::Drifted`](crate::SshError::Drifted) when that was asked for,
/// [`SshError::BoxFull`](crate::SshError::BoxFull), [`SshError::BoxLacks`](crate::SshError::BoxLacks), and
/// [`SshError::Superseded`](crate::SshError::Superseded). After any error the next sync repairs.
///
/// # Cancel safety
/// A cancelled sync leaves the box marked; the next one repairs.
pub async fn sync(session: &Session, root: &BoxRoot, order: Order<'_>) -> Result<SyncReport> {
    Flow::new(session, root, order).alone().await
}

/// Says what [`sync`] would do. The box is asked; nothing of its tree is changed, and nothing is written down here.
///
/// # Errors
/// When the box cannot be asked, or the tree is not there any more.
///
/// # Cancel safety
/// It changes nothing that matters to a sync.
pub async fn plan(session: &Session, root: &BoxRoot, order: Order<'_>) -> Result<Plan> {
    Flow::new(session, root, order).plan().await
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
