//! Copying files between this machine and a box: one exec and one tar stream each way.
//!
//! What comes from a box is taken into one directory and nowhere else, whatever the box sends; what goes to a box is put
//! in its place there once all of it has arrived. A copy that is cut off leaves no half file under a final name.

mod attributes;
mod draft;
mod pack;
mod patterns;
mod place;
mod unpack;

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncRead, AsyncReadExt as _};

use self::draft::{Draft, Stop};
pub use self::patterns::Patterns;
use self::place::{From, To, last_name};
use self::unpack::{Destination, Names};
use crate::box_root::BoxRoot;
use crate::error::{Result, SshError};
use crate::files::random_text;
use crate::session::{End, Ends3, Exec, Mark, Session, Stdio};

const FETCH: &str = include_str!("fetch.sh");
const READ: &str = include_str!("read.sh");
const PUT: &str = include_str!("put.sh");
/// How much is kept of what the scripts say.
const SAID_BYTES_MAX: u64 = 64 * 1024;
/// How much a login shell may print before a script of ours has its say.
const NOISE_BYTES_MAX: u64 = 1024 * 1024;
const BUFFER_BYTES: usize = 256 * 1024;

/// What was copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Copied {
    /// How many files and symbolic links.
    pub files: u64,
    /// How many bytes of file contents.
    pub bytes: u64,
    /// What was not copied, with the reason.
    pub left_out: Vec<LeftOut>,
    /// Files that were not written over, each with the place where the box's lies instead; relative to the destination.
    pub beside: Vec<(PathBuf, PathBuf)>,
    /// The patterns that nothing on the box has.
    pub missing: Vec<String>,
}

/// Something that was not copied.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeftOut {
    /// Its path: on this machine, or relative to the destination.
    pub path: PathBuf,
    /// Why not.
    pub why: &'static str,
}

/// What becomes of a file that is where a fetched one is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// The fetched one takes its place.
    Replaced,
    /// It stays, and the fetched one gets a name beside it.
    Stays,
}

/// What decides about files that are there already, by their paths relative to the destination.
pub struct Overwrite(pub Box<dyn FnMut(&Path) -> Existing + Send>);

impl std::fmt::Debug for Overwrite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Overwrite")
    }
}

impl Overwrite {
    fn everything() -> Self {
        Self(Box::new(|_| Existing::Replaced))
    }
}

impl Session {
    /// Copies what is at `path` on the box to `to`, or into it where that is a directory: directories with all they
    /// contain, links as links, permission bits and modification times (in whole seconds) as they are. A relative path
    /// is relative to the tree on the box; one that ends in `.` is what the directory contains.
    ///
    /// # Errors
    /// [`SshError::Invalid`] when nothing is there, [`SshError::Storage`] when it cannot be written here, and what the
    /// box meets. Files that came whole before that stay.
    ///
    /// # Cancel safety
    /// No half file stays.
    pub async fn copy_from(&self, root: &BoxRoot, path: &[u8], to: &Path) -> Result<Copied> {
        let from = From::parse(root, path)?;
        let (name, to) = (from.name.clone(), to.to_owned());
        let words = [from.name.as_deref().unwrap_or(b".")];
        let open = move || destination(name, &to);
        let copied = self.fetch((&from.directory, &words, b""), open).await?;
        if copied.missing.is_empty() { Ok(copied) } else { Err(nothing_at(path)) }
    }

