//! A file that gets its name only when it is whole, and is gone when its writer is stopped.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{AtFlags, Mode, OFlags, openat, renameat, symlinkat, unlinkat};

use super::attributes::times;
use crate::files::random_text;

/// One draft at a time. The clone that is kept by whoever waits for the writer can stop it.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    is_stopped: bool,
    file: Option<(OwnedFd, String)>,
}

/// Stops the writer when it is dropped.
#[derive(Debug)]
pub(super) struct Stop(pub(super) Draft);

impl Drop for Stop {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.is_stopped = true;
        state.remove();
    }
}

impl Draft {
    /// Begins a file in `directory` that only we can read.
    pub(super) fn file(&self, directory: BorrowedFd<'_>) -> io::Result<File> {
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        self.begin(directory, |name| Ok(File::from(openat(directory, name, flags, mode)?)))
    }

    /// Begins a symbolic link in `directory`.
    pub(super) fn link(&self, directory: BorrowedFd<'_>, target: &Path) -> io::Result<()> {
        self.begin(directory, |name| Ok(symlinkat(target, directory, name)?))
    }

    /// Gives what was begun its name, in the place of a file or link of that name.
    pub(super) fn finish(&self, name: &Path) -> io::Result<()> {
        let mut state = self.state();
        let Some((directory, draft)) = &state.file else { return Err(stopped()) };
        renameat(directory, draft.as_str(), directory, name)?;
        state.file = None;
        Ok(())
    }

    /// Sets the time of a link that was begun.
    pub(super) fn set_time(&self, mtime: u64) -> io::Result<()> {
        let state = self.state();
        let Some((directory, draft)) = &state.file else { return Err(stopped()) };
        let times = times(mtime);
        Ok(rustix::fs::utimensat(directory, draft.as_str(), &times, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    fn begin<T>(
        &self,
        directory: BorrowedFd<'_>,
        create: impl FnOnce(&str) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.state();
        // One that could not be finished is of no use any more.
        state.remove();
        if state.is_stopped {
            return Err(stopped());
        }
        let random = random_text(12).map_err(io::Error::other)?;
        let name = format!(".lease-copy.{random}");
        let directory = directory.as_fd().try_clone_to_owned()?;
        let begun = create(&name)?;
        state.file = Some((directory, name));
        Ok(begun)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn remove(&mut self) {
        if let Some((directory, name)) = self.file.take() {
            let removed = unlinkat(&directory, name.as_str(), AtFlags::empty());
            tracing::debug!(?removed, "a copy was not completed");
        }
    }
}

fn stopped() -> io::Error {
    io::Error::other("it was stopped")
}
