//! Opening what is in a tree, never through a link in the place of a directory or of a file.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, openat, readlinkat, statat};

use crate::order::{as_path, split};
use crate::stat::Stat;

const OPEN_DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Not through a link that has just replaced the file, and not waiting for the writer of a FIFO.
const OPEN_FILE: OFlags =
    OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// Opens paths below a root. Files of one directory one after the other are cheap.
#[derive(Debug)]
pub(crate) struct Opener<'a> {
    root: &'a File,
    last: Option<(Vec<u8>, OwnedFd)>,
}

impl<'a> Opener<'a> {
    pub(crate) fn of(root: &'a File) -> Self {
        Self { root, last: None }
    }

    /// Opens a file and says how it was before anything was read.
    pub(crate) fn file(&mut self, path: &[u8]) -> io::Result<(Stat, File)> {
        let (directory, name) = split(path);
        let file = File::from(openat(
            self.directory(directory)?,
            as_path(name),
            OPEN_FILE,
            Mode::empty(),
        )?);
        Ok((Stat::from(&rustix::fs::fstat(&file)?), file))
    }

    /// Reads a link's target and says how the link was before. A path that is no link is an invalid argument.
    pub(crate) fn link(&mut self, path: &[u8]) -> io::Result<(Stat, Vec<u8>)> {
        let (directory, name) = split(path);
        let directory = self.directory(directory)?;
        let stat = statat(directory, as_path(name), AtFlags::SYMLINK_NOFOLLOW)?;
        let target = readlinkat(directory, as_path(name), Vec::new())?;
        Ok((Stat::from(&stat), target.into_bytes()))
    }

    fn directory(&mut self, path: &[u8]) -> io::Result<std::os::fd::BorrowedFd<'_>> {
        if path.is_empty() {
            return Ok(self.root.as_fd());
        }
        let is_last = self.last.as_ref().is_some_and(|(last, _)| last == path);
        if !is_last {
            self.last = None;
            let mut open: Option<OwnedFd> = None;
            for name in path.split(|it| *it == b'/') {
                let above = open.as_ref().map_or(self.root.as_fd(), |it| it.as_fd());
                open = Some(openat(above, as_path(name), OPEN_DIRECTORY, Mode::empty())?);
            }
            self.last = open.map(|it| (path.to_vec(), it));
        }
        self.last.as_ref().map(|(_, fd)| fd.as_fd()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}
