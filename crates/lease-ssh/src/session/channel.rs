//! Channels on a connection: a script of ours on the box, its input and its bounded answer.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe::{self, Receiver, Sender};

use super::mux::{Mux, Requested};
use super::noise::Mark;
use super::{Link, Session};
use crate::error::{Result, SshError, shortened};
use crate::quote::{quote, quote_all};

/// The most that a script of ours may answer. The list of files of an earlier sync is the longest answer.
const STDOUT_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// How much of a script's complaints is kept.
const STDERR_BYTES_MAX: u64 = 64 * 1024;
/// One argument of the shell that sshd starts may hold 128 KiB on Linux.
pub(crate) const REQUEST_BYTES_MAX: usize = 128_000;

/// How a channel ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The remote shell ended with this status.
    Code(i32),
    /// The channel ended without a status: a signal ended the remote shell, or the connection was lost.
    Broken(String),
}

/// What a script of ours left.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) end: End,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

impl Reply {
    /// Its standard output, if it ended with 0.
    pub(crate) fn expect_success(self, doing: &'static str) -> Result<Vec<u8>> {
        match self.end {
            End::Code(0) => Ok(self.stdout),
            End::Code(code) => Err(SshError::from_box(doing, code, &self.stderr)),
            End::Broken(detail) => Err(SshError::Lost { detail }),
        }
    }
}

/// Where one of a channel's streams leads on this side.
#[derive(Debug)]
pub(crate) enum Stdio {
    /// It is empty, or thrown away.
    Null,
    /// To whoever started the script.
    Piped,
    /// To something that is open.
    Open(OwnedFd),
}

impl Stdio {
    /// The end that a script reads, and ours.
    fn source(self) -> io::Result<(OwnedFd, Option<Sender>)> {
        match self {
            Self::Null => Ok((File::open("/dev/null")?.into(), None)),
            Self::Open(source) => Ok((source, None)),
            Self::Piped => {
                let (writer, source) = pipe::pipe()?;
                Ok((source.into_blocking_fd()?, Some(writer)))
            }
        }
    }

    /// The end that a script writes to, and ours.
    fn sink(self) -> io::Result<(OwnedFd, Option<Receiver>)> {
        match self {
            Self::Null => Ok((File::options().write(true).open("/dev/null")?.into(), None)),
            Self::Open(sink) => Ok((sink, None)),
            Self::Piped => {
                let (sink, reader) = pipe::pipe()?;
                Ok((sink.into_blocking_fd()?, Some(reader)))
            }
        }
    }
}

/// A channel's three streams on this side.
#[derive(Debug)]
pub(crate) struct Ends3 {
    pub(crate) stdin: Stdio,
    pub(crate) stdout: Stdio,
    pub(crate) stderr: Stdio,
}

impl Session {
    /// Starts `script` with `args` as `$1` and on, under `/bin/sh` whatever the login shell is.
    pub(crate) async fn open(&self, script: &[u8], args: &[&[u8]], streams: Ends3) -> Result<Exec> {
        self.request(script, args, streams).await?.opened().await
    }

    /// The same, without waiting for the box.
    async fn request(&self, script: &[u8], args: &[&[u8]], streams: Ends3) -> Result<Opening> {
        let (request, place) = (request(script, args)?, self.link.clone());
        let requested = async {
            let (their_stdin, stdin) = streams.stdin.source()?;
            let (their_stdout, stdout) = streams.stdout.sink()?;
            let (their_stderr, stderr) = streams.stderr.sink()?;
            let ends = [their_stdin, their_stdout, their_stderr];
            let requested = Requested::from(place.control(), &request, ends).await?;
            Ok(Opening { stdin, stdout, stderr, requested, place })
        };
        requested.await.map_err(|error: io::Error| SshError::lost(&error))
    }

    /// Runs `script` to its end with `input` on its standard input.
    pub(crate) async fn script(
        &self,
        doing: &'static str,
        script: &[u8],
        args: &[&[u8]],
        input: &[u8],
    ) -> Result<Reply> {
        if input.is_empty() {
            return self.ask(doing, script, args, Stdio::Null).await;
        }
        let broken = |error: io::Error| SshError::lost(&error);
        let (mut writer, reader) = pipe::pipe().map_err(broken)?;
        let reader = Stdio::Open(reader.into_blocking_fd().map_err(broken)?);
        let feeding = async move {
            // A script that stopped reading says why with its status.
            writer.write_all(input).await.or_else(|error| {
                if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) }
            })
        };
        let (fed, reply) = tokio::join!(feeding, self.ask(doing, script, args, reader));
        let reply = reply?;
        fed.map_err(broken)?;
        Ok(reply)
    }

    /// Runs `script` to its end with this standard input. What a login shell said before is no part of the answer.
    pub(crate) async fn ask(
        &self,
        doing: &'static str,
        script: &[u8],
        args: &[&[u8]],
        stdin: Stdio,
    ) -> Result<Reply> {
        self.begin(doing, script, args, stdin).await?.opened().await?.reply().await
    }

    /// As [`Session::ask`], without waiting for the box.
    pub(crate) async fn begin(
        &self,
        doing: &'static str,
        script: &[u8],
        args: &[&[u8]],
        stdin: Stdio,
    ) -> Result<Question> {
        let mark = Mark::new()?;
        let streams = Ends3 { stdin, stdout: Stdio::Piped, stderr: Stdio::Piped };
        let opening = self.request(&mark.before(script), args, streams).await?;
        Ok(Question { doing, mark, opening })
    }
}

