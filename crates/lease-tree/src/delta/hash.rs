//! The contents of files whose stamps do not vouch for them.

use std::fs::File;
use std::io::{self, Read as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use sha1::Digest as _;

use crate::manifest::{Content, Kind, Record, Records, Slot};
use crate::open::Opener;
use crate::scan::slot_of;
use crate::stat::Stat;
use crate::tree::WhySkipped;

const THREADS: usize = 8;
const BUFFER_BYTES: usize = 256 * 1024;
/// A thread pays when there is this much for it to do.
const THREAD_FILES_MIN: usize = 8;

/// What a path holds, with the stamps from before it was read, or why it could not be caught.
pub(super) type Hashed = Result<(Stat, Content), WhySkipped>;

/// The content of a file, as git names it: the SHA-1 hash of a header and the bytes.
pub(super) type Blob = [u8; 20];

/// Reads the paths of these records below `root`.
pub(super) fn hash_all(records: &Records, wanted: &[usize], root: &File) -> Vec<Hashed> {
    let each = |opener: &mut Opener<'_>, record: &Record, buffer: &mut [u8]| {
        let path = records.path(record);
        match record.slot.kind() {
            Some(Kind::File) => file(opener, path, buffer, |_, _| {}),
            Some(Kind::Link) => {
                let read = opener.link(path);
                read.map(|(stat, target)| (stat, Content::of(&target)))
                    .map_err(|error| WhySkipped::of(&error))
            }
            None => Err(WhySkipped::Special),
        }
    };
    // What a failed thread had is not known, and therefore sent.
    read_all((records, wanted), root, each, || Err(WhySkipped::Changing))
}

/// Reads these files, and says of each what git calls its content; `None` where it could not be caught.
pub(super) fn blobs(
    records: &Records,
    wanted: &[usize],
    root: &File,
) -> Vec<Option<(Stat, Content, Blob)>> {
    let each = |opener: &mut Opener<'_>, record: &Record, buffer: &mut [u8]| {
        let mut hasher = sha1::Sha1::new();
        let path = records.path(record);
        let read = file(opener, path, buffer, |stat, bytes| match bytes {
            [] => hasher.update(format!("blob {}\0", stat.bytes)),
            _ => hasher.update(bytes),
        });
        read.ok().map(|(stat, content)| (stat, content, hasher.finalize().into()))
    };
    read_all((records, wanted), root, each, || None)
}

/// Does something with each of these records on several threads. The answers are in their order; one that a thread took
/// along when it failed is as `lost` says.
fn read_all<T: Send>(
    (records, wanted): (&Records, &[usize]),
    root: &File,
    each: impl Fn(&mut Opener<'_>, &Record, &mut [u8]) -> T + Sync,
    lost: impl Fn() -> T,
) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut opener = Opener::of(root);
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut done = Vec::new();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(at) = wanted.get(place) else { return done };
            done.push((place, each(&mut opener, &records.records[*at], &mut buffer)));
        }
    };
    let threads = (wanted.len() / THREAD_FILES_MIN).clamp(1, THREADS);
    let mut all: Vec<T> = wanted.iter().map(|_| lost()).collect();
    let done = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        done.extend(others.into_iter().filter_map(|it| it.join().ok()).flatten());
        done
    });
    for (place, hashed) in done {
        all[place] = hashed;
    }
    all
}

/// Reads a file. `seen` gets nothing and the stamps first, and then each piece.
fn file(
    opener: &mut Opener<'_>,
    path: &[u8],
    buffer: &mut [u8],
    mut seen: impl FnMut(&Stat, &[u8]),
) -> Hashed {
    let mut read = || -> io::Result<Hashed> {
        let (before, mut file) = opener.file(path)?;
        if slot_of(&before) != Some(Slot::File) {
            return Ok(Err(WhySkipped::Changing));
        }
        seen(&before, &[]);
        let mut hasher = blake3::Hasher::new();
        let mut read_bytes = 0_u64;
        loop {
            let read = file.read(buffer)?;
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
            seen(&before, &buffer[..read]);
            read_bytes += read as u64;
        }
        let after = Stat::from(&rustix::fs::fstat(&file)?);
        let is_whole = read_bytes == before.bytes && before == after;
        let content = Content(*hasher.finalize().as_bytes());
        Ok(if is_whole { Ok((before, content)) } else { Err(WhySkipped::Changing) })
    };
    read().unwrap_or_else(|error| Err(WhySkipped::of(&error)))
}
