//! Whether a box is so near that a round trip costs less than starting a shell there.

use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Duration;

use super::Link;
use crate::keys::LeaseFiles;

/// Beside the lease's keys while the box counts as near.
const FILE: &str = "near";

/// Whether the last session on the box of a lease was opened as fast as on one that is near.
pub(crate) fn is_near(files: &LeaseFiles) -> bool {
    files.directory().join(FILE).exists()
}

impl Link {
    /// Takes note of how long it took to open a session, which is one round trip and little else.
    pub(crate) fn took(&self, time: Duration) {
        let path = self.files().directory().join(FILE);
        let noted = match (time < self.settings.near, path.exists()) {
            (true, false) => File::options()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)
                .map(drop),
            (false, true) => fs::remove_file(&path),
            _ => return,
        };
        // It is a guess: a wrong one costs a few milliseconds.
        tracing::debug!(?time, ?noted, "the distance of the box has changed");
    }
}