/// A script for which a session was asked for. Dropping it gives the session up.
#[derive(Debug)]
pub(crate) struct Question {
    doing: &'static str,
    mark: Mark,
    opening: Opening,
}

impl Question {
    /// Waits until the session is open.
    pub(crate) async fn opened(self) -> Result<Underway> {
        let Self { doing, mark, opening } = self;
        Ok(Underway { doing, mark, child: opening.opened().await? })
    }
}

/// A script whose session is open. Dropping it gives the session up.
#[derive(Debug)]
pub(crate) struct Underway {
    doing: &'static str,
    mark: Mark,
    child: Exec,
}

impl Underway {
    /// Waits for the script's end.
    pub(crate) async fn reply(self) -> Result<Reply> {
        let Self { doing, mark, mut child } = self;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (stdout, stderr) =
            tokio::join!(collect(stdout, STDOUT_BYTES_MAX), collect(stderr, STDERR_BYTES_MAX));
        let broken = |error: io::Error| SshError::lost(&error);
        let (mut stdout, mut stderr) = (stdout.map_err(broken)?, stderr.map_err(broken)?);
        if stdout.len() as u64 > STDOUT_BYTES_MAX {
            return Err(SshError::Box { doing, detail: "it answered too much".to_owned() });
        }
        // The status is asked for after the output: see `run::stream`.
        let end = child.end().await;
        let has_run = mark.strip(&mut stdout);
        mark.strip(&mut stderr);
        if has_run {
            return Ok(Reply { end, stdout, stderr });
        }
        // A shell that refuses to work may say why on either stream.
        stderr.append(&mut stdout);
        if end != End::Code(0) {
            return Ok(Reply { end, stdout, stderr });
        }
        // Whatever ended so well, it was not the script.
        let said = shortened(&stderr);
        let detail = format!("the login shell ended before the script began: {said}");
        Err(SshError::Box { doing, detail })
    }
}

/// A script for which a session was asked for, with our ends of its streams.
#[derive(Debug)]
struct Opening {
    stdin: Option<Sender>,
    stdout: Option<Receiver>,
    stderr: Option<Receiver>,
    requested: Requested,
    place: Link,
}

impl Opening {
    async fn opened(self) -> Result<Exec> {
        let Self { stdin, stdout, stderr, requested, place } = self;
        let mux = requested.answer().await.map_err(|error| SshError::lost(&error))?;
        Ok(Exec { stdin, stdout, stderr, mux, place })
    }
}

/// A script that was started. Dropping it gives its session up.
#[derive(Debug)]
pub(crate) struct Exec {
    pub(crate) stdin: Option<Sender>,
    pub(crate) stdout: Option<Receiver>,
    pub(crate) stderr: Option<Receiver>,
    mux: Mux,
    place: Link,
}

impl Exec {
    /// Waits for its end, whose streams have ended before.
    pub(crate) async fn end(self) -> End {
        self.place.end_of(self.mux).await
    }
}

impl Link {
    /// Waits for the end of a session, whose streams have ended before.
    ///
    /// The status travels ahead of the output, and a connection's process that dies ends the output as well: only one that
    /// is there after that end has passed on all of it.
    pub(crate) async fn end_of(&self, mux: Mux) -> End {
        let master = mux.master();
        match tokio::join!(mux.end(), self.ask_master()) {
            (End::Code(_), asked) if asked.is_none() || asked != master => {
                End::Broken("the connection was lost before all of the output had come".to_owned())
            }
            (end, _) => end,
        }
    }
}

/// The exec request, and whether it fits.
pub(crate) fn request(script: &[u8], args: &[&[u8]]) -> Result<Vec<u8>> {
    let mut line = b"exec /bin/sh -c ".to_vec();
    line.extend(quote(script));
    // The word after the script is $0, which shells put before their complaints.
    line.extend_from_slice(b" lease ");
    line.extend(quote_all(args.iter().copied()));
    if line.contains(&0) {
        return Err(SshError::invalid("a command", "it has a NUL byte"));
    }
    if line.len() > REQUEST_BYTES_MAX {
        return Err(SshError::invalid("a command", "it is too long for one request"));
    }
    Ok(line)
}

async fn collect(source: Option<impl AsyncRead + Unpin>, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut held = Vec::new();
    if let Some(mut source) = source {
        (&mut source).take(bytes_max + 1).read_to_end(&mut held).await?;
        // The rest is read and dropped, so that the script can end.
        tokio::io::copy(&mut source, &mut tokio::io::sink()).await?;
    }
    Ok(held)
}
