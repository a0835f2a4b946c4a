//! The tar stream of files of this machine that go to a box: exactly what is there, or none of it.
//!
//! Links go as links and are not followed. The last member tells the box that nothing was cut off. A directory comes
//! after what is in it, so that its mode and time are the last that happens to it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat, statat};
use tar::{Builder, EntryType, Header};

use super::attributes::{bytes, mtime, permissions};
use super::place::last_name;
use super::{Copied, LeftOut};

const OPEN_DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const OPEN_FILE: OFlags =
    OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);
/// The longest name or link target of a plain header.
const NAME_BYTES_MAX: usize = 100;
/// How long a piece is of a file whose length nobody knows before its end.
const PIECE_BYTES: u64 = 1024 * 1024;

/// Why nothing, or not all, was sent.
#[derive(Debug)]
pub(super) enum Trouble {
    /// This machine could not read it.
    Here { path: PathBuf, source: io::Error },
    /// The box takes no more.
    Stream(io::Error),
}

type Result<T> = std::result::Result<T, Trouble>;

/// Sends what is at `path`, whatever it is; its name in the stream is `tree`. It blocks.
pub(super) fn pack(path: &Path, sink: impl Write) -> Result<Copied> {
    let mut packer = Packer { builder: Builder::new(sink), copied: Copied::default() };
    let failed = |source| Trouble::Here { path: path.to_owned(), source };
    match last_name(path.as_os_str().as_bytes()) {
        // What is typed as `.` or `..` is the directory, also where a link leads to it.
        None => {
            let directory = File::open(path).map_err(failed)?;
            let stat = fstat(&directory).map_err(|errno| failed(errno.into()))?;
            packer.contents(directory.as_fd(), path, b"tree")?;
            packer.directory(&stat, b"tree")?;
        }
        Some(name) => {
            let above = path.parent().filter(|it| !it.as_os_str().is_empty());
            let above = File::open(above.unwrap_or(Path::new("."))).map_err(failed)?;
            packer.member(above.as_fd(), (name, path), b"tree")?;
        }
    }
    packer.finish()
}

/// Sends a file whose length shows at its end, in pieces. It blocks.
pub(super) fn pack_stream(mut source: impl Read, sink: impl Write) -> Result<Copied> {
    let mut packer = Packer { builder: Builder::new(sink), copied: Copied::default() };
    let mut piece = Vec::new();
    for number in 0_u64.. {
        piece.clear();
        let read = (&mut source).take(PIECE_BYTES).read_to_end(&mut piece);
        read.map_err(|source| Trouble::Here { path: "standard input".into(), source })?;
        if piece.is_empty() && number > 0 {
            break;
        }
        let name = format!("part/{number:012}");
        packer.ours(name.as_bytes(), &piece).map_err(Trouble::Stream)?;
        packer.copied.bytes += piece.len() as u64;
    }
    packer.copied.files = 1;
    packer.finish()
}

struct Packer<W: Write> {
    builder: Builder<W>,
    copied: Copied,
}

