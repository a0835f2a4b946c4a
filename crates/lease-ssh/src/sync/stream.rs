//! Writing a tar stream in which every member is whole, whatever happens to the files meanwhile.
//!
//! A member's size stands before its content, so a file must be caught in one piece: a small one is read to memory
//! between two looks at it, a large one is streamed and, when it changed meanwhile, sent again; the last copy counts.
//! Names and link targets are written byte for byte, with GNU's extension for long ones.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use tar::{Builder, EntryType, Header};

use super::list::{Kind, Plan, Skipped, WhySkipped};
use super::member;
use super::paths::listing;

/// Up to this size a file is caught in memory.
const HELD_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// How often a file is read that changes all the time.
const READS_MAX: u32 = 3;
/// The longest name or link target of a plain header.
const NAME_BYTES_MAX: usize = 100;
const PERMISSION_BITS: u32 = 0o777;

/// What was written.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) sent_files: u64,
    pub(super) sent_bytes: u64,
    pub(super) left_out: Vec<Skipped>,
}

/// How the sealing members are called and which paths may be taken back.
pub(super) struct Seal<'a> {
    /// The member that lists what the box shall remove again, below the lease's directory.
    pub(super) retract: Vec<u8>,
    /// The member that shows that the stream is whole.
    pub(super) complete: Vec<u8>,
    /// Whether an earlier sync put a path there.
    pub(super) was_ours: &'a dyn Fn(&Path) -> bool,
}

/// Writes the tree of `plan` as members below `work/`, then the sealing members.
pub(super) fn write(
    tree: &Path,
    plan: &Plan,
    seal: &Seal<'_>,
    sink: impl Write,
) -> io::Result<Written> {
    let mut builder = Builder::new(sink);
    let mut written = Written::default();
    let mut retract: Vec<PathBuf> = Vec::new();
    for entry in &plan.entries {
        let full = tree.join(&entry.path);
        let mut name = b"work/".to_vec();
        name.extend(member(&entry.path));
        let sent = match entry.kind {
            Kind::Link => link(&mut builder, &name, &full)?,
            Kind::File => file(&mut builder, &name, &full)?,
        };
        match sent {
            Sent::Whole(bytes) => {
                written.sent_files += 1;
                written.sent_bytes += bytes;
            }
            Sent::Not { why, traces } => {
                // What is reported as not sent must not lie there in an older or a torn state.
                if traces || (seal.was_ours)(&entry.path) {
                    retract.push(entry.path.clone());
                }
                written.left_out.push(Skipped { path: entry.path.clone(), why });
            }
        }
    }
    control(&mut builder, &seal.retract, &listing(retract.iter().map(PathBuf::as_path)))?;
    control(&mut builder, &seal.complete, b"")?;
    builder.into_inner()?.flush()?;
    Ok(written)
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

enum Sent {
    Whole(u64),
    Not { why: WhySkipped, traces: bool },
}

impl Sent {
    /// A failed look at the local file. Failures of the stream itself are never turned into this.
    fn not(error: &io::Error) -> Self {
        use rustix::io::Errno;
        let why = match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NOENT | Errno::NOTDIR) => WhySkipped::Vanished,
            // Something else than a file stands there now: a symbolic link, a directory, a socket.
            Some(Errno::LOOP | Errno::ISDIR | Errno::NXIO) => WhySkipped::Changing,
            _ => WhySkipped::Unreadable,
        };
        Self::Not { why, traces: false }
    }
}

fn link(builder: &mut Builder<impl Write>, name: &[u8], full: &Path) -> io::Result<Sent> {
    let looked = fs::symlink_metadata(full).and_then(|meta| Ok((meta, fs::read_link(full)?)));
    let (meta, target) = match looked {
        Ok(it) => it,
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            return Ok(Sent::Not { why: WhySkipped::Changing, traces: false });
        }
        Err(error) => return Ok(Sent::not(&error)),
    };
    let mut header = header_of(&meta, EntryType::Symlink, 0);
    let target = target.as_os_str().as_bytes();
    if target.len() > NAME_BYTES_MAX {
        long(builder, EntryType::GNULongLink, target)?;
    }
    header.set_link_name_literal(&target[..target.len().min(NAME_BYTES_MAX)])?;
    put(builder, header, name, io::empty())?;
    Ok(Sent::Whole(0))
}

