//! The lock that says whether a reaper watches a state directory. It is held by the process that watches, and by nobody
//! else for longer than a look.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// Who watches a state directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Watcher {
    /// Nobody.
    Nobody,
    /// A process, by its number if that can be read.
    Process(Option<u32>),
}

/// The held lock.
#[derive(Debug)]
pub(super) struct Watch(File);

/// Looks who watches.
pub(crate) fn watcher(state_dir: &Path) -> Result<Watcher, Failure> {
    let path = path_in(state_dir);
    let mut file = match open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Watcher::Nobody),
        Err(error) => return Err(failed(&path, &error)),
    };
    // A shared lock does not disturb other lookers; only the one who watches holds the exclusive one.
    match file.try_lock_shared() {
        Ok(()) => Ok(Watcher::Nobody),
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let read = file.read_to_string(&mut text);
            Ok(Watcher::Process(read.ok().and_then(|_| text.trim().parse().ok())))
        }
        Err(TryLockError::Error(error)) => Err(failed(&path, &error)),
    }
}

impl Watch {
    /// Takes the lock, if nobody has it.
    pub(super) fn take(state_dir: &Path) -> Result<Option<Self>, Failure> {
        let path = path_in(state_dir);
        let mut file = open(&path).map_err(|error| failed(&path, &error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(failed(&path, &error)),
        }
        // The number is for people; what counts is the lock.
        let written = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        written.map_err(|error| failed(&path, &error))?;
        Ok(Some(Self(file)))
    }

    /// Gives the lock back.
    pub(super) fn give_back(self) {
        drop(self.0);
    }
}

fn path_in(state_dir: &Path) -> PathBuf {
    state_dir.join("reaper.lock")
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::tool(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_watches_and_everybody_can_see_it() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(watcher(dir.path()).unwrap(), Watcher::Nobody);
        let watch = Watch::take(dir.path()).unwrap().unwrap();
        assert!(Watch::take(dir.path()).unwrap().is_none());
        assert_eq!(watcher(dir.path()).unwrap(), Watcher::Process(Some(std::process::id())));
        watch.give_back();
        assert_eq!(watcher(dir.path()).unwrap(), Watcher::Nobody);
    }
}
