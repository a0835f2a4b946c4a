//! Private files and directories: made with the right mode from the first instant, refused with a wrong one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::error::{Result, SshError};

const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Makes the directory (its parent must exist) or checks that the one that is there is ours alone.
pub(crate) fn private_directory(path: &Path) -> Result<()> {
    match fs::DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(SshError::storage("creating", path)(error)),
    }
    let meta = fs::symlink_metadata(path).map_err(SshError::storage("reading", path))?;
    if !meta.is_dir() {
        return Err(SshError::storage("using", path)(io::ErrorKind::NotADirectory.into()));
    }
    check_private(path, &meta, DIRECTORY_MODE)
}

/// Checks what a login will ask of a file or directory of ours: that nobody else can read or write it.
///
/// # Errors
/// [`SshError::NotPrivate`] with the mode that it should have, or [`SshError::Storage`] when it belongs to somebody else
/// or cannot be looked at.
pub fn private(path: &Path) -> Result<()> {
    let meta = fs::symlink_metadata(path).map_err(SshError::storage("reading", path))?;
    check_private(path, &meta, if meta.is_dir() { DIRECTORY_MODE } else { FILE_MODE })
}

/// Checks that nobody else can read or write what is there.
pub(crate) fn check_private(path: &Path, meta: &fs::Metadata, wanted: u32) -> Result<()> {
    let mode = meta.mode() & 0o7777;
    let ours = meta.uid() == rustix::process::geteuid().as_raw();
    if ours && mode | 0o700 == 0o700 {
        return Ok(());
    }
    if !ours {
        let why = io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to another user");
        return Err(SshError::storage("using", path)(why));
    }
    Err(SshError::NotPrivate { path: path.to_owned(), mode, wanted })
}

/// Puts the whole file in place at once, or not at all: a reader sees the old content or the new one.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    let temporary = temporary_beside(path)?;
    let written = write_new(&temporary, content)
        .and_then(|()| fs::rename(&temporary, path))
        .and_then(|()| sync_parent(path));
    if let Err(error) = written {
        drop(fs::remove_file(&temporary));
        return Err(SshError::storage("writing", path)(error));
    }
    Ok(())
}

/// Like [`write_private`], but the first writer wins: an existing file stays as it is, and that is success.
pub(crate) fn create_private(path: &Path, content: &[u8]) -> Result<()> {
    let temporary = temporary_beside(path)?;
    // A hard link is the rename that refuses to replace.
    let linked =
        write_new(&temporary, content).and_then(|()| match fs::hard_link(&temporary, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        });
    drop(fs::remove_file(&temporary));
    linked.and_then(|()| sync_parent(path)).map_err(SshError::storage("writing", path))
}

/// The file's content, or nothing when there is no such file.
pub(crate) fn read_if_there(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(SshError::storage("reading", path)(error)),
    }
}

/// Makes what was done to the directory's entries durable.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

/// Random lower-case letters and digits.
pub(crate) fn random_text(chars: usize) -> Result<String> {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut bytes = vec![0_u8; chars];
    getrandom::fill(&mut bytes)
        .map_err(|error| SshError::invalid("the random source", error.to_string()))?;
    Ok(bytes.iter().map(|it| char::from(ALPHABET[usize::from(it % 32)])).collect())
}

fn temporary_beside(path: &Path) -> Result<PathBuf> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", random_text(12)?));
    Ok(path.with_file_name(name))
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}
