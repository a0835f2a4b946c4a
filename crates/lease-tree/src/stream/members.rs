//! The members of the stream: a file, a link, a small file of ours.

use std::fs::File;
use std::io::{self, Read, Write};

use tar::{Builder, EntryType, Header};

use crate::delta::permissions;
use crate::manifest::{Content, Slot};
use crate::scan::slot_of;
use crate::stat::Stat;
use crate::tree::WhySkipped;

/// Up to this size a file is caught in memory.
const HELD_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// How often a file is read that changes all the time.
const READS_MAX: u32 = 3;
/// The longest name or link target of a plain header.
const NAME_BYTES_MAX: usize = 100;
const NANOSECONDS: i64 = 1_000_000_000;

pub(super) enum Sent {
    /// With the stamps from before it was read.
    Whole {
        stat: Stat,
        content: Content,
        bytes: u64,
    },
    Not {
        why: WhySkipped,
        traces: bool,
    },
}

impl Sent {
    /// A failed look at the local file. Failures of the stream itself are never turned into this.
    fn not(error: &io::Error, traces: bool) -> Self {
        Self::Not { why: WhySkipped::of(error), traces }
    }
}

pub(super) fn link(
    builder: &mut Builder<impl Write>,
    name: &[u8],
    read: io::Result<(Stat, Vec<u8>)>,
) -> io::Result<Sent> {
    let (stat, target) = match read {
        Ok(it) => it,
        Err(error) => return Ok(Sent::not(&error, false)),
    };
    let mut header = header_of(&stat, EntryType::Symlink, 0);
    if target.len() > NAME_BYTES_MAX {
        long(builder, EntryType::GNULongLink, &target)?;
    }
    header.set_link_name_literal(&target[..target.len().min(NAME_BYTES_MAX)])?;
    put(builder, header, name, io::empty())?;
    Ok(Sent::Whole { stat, content: Content::of(&target), bytes: 0 })
}

pub(super) fn file(
    builder: &mut Builder<impl Write>,
    name: &[u8],
    mut open: impl FnMut() -> io::Result<(Stat, File)>,
) -> io::Result<Sent> {
    let mut traces = false;
    for _ in 0..READS_MAX {
        let (stat, mut source) = match open() {
            Ok(it) => it,
            Err(error) => return Ok(Sent::not(&error, traces)),
        };
        if slot_of(&stat) != Some(Slot::File) {
            return Ok(Sent::Not { why: WhySkipped::Changing, traces });
        }
        let bytes = stat.bytes;
        let header = header_of(&stat, EntryType::Regular, bytes);
        let is_same =
            |it: &File| rustix::fs::fstat(it).is_ok_and(|after| Stat::from(&after) == stat);
        if bytes <= HELD_BYTES_MAX {
            let mut held = Vec::with_capacity(usize::try_from(bytes).unwrap_or_default() + 1);
            if let Err(error) = (&mut source).take(bytes + 1).read_to_end(&mut held) {
                return Ok(Sent::not(&error, traces));
            }
            if held.len() as u64 == bytes && is_same(&source) {
                put(builder, header, name, held.as_slice())?;
                return Ok(Sent::Whole { stat, content: Content::of(&held), bytes });
            }
        } else {
            let mut exact = Exact::of(&mut source, bytes);
            put(builder, header, name, &mut exact)?;
            traces = true;
            let Exact { torn, hasher, .. } = exact;
            if !torn && is_same(&source) {
                let content = Content(*hasher.finalize().as_bytes());
                return Ok(Sent::Whole { stat, content, bytes });
            }
        }
    }
    Ok(Sent::Not { why: WhySkipped::Changing, traces })
}

/// Writes a small file of ours.
pub(super) fn control(
    builder: &mut Builder<impl Write>,
    name: &[u8],
    content: &[u8],
) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o600);
    header.set_size(content.len() as u64);
    put(builder, header, name, content)
}

/// Gives exactly as many bytes as were promised: what a file lost meanwhile is made up for with zeros and noted.
struct Exact<'a> {
    source: &'a mut File,
    left: u64,
    torn: bool,
    hasher: blake3::Hasher,
}

impl<'a> Exact<'a> {
    fn of(source: &'a mut File, bytes: u64) -> Self {
        Self { source, left: bytes, torn: false, hasher: blake3::Hasher::new() }
    }
}

impl Read for Exact<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let buffer = &mut buffer[..wanted];
        let read = if self.torn { 0 } else { self.source.read(buffer).unwrap_or(0) };
        let given = if read == 0 {
            self.torn = self.torn || wanted > 0;
            buffer.fill(0);
            wanted
        } else {
            self.hasher.update(&buffer[..read]);
            read
        };
        self.left -= given as u64;
        Ok(given)
    }
}

fn header_of(stat: &Stat, kind: EntryType, bytes: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(permissions(stat.mode));
    header.set_mtime(u64::try_from(stat.mtime.div_euclid(NANOSECONDS)).unwrap_or(0));
    header.set_size(bytes);
    header
}

fn put(
    builder: &mut Builder<impl Write>,
    mut header: Header,
    name: &[u8],
    content: impl Read,
) -> io::Result<()> {
    if name.len() > NAME_BYTES_MAX {
        long(builder, EntryType::GNULongName, name)?;
    }
    let short = &name[..name.len().min(NAME_BYTES_MAX)];
    header.as_old_mut().name[..short.len()].copy_from_slice(short);
    header.set_cksum();
    builder.append(&header, content)
}

fn long(builder: &mut Builder<impl Write>, kind: EntryType, text: &[u8]) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.as_old_mut().name[..13].copy_from_slice(b"././@LongLink");
    header.set_mode(0o644);
    header.set_size(text.len() as u64 + 1);
    header.set_cksum();
    builder.append(&header, text.chain(&[0_u8][..]))
}
