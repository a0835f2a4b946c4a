//! The directories of this installation: whether they can be written, have room, and are ours alone.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use lease_core::Store as _;
use lease_core::provider::{Check, Verdict};
use lease_core::store::fs::FsStore;
use lease_ssh::SshError;
use rustix::fs::Access;

use super::told;
use crate::context::Base;
use crate::durable;

/// The room for the path of a socket on the tightest of the systems we know, without its closing zero.
const SOCKET_PATH_BYTES_MAX: usize = 103;

/// What is added to the directory: a slash, the name of a control socket, and what ssh appends while it makes one.
const SOCKET_NAME_BYTES: usize = 1 + 16 + 17;

/// The room that records, keys and the output of a few runs need.
const FREE_BYTES_MIN: u64 = 16 * 1024 * 1024;
const FREE_FILES_MIN: u64 = 1000;

/// How many entries of the key directory are looked at.
const ENTRIES_MAX: usize = 10_000;

/// Whether records can be written durably and locked: the store is opened as every command opens it. Without a store
/// there is nothing that could be said about records, reapers and keys, and nothing can be leased.
pub(super) async fn state_directory(base: &Base<'_>) -> (Check, Option<FsStore>) {
    let problem = |why: String| Check::new("state directory", Verdict::Problem, why);
    let dir = match base.state_dir() {
        Ok(dir) => dir,
        Err(failure) => return (problem(told(&failure)), None),
    };
    let opened = async {
        let store = base.store()?;
        store.installation().await?;
        Ok::<_, crate::failure::Failure>(store)
    };
    let store = match opened.await {
        Ok(store) => store,
        Err(failure) => {
            let what = failure.what();
            let next = if crowded(&dir).is_some() {
                format!("df -h {}", dir.display())
            } else {
                "export LEASE_STATE_DIR=DIR".to_owned()
            };
            let why = format!("{what}; leases and providers are looked at after that; run: {next}");
            return (problem(why), None);
        }
    };
    let trouble = probe(&dir).err().or_else(|| shared(&dir)).or_else(|| crowded(&dir));
    let check = trouble.map_or_else(
        || {
            let what = format!("{} can be written and locked", dir.display());
            Check::new("state directory", Verdict::Ok, what)
        },
        problem,
    );
    (check, Some(store))
}

/// Writes a file as records are written, and removes it.
fn probe(dir: &Path) -> Result<(), String> {
    let probe = dir.join("doctor-probe");
    let written = durable::replace(&probe, b"probe").and_then(|()| fs::remove_file(&probe));
    written.map_err(|error| {
        let why = format!("{}: {error}", probe.display());
        let is_full =
            matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        format!("{why}; {}", if is_full { room(dir) } else { elsewhere(dir) })
    })
}

fn elsewhere(dir: &Path) -> String {
    let dir = dir.display();
    format!("make {dir} writable, or use a directory that is; run: export LEASE_STATE_DIR=DIR")
}

fn room(dir: &Path) -> String {
    let dir = dir.display();
    format!("make room there, or set LEASE_STATE_DIR to a directory with room; run: df -h {dir}")
}

/// What is wrong with the room that is left. The small file of the probe fits where records soon do not.
fn crowded(dir: &Path) -> Option<String> {
    let space = rustix::fs::statvfs(dir).ok()?;
    let free_bytes = space.f_bavail.saturating_mul(space.f_frsize);
    if free_bytes < FREE_BYTES_MIN {
        let kib = free_bytes / 1024;
        return Some(format!("{} has {kib} KiB left; {}", dir.display(), room(dir)));
    }
    // A file system without a fixed number of files says that it has none.
    if space.f_files > 0 && space.f_favail < FREE_FILES_MIN {
        let (count, dir) = (space.f_favail, dir.display());
        return Some(format!(
            "the file system of {dir} can hold {count} more files; remove some; run: df -i {dir}"
        ));
    }
    None
}

/// What is wrong with who may enter or read what is there.
fn shared(path: &Path) -> Option<String> {
    // The directory itself may be reached by a link, which has no mode of its own.
    let path = fs::canonicalize(path).ok()?;
    not_private(&path)
}

