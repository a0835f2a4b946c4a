//! Taking a tar stream from a box into one directory of this machine, and nowhere else, whatever the stream says.
//!
//! Each directory is opened from the one above it and never through a link, so neither a link that the box sent nor one
//! that was there before leads anything out. A file has its name only once it is whole.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, fchmod, fstat, futimens, mkdirat, openat, statat,
};
use rustix::io::Errno;
use tar::{Archive, Entry, EntryType};

use super::attributes::{mode_of, mtime, permissions, times};
use super::draft::Draft;
use super::patterns::Patterns;
use super::{Copied, Existing, LeftOut, Overwrite};

const OPEN_DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const OPEN_FILE: OFlags =
    OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);
/// How much a member may say about itself, its name above all. It is held in memory, and whoever sends it says how long
/// it is.
const HEADING_BYTES_MAX: u64 = 1024 * 1024;
/// How many names are tried for a file that may not have its own.
const NAMES_MAX: u32 = 1000;

/// What becomes of the names in the stream.
pub(super) enum Names {
    /// Everything is, or is below, `from`, and that is called `to` here.
    Renamed { from: Vec<u8>, to: Vec<u8> },
    /// They stay.
    Kept,
    /// They stay, and those that nobody asked for are refused.
    Wanted(Patterns),
}

/// Where the stream goes.
pub(super) struct Destination {
    /// The directory, opened.
    pub(super) directory: OwnedFd,
    /// Its path, for messages.
    pub(super) path: PathBuf,
    pub(super) names: Names,
    pub(super) overwrite: Overwrite,
}

/// Why the stream was not taken to its end.
#[derive(Debug)]
pub(super) enum Trouble {
    /// This machine could not do it.
    Here { path: PathBuf, source: io::Error },
    /// The box sent what is not taken from it.
    Refused(String),
    /// The stream is no archive, or is cut.
    Stream(io::Error),
}

type Result<T> = std::result::Result<T, Trouble>;

/// Takes the stream to its end. It blocks.
pub(super) fn unpack(source: impl Read, to: Destination, draft: &Draft) -> Result<Copied> {
    let allowed = Cell::new(HEADING_BYTES_MAX);
    let mut archive = Archive::new(Metered { source, allowed: &allowed });
    let mut taker = Taker {
        to,
        draft,
        made: BTreeMap::new(),
        files: HashMap::new(),
        last: None,
        copied: Copied::default(),
    };
    let mut entries = archive.entries().map_err(Trouble::Stream)?;
    loop {
        allowed.set(HEADING_BYTES_MAX);
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(Trouble::Stream)?;
        allowed.set(u64::MAX);
        taker.take(&mut entry)?;
        // What is left out has content as well.
        io::copy(&mut entry, &mut io::sink()).map_err(Trouble::Stream)?;
    }
    allowed.set(u64::MAX);
    // Whoever sends must be able to come to its end.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(Trouble::Stream)?;
    taker.finish()
}

/// A stream that gives only so many bytes until it is allowed more.
struct Metered<'a, R> {
    source: R,
    allowed: &'a Cell<u64>,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let allowed = self.allowed.get();
        if allowed == 0 {
            return Err(io::Error::other("a name is too long"));
        }
        let wanted = buffer.len().min(usize::try_from(allowed).unwrap_or(usize::MAX));
        let read = self.source.read(&mut buffer[..wanted])?;
        self.allowed.set(allowed.saturating_sub(read as u64));
        Ok(read)
    }
}

/// A directory that was made here. Until all is there it is ours alone.
struct Made {
    /// The mode that a new directory has here.
    usual: Mode,
    /// The mode and time that the stream says.
    said: Option<(u32, u64)>,
}

struct Taker<'a> {
    to: Destination,
    draft: &'a Draft,
    /// The directories that were made here.
    made: BTreeMap<Vec<u8>, Made>,
    /// The files that were written, with the names that they got.
    files: HashMap<Vec<u8>, Vec<u8>>,
    last: Option<(Vec<u8>, OwnedFd)>,
    copied: Copied,
}