fn file(builder: &mut Builder<impl Write>, name: &[u8], full: &Path) -> io::Result<Sent> {
    let mut traces = false;
    for _ in 0..READS_MAX {
        // Not through a link that has just replaced it, and not waiting for the writer of a FIFO.
        let opened = File::options()
            .read(true)
            .custom_flags(
                (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits().cast_signed(),
            )
            .open(full)
            .and_then(|file| Ok((file.metadata()?, file)));
        let (before, mut source) = match opened {
            Ok(it) => it,
            Err(error) if !traces => return Ok(Sent::not(&error)),
            Err(_) => break,
        };
        if !before.is_file() {
            return Ok(Sent::Not { why: WhySkipped::Changing, traces });
        }
        let bytes = before.len();
        let header = header_of(&before, EntryType::Regular, bytes);
        if bytes <= HELD_BYTES_MAX {
            let mut held = Vec::with_capacity(usize::try_from(bytes).unwrap_or_default());
            if let Err(error) = (&mut source).take(bytes + 1).read_to_end(&mut held) {
                return Ok(Sent::not(&error));
            }
            if held.len() as u64 == bytes
                && source.metadata().is_ok_and(|after| same(&before, &after))
            {
                put(builder, header, name, held.as_slice())?;
                return Ok(Sent::Whole(bytes));
            }
        } else {
            let mut exact = Exact { source: &mut source, left: bytes, torn: false };
            put(builder, header, name, &mut exact)?;
            traces = true;
            if !exact.torn && source.metadata().is_ok_and(|after| same(&before, &after)) {
                return Ok(Sent::Whole(bytes));
            }
        }
    }
    Ok(Sent::Not { why: WhySkipped::Changing, traces })
}

/// Gives exactly as many bytes as were promised: what a file lost meanwhile is made up for with zeros and noted.
struct Exact<'a> {
    source: &'a mut File,
    left: u64,
    torn: bool,
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
            read
        };
        self.left -= given as u64;
        Ok(given)
    }
}

fn same(before: &fs::Metadata, after: &fs::Metadata) -> bool {
    let key =
        |it: &fs::Metadata| (it.len(), it.mtime(), it.mtime_nsec(), it.ctime(), it.ctime_nsec());
    key(before) == key(after)
}

fn header_of(meta: &fs::Metadata, kind: EntryType, bytes: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(meta.mode() & PERMISSION_BITS);
    header.set_mtime(u64::try_from(meta.mtime()).unwrap_or(0));
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::ffi::OsStringExt as _;

    use super::super::list::{Entry, Source};
    use super::*;

    fn stream(tree: &Path, plan: &Plan) -> (BTreeMap<Vec<u8>, Vec<u8>>, Written) {
        let ours = |_: &Path| true;
        let seal = Seal { retract: b".r".to_vec(), complete: b".c".to_vec(), was_ours: &ours };
        let mut bytes = Vec::new();
        let written = write(tree, plan, &seal, &mut bytes).unwrap();
        let mut members = BTreeMap::new();
        for member in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
            let mut member = member.unwrap();
            let mut content = Vec::new();
            member.read_to_end(&mut content).unwrap();
            members.insert(member.path_bytes().into_owned(), content);
        }
        (members, written)
    }

    fn entries(paths: &[&[u8]]) -> Plan {
        let entry = |path: &&[u8]| Entry {
            path: super::super::path_of(path.to_vec()),
            kind: Kind::File,
            bytes: 0,
        };
        Plan {
            source: Source::Git,
            entries: paths.iter().map(entry).collect(),
            skipped: Vec::new(),
        }
    }

    #[test]
    fn odd_and_long_names_arrive_as_they_are() {
        let tree = tempfile::tempdir().unwrap();
        let long = [b'n'; 200];
        let odd: [&[u8]; 5] = [b"-rf", b"a\nb", b"\xff\xfe", b" x ", &long];
        for name in odd {
            fs::write(tree.path().join(std::ffi::OsString::from_vec(name.to_vec())), name).unwrap();
        }
        let (members, written) = stream(tree.path(), &entries(&odd));
        assert_eq!(written.sent_files, 5);
        for name in odd {
            assert_eq!(members[&[b"work/".as_slice(), name].concat()], name);
        }
    }

    #[test]
    fn what_cannot_be_caught_is_left_out_and_the_stream_stays_whole() {
        let tree = tempfile::tempdir().unwrap();
        fs::write(tree.path().join("good"), b"good").unwrap();
        fs::create_dir(tree.path().join("directory")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", tree.path().join("link")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            tree.path().join("fifo"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        let (members, written) =
            stream(tree.path(), &entries(&[b"directory", b"fifo", b"gone", b"good", b"link"]));
        assert_eq!(members[b"work/good".as_slice()], b"good");
        let left: Vec<_> =
            written.left_out.iter().map(|it| (it.path.to_str().unwrap(), it.why)).collect();
        let changing = WhySkipped::Changing;
        assert_eq!(
            left,
            [
                ("directory", changing),
                ("fifo", changing),
                ("gone", WhySkipped::Vanished),
                ("link", changing)
            ]
        );
        assert_eq!(members[b".r".as_slice()], b"directory\0fifo\0gone\0link\0");
    }

    #[test]
    fn a_large_file_that_shrinks_keeps_the_framing() {
        let tree = tempfile::tempdir().unwrap();
        let path = tree.path().join("large");
        fs::write(&path, vec![7; 100]).unwrap();
        let mut source = File::open(&path).unwrap();
        let mut exact = Exact { source: &mut source, left: 300, torn: false };
        let mut given = Vec::new();
        exact.read_to_end(&mut given).unwrap();
        assert_eq!((given.len(), exact.torn), (300, true));
    }
}