/// The same of what a login asks about: a link is refused there, so it is here.
fn not_private(path: &Path) -> Option<String> {
    let error = lease_ssh::private(path).err()?;
    let shown = path.display();
    if let SshError::NotPrivate { mode, wanted, .. } = error {
        let verb = if wanted == 0o700 { "enter" } else { "read" };
        return Some(format!(
            "others may {verb} {shown} (mode {mode:03o}); run: chmod {wanted:o} {shown}"
        ));
    }
    let us = rustix::process::geteuid().as_raw();
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.uid() != us => Some(format!(
            "{shown} belongs to another user (uid {}); run: sudo chown {us} {shown}",
            metadata.uid()
        )),
        // What is gone by now was removed with its lease.
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        _ => Some(error.to_string()),
    }
}

/// Whether keys and records are ours alone. A key that is not is refused by the next login, after the box was paid for.
pub(super) fn private_files(base: &Base<'_>) -> Check {
    const NAME: &str = "private files";
    let (Ok(state), Ok(keys)) = (base.state_dir(), base.keys_dir()) else {
        return Check::new(NAME, Verdict::Ok, "there are none yet");
    };
    let mut secret = vec![state.join("host-key-secret"), keys.clone()];
    for lease in entries(&keys) {
        let files = entries(&lease);
        secret.push(lease);
        secret.extend(files);
    }
    let wrong: Vec<_> = secret.iter().filter_map(|it| not_private(it)).collect();
    if let Some(first) = wrong.first() {
        return Check::new(NAME, Verdict::Problem, counted(first, wrong.len()));
    }
    // Records hold no secret, and the directory around them is looked at already.
    let records = ["leases", "archive", "locks", "runs"].map(|it| state.join(it));
    let wrong: Vec<_> = records.iter().filter_map(|it| not_private(it)).collect();
    match wrong.first() {
        Some(first) => Check::new(NAME, Verdict::Warning, counted(first, wrong.len())),
        None => Check::new(NAME, Verdict::Ok, "nobody else can read keys and records"),
    }
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    entries.take(ENTRIES_MAX).filter_map(|it| Some(it.ok()?.path())).collect()
}

/// The first, and how many there are; the command is the first's, at the end.
fn counted(first: &str, count: usize) -> String {
    if count == 1 {
        return first.to_owned();
    }
    format!("{count} files and directories are not ours alone; the first: {first}")
}

/// Whether connections can be kept open: their sockets need a private directory with a short path.
pub(super) fn runtime_directory(base: &Base<'_>) -> Check {
    const NAME: &str = "socket directory";
    const UNSET: &str = "run: unset XDG_RUNTIME_DIR";
    let problem = |why: String| Check::new(NAME, Verdict::Problem, why);
    let dir = base.environment.runtime_dir();
    let shown = dir.display();
    let length = dir.as_os_str().len() + SOCKET_NAME_BYTES;
    if length > SOCKET_PATH_BYTES_MAX {
        return problem(format!(
            "the path of a socket in {shown} would be too long, {length} bytes of at most {SOCKET_PATH_BYTES_MAX}; set XDG_RUNTIME_DIR to a short one, or to none; {UNSET}"
        ));
    }
    if let Ok(metadata) = fs::symlink_metadata(&dir) {
        if !metadata.is_dir() {
            return problem(format!("{shown} is not a directory; run: mv {shown} {shown}.old"));
        }
        return match not_private(&dir) {
            None => Check::new(NAME, Verdict::Ok, format!("{shown} is private and short")),
            Some(why) => problem(why),
        };
    }
    let parent = dir.parent().unwrap_or(&dir);
    if !parent.is_dir() {
        return problem(format!(
            "{} is not there; set XDG_RUNTIME_DIR to a directory that is, or to none; {UNSET}",
            parent.display()
        ));
    }
    if let Err(errno) = rustix::fs::access(parent, Access::WRITE_OK | Access::EXEC_OK) {
        return problem(format!(
            "{} cannot be written to ({errno}); set XDG_RUNTIME_DIR to a directory of yours, or to none; {UNSET}",
            parent.display()
        ));
    }
    Check::new(NAME, Verdict::Ok, format!("{shown} is made when it is needed"))
}
