//! The one stream of a large change: what the box needs to know first, the files, and its new records.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender};

use lease_tree::{Delta, Layout, Manifest, Written, write_delta};

use super::packing::{Distance, Packer};
use super::paths::{PathSet, watched};
use super::progress::Meter;
use super::records::comes;

/// How much is handed over at once.
const CHUNK_BYTES: usize = 1024 * 1024;
/// How many chunks may wait.
pub(super) const CHUNKS_MAX: usize = 4;
/// The zeros that end an archive. tar stops at them, so they stand once, after the last one.
const TRAILER_BYTES: usize = 1024;

/// What a large change is made of.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) delta: Delta,
    pub(super) meter: Meter,
    /// Records of all paths to come, where the box has none.
    pub(super) union: Option<Vec<u8>>,
    pub(super) distance: Distance,
}

/// How many bytes of the stream precede the files, where records of so many bytes do.
pub(super) fn lead_bytes(union_bytes: u64) -> u64 {
    const HEADERS_BYTES: u64 = 2 * 512;
    union_bytes.next_multiple_of(512) + HEADERS_BYTES
}

/// Makes the stream for a directory of the sync's own on the box, relative to the lease's. The program that will run
/// commands comes along under its name. It blocks.
pub(super) fn produce(
    delta: &Delta,
    union: Option<Vec<u8>>,
    (directory, program): (&str, (&str, Vec<u8>)),
    to: SyncSender<Vec<u8>>,
) -> io::Result<Written> {
    let mut chunks = Chunks { to, held: Vec::with_capacity(CHUNK_BYTES * 2) };
    let name = |what: &str| format!("{directory}/{what}");
    // Where nothing was, nobody looks for what is not ours.
    let is_bare = union.is_some();
    if let Some(union) = union {
        chunks.write_all(&packed(&[(&name("union"), union), (&name("opened"), Vec::new())])?)?;
        chunks.continue_archive();
    }
    let retract = Some(name("retract").into_bytes());
    let layout = Layout { prefix: b"work/".to_vec(), retract, complete: None };
    let written = write_delta(delta, &layout, &mut chunks)?;
    chunks.continue_archive();
    let lists = records(&written.manifest);
    let wrote = watched(delta.writes().map(|it| it.entry.path).filter(|_| !is_bare));
    let [manifest, paths, directories] = lists;
    chunks.write_all(&packed(&[
        (&name("manifest"), manifest),
        (&name("paths"), paths),
        (&name("directories"), directories),
        (&name("wrote"), wrote),
        (&name(program.0), program.1),
        (&name("sealed"), Vec::new()),
    ])?)?;
    chunks.end()?;
    Ok(written)
}

/// Writes the stream to the connection. It blocks. The meter comes back in any case.
pub(super) fn consume(
    chunks: &Receiver<Vec<u8>>,
    mut sink: File,
    packing: Option<Distance>,
    mut meter: Meter,
) -> (io::Result<()>, Meter) {
    let mut written = || -> io::Result<()> {
        let mut packer = packing.map(|it| Packer::new(&sink, it));
        for chunk in chunks {
            match &mut packer {
                Some(packer) => packer.put(&chunk)?,
                None => (&sink).write_all(&chunk)?,
            }
            meter.pass(chunk.len() as u64);
        }
        Ok(())
    };
    let written = written().and_then(|()| sink.flush());
    (written, meter)
}

/// What the box keeps of a tree: its records, and the names of files and directories that are looked at.
fn records(manifest: &Manifest) -> [Vec<u8>; 3] {
    let held = || manifest.entries().filter(|it| it.content.is_some());
    let paths = PathSet::new(held().map(|it| it.path.to_owned()));
    [
        held().filter_map(|it| comes(&it)).flatten().collect(),
        watched(paths.iter()),
        watched(paths.directories().iter()),
    ]
}

/// A small archive of lists.
pub(super) fn packed(lists: &[(&str, Vec<u8>)]) -> io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in lists {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o600);
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, Path::new(name), content.as_slice())?;
    }
    builder.into_inner()
}

/// Hands bytes over in chunks, and holds back what may be the end of an archive.
struct Chunks {
    to: SyncSender<Vec<u8>>,
    held: Vec<u8>,
}

impl Chunks {
    /// Makes what follows a part of the archive that has just ended.
    fn continue_archive(&mut self) {
        self.held.truncate(self.held.len().saturating_sub(TRAILER_BYTES));
    }

    fn end(self) -> io::Result<()> {
        hand_over(&self.to, self.held)
    }
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(bytes);
        if self.held.len() >= CHUNK_BYTES + TRAILER_BYTES {
            let mut rest = Vec::with_capacity(CHUNK_BYTES * 2);
            let whole = self.held.len() - TRAILER_BYTES;
            rest.extend_from_slice(&self.held[whole..]);
            self.held.truncate(whole);
            hand_over(&self.to, std::mem::replace(&mut self.held, rest))?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Fails when whoever writes to the connection has given up.
fn hand_over(to: &SyncSender<Vec<u8>>, chunk: Vec<u8>) -> io::Result<()> {
    to.send(chunk).map_err(|_| io::ErrorKind::BrokenPipe.into())
}