    /// Copies what the patterns name below the tree on the box to the same places below `to`, which must be there.
    ///
    /// # Errors
    /// As [`Session::copy_from`]; a pattern that nothing has is told in [`Copied::missing`].
    ///
    /// # Cancel safety
    /// No half file stays.
    pub async fn download(
        &self,
        root: &BoxRoot,
        patterns: &Patterns,
        to: &Path,
        overwrite: Overwrite,
    ) -> Result<Copied> {
        let words: Vec<_> = patterns.texts().iter().map(String::as_bytes).collect();
        let (wanted, to) = (patterns.clone(), to.to_owned());
        let open = move || {
            let directory = open_directory(&to)?;
            Ok(Destination { directory, path: to, names: Names::Wanted(wanted), overwrite })
        };
        let work = root.work().into_bytes();
        let mut copied = self.fetch((&work, &words, b"glob"), open).await?;
        if copied.missing == ["0"] {
            copied.missing = patterns.texts().to_vec();
        } else {
            let text =
                |at: &String| patterns.texts().get(at.parse::<usize>().ok()?.checked_sub(1)?);
            copied.missing = copied.missing.iter().filter_map(text).cloned().collect();
        }
        Ok(copied)
    }

    /// Writes the content of the file at `path` on the box to `to`, following links on the box.
    ///
    /// # Errors
    /// As [`Session::copy_from`]; what was written before an error is a part of the file.
    ///
    /// # Cancel safety
    /// What was written is a part of the file.
    pub async fn read_file(
        &self,
        root: &BoxRoot,
        path: &[u8],
        mut to: impl Write + Send + 'static,
    ) -> Result<Copied> {
        let from = From::parse(root, path)?;
        let Some(name) = from.name else { return Err(no_file()) };
        let mark = Mark::new()?;
        let (source, child) = self.source(&mark, READ, &[&from.directory, &name]).await?;
        let kept = mark.clone();
        let taken = tokio::task::spawn_blocking(move || {
            let mut source = BufReader::with_capacity(BUFFER_BYTES, source);
            let heading = Heading::read(&mut source, &kept)?;
            if heading.has_stream() {
                let bytes = io::copy(&mut source, &mut to).and_then(|it| to.flush().map(|()| it));
                let bytes = bytes.map_err(SshError::storage("writing", "standard output"))?;
                return Ok((heading, bytes));
            }
            Ok((heading, 0))
        });
        let (heading, bytes) = ended(("reading a file", &mark), child, taken).await?;
        match heading.word.as_str() {
            "odd" => Err(no_file()),
            _ if !heading.missing.is_empty() => Err(nothing_at(path)),
            _ => Ok(Copied { files: 1, bytes, ..Copied::default() }),
        }
    }

    /// Copies `from` to `path` on the box, or into it where that is a directory there; otherwise as
    /// [`Session::copy_from`]. On the box nothing is written through a link below the destination.
    ///
    /// # Errors
    /// As [`Session::copy_from`]. What fails before all has arrived changes nothing on the box.
    ///
    /// # Cancel safety
    /// Either all of it is in its place on the box, or, while it is being put there, a part of its files.
    pub async fn copy_to(&self, root: &BoxRoot, from: &Path, path: &[u8]) -> Result<Copied> {
        let name = last_name(from.as_os_str().as_bytes()).unwrap_or_default().to_vec();
        let from = from.to_owned();
        self.put((root, path), &name, move |sink| pack::pack(&from, sink)).await
    }

    /// Copies what `from` gives, to its end, to the file at `path` on the box.
    ///
    /// # Errors
    /// As [`Session::copy_to`].
    ///
    /// # Cancel safety
    /// The file is there as a whole or not at all.
    pub async fn write_file(
        &self,
        root: &BoxRoot,
        from: impl Read + Send + 'static,
        path: &[u8],
    ) -> Result<Copied> {
        if From::parse(root, path)?.name.is_none() || path.ends_with(b"/") {
            return Err(no_file());
        }
        self.put((root, path), b"", move |sink| pack::pack_stream(from, sink)).await
    }

