//! Adapters to begin with: they work as they are, and the part to change is marked.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use lease_core::{Error, ErrorKind, Result};

const DOING: &str = "write an adapter to begin with";

/// An adapter to begin with.
#[derive(Clone, Copy, Debug)]
pub struct Skeleton {
    /// What it is written in.
    pub language: &'static str,
    /// Its file name.
    pub file_name: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// Every skeleton there is.
pub const SKELETONS: [Skeleton; 2] = [
    Skeleton {
        language: "Python",
        file_name: "adapter.py",
        text: include_str!("../skeleton/adapter.py"),
    },
    Skeleton {
        language: "shell",
        file_name: "adapter.sh",
        text: include_str!("../skeleton/adapter.sh"),
    },
];

/// Writes `skeletons` into `directory`, which is made if it is missing, and returns the files.
///
/// # Errors
/// When something is in the directory already, which is left alone, or a file cannot be written.
pub fn write(directory: &Path, skeletons: &[Skeleton]) -> Result<Vec<PathBuf>> {
    let failed = |path: &Path, error: &std::io::Error| {
        let is_there = error.kind() == std::io::ErrorKind::AlreadyExists;
        let kind = if is_there { ErrorKind::Conflict } else { ErrorKind::Storage };
        Error::unsettled(kind, DOING, format!("{}: {error}", path.display()))
    };
    fs::create_dir_all(directory).map_err(|error| failed(directory, &error))?;
    let mut entries = fs::read_dir(directory).map_err(|error| failed(directory, &error))?;
    if entries.next().is_some() {
        let message = format!("{} is not empty; nothing was written", directory.display());
        return Err(Error::harmless(ErrorKind::Conflict, DOING, message));
    }
    let mut written = Vec::new();
    for skeleton in skeletons {
        let path = directory.join(skeleton.file_name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o755).open(&path);
        let done = file.and_then(|mut it| it.write_all(skeleton.text.as_bytes()));
        done.map_err(|error| failed(&path, &error))?;
        written.push(path);
    }
    Ok(written)
}
