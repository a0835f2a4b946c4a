//! One stream on disk, bounded: its first part in full, and of the rest the last two segments.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::Recorded;
use crate::document::RunStreams;
use crate::durable;

/// The most bytes of the first part, and of each segment of the rest.
pub(crate) const PART_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A stream that is being written.
#[derive(Debug)]
pub(super) struct StreamWriter {
    base: PathBuf,
    file: File,
    /// The segment that is written; 0 is the first part.
    segment: u64,
    in_segment: u64,
    bytes: u64,
}

impl StreamWriter {
    /// Begins the stream `name` in `directory`.
    pub(super) fn create(directory: &Path, name: &str) -> io::Result<Self> {
        let base = directory.join(name);
        Ok(Self {
            file: durable::create_private_file(&base)?,
            base,
            segment: 0,
            in_segment: 0,
            bytes: 0,
        })
    }

    /// Adds bytes.
    pub(super) fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            if self.in_segment == PART_BYTES_MAX {
                self.next_segment()?;
            }
            let room = usize::try_from(PART_BYTES_MAX - self.in_segment).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(bytes.len().min(room));
            self.file.write_all(now)?;
            self.in_segment += now.len() as u64;
            bytes = later;
        }
        Ok(())
    }

    /// Counts bytes that are not recorded any more.
    pub(super) fn count(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
    }

    /// How much was written.
    pub(super) fn summary(&self) -> RunStreams {
        RunStreams { bytes: self.bytes, truncated: self.segment > 2 || self.bytes > self.on_disk() }
    }

    fn on_disk(&self) -> u64 {
        let full = self.segment.min(2) * PART_BYTES_MAX;
        full + self.in_segment
    }

    fn next_segment(&mut self) -> io::Result<()> {
        self.segment += 1;
        self.file = durable::create_private_file(&segment_path(&self.base, self.segment))?;
        self.in_segment = 0;
        if self.segment > 2 {
            fs::remove_file(segment_path(&self.base, self.segment - 2))?;
        }
        Ok(())
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
