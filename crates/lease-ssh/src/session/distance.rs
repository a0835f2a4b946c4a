//! How far a box is, and whether to open a session there beside the look at the tree.
//!
//! A session that is opened beforehand is told on its standard input what to do, and sshd takes that only once the program
//! runs: three round trips, of which two can pass while the tree is looked at. A request that says everything takes two,
//! after the look. So the first is faster where a round trip is nothing, and where the look takes longer than one.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use super::Link;
use crate::keys::LeaseFiles;

/// Beside the lease's keys while the box counts as near.
const NEAR: &str = "near";
/// How long the last session took to open, in microseconds.
const WAY: &str = "way";
/// How long the last look at the tree took, in microseconds.
const LOOK: &str = "look";
/// What has changed by no more than one part in so many is not written down again.
const PARTS: u32 = 4;

/// Whether the last session on the box of a lease was opened as fast as on one that is near.
pub(crate) fn is_near(files: &LeaseFiles) -> bool {
    files.directory().join(NEAR).exists()
}

/// Whether a session that is opened beside the look at the tree saves time.
pub(crate) fn pays_ahead(files: &LeaseFiles) -> bool {
    let noted = |name| noted(&files.directory().join(name));
    is_near(files)
        || matches!((noted(WAY), noted(LOOK)), (Some(way), Some(look)) if look > way + way / PARTS)
}

impl Link {
    /// Takes note of how long it took to open a session, which is one round trip and little else.
    pub(crate) fn took(&self, time: Duration) {
        self.note(WAY, time);
        let path = self.files().directory().join(NEAR);
        let noted = match (time < self.settings.near, path.exists()) {
            (true, false) => written(&path, b""),
            (false, true) => fs::remove_file(&path),
            _ => return,
        };
        // It is a guess: a wrong one costs a few milliseconds.
        tracing::debug!(?time, ?noted, "the distance of the box has changed");
    }

    /// Takes note of how long a look at the tree took.
    pub(crate) fn looked(&self, time: Duration) {
        self.note(LOOK, time);
    }

    fn note(&self, name: &str, time: Duration) {
        let path = self.files().directory().join(name);
        if noted(&path).is_some_and(|it| it.abs_diff(time) <= it / PARTS) {
            return;
        }
        let written = written(&path, time.as_micros().to_string().as_bytes());
        tracing::debug!(name, ?time, ?written, "a time has changed");
    }
}

fn noted(path: &Path) -> Option<Duration> {
    Some(Duration::from_micros(fs::read_to_string(path).ok()?.parse().ok()?))
}

fn written(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o600).open(path)?.write_all(content)
}