    async fn fetch(
        &self,
        (directory, words, how): (&[u8], &[&[u8]], &[u8]),
        open: impl FnOnce() -> Result<Destination> + Send + 'static,
    ) -> Result<Copied> {
        const DOING: &str = "fetching files";
        let mark = Mark::new()?;
        let mut args = vec![directory, how];
        args.extend(words);
        let (source, child) = self.source(&mark, FETCH, &args).await?;
        let kept = mark.clone();
        let draft = Draft::default();
        let _stop = Stop(draft.clone());
        let taken = tokio::task::spawn_blocking(move || {
            let mut source = BufReader::with_capacity(BUFFER_BYTES, source);
            let heading = Heading::read(&mut source, &kept)?;
            let mut copied = Copied::default();
            if heading.has_stream() {
                copied = unpack::unpack(source, open()?, &draft).map_err(taking)?;
            }
            copied.missing = heading.missing;
            match heading.word.as_str() {
                "lacks-tar" => Err(SshError::BoxLacks { program: "tar" }),
                _ => Ok(copied),
            }
        });
        ended((DOING, &mark), child, taken).await
    }

    async fn put(
        &self,
        (root, path): (&BoxRoot, &[u8]),
        name: &[u8],
        pack: impl FnOnce(&mut dyn Write) -> std::result::Result<Copied, pack::Trouble> + Send + 'static,
    ) -> Result<Copied> {
        const DOING: &str = "putting files in place";
        let to = To::parse(root, path)?;
        let nonce = random_text(16)?;
        let (records, work) = (root.records(), root.work());
        let needed: &[u8] = if to.is_directory { b"/" } else { b"" };
        let args = [nonce.as_bytes(), records.as_bytes(), work.as_bytes(), &to.path, name, needed];
        let (reader, writer) = pipe()?;
        // On a thread of its own; a closed pipe ends it.
        let sent = tokio::task::spawn_blocking(move || {
            let mut sink = io::BufWriter::with_capacity(BUFFER_BYTES, writer);
            pack(&mut sink)
        });
        let script = lean(PUT);
        let asked = self.ask(DOING, &script, &args, Stdio::Open(reader.into()));
        let (reply, sent) = tokio::join!(asked, sent);
        let sent = match sent.map_err(|error| SshError::lost(&error))? {
            Err(pack::Trouble::Here { path, source }) => {
                return Err(SshError::storage("reading", path)(source));
            }
            // What the box says about it explains more.
            Err(pack::Trouble::Stream(error)) => Err(SshError::lost(&error)),
            Ok(copied) => Ok(copied),
        };
        match reply?.expect_success(DOING)?.as_slice() {
            b"placed\n" => sent,
            b"lacks-tar\n" => Err(SshError::BoxLacks { program: "tar" }),
            _ => {
                let detail = "the answer makes no sense".to_owned();
                Err(SshError::Box { doing: DOING, detail })
            }
        }
    }

    /// A script whose output is read from a file, by a thread.
    async fn source(&self, mark: &Mark, script: &str, args: &[&[u8]]) -> Result<(File, Exec)> {
        let (reader, writer) = pipe()?;
        let streams =
            Ends3 { stdin: Stdio::Null, stdout: Stdio::Open(writer.into()), stderr: Stdio::Piped };
        Ok((reader, self.open(&mark.before(&lean(script)), args, streams).await?))
    }
}

/// What a script says before the stream that it sends.
#[derive(Debug, Default)]
struct Heading {
    /// The numbers of the names that nothing has.
    missing: Vec<String>,
    word: String,
}

impl Heading {
    fn read(source: &mut impl BufRead, mark: &Mark) -> Result<Self> {
        let mut source = source.take(NOISE_BYTES_MAX);
        let mut line = || {
            let mut line = Vec::new();
            let read = source.read_until(b'\n', &mut line).map_err(|it| SshError::lost(&it))?;
            if read == 0 {
                let detail = "the box sent nothing".to_owned();
                return Err(SshError::Lost { detail });
            }
            Ok(line)
        };
        while !mark.strip(&mut line()?) {}
        let mut heading = Self::default();
        loop {
            let word = String::from_utf8_lossy(&line()?).trim_end().to_owned();
            let Some(at) = word.strip_prefix("missing ") else {
                heading.word = word;
                return Ok(heading);
            };
            heading.missing.push(at.to_owned());
        }
    }

    fn has_stream(&self) -> bool {
        self.word == "begin"
    }
}

