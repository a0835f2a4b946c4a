//! The few file operations that durability depends on, each with its fsync.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::error::{Effect, Error, ErrorKind, Result};
use crate::journal::JOURNAL_BYTES_MAX;

/// Makes a directory that only its user can enter, with its parents.
pub(super) fn create_private_dir(path: &Path) -> Result<()> {
    const DOING: &str = "make the state directory";
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    // What is in the way is no directory, and that it exists is not what is wrong with it.
    builder.create(path).map_err(|error| {
        let in_the_way = error.kind() == io::ErrorKind::AlreadyExists;
        let error = if in_the_way { io::ErrorKind::NotADirectory.into() } else { error };
        storage(DOING, path, error)
    })
}

/// Writes a file that appears under its name only when its content is durable.
pub(super) fn write_new(dir: &Path, name: &str, unfinished: &str, bytes: &[u8]) -> Result<()> {
    const DOING: &str = "write a record";
    let (temporary, path) = (dir.join(unfinished), dir.join(name));
    let written = (|| {
        let mut options = OpenOptions::new();
        options.create(true).truncate(true).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, &path)
    })();
    if let Err(error) = written {
        // Nothing stands under the real name; what is left is ours and never read.
        drop(fs::remove_file(&temporary));
        return Err(storage(DOING, &path, error));
    }
    sync_dir(dir)
}

/// Writes `lines` at the end of the acknowledged part, over a torn line if there is one, and makes them durable.
///
/// When the write fails, what it left is cut off again as far as that is possible; a reader drops an unfinished line in
/// any case.
pub(super) fn append_at(file: &mut File, complete_bytes: u64, lines: &[u8]) -> io::Result<()> {
    file.set_len(complete_bytes)?;
    file.seek(SeekFrom::Start(complete_bytes))?;
    let written = file.write_all(lines).and_then(|()| file.sync_data());
    if written.is_err() {
        drop(file.set_len(complete_bytes));
        drop(file.sync_data());
    }
    written
}

/// Reads a journal up to its bound.
///
/// Almost every journal fits into the first read. A read that does not fill its buffer is the end of a regular file, so
/// the extra one that would only say so is saved: ten thousand leases are listed with it.
pub(super) fn read_bounded(file: &mut File, path: &Path) -> Result<Vec<u8>> {
    const DOING: &str = "read the journal";
    const FIRST_BYTES: usize = 8 * 1024;
    let mut bytes = vec![0; FIRST_BYTES];
    let mut filled = 0;
    loop {
        match file.read(&mut bytes[filled..]) {
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(storage(DOING, path, error)),
        }
        if filled as u64 > JOURNAL_BYTES_MAX {
            let message = format!("{} is longer than {JOURNAL_BYTES_MAX} bytes", path.display());
            return Err(Error::harmless(ErrorKind::Corrupt, DOING, message));
        }
        if filled < bytes.len() {
            bytes.truncate(filled);
            return Ok(bytes);
        }
        bytes.resize(4 * filled, 0);
    }
}

/// Makes renames and new names in a directory durable.
pub(super) fn sync_dir(dir: &Path) -> Result<()> {
    let synced = File::open(dir).and_then(|it| it.sync_all());
    synced.map_err(|error| storage("make a record durable", dir, error))
}

/// Applies `f` to every item on as many threads as pay off; the order is kept.
pub(super) fn map_in_parallel<T: Sync, R: Send>(items: &[T], f: impl Fn(&T) -> R + Sync) -> Vec<R> {
    const WORTH_A_THREAD: usize = 256;
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    if threads == 1 || items.len() < 2 * WORTH_A_THREAD {
        return items.iter().map(f).collect();
    }
    let share = items.len().div_ceil(threads);
    let f = &f;
    std::thread::scope(|scope| {
        let parts: Vec<_> = items
            .chunks(share)
            .map(|part| (part, scope.spawn(move || part.iter().map(f).collect::<Vec<_>>())))
            .collect();
        // A thread that could not finish has its share done here, so that nothing is lost.
        parts
            .into_iter()
            .flat_map(|(part, it)| it.join().unwrap_or_else(|_| part.iter().map(f).collect()))
            .collect()
    })
}

/// An error of the disk, with the path and what to do about the common causes.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "most kinds of disk error have no common remedy"
)]
pub(super) fn storage(doing: &'static str, path: &Path, error: io::Error) -> Error {
    let remedy = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; free some space there",
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            "; set LEASE_STATE_DIR to a directory that you may write"
        }
        io::ErrorKind::NotADirectory => "; a file is in the way of the state directory",
        _ => "",
    };
    let message = format!("{}: {error}{remedy}", path.display());
    Error::new(ErrorKind::Storage, Effect::None, doing, message).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_is_read_whole_up_to_its_bound() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let most = usize::try_from(JOURNAL_BYTES_MAX).unwrap();
        for length in [0, 1, 8191, 8192, 8193, 40_000, most - 1, most] {
            let bytes: Vec<u8> = (0..=250).cycle().take(length).collect();
            fs::write(&path, &bytes).unwrap();
            let read = read_bounded(&mut File::open(&path).unwrap(), &path).unwrap();
            assert!(read == bytes, "{} of {length} bytes", read.len());
        }
        fs::write(&path, vec![b'x'; most + 1]).unwrap();
        let error = read_bounded(&mut File::open(&path).unwrap(), &path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    }

    #[test]
    fn an_error_of_the_disk_names_the_path_and_the_remedy() {
        use io::ErrorKind as K;
        for (kind, remedy) in [
            (K::StorageFull, "free some space there"),
            (K::QuotaExceeded, "free some space there"),
            (K::ReadOnlyFilesystem, "set LEASE_STATE_DIR to"),
            (K::PermissionDenied, "set LEASE_STATE_DIR to"),
            (K::NotADirectory, "a file is in the way"),
        ] {
            let error = storage("open a lease", Path::new("/state/leases"), kind.into());
            assert_eq!((error.kind(), error.effect()), (ErrorKind::Storage, Effect::None));
            let said = error.message();
            assert!(said.starts_with("/state/leases: ") && said.contains(remedy), "{said}");
        }
        let other = storage("open a lease", Path::new("/state"), K::BrokenPipe.into());
        assert!(!other.message().contains(';'), "{other}");
        assert_eq!(sync_dir(Path::new("/nonexistent")).unwrap_err().kind(), ErrorKind::Storage);
    }

    #[test]
    fn what_is_done_on_several_threads_comes_in_order() {
        let many: Vec<usize> = (0..2_000).collect();
        for count in [0, 1, 511, 512, 2_000] {
            let mapped = map_in_parallel(&many[..count], |it| it * 2);
            assert!(mapped.into_iter().eq((0..count).map(|it| it * 2)), "{count}");
        }
    }
}
