//! Reading a manifest's file piece by piece.
//!
//! The file is never in memory as a whole: each piece is hashed and taken apart while the processor has it at hand, and
//! the next one takes its place. Fresh memory for the whole would cost more than all the rest of it.

use std::io::Read;
use std::sync::Arc;

use super::Content;
use super::layout::{DIRECTORY_BYTES, HEAD_BYTES, MAGIC, RECORD_BYTES, STAT_BYTES, VERSION};
use super::records::{
    Directory, DirectoryState, LookHow, Record, Records, Repository, Rules, Slot, Span, Stamp,
};
use crate::stat::{Began, Stat};

/// How much is read at once: more would not fit where the processor has it at hand.
const PIECE_BYTES: usize = 64 * 1024;

/// Reads a manifest from a file of that size. `None` when it is damaged, of another version or of another size.
///
/// Whatever the file holds, this neither panics nor takes more memory than a few times its size.
pub(super) fn read(mut file: impl Read, bytes: u64) -> Option<Records> {
    let mut head = [0; HEAD_BYTES];
    file.read_exact(&mut head).ok()?;
    if &head[..8] != MAGIC || head[8..12] != VERSION.to_le_bytes() {
        return None;
    }
    let mut input = Input::of(file, bytes.checked_sub(HEAD_BYTES as u64)?);
    let records = records(&mut input)?;
    (input.ends_with(&head[12..]) && records.is_ordered()).then_some(records)
}

fn records(input: &mut Input<impl Read>) -> Option<Records> {
    let known = input.u8()? == 1;
    let (before, dev) = (input.i64()?, input.u64()?);
    let began = Began { before: known.then_some(before), dev };
    let rules = if input.u8()? == 1 { Some(rules(input)?) } else { None };
    let (directory_paths, paths) = (Arc::new(input.bytes()?), Arc::new(input.bytes()?));
    let (mut path, mut first) = (0, 0);
    let count = input.count(DIRECTORY_BYTES)?;
    let mut directories = Vec::with_capacity(count);
    for _ in 0..count {
        let mut it = Fields(input.piece::<DIRECTORY_BYTES>()?);
        let directory = Directory {
            path: Span { start: path, end: it.u32()? },
            state: directory_state(it.u8()?)?,
            stat: it.stat()?,
            first,
            end: it.u32()?,
            parent: it.u32()?,
            repository: it.u32()?,
        };
        (path, first) = (directory.path.end, directory.end);
        directories.push(directory);
    }
    let mut path = 0;
    let count = input.count(RECORD_BYTES)?;
    let mut records = Vec::with_capacity(count);
    for _ in 0..count {
        let mut it = Fields(input.piece::<RECORD_BYTES>()?);
        let end = it.u32()?;
        let slot = slot(it.u8()?)?;
        let known = it.u8()? == 1;
        let record = Record {
            path: Span { start: path, end },
            slot,
            stat: it.stat()?,
            content: known.then_some(Content(it.take()?)),
        };
        path = end;
        records.push(record);
    }
    let (directories, records) = (directories.into(), records.into());
    Some(Records { began, rules, directories, records, directory_paths, paths })
}

fn rules(input: &mut Input<impl Read>) -> Option<Rules> {
    let inputs = *input.piece()?;
    let mut rules = Rules { inputs, repositories: Vec::new(), stamps: Vec::new() };
    for _ in 0..input.length()? {
        let (prefix, tracked) = (input.bytes()?, *input.piece()?);
        rules.repositories.push(Repository { prefix, tracked });
    }
    for _ in 0..input.length()? {
        let path = input.bytes()?;
        let mut it = Fields(input.piece::<{ 1 + 1 + STAT_BYTES + 4 }>()?);
        let (how, known, stat) = (look_how(it.u8()?)?, it.u8()? == 1, it.stat()?);
        let seen = known.then_some(stat);
        rules.stamps.push(Stamp { path, how, seen, repository: it.u32()? });
    }
    Some(rules)
}

fn slot(byte: u8) -> Option<Slot> {
    [Slot::File, Slot::Link, Slot::Special, Slot::Unreadable, Slot::EmptySubmodule]
        .into_iter()
        .find(|it| *it as u8 == byte)
}

fn directory_state(byte: u8) -> Option<DirectoryState> {
    [DirectoryState::Open, DirectoryState::Ignored, DirectoryState::Foreign]
        .into_iter()
        .find(|it| *it as u8 == byte)
}

fn look_how(byte: u8) -> Option<LookHow> {
    [LookHow::Through, LookHow::Itself, LookHow::Identity, LookHow::Index]
        .into_iter()
        .find(|it| *it as u8 == byte)
}

/// What is left to read of a file, and the hash of what was read.
struct Input<R> {
    file: R,
    /// How much of the file is behind the piece.
    left: u64,
    hasher: blake3::Hasher,
    piece: Box<[u8]>,
    /// Which part of the piece is still to be taken.
    start: usize,
    end: usize,
}

impl<R: Read> Input<R> {
    fn of(file: R, left: u64) -> Self {
        let piece = vec![0; PIECE_BYTES].into_boxed_slice();
        Self { file, left, hasher: blake3::Hasher::new(), piece, start: 0, end: 0 }
    }