/// What came of a script whose output a thread has taken. What the box says about a stream explains more than what became
/// of it here, but not what this machine could not do.
async fn ended<T>(
    (doing, mark): (&'static str, &Mark),
    mut child: Exec,
    taken: tokio::task::JoinHandle<Result<T>>,
) -> Result<T> {
    let err = child.stderr.take();
    let (taken, mut err) = tokio::join!(taken, said(err));
    mark.strip(&mut err);
    // The status is asked for after the output: see `run::stream`.
    let end = child.end().await;
    let taken = taken.map_err(|error| SshError::lost(&error))?;
    match (taken, end) {
        (Err(error), _) if !matches!(error, SshError::Lost { .. }) => Err(error),
        (_, End::Code(code)) if code != 0 => Err(SshError::from_box(doing, code, &err)),
        (_, End::Broken(detail)) => Err(SshError::Lost { detail }),
        (taken, End::Code(_)) => taken,
    }
}

fn taking(trouble: unpack::Trouble) -> SshError {
    match trouble {
        unpack::Trouble::Here { path, source } => SshError::storage("writing", path)(source),
        unpack::Trouble::Refused(detail) => {
            SshError::Box { doing: "sending files, which are not taken", detail }
        }
        unpack::Trouble::Stream(error) => {
            SshError::Lost { detail: format!("the files did not come to their end: {error}") }
        }
    }
}

/// Where what is called `name` on the box goes, or what a directory contains if it has no name.
fn destination(name: Option<Vec<u8>>, to: &Path) -> Result<Destination> {
    let failed = |error| SshError::storage("writing", to)(error);
    let typed = to.as_os_str().as_bytes();
    let called = last_name(typed).filter(|_| !typed.ends_with(b"/"));
    let overwrite = Overwrite::everything();
    let (path, names) = match name {
        None => {
            if !to.is_dir() {
                fs::create_dir(to).map_err(failed)?;
            }
            (to.to_owned(), Names::Kept)
        }
        Some(name) if to.is_dir() => {
            (to.to_owned(), Names::Renamed { from: name.clone(), to: name })
        }
        Some(from) => {
            let Some(called) = called else {
                return Err(failed(io::ErrorKind::NotFound.into()));
            };
            let above = to.parent().filter(|it| !it.as_os_str().is_empty());
            let above = above.unwrap_or(Path::new("."));
            (above.to_owned(), Names::Renamed { from, to: called.to_vec() })
        }
    };
    Ok(Destination { directory: open_directory(&path)?, path, names, overwrite })
}

fn open_directory(path: &Path) -> Result<OwnedFd> {
    let opened = File::open(path).and_then(|file| {
        let is_directory = file.metadata()?.is_dir();
        if is_directory { Ok(file.into()) } else { Err(io::ErrorKind::NotADirectory.into()) }
    });
    opened.map_err(SshError::storage("writing", path))
}

fn pipe() -> Result<(File, File)> {
    let (reader, writer) = io::pipe().map_err(SshError::storage("opening a pipe for", "."))?;
    Ok((File::from(OwnedFd::from(reader)), File::from(OwnedFd::from(writer))))
}

/// What a script said on one stream, to a limit.
async fn said(source: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut held = Vec::new();
    let Some(mut source) = source else { return held };
    let read = (&mut source).take(SAID_BYTES_MAX).read_to_end(&mut held).await;
    let rest = tokio::io::copy(&mut source, &mut tokio::io::sink()).await;
    tracing::trace!(?read, ?rest, "a script said its last");
    held
}

fn nothing_at(path: &[u8]) -> SshError {
    let path = String::from_utf8_lossy(path).escape_debug().to_string();
    SshError::invalid("the path on the box", format!("there is no {path}"))
}

fn no_file() -> SshError {
    SshError::invalid("the path on the box", "one file is wanted, and this is none")
}

/// The script without what only people read.
fn lean(script: &str) -> Vec<u8> {
    let lines = script.lines().map(str::trim_start);
    let lines: Vec<_> = lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    lines.join("\n").into_bytes()
}