impl<W: Write> Packer<W> {
    fn member(
        &mut self,
        above: BorrowedFd<'_>,
        (name, path): (&[u8], &Path),
        called: &[u8],
    ) -> Result<()> {
        let failed = |errno: rustix::io::Errno| here(path)(errno.into());
        let stat = statat(above, name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let directory = openat(above, name, OPEN_DIRECTORY, Mode::empty());
                let directory = directory.map_err(failed)?;
                self.contents(directory.as_fd(), path, called)?;
                self.directory(&stat, called)
            }
            FileType::Symlink => {
                let target = readlinkat(above, name, Vec::new()).map_err(failed)?;
                self.link(&stat, called, target.as_bytes()).map_err(Trouble::Stream)
            }
            FileType::RegularFile => {
                let file = openat(above, name, OPEN_FILE, Mode::empty()).map_err(failed)?;
                self.file(&mut File::from(file), path, called)
            }
            FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => {
                let why = "it is a socket, FIFO or device";
                self.copied.left_out.push(LeftOut { path: path.to_owned(), why });
                Ok(())
            }
        }
    }

    fn contents(&mut self, directory: BorrowedFd<'_>, path: &Path, called: &[u8]) -> Result<()> {
        let failed = |errno: rustix::io::Errno| here(path)(errno.into());
        let mut names = Vec::new();
        for entry in Dir::read_from(directory).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(name);
            }
        }
        names.sort();
        for name in names {
            let below = path.join(std::ffi::OsStr::from_bytes(&name));
            let called = [called, b"/", &name].concat();
            self.member(directory, (&name, &below), &called)?;
        }
        Ok(())
    }

    fn directory(&mut self, stat: &Stat, called: &[u8]) -> Result<()> {
        let header = header_of(stat, EntryType::Directory, 0);
        let called = [called, b"/"].concat();
        self.put(header, &called, io::empty()).map_err(Trouble::Stream)
    }

    fn link(&mut self, stat: &Stat, called: &[u8], target: &[u8]) -> io::Result<()> {
        let mut header = header_of(stat, EntryType::Symlink, 0);
        if target.len() > NAME_BYTES_MAX {
            self.long(EntryType::GNULongLink, target)?;
        }
        header.set_link_name_literal(&target[..target.len().min(NAME_BYTES_MAX)])?;
        self.copied.files += 1;
        self.put(header, called, io::empty())
    }

    fn file(&mut self, file: &mut File, path: &Path, called: &[u8]) -> Result<()> {
        let stat = fstat(&*file).map_err(|errno| here(path)(errno.into()))?;
        let bytes = bytes(&stat);
        let header = header_of(&stat, EntryType::Regular, bytes);
        let mut exact = Exact { source: file.take(bytes), left: bytes, failed: None };
        let put = self.put(header, called, &mut exact);
        if let Some(source) = exact.failed {
            return Err(here(path)(source));
        }
        put.map_err(Trouble::Stream)?;
        self.copied.files += 1;
        self.copied.bytes += bytes;
        Ok(())
    }

    /// A small file of ours.
    fn ours(&mut self, name: &[u8], content: &[u8]) -> io::Result<()> {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o600);
        header.set_size(content.len() as u64);
        self.put(header, name, content)
    }

    /// Names and targets go byte for byte, with GNU's extension for long ones.
    fn put(&mut self, mut header: Header, name: &[u8], content: impl Read) -> io::Result<()> {
        if name.len() > NAME_BYTES_MAX {
            self.long(EntryType::GNULongName, name)?;
        }
        let short = &name[..name.len().min(NAME_BYTES_MAX)];
        header.as_old_mut().name[..short.len()].copy_from_slice(short);
        header.set_cksum();
        self.builder.append(&header, content)
    }

    fn long(&mut self, kind: EntryType, text: &[u8]) -> io::Result<()> {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.as_old_mut().name[..13].copy_from_slice(b"././@LongLink");
        header.set_mode(0o644);
        header.set_size(text.len() as u64 + 1);
        header.set_cksum();
        self.builder.append(&header, text.chain(&[0_u8][..]))
    }

    fn finish(mut self) -> Result<Copied> {
        let ended = self.ours(b"complete", b"").and_then(|()| self.builder.into_inner()?.flush());
        ended.map_err(Trouble::Stream)?;
        Ok(self.copied)
    }
}

/// Gives exactly as many bytes as were promised, or fails: the rest of the stream would be read as something else.
struct Exact<R> {
    source: R,
    left: u64,
    failed: Option<io::Error>,
}

impl<R: Read> Read for Exact<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let failed = match self.source.read(buffer) {
            Ok(0) if self.left > 0 && !buffer.is_empty() => {
                io::Error::other("it became shorter while it was read")
            }
            Ok(read) => {
                self.left -= read as u64;
                return Ok(read);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => error,
        };
        self.failed = Some(failed);
        Err(io::Error::other("a file could not be read"))
    }
}

fn header_of(stat: &Stat, kind: EntryType, bytes: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(permissions(stat));
    header.set_mtime(mtime(stat));
    header.set_size(bytes);
    header
}

fn here(path: &Path) -> impl FnOnce(io::Error) -> Trouble + use<> {
    let path = path.to_owned();
    move |source| Trouble::Here { path, source }
}
