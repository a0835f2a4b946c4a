//! One stream on disk, bounded: its first part in full, and of the rest the last two segments.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::mem;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use super::Recorded;
use crate::document::RunStreams;
use crate::durable;

/// The most bytes of the first part, and of each segment of the rest.
pub(crate) const PART_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// How long what is behind the first part may be held back at the most while more of it comes.
const HELD_TIME_MAX: Duration = Duration::from_secs(1);

/// A stream that is being written.
///
/// The first part is written at once. Of the rest, what more output will soon push out is not written at all: a command
/// that prints gigabytes would otherwise have all of them on this disk.
#[derive(Debug)]
pub(super) struct StreamWriter {
    base: PathBuf,
    now: Segment,
    /// The one before it, behind the first part.
    before: Option<Segment>,
    bytes: u64,
    /// Those behind the first part that have a file.
    on_disk: Vec<u64>,
    kept_at: Instant,
}

/// A part of a stream.
#[derive(Debug)]
struct Segment {
    /// 0 is the first part.
    number: u64,
    bytes: u64,
    /// There is none as long as nothing was written to it.
    file: Option<File>,
    /// What of it is not in the file.
    held: Vec<u8>,
}

impl Segment {
    fn new(number: u64) -> Self {
        Self { number, bytes: 0, file: None, held: Vec::new() }
    }

    /// Writes what is held. Whether the file is new is returned.
    fn keep(&mut self, base: &Path) -> io::Result<bool> {
        let is_new = self.file.is_none();
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(durable::create_private_file(&segment_path(base, self.number))?),
        };
        file.write_all(&self.held)?;
        self.held.clear();
        Ok(is_new)
    }
}

impl StreamWriter {
    /// Begins the stream `name` in `directory`.
    pub(super) fn create(directory: &Path, name: &str) -> io::Result<Self> {
        let base = directory.join(name);
        let mut now = Segment::new(0);
        now.keep(&base)?;
        let kept_at = Instant::now();
        Ok(Self { base, now, before: None, bytes: 0, on_disk: Vec::new(), kept_at })
    }

    /// Adds bytes.
    pub(super) fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            if self.now.bytes == PART_BYTES_MAX {
                self.turn();
            }
            let room = usize::try_from(PART_BYTES_MAX - self.now.bytes).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(bytes.len().min(room));
            match &mut self.now.file {
                Some(file) if self.now.number == 0 => file.write_all(now)?,
                _ => self.now.held.extend_from_slice(now),
            }
            self.now.bytes += now.len() as u64;
            bytes = later;
        }
        if self.kept_at.elapsed() >= HELD_TIME_MAX { self.keep() } else { Ok(()) }
    }

    /// Begins the next segment, in the room of what is given up for it.
    fn turn(&mut self) {
        let mut next = Segment::new(self.now.number + 1);
        if let Some(given_up) = self.before.take() {
            next.held = given_up.held;
            next.held.clear();
        }
        let full = mem::replace(&mut self.now, next);
        self.before = (full.number > 0).then_some(full);
    }

    /// Has everything on disk that is to be there.
    pub(super) fn keep(&mut self) -> io::Result<()> {
        self.kept_at = Instant::now();
        if self.now.number == 0 {
            return Ok(());
        }
        let oldest = self.now.number - 1;
        // The old ones go first: a reader takes what is between two of them for nothing.
        while let Some(old) = self.on_disk.first().copied().filter(|it| *it < oldest) {
            fs::remove_file(segment_path(&self.base, old))?;
            self.on_disk.remove(0);
        }
        for segment in self.before.iter_mut().chain([&mut self.now]) {
            if !segment.held.is_empty() && segment.keep(&self.base)? {
                self.on_disk.push(segment.number);
            }
        }
        Ok(())
    }

    /// Counts bytes that are not recorded any more.
    pub(super) fn count(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
    }

    /// How much was written.
    pub(super) fn summary(&self) -> RunStreams {
        let (segment, in_segment) = (self.now.number, self.now.bytes);
        let on_disk = segment.min(2) * PART_BYTES_MAX + in_segment;
        RunStreams { bytes: self.bytes, truncated: segment > 2 || self.bytes > on_disk }
    }
}

/// Reads a stream. Of the segments only the last `PART_BYTES_MAX` bytes are shown, so that every reader sees the same
/// amount wherever the writer stopped.
pub(super) fn read(directory: &Path, name: &str, bytes: Option<u64>) -> io::Result<Recorded> {
    let base = directory.join(name);
    let head = durable::read_bounded(&base, PART_BYTES_MAX)?;
    let mut segments: Vec<u64> = Vec::new();
    for entry in fs::read_dir(directory)? {
        let found = entry?.file_name();
        let number: Option<u64> =
            found.to_str().and_then(|it| it.strip_prefix(name)?.strip_prefix('.')?.parse().ok());
        segments.extend(number);
    }
    segments.sort_unstable();
    let mut tail = Vec::new();
    for segment in &segments {
        tail.extend(durable::read_bounded(&segment_path(&base, *segment), PART_BYTES_MAX)?);
    }
    // Every segment that is not on disk any more was full.
    let gone = segments.first().map_or(0, |first| (first - 1) * PART_BYTES_MAX);
    let on_disk = (head.len() + tail.len()) as u64;
    let whole = bytes.unwrap_or(on_disk + gone).max(on_disk);
    let keep = usize::try_from(PART_BYTES_MAX).unwrap_or(usize::MAX);
    let dropped = if whole > on_disk { tail.len().saturating_sub(keep) } else { 0 };
    tail.drain(..dropped);
    Ok(Recorded { left_out_bytes: whole - on_disk + dropped as u64, head, tail })
}

fn segment_path(base: &Path, segment: u64) -> PathBuf {
    if segment == 0 {
        return base.to_owned();
    }
    let mut name = base.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{segment}"));
    base.with_file_name(name)
}
