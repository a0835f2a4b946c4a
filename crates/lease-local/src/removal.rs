//! Removing a directory without ever leaving it: no link is followed, no other file system is entered.
//!
//! Every step is relative to an open directory, so a name that turns into a link meanwhile leads nowhere. Trees that
//! are deeper than open files allow are cut into pieces that are moved to the top.

use std::ffi::{CString, OsStr};
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::error::LocalError;
use crate::latch;

/// How many directories are open at once.
const DEPTH_MAX: usize = 64;

/// How many names of one directory are held at once.
const NAMES_MAX: usize = 4096;

/// How many names are tried for a piece that is moved to the top.
const NAMES_TRIED_MAX: usize = 1000;

/// Removes the directory `path` and everything in it; that it is not there is success.
pub(crate) fn remove(path: &Path) -> Result<(), LocalError> {
    // The lock goes last, so that whoever looks sees that somebody is at work.
    empty(path, &[latch::LOCK_FILE])?;
    empty(path, &[])?;
    match fs::remove_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(LocalError::file("removing", path)(error))
        }
        _ => Ok(()),
    }
}

/// Removes everything in the directory `path` but the entries called `keep`.
pub(crate) fn empty(path: &Path, keep: &[&str]) -> Result<(), LocalError> {
    let failed = |errno: Errno| LocalError::file("removing", path)(errno);
    let top = match open(CWD, path) {
        Err(Errno::NOENT) => return Ok(()),
        opened => opened.map_err(failed)?,
    };
    refuse_mounts(path)?;
    let device = rustix::fs::fstat(&top).map_err(failed)?.st_dev;
    let is_other = |it: &OwnedFd| rustix::fs::fstat(it).map(|it| it.st_dev != device);
    let mut sweep = Sweep { top: &top, is_other, keep, moved: 0, failures: Vec::new() };
    loop {
        let moved_before = sweep.moved;
        sweep.failures.clear();
        sweep.directory(&top, Path::new(""), 0).map_err(failed)?;
        if sweep.moved == moved_before {
            break;
        }
    }
    match sweep.failures.first() {
        None => Ok(()),
        Some((first, why)) => Err(LocalError::Leftovers {
            path: path.to_owned(),
            count: sweep.failures.len(),
            first: path.join(first),
            why: why.clone(),
        }),
    }
}

/// One walk through a tree.
struct Sweep<'a, F> {
    top: &'a OwnedFd,
    /// Whether a directory is on another file system.
    is_other: F,
    keep: &'a [&'a str],
    /// How many pieces were moved to the top.
    moved: usize,
    failures: Vec<(PathBuf, String)>,
}

impl<F: Fn(&OwnedFd) -> Result<bool, Errno>> Sweep<'_, F> {
    /// Empties one open directory. What cannot be removed is noted and left.
    fn directory(&mut self, directory: &OwnedFd, path: &Path, depth: usize) -> Result<(), Errno> {
        make_writable(directory)?;
        loop {
            // Names are read again after each batch: removing while reading may hide some.
            let (names, is_all) = self.names(directory, depth)?;
            let mut removed = 0;
            for (name, kind) in &names {
                let path = path.join(OsStr::from_bytes(name.as_bytes()));
                match self.entry(directory, (name, *kind), &path, depth) {
                    Ok(()) | Err(Errno::NOENT) => removed += 1,
                    Err(errno) => self.note(path, errno),
                }
            }
            if is_all || removed == 0 {
                return Ok(());
            }
        }
    }

    fn entry(
        &mut self,
        parent: &OwnedFd,
        (name, kind): (&CString, FileType),
        path: &Path,
        depth: usize,
    ) -> Result<(), Errno> {
        let kind = if kind == FileType::Unknown {
            let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
            FileType::from_raw_mode(stat.st_mode)
        } else {
            kind
        };
        if kind != FileType::Directory {
            return rustix::fs::unlinkat(parent, name, AtFlags::empty());
        }
        let child = open_child(parent, name)?;
        if (self.is_other)(&child)? {
            return Err(Errno::XDEV);
        }
        if depth + 1 >= DEPTH_MAX {
            make_writable(&child)?;
            return self.move_up(parent, name);
        }
        let noted_before = self.failures.len();
        self.directory(&child, path, depth + 1)?;
        match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
            // What is still in it has been noted.
            Err(Errno::NOTEMPTY | Errno::EXIST) if self.failures.len() > noted_before => Ok(()),
            result => result,
        }
    }

    /// Moves a directory to the top, where the next walk finds it.
    fn move_up(&mut self, parent: &OwnedFd, name: &CString) -> Result<(), Errno> {
        for number in self.moved..self.moved + NAMES_TRIED_MAX {
            match rustix::fs::renameat(parent, name, self.top, format!(".moved-{number}")) {
                Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
                Err(errno) => return Err(errno),
                Ok(()) => {
                    self.moved += 1;
                    return Ok(());
                }
            }
        }
        Err(Errno::EXIST)
    }

    /// A batch of names, and whether it is all there are.
    fn names(
        &self,
        directory: &OwnedFd,
        depth: usize,
    ) -> Result<(Vec<(CString, FileType)>, bool), Errno> {
        let mut names = Vec::new();
        for entry in Dir::read_from(directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let is_kept = depth == 0 && self.keep.iter().any(|it| it.as_bytes() == name.to_bytes());
            if is_kept || matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            if names.len() == NAMES_MAX {
                return Ok((names, false));
            }
            names.push((name.to_owned(), entry.file_type()));
        }
        Ok((names, true))
    }

    fn note(&mut self, path: PathBuf, errno: Errno) {
        let advice = match errno {
            Errno::XDEV | Errno::BUSY => "something is mounted there; `umount` it".to_owned(),
            Errno::PERM => "it is immutable (`chattr -i`) or belongs to another user".to_owned(),
            Errno::ACCESS => "it belongs to another user; remove it with `sudo`".to_owned(),
            other => io::Error::from(other).to_string(),
        };
        self.failures.push((path, advice));
    }
}

