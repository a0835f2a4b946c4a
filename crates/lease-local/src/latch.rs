//! The lock of one box: who holds it makes or removes the box. It ends with its holder, however that ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lease_core::retry::{Bounds, Pace};

use crate::error::LocalError;

/// The file that is locked.
pub(crate) const LOCK_FILE: &str = "lock";

/// How long somebody else's work on the same box is waited for.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// A held lock. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Latch {
    directory: PathBuf,
    file: File,
}

impl Latch {
    /// Locks the box in `directory`, waiting for whoever has it. `None` when the directory is, or goes, elsewhere.
    ///
    /// # Cancel safety
    /// A cancelled call holds nothing.
    pub(crate) async fn take(directory: &Path) -> Result<Option<Self>, LocalError> {
        let mut pace = Pace::start(
            Bounds::within(WAIT_MAX).paused(Duration::from_millis(5), Duration::from_millis(100)),
        );
        loop {
            let file = match open(directory) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(LocalError::file("locking", directory)(error)),
            };
            match file.try_lock() {
                Ok(()) => {
                    let latch = Self { directory: directory.to_owned(), file };
                    return Ok(latch.is_in(directory).then_some(latch));
                }
                Err(TryLockError::WouldBlock) if pace.wait(None).await => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(LocalError::Busy(directory.to_owned()));
                }
                Err(TryLockError::Error(error)) => {
                    return Err(LocalError::file("locking", directory)(error));
                }
            }
        }
    }

    /// Follows the box to its new place.
    pub(crate) fn moved_to(&mut self, directory: &Path) {
        directory.clone_into(&mut self.directory);
    }

    /// Where the locked box is.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Whether the box was moved between finding its lock file and locking it.
    fn is_in(&self, directory: &Path) -> bool {
        match (self.file.metadata(), std::fs::symlink_metadata(directory.join(LOCK_FILE))) {
            (Ok(held), Ok(there)) => held.dev() == there.dev() && held.ino() == there.ino(),
            _ => false,
        }
    }
}

/// Gives the lock back at once: a child that is being started right now has a copy of the file for a moment, and
/// closing ours would leave the lock with it.
impl Drop for Latch {
    fn drop(&mut self) {
        if let Err(error) = self.file.unlock() {
            tracing::debug!(%error, "a lock ends with its last copy instead");
        }
    }
}

/// Whether somebody is at work on the box. Where that cannot be told, nobody is: work that is done twice does no harm.
pub(crate) fn is_held(directory: &Path) -> bool {
    let no_follow = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(no_follow.bits()).unwrap_or(0);
    let file = OpenOptions::new().read(true).custom_flags(flags).open(directory.join(LOCK_FILE));
    let Ok(file) = file else { return false };
    // A shared lock, so that two who look do not take each other for workers; given back as above.
    match file.try_lock_shared() {
        Ok(()) => file.unlock().is_err(),
        Err(error) => matches!(error, TryLockError::WouldBlock),
    }
}

fn open(directory: &Path) -> io::Result<File> {
    let no_follow = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(no_follow.bits()).unwrap_or(0);
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(flags)
        .open(directory.join(LOCK_FILE))
}