impl Taker<'_> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "whatever else there is, it is no file")]
    fn take(&mut self, entry: &mut Entry<'_, impl Read>) -> Result<()> {
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            return Ok(());
        }
        let sent = entry.path_bytes().into_owned();
        let Some(path) = self.name(&sent)? else { return Ok(()) };
        let header = entry.header();
        let mode = header.mode().map_err(Trouble::Stream)?;
        let mtime = header.mtime().map_err(Trouble::Stream)?;
        match kind {
            EntryType::Directory => self.directory(&path, (mode, mtime)),
            // Archives of old kinds have no other mark for a directory.
            EntryType::Regular if sent.ends_with(b"/") => self.directory(&path, (mode, mtime)),
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                self.file(&path, entry, (mode, mtime))
            }
            EntryType::Symlink => self.link(&path, &target(entry)?, mtime),
            EntryType::Link => {
                let target = self.name(&target(entry)?)?;
                self.copy(&path, target.as_deref())
            }
            _ => {
                self.leave_out(&path, "it is a socket, FIFO or device");
                Ok(())
            }
        }
    }

    /// What a member is called here; nothing for one that is left out.
    fn name(&mut self, sent: &[u8]) -> Result<Option<Vec<u8>>> {
        let outside = || Trouble::Refused(format!("{} leads outside", shown(sent)));
        if sent.starts_with(b"/") || sent.contains(&0) {
            return Err(outside());
        }
        let parts = sent.split(|it| *it == b'/').filter(|it| !matches!(*it, b"" | b"."));
        let mut parts: Vec<&[u8]> = parts.collect();
        if parts.contains(&&b".."[..]) {
            return Err(outside());
        }
        match &self.to.names {
            Names::Kept if parts.is_empty() => return Ok(None),
            Names::Kept => {}
            Names::Renamed { from, to } => match parts.first_mut() {
                Some(first) if *first == from.as_slice() => *first = to,
                _ => return Err(Trouble::Refused(format!("nobody asked for {}", shown(sent)))),
            },
            Names::Wanted(patterns) if patterns.want(&parts) => {}
            Names::Wanted(_) if parts.iter().any(|it| it.eq_ignore_ascii_case(b".git")) => {
                let path = parts.join(&b'/');
                self.leave_out(&path, "git would run programs from there");
                return Ok(None);
            }
            Names::Wanted(_) => {
                return Err(Trouble::Refused(format!("nobody asked for {}", shown(sent))));
            }
        }
        Ok(Some(parts.join(&b'/')))
    }

    fn directory(&mut self, path: &[u8], said: (u32, u64)) -> Result<()> {
        self.open(path)?;
        if let Some(made) = self.made.get_mut(path) {
            made.said = Some(said);
        }
        Ok(())
    }

    fn file(
        &mut self,
        path: &[u8],
        entry: &mut Entry<'_, impl Read>,
        (mode, mtime): (u32, u64),
    ) -> Result<()> {
        let bytes = entry.size();
        let (above, name) = split(path);
        let failed = |to: &Destination| here(to, path);
        let mut file = self.begin(above)?;
        let read = pass_on(entry, &mut file).map_err(|error| match error {
            PassOn::Read(error) => Trouble::Stream(error),
            PassOn::Write(error) => failed(&self.to)(error),
        })?;
        if read != bytes {
            return Err(Trouble::Stream(io::ErrorKind::UnexpectedEof.into()));
        }
        finished(&file, mode, mtime).map_err(failed(&self.to))?;
        let given = self.give(path, name)?;
        self.files.insert(path.to_vec(), given);
        self.copied.files += 1;
        self.copied.bytes += bytes;
        Ok(())
    }

    fn link(&mut self, path: &[u8], target: &[u8], mtime: u64) -> Result<()> {
        let (above, name) = split(path);
        let directory = self.open(above)?.try_clone_to_owned();
        let failed = |to: &Destination| here(to, path);
        let made = directory.and_then(|directory| {
            self.draft.link(directory.as_fd(), as_path(target))?;
            // A system without times of links has none to keep.
            drop(self.draft.set_time(mtime));
            Ok(())
        });
        made.map_err(failed(&self.to))?;
        self.give(path, name)?;
        self.copied.files += 1;
        Ok(())
    }

    /// What is a second name of a file on the box is a file of its own here.
    fn copy(&mut self, path: &[u8], target: Option<&[u8]>) -> Result<()> {
        let known = target.and_then(|it| Some((it.to_vec(), self.files.get(it)?.clone())));
        let Some((target, given)) = known else {
            let what = format!("{} is a link to what did not come with it", shown(path));
            return Err(Trouble::Refused(what));
        };
        let source = {
            let directory = self.open(split(&target).0)?;
            let opened = openat(directory, as_path(&given), OPEN_FILE, Mode::empty());
            opened.map(File::from).map_err(io::Error::from)
        };
        let mut source = source.map_err(here(&self.to, &target))?;
        let (above, name) = split(path);
        let mut file = self.begin(above)?;
        let copied = io::copy(&mut source, &mut file).and_then(|bytes| {
            let stat = fstat(&source)?;
            finished(&file, permissions(&stat), mtime(&stat))?;
            Ok(bytes)
        });
        let bytes = copied.map_err(here(&self.to, path))?;
        let given = self.give(path, name)?;
        self.files.insert(path.to_vec(), given);
        self.copied.files += 1;
        self.copied.bytes += bytes;
        Ok(())
    }

    fn begin(&mut self, above: &[u8]) -> Result<File> {
        let directory = self.open(above)?.try_clone_to_owned();
        directory.and_then(|it| self.draft.file(it.as_fd())).map_err(here(&self.to, above))
    }

    /// Gives the draft its name, or another one where that is taken by something that stays; returns the name.
    fn give(&mut self, path: &[u8], name: &[u8]) -> Result<Vec<u8>> {
        let (above, _) = split(path);
        let mut given = name.to_vec();
        let there = {
            let directory = self.open(above)?;
            statat(directory, as_path(name), AtFlags::SYMLINK_NOFOLLOW)
        };
        let failed = here(&self.to, path);
        match there {
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(failed(errno.into())),
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                return Err(failed(io::ErrorKind::IsADirectory.into()));
            }
            Ok(_) if (self.to.overwrite.0)(as_path(path)) == Existing::Replaced => {}
            Ok(_) => {
                given = self.free_name(above, name)?;
                let beside = as_path(path).with_file_name(OsStr::from_bytes(&given));
                self.copied.beside.push((as_path(path).to_owned(), beside));
            }
        }
        self.draft.finish(as_path(&given)).map_err(here(&self.to, path))?;
        Ok(given)
    }

    /// A name beside a file that stays.
    fn free_name(&mut self, above: &[u8], name: &[u8]) -> Result<Vec<u8>> {
        let directory = self.open(above)?;
        for number in 0..NAMES_MAX {
            let mut given = name.to_vec();
            given.extend_from_slice(b".from-box");
            if number > 0 {
                given.extend_from_slice(format!(".{number}").as_bytes());
            }
            let there = statat(directory, as_path(&given), AtFlags::SYMLINK_NOFOLLOW);
            if matches!(there, Err(Errno::NOENT)) {
                return Ok(given);
            }
        }
        Err(here(&self.to, name)(io::ErrorKind::AlreadyExists.into()))
    }

    /// Opens a directory below the destination and makes it and those above it where they are not there.
    fn open(&mut self, path: &[u8]) -> Result<BorrowedFd<'_>> {
        if path.is_empty() {
            return Ok(self.to.directory.as_fd());
        }
        if self.last.as_ref().is_none_or(|(last, _)| last != path) {
            self.last = None;
            let mut open: Option<OwnedFd> = None;
            for end in ends(path) {
                let (_, name) = split(&path[..end]);
                let directory = open.as_ref().map_or(self.to.directory.as_fd(), AsFd::as_fd);
                let found = match openat(directory, as_path(name), OPEN_DIRECTORY, Mode::empty()) {
                    Err(Errno::NOENT) => make(directory, as_path(name)).map(|(found, usual)| {
                        self.made.insert(path[..end].to_vec(), Made { usual, said: None });
                        found
                    }),
                    found => found,
                };
                let failed = here(&self.to, &path[..end]);
                open = Some(found.map_err(|errno| failed(in_the_way(errno)))?);
            }
            self.last = open.map(|it| (path.to_vec(), it));
        }
        let last = self.last.as_ref().map(|(_, it)| it.as_fd());
        last.ok_or_else(|| here(&self.to, path)(io::ErrorKind::NotFound.into()))
    }

    fn leave_out(&mut self, path: &[u8], why: &'static str) {
        self.copied.left_out.push(LeftOut { path: as_path(path).to_owned(), why });
    }

    /// Gives the directories that were made their modes and times, those below first.
    fn finish(mut self) -> Result<Copied> {
        for (path, made) in std::mem::take(&mut self.made).into_iter().rev() {
            let directory = self.open(&path)?;
            let set = match made.said {
                Some((mode, mtime)) => fchmod(directory, mode_of(mode))
                    .and_then(|()| futimens(directory, &times(mtime))),
                None => fchmod(directory, made.usual),
            };
            set.map_err(|errno| here(&self.to, &path)(errno.into()))?;
            self.last = None;
        }
        Ok(self.copied)
    }
}

