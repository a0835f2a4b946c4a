//! A manifest in a file: whole or not at all.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::records::Records;
use super::{layout, reading};
use crate::error::{Result, TreeError};

/// A manifest of ten million paths; what is larger is none of ours.
const FILE_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;

pub(super) fn load(path: &Path) -> Option<Records> {
    let meta = fs::metadata(path).ok()?;
    if !meta.is_file() || meta.len() > FILE_BYTES_MAX {
        return None;
    }
    let file = File::open(path).ok()?;
    let bytes = file.metadata().ok()?.len();
    reading::read(file, bytes.min(FILE_BYTES_MAX))
}

pub(super) fn save(records: &Records, path: &Path) -> Result<()> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|error| {
        TreeError::storage("naming a file beside", path)(std::io::Error::other(error))
    })?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{:016x}", u64::from_le_bytes(random)));
    let beside = path.with_file_name(name);
    let written = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)
        .and_then(|mut file| file.write_all(&layout::encode(records)))
        .and_then(|()| fs::rename(&beside, path));
    written.map_err(|error| {
        // Nothing may be left beside the old one; that this can fail too changes nothing for the caller.
        drop(fs::remove_file(&beside));
        TreeError::storage("writing", path)(error)
    })
}