fn open(parent: impl AsFd, path: impl rustix::path::Arg) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, path, flags, Mode::empty())
}

/// Opens a directory, also one that its owner may not read at the moment.
fn open_child(parent: &OwnedFd, name: &CString) -> Result<OwnedFd, Errno> {
    match open(parent, name) {
        Err(Errno::ACCESS) => {
            // It was a directory a moment ago, and everybody who could change that has ended.
            rustix::fs::chmodat(parent, name, Mode::RWXU, AtFlags::empty())?;
            open(parent, name)
        }
        result => result,
    }
}

fn make_writable(directory: &OwnedFd) -> Result<(), Errno> {
    let mode = Mode::from_raw_mode(rustix::fs::fstat(directory)?.st_mode);
    if mode.contains(Mode::RWXU) {
        return Ok(());
    }
    match rustix::fs::fchmod(directory, mode | Mode::RWXU) {
        // Of another user, or immutable: the next step says so with a name.
        Err(Errno::PERM) => Ok(()),
        result => result,
    }
}

/// Refuses a directory in which something is mounted. A bind mount of the same file system has the same device, so
/// that alone would not tell.
fn refuse_mounts(path: &Path) -> Result<(), LocalError> {
    let Ok(table) = fs::read("/proc/self/mountinfo") else { return Ok(()) };
    let path = fs::canonicalize(path).map_err(LocalError::file("looking at", path))?;
    let mounted: Vec<PathBuf> = mount_points(&table).filter(|it| it.starts_with(&path)).collect();
    match mounted.first() {
        None => Ok(()),
        Some(first) => Err(LocalError::Leftovers {
            first: first.clone(),
            count: mounted.len(),
            why: "something is mounted there, and nothing was removed; `umount` it".to_owned(),
            path,
        }),
    }
}

fn mount_points(table: &[u8]) -> impl Iterator<Item = PathBuf> + '_ {
    let fifth = |line: &[u8]| line.split(|it| *it == b' ').nth(4).map(unescaped);
    let lines = table.split(|it| *it == b'\n');
    lines.filter_map(fifth).map(|it| PathBuf::from(OsStr::from_bytes(&it)))
}

/// The kernel writes blanks and backslashes as three octal digits.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        let code = tail.get(..3).filter(|_| *first == b'\\');
        let code = code.and_then(|it| std::str::from_utf8(it).ok());
        if let Some(byte) = code.and_then(|it| u8::from_str_radix(it, 8).ok()) {
            text.push(byte);
            rest = &tail[3..];
        } else {
            text.push(*first);
            rest = tail;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn box_in(directory: &tempfile::TempDir) -> PathBuf {
        let path = directory.path().join("box");
        fs::create_dir(&path).unwrap();
        path
    }

    #[test]
    fn what_links_lead_to_stays() {
        let directory = tempfile::tempdir().unwrap();
        let foreign = directory.path().join("foreign");
        fs::create_dir(&foreign).unwrap();
        fs::write(foreign.join("precious"), "x").unwrap();
        let path = box_in(&directory);
        symlink(&foreign, path.join("to-directory")).unwrap();
        symlink(foreign.join("precious"), path.join("to-file")).unwrap();
        symlink("..", path.join("up")).unwrap();
        fs::hard_link(foreign.join("precious"), path.join("hard")).unwrap();
        remove(&path).unwrap();
        assert!(!path.exists());
        assert_eq!(fs::read_to_string(foreign.join("precious")).unwrap(), "x");
    }

    #[test]
    fn a_link_in_place_of_the_box_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let foreign = box_in(&directory);
        fs::write(foreign.join("precious"), "x").unwrap();
        let link = directory.path().join("link");
        symlink(&foreign, &link).unwrap();
        remove(&link).unwrap_err();
        assert!(foreign.join("precious").exists());
    }

    #[test]
    fn directories_without_permissions_are_no_obstacle() {
        let directory = tempfile::tempdir().unwrap();
        let path = box_in(&directory);
        for mode in [0o000, 0o500, 0o100, 0o400] {
            let inner = path.join(format!("{mode:o}"));
            fs::create_dir(&inner).unwrap();
            fs::write(inner.join("file"), "x").unwrap();
            let innermost = inner.join("directory");
            fs::create_dir(&innermost).unwrap();
            fs::set_permissions(&innermost, fs::Permissions::from_mode(0o000)).unwrap();
            fs::set_permissions(&inner, fs::Permissions::from_mode(mode)).unwrap();
        }
        remove(&path).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn depth_and_width_have_no_bound() {
        let directory = tempfile::tempdir().unwrap();
        let path = box_in(&directory);
        let mut at = open(CWD, &path).unwrap();
        for _ in 0..3000 {
            rustix::fs::mkdirat(&at, "d", Mode::RWXU).unwrap();
            at = open(&at, "d").unwrap();
        }
        for number in 0..=NAMES_MAX * 2 {
            fs::write(path.join(format!("f{number}")), "").unwrap();
        }
        remove(&path).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn what_is_not_there_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        remove(&directory.path().join("nothing")).unwrap();
    }

    #[test]
    fn mount_points_are_read_with_their_blanks() {
        let table = b"36 35 98:0 /1 /mnt2 rw - ext3 /dev/root rw\n37 35 0:5 / /a\\040b\\134c rw\n";
        let read: Vec<_> = mount_points(table).collect();
        assert_eq!(read, [PathBuf::from("/mnt2"), PathBuf::from("/a b\\c")]);
    }
}
