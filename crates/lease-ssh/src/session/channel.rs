//! Channels on a connection: a script of ours on the box, its input and its bounded answer.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;

use openssh::{Child, Stdio};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe;

use super::Session;
use super::noise::Mark;
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

/// A channel's three streams on this side.
#[derive(Debug)]
pub(crate) struct Ends3 {
    pub(crate) stdin: Stdio,
    pub(crate) stdout: Stdio,
    pub(crate) stderr: Stdio,
}

impl Session {
    /// Starts `script` with `args` as `$1` and on, under `/bin/sh` whatever the login shell is.
    pub(crate) async fn open(
        &self,
        script: &[u8],
        args: &[&[u8]],
        streams: Ends3,
    ) -> Result<Child<Arc<openssh::Session>>> {
        let line = request(script, args)?;
        let mut command = Arc::clone(&self.mux).arc_raw_command(OsStr::from_bytes(&line));
        command.stdin(streams.stdin).stdout(streams.stdout).stderr(streams.stderr);
        Ok(command.spawn().await?)
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
            return self.ask(doing, script, args, Stdio::null()).await;
        }
        let broken = |error: io::Error| SshError::lost(&error);
        let (mut writer, reader) = pipe::pipe().map_err(broken)?;
        let reader = Stdio::from(reader.into_blocking_fd().map_err(broken)?);
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
        let mark = Mark::new()?;
        let streams = Ends3 { stdin, stdout: Stdio::piped(), stderr: Stdio::piped() };
        let mut child = self.open(&mark.before(script), args, streams).await?;
        let (stdout, stderr) = (child.stdout().take(), child.stderr().take());
        let (stdout, stderr) =
            tokio::join!(collect(stdout, STDOUT_BYTES_MAX), collect(stderr, STDERR_BYTES_MAX));
        let broken = |error: io::Error| SshError::lost(&error);
        let (mut stdout, mut stderr) = (stdout.map_err(broken)?, stderr.map_err(broken)?);
        if stdout.len() as u64 > STDOUT_BYTES_MAX {
            return Err(SshError::Box { doing, detail: "it answered too much".to_owned() });
        }
        // The status comes after the output: see `run::stream`.
        let end = end_of(child).await;
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

/// Waits for the channel's end.
pub(crate) async fn end_of(child: Child<Arc<openssh::Session>>) -> End {
    match child.wait().await {
        Ok(status) => status.code().map_or_else(|| End::Broken(status.to_string()), End::Code),
        // The crate turns 127 into an error of its own.
        Err(openssh::Error::Remote(error)) if error.kind() == io::ErrorKind::NotFound => {
            End::Code(127)
        }
        Err(error) => End::Broken(error.to_string()),
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