/// Makes a directory that nobody else can enter yet, and says which mode it would have had.
fn make(above: BorrowedFd<'_>, name: &Path) -> std::result::Result<(OwnedFd, Mode), Errno> {
    mkdirat(above, name, mode_of(0o777))?;
    let directory = openat(above, name, OPEN_DIRECTORY, Mode::empty())?;
    let usual = mode_of(permissions(&fstat(&directory)?));
    fchmod(&directory, Mode::RWXU)?;
    Ok((directory, usual))
}

/// Which side of a copy failed.
enum PassOn {
    Read(io::Error),
    Write(io::Error),
}

/// Copies to the end and says how much that was.
fn pass_on(from: &mut impl Read, to: &mut File) -> std::result::Result<u64, PassOn> {
    let mut chunk = vec![0; 128 * 1024];
    let mut bytes = 0;
    loop {
        let read = from.read(&mut chunk).map_err(PassOn::Read)?;
        if read == 0 {
            return Ok(bytes);
        }
        io::Write::write_all(to, &chunk[..read]).map_err(PassOn::Write)?;
        bytes += read as u64;
    }
}

fn finished(file: &File, mode: u32, mtime: u64) -> io::Result<()> {
    fchmod(file, mode_of(mode))?;
    Ok(futimens(file, &times(mtime))?)
}

