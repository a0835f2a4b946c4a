//! Channels on a connection: a script of ours on the box, its input and its bounded answer.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;

use openssh::{Child, Stdio};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};

use super::Session;
use crate::error::{Result, SshError};
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
        let stdin = if input.is_empty() { Stdio::null() } else { Stdio::piped() };
        let mut child = self
            .open(script, args, Ends3 { stdin, stdout: Stdio::piped(), stderr: Stdio::piped() })
            .await?;
        let (stdin, stdout, stderr) =
            (child.stdin().take(), child.stdout().take(), child.stderr().take());
        let feeding = async {
            let Some(mut stdin) = stdin else { return Ok(()) };
            let fed = async {
                stdin.write_all(input).await?;
                stdin.flush().await
            };
            // A script that stopped reading says why with its status.
            fed.await.or_else(|error| {
                if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) }
            })
        };
        let (fed, stdout, stderr) = tokio::join!(
            feeding,
            collect(stdout, STDOUT_BYTES_MAX),
            collect(stderr, STDERR_BYTES_MAX)
        );
        let broken = |error: io::Error| SshError::lost(&error);
        let (stdout, stderr) = (stdout.map_err(broken)?, stderr.map_err(broken)?);
        fed.map_err(broken)?;
        if stdout.len() as u64 > STDOUT_BYTES_MAX {
            return Err(SshError::Box { doing, detail: "it answered too much".to_owned() });
        }
        Ok(Reply { end: end_of(child).await, stdout, stderr })
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
