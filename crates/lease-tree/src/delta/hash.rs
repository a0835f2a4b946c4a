//! The contents of files whose stamps do not vouch for them.

use std::fs::File;
use std::io::{self, Read as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::manifest::{Content, Kind, Records, Slot};
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

/// Reads the paths of these records below `root`.
pub(super) fn hash_all(records: &Records, wanted: &[usize], root: &File) -> Vec<Hashed> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut opener = Opener::of(root);
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut done = Vec::new();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(at) = wanted.get(place) else { return done };
            let record = &records.records[*at];
            let path = records.path(record);
            done.push((
                place,
                match record.slot.kind() {
                    Some(Kind::File) => file(&mut opener, path, &mut buffer)
                        .unwrap_or_else(|error| Err(WhySkipped::of(&error))),
                    Some(Kind::Link) => {
                        let read = opener.link(path);
                        read.map(|(stat, target)| (stat, Content::of(&target)))
                            .map_err(|error| WhySkipped::of(&error))
                    }
                    None => Err(WhySkipped::Special),
                },
            ));
        }
    };
    let threads = (wanted.len() / THREAD_FILES_MIN).clamp(1, THREADS);
    let mut all: Vec<Hashed> = vec![Err(WhySkipped::Changing); wanted.len()];
    let done = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        // What a failed thread had is not known, and therefore sent.
        done.extend(others.into_iter().filter_map(|it| it.join().ok()).flatten());
        done
    });
    for (place, hashed) in done {
        all[place] = hashed;
    }
    all
}

fn file(opener: &mut Opener<'_>, path: &[u8], buffer: &mut [u8]) -> io::Result<Hashed> {
    let (before, mut file) = opener.file(path)?;
    if slot_of(&before) != Some(Slot::File) {
        return Ok(Err(WhySkipped::Changing));
    }
    let mut hasher = blake3::Hasher::new();
    let mut read_bytes = 0_u64;
    loop {
        let read = file.read(buffer)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        read_bytes += read as u64;
    }
    let after = Stat::from(&rustix::fs::fstat(&file)?);
    let is_whole = read_bytes == before.bytes && before == after;
    let content = Content(*hasher.finalize().as_bytes());
    Ok(if is_whole { Ok((before, content)) } else { Err(WhySkipped::Changing) })
}