fn target(entry: &Entry<'_, impl Read>) -> Result<Vec<u8>> {
    let target = entry.link_name_bytes().map(std::borrow::Cow::into_owned).unwrap_or_default();
    if target.is_empty() || target.contains(&0) {
        return Err(Trouble::Refused("a link without a target".to_owned()));
    }
    Ok(target)
}

/// A link in the place of a directory is told as such.
fn in_the_way(errno: Errno) -> io::Error {
    match errno {
        Errno::LOOP | Errno::NOTDIR => {
            io::Error::other("a link or a file is where a directory has to be")
        }
        errno => errno.into(),
    }
}

fn here(to: &Destination, path: &[u8]) -> impl FnOnce(io::Error) -> Trouble + use<> {
    let path = if path.is_empty() { to.path.clone() } else { to.path.join(as_path(path)) };
    move |source| Trouble::Here { path, source }
}

/// Where each of the directories of a path ends in it.
fn ends(path: &[u8]) -> impl Iterator<Item = usize> {
    let slashes = path.iter().enumerate().filter(|(_, it)| **it == b'/').map(|(at, _)| at);
    slashes.chain([path.len()])
}

/// The directory, and the name in it.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|it| *it == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

fn as_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

fn shown(bytes: &[u8]) -> impl fmt::Display + use<> {
    format!("\"{}\"", String::from_utf8_lossy(bytes).escape_debug())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use tar::{Builder, Header};

    use super::super::draft::Stop;
    use super::*;

    /// A stream whose names nobody has checked.
    struct Sent(Builder<Vec<u8>>);

    impl Sent {
        fn new() -> Self {
            Self(Builder::new(Vec::new()))
        }

        fn with(mut self, kind: EntryType, name: &str, content: &str) -> Self {
            let mut header = Header::new_gnu();
            header.set_entry_type(kind);
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_mode(0o4751);
            header.set_mtime(1_000_000_000);
            let is_link = matches!(kind, EntryType::Symlink | EntryType::Link);
            if is_link {
                header.set_link_name_literal(content).unwrap();
            }
            let content = if is_link { "" } else { content };
            header.set_size(content.len() as u64);
            header.set_cksum();
            self.0.append(&header, content.as_bytes()).unwrap();
            self
        }

        fn file(self, name: &str, content: &str) -> Self {
            self.with(EntryType::Regular, name, content)
        }

        fn bytes(self) -> Vec<u8> {
            self.0.into_inner().unwrap()
        }
    }

    /// A destination with something beside it.
    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            let it = Self(tempfile::tempdir().unwrap());
            for name in ["to", "beside"] {
                fs::create_dir(it.at(name)).unwrap();
            }
            it
        }

        fn at(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn take(&self, names: Names, sent: &[u8]) -> Result<Copied> {
            self.take_over(names, Overwrite::everything(), sent)
        }

        fn take_over(&self, names: Names, overwrite: Overwrite, sent: &[u8]) -> Result<Copied> {
            let directory = File::open(self.at("to")).unwrap().into();
            let to = Destination { directory, path: self.at("to"), names, overwrite };
            let draft = Draft::default();
            let _stop = Stop(draft.clone());
            unpack(sent, to, &draft)
        }

        /// Every path below, sorted.
        fn paths(&self) -> Vec<String> {
            let mut found = Vec::new();
            let mut todo = vec![self.0.path().to_owned()];
            while let Some(directory) = todo.pop() {
                for entry in fs::read_dir(directory).unwrap() {
                    let path = entry.unwrap().path();
                    let name = path.strip_prefix(self.0.path()).unwrap();
                    found.push(name.to_str().unwrap().to_owned());
                    if fs::symlink_metadata(&path).unwrap().is_dir() {
                        todo.push(path);
                    }
                }
            }
            found.sort();
            found
        }
    }

    fn tree() -> Names {
        Names::Renamed { from: b"tree".to_vec(), to: b"here".to_vec() }
    }

    #[test]
    fn a_name_that_leads_outside_is_refused_and_writes_nothing() {
        for name in ["../beside/x", "/beside/x", "tree/../../beside/x", "..", "tree/.."] {
            let place = Place::new();
            let sent = Sent::new().file(name, "evil").bytes();
            for names in [tree(), Names::Kept] {
                let taken = place.take(names, &sent);
                assert!(matches!(taken, Err(Trouble::Refused(_))), "{name}: {taken:?}");
            }
            assert_eq!(place.paths(), ["beside", "to"], "{name}");
        }
    }

    #[test]
    fn what_nobody_asked_for_is_refused() {
        let patterns = Patterns::new(["out/*.xml"]).unwrap();
        for (names, name) in [
            (tree(), "other"),
            (tree(), "tree2/x"),
            (Names::Wanted(patterns.clone()), "out/x.txt"),
            (Names::Wanted(patterns.clone()), "Makefile"),
            (Names::Wanted(patterns), "out"),
        ] {
            let place = Place::new();
            let taken = place.take(names, &Sent::new().file(name, "evil").bytes());
            assert!(matches!(taken, Err(Trouble::Refused(_))), "{name}: {taken:?}");
            assert_eq!(place.paths(), ["beside", "to"], "{name}");
        }
    }

    #[test]
    fn no_link_leads_anything_out() {
        // One that is sent, one that was there, and one in the place of the file itself.
        let sent = Sent::new().with(EntryType::Symlink, "tree/l", "../../beside");
        let place = Place::new();
        let taken = place.take(tree(), &sent.file("tree/l/x", "evil").bytes());
        assert!(matches!(taken, Err(Trouble::Here { .. })), "{taken:?}");
        assert_eq!(place.paths(), ["beside", "to", "to/here", "to/here/l"]);

        let place = Place::new();
        symlink(place.at("beside"), place.at("to/here")).unwrap();
        let taken = place.take(tree(), &Sent::new().file("tree/x", "evil").bytes());
        assert!(matches!(taken, Err(Trouble::Here { .. })), "{taken:?}");
        assert_eq!(place.paths(), ["beside", "to", "to/here"]);

        let place = Place::new();
        fs::write(place.at("beside/x"), "precious").unwrap();
        symlink(place.at("beside/x"), place.at("to/here")).unwrap();
        place.take(tree(), &Sent::new().file("tree", "new").bytes()).unwrap();
        assert_eq!(fs::read_to_string(place.at("beside/x")).unwrap(), "precious");
        assert!(fs::symlink_metadata(place.at("to/here")).unwrap().is_file());
    }

    #[test]
    fn a_hard_link_gives_what_came_with_it_and_nothing_else() {
        let place = Place::new();
        let sent = Sent::new().file("tree/a", "same").with(EntryType::Link, "tree/b", "tree/a");
        let copied = place.take(tree(), &sent.bytes()).unwrap();
        assert_eq!((copied.files, copied.bytes), (2, 8));
        let of = |name: &str| fs::metadata(place.at(name)).unwrap();
        let (a, b) = (of("to/here/a"), of("to/here/b"));
        assert_eq!(fs::read_to_string(place.at("to/here/b")).unwrap(), "same");
        assert!(a.ino() != b.ino() && a.mode() == b.mode() && a.mtime() == b.mtime());

        for target in ["/etc/passwd", "tree/c", "../beside/x", "other"] {
            let place = Place::new();
            fs::write(place.at("beside/x"), "secret").unwrap();
            fs::create_dir(place.at("to/here")).unwrap();
            fs::write(place.at("to/here/c"), "not sent").unwrap();
            let sent = Sent::new().with(EntryType::Link, "tree/b", target).bytes();
            let taken = place.take(tree(), &sent);
            assert!(matches!(taken, Err(Trouble::Refused(_))), "{target}: {taken:?}");
            assert!(!place.at("to/here/b").exists());
        }
    }

    #[test]
    fn modes_and_times_are_kept_and_privilege_is_not() {
        let place = Place::new();
        let sent = Sent::new().with(EntryType::Directory, "tree/", "").file("tree/d/x", "x");
        place.take(tree(), &sent.with(EntryType::Symlink, "tree/l", "nowhere").bytes()).unwrap();
        for name in ["to/here", "to/here/d/x"] {
            let meta = fs::metadata(place.at(name)).unwrap();
            assert_eq!((meta.mode() & 0o7777, meta.mtime()), (0o751, 1_000_000_000), "{name}");
        }
        let link = fs::symlink_metadata(place.at("to/here/l")).unwrap();
        assert!(link.is_symlink() && link.mtime() == 1_000_000_000);
    }

    #[test]
    fn a_cut_stream_leaves_no_half_file() {
        let content = "x".repeat(3000);
        let whole = Sent::new().file("tree/a", &content).file("tree/b", &content).bytes();
        // Two members of a header and three thousand bytes in blocks, and the end of the archive.
        for end in (0..whole.len()).step_by(97) {
            let place = Place::new();
            let taken = place.take(tree(), &whole[..end]);
            let is_cut_in_a_member = !matches!(end, 0 | 3584 | 7168..);
            assert!(taken.is_err() || !is_cut_in_a_member, "{end}: {taken:?}");
            for name in place.paths() {
                assert!(!name.contains(".lease-copy"), "{end}: {name}");
                if name.starts_with("to/here/") {
                    assert_eq!(fs::read_to_string(place.at(&name)).unwrap(), content, "{end}");
                }
            }
        }
    }

    #[test]
    fn a_name_without_an_end_is_not_waited_for() {
        /// A stream that never ends and counts what was read of it.
        struct Endless<'a>(&'a [u8], u64);
        impl Read for &mut Endless<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let count = self.0.len().min(buffer.len());
                buffer[..count].copy_from_slice(&self.0[..count]);
                self.0 = &self.0[count..];
                if count > 0 {
                    return Ok(count);
                }
                buffer.fill(b'n');
                self.1 += buffer.len() as u64;
                assert!(self.1 < 2 * HEADING_BYTES_MAX, "it was read all the same");
                Ok(buffer.len())
            }
        }
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::GNULongName);
        header.as_old_mut().name[..13].copy_from_slice(b"././@LongLink");
        header.set_size(1 << 40);
        header.set_cksum();
        let place = Place::new();
        let mut sent = Endless(header.as_bytes(), 0);
        let directory = File::open(place.at("to")).unwrap().into();
        let overwrite = Overwrite::everything();
        let to = Destination { directory, path: place.at("to"), names: tree(), overwrite };
        let taken = unpack(&mut sent, to, &Draft::default());
        assert!(matches!(taken, Err(Trouble::Stream(_))), "{taken:?}");
        assert_eq!(place.paths(), ["beside", "to"]);
    }

    #[test]
    fn whoever_is_stopped_leaves_nothing_behind() {
        /// Gives the stream in two pieces, and is given up in between.
        struct Given<'a>(&'a [u8], usize, Option<Stop>);
        impl Read for Given<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                if self.1 == 0 {
                    self.2 = None;
                }
                let left = if self.2.is_some() { self.1 } else { self.0.len() };
                let count = left.min(buffer.len()).min(self.0.len());
                buffer[..count].copy_from_slice(&self.0[..count]);
                self.0 = &self.0[count..];
                self.1 = self.1.saturating_sub(count);
                Ok(count)
            }
        }
        let sent = Sent::new().file("tree", &"x".repeat(100_000)).bytes();
        let place = Place::new();
        let draft = Draft::default();
        let given = Given(&sent, 50_000, Some(Stop(draft.clone())));
        let directory = File::open(place.at("to")).unwrap().into();
        let overwrite = Overwrite::everything();
        let to = Destination { directory, path: place.at("to"), names: tree(), overwrite };
        let taken = unpack(given, to, &draft);
        assert!(matches!(taken, Err(Trouble::Here { .. })), "{taken:?}");
        assert_eq!(place.paths(), ["beside", "to"]);
    }

    #[test]
    fn what_stays_has_the_other_beside_it() {
        let place = Place::new();
        for (name, content) in [("a", "mine"), ("b", "old"), ("a.from-box", "of before")] {
            fs::write(place.at("to").join(name), content).unwrap();
        }
        let patterns = Patterns::new(["a", "b", "sub"]).unwrap();
        let stays = |path: &Path| {
            if path == Path::new("a") { Existing::Stays } else { Existing::Replaced }
        };
        let sent =
            Sent::new().file("./a", "theirs").file("./b", "new").file("./sub/.git/x", "evil");
        let overwrite = Overwrite(Box::new(stays));
        let copied = place.take_over(Names::Wanted(patterns), overwrite, &sent.bytes()).unwrap();
        let text = |name: &str| fs::read_to_string(place.at("to").join(name)).unwrap();
        assert_eq!((text("a").as_str(), text("b").as_str()), ("mine", "new"));
        assert_eq!(text("a.from-box.1"), "theirs");
        assert_eq!(copied.beside, [("a".into(), "a.from-box.1".into())]);
        assert_eq!(copied.left_out.len(), 1);
        assert!(!place.at("to/sub").exists());
    }

    #[test]
    fn a_directory_in_the_way_and_odd_members_are_told() {
        let place = Place::new();
        fs::create_dir(place.at("to/here")).unwrap();
        let taken = place.take(tree(), &Sent::new().file("tree", "x").bytes());
        assert!(matches!(taken, Err(Trouble::Here { .. })), "{taken:?}");
        let sent = Sent::new().with(EntryType::Fifo, "tree/f", "").file("tree/g", "x").bytes();
        let copied = place.take(tree(), &sent).unwrap();
        assert_eq!((copied.files, copied.left_out.len()), (1, 1));
        assert_eq!(place.paths(), ["beside", "to", "to/here", "to/here/g"]);
    }
}