    /// Puts the next part of the file behind what is still to be taken.
    fn fill(&mut self) -> Option<()> {
        self.piece.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        let room = PIECE_BYTES - self.end;
        let bytes = usize::try_from(self.left).map_or(room, |left| left.min(room));
        let new = self.piece.get_mut(self.end..self.end + bytes)?;
        self.file.read_exact(new).ok()?;
        self.hasher.update(new);
        (self.left, self.end) = (self.left - bytes as u64, self.end + bytes);
        Some(())
    }

    fn piece<const N: usize>(&mut self) -> Option<&[u8; N]> {
        if self.end - self.start < N {
            self.fill()?;
        }
        let piece = self.piece.get(self.start..self.end)?.first_chunk()?;
        self.start += N;
        Some(piece)
    }

    fn u8(&mut self) -> Option<u8> {
        self.piece().copied().map(u8::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.piece().copied().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.piece().copied().map(i64::from_le_bytes)
    }

    fn length(&mut self) -> Option<usize> {
        usize::try_from(self.u64()?).ok()
    }

    /// How many things of one size follow, all of which the file has room for.
    fn count(&mut self, size: usize) -> Option<usize> {
        let count = self.length()?;
        let there = self.left + (self.end - self.start) as u64;
        (count.checked_mul(size)? as u64 <= there).then_some(count)
    }

    fn bytes(&mut self) -> Option<Vec<u8>> {
        let length = self.count(1)?;
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            if self.start == self.end {
                self.fill()?;
            }
            let taken = (length - bytes.len()).min(self.end - self.start);
            bytes.extend_from_slice(self.piece.get(self.start..self.start + taken)?);
            self.start += taken;
        }
        Some(bytes)
    }

    /// Whether all was taken, the file ends here, and this is the hash of it.
    fn ends_with(mut self, sum: &[u8]) -> bool {
        let is_taken = self.left == 0 && self.start == self.end;
        let is_over = self.file.read(&mut self.piece[..1]).is_ok_and(|it| it == 0);
        is_taken && is_over && self.hasher.finalize().as_bytes() == sum
    }
}

/// What is left to take of one thing.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take().map(u8::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_le_bytes)
    }

    fn stat(&mut self) -> Option<Stat> {
        Some(Stat {
            mode: self.u32()?,
            bytes: self.u64()?,
            mtime: self.i64()?,
            ctime: self.i64()?,
            ino: self.u64()?,
            dev: self.u64()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::super::layout::encode;
    use super::super::{Held, Kind, Manifest};
    use super::*;

    /// Gives so many bytes at a time.
    struct Drip<'a>(&'a [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(buffer.len());
            self.0.read(&mut buffer[..count])
        }
    }

    /// A manifest of so many files, whose paths have many lengths.
    fn records(count: usize) -> Records {
        let held = (0..count).map(|at| Held {
            path: format!("d{}/{}{at}", at / 12, "x".repeat(at % 97)).into(),
            kind: Kind::File,
            permissions: 0o644,
            bytes: at as u64,
            content: Content::of(&at.to_le_bytes()),
        });
        (*Manifest::of_held(held).unwrap().0).clone()
    }

    #[test]
    fn a_manifest_of_many_pieces_is_read_however_the_file_gives_it() {
        let records = records(5000);
        let file = encode(&records);
        assert!(file.len() > 8 * PIECE_BYTES && records.paths.len() > 2 * PIECE_BYTES);
        for step in [1000, 4096, PIECE_BYTES - 1, PIECE_BYTES, usize::MAX] {
            let found = read(Drip(&file, step), file.len() as u64);
            assert!(found.as_ref() == Some(&records), "{step} bytes at a time: another manifest");
        }
    }

    #[test]
    fn damage_in_any_piece_is_found() {
        let file = encode(&records(2000));
        let last = [file.len() - 1];
        for at in (0..file.len()).step_by(PIECE_BYTES / 3).chain(0..HEAD_BYTES).chain(last) {
            let mut damaged = file.clone();
            damaged[at] ^= 1;
            assert!(read(&damaged[..], file.len() as u64).is_none(), "the byte {at}");
        }
    }

    #[test]
    fn a_file_of_another_size_than_was_said_is_no_manifest() {
        for count in [0, 10, 2000] {
            let file = encode(&records(count));
            let bytes = file.len() as u64;
            assert!(read(&file[..], bytes).is_some());
            for other in [0, HEAD_BYTES as u64, bytes - 1, bytes + 1, bytes * 2, u64::MAX] {
                assert!(
                    read(&file[..], other).is_none(),
                    "{count} files, {other} for {bytes} bytes"
                );
            }
            let longer = [&file[..], b"\0"].concat();
            assert!(read(&longer[..], bytes).is_none() && read(&longer[..], bytes + 1).is_none());
            assert!(read(&file[..file.len() - 1], bytes).is_none());
        }
    }

    #[test]
    fn a_length_that_the_file_has_no_room_for_takes_no_memory() {
        let file = encode(&records(3));
        // The length of the paths of directories, behind `began` and the rules that are not there; and the records' number.
        let paths_at = HEAD_BYTES + 1 + 8 + 8 + 1;
        for at in [paths_at, file.len() - 3 * RECORD_BYTES - 8] {
            for length in [u64::MAX, u64::MAX / 2, 1 << 40, file.len() as u64] {
                let mut file = file.clone();
                file[at..at + 8].copy_from_slice(&length.to_le_bytes());
                assert!(read(&file[..], file.len() as u64).is_none());
            }
        }
    }
}
