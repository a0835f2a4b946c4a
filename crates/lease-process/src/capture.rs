//! Running a program to its end within bounds of time and memory.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::ChildStdin;

use crate::program::{Input, Program};
use crate::{Child, Exit, ProcessError};

/// How much is read at once. The size of a Linux pipe.
const CHUNK_BYTES: usize = 64 * 1024;

/// What a program may use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long it may take from its start until it has ended and its output streams are closed.
    pub deadline: Duration,
    /// How many bytes of standard output are held. One more is an error: a cut answer is a wrong answer.
    pub stdout_bytes_max: usize,
    /// How many bytes of standard error are held. Of more, the beginning and the end are kept, with a line between
    /// them that tells how much was left out: it is for people.
    pub stderr_bytes_max: usize,
}

impl Default for Limits {
    /// One minute, 16 MiB of standard output, 64 KiB of standard error.
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(60),
            stdout_bytes_max: 16 * 1024 * 1024,
            stderr_bytes_max: 64 * 1024,
        }
    }
}

/// What a program left when it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Output {
    /// How it ended.
    pub status: Exit,
    /// All of its standard output, if that was a pipe.
    pub stdout: Vec<u8>,
    /// Its standard error, if that was a pipe; the middle may be missing, see [`Limits::stderr_bytes_max`].
    pub stderr: Vec<u8>,
    /// How many bytes of standard error were left out.
    pub stderr_left_out_bytes: u64,
}

/// Runs `program` to its end and collects what it prints.
///
/// However this ends, and also when the future is dropped, the program's whole process group is killed and the
/// program itself is reaped, so what it left running in its group does not stay. A descendant that moved to another
/// group and keeps an output stream open makes the call wait until the deadline; give a program that starts daemons
/// a file or [`Stream::Null`](crate::Stream::Null) for them.
///
/// # Errors
///
/// Nothing ran if [`ProcessError::may_have_run`] says so. A status other than 0 is not an error.
///
/// # Cancel safety
///
/// Dropping the future kills the process group.
pub async fn output(program: &Program, limits: Limits) -> Result<Output, ProcessError> {
    if matches!(program.stdin, Input::Pipe) {
        let reason =
            "a program that is run to its end takes its input as bytes, not through a pipe";
        return Err(ProcessError::Invalid { program: program.name(), reason });
    }
    let mut child = Child::start(program)?;
    let finished =
        tokio::time::timeout(limits.deadline, collect(&mut child, program, limits)).await;
    child.finish().await;
    finished.unwrap_or_else(|_elapsed| {
        Err(ProcessError::Deadline { program: program.name(), after: limits.deadline })
    })
}

async fn collect(
    child: &mut Child,
    program: &Program,
    limits: Limits,
) -> Result<Output, ProcessError> {
    let (stdin, stdout, stderr) = (child.take_stdin(), child.take_stdout(), child.take_stderr());
    let fed = async {
        feed(stdin, &program.stdin).await?;
        // A fed child is not a finished one.
        std::future::pending::<Result<Output, ProcessError>>().await
    };
    let ended = async {
        let (stdout, stderr, status) = tokio::try_join!(
            read_whole(stdout, program, limits.stdout_bytes_max),
            read_ends(stderr, limits.stderr_bytes_max),
            child.wait(),
        )?;
        let (stderr, stderr_left_out_bytes) = stderr.into_bytes();
        Ok(Output { status, stdout, stderr, stderr_left_out_bytes })
    };
    tokio::select! {
        result = ended => result,
        result = fed => result,
    }
}

async fn feed(stdin: Option<ChildStdin>, input: &Input) -> Result<(), ProcessError> {
    let (Some(mut stdin), Input::Bytes(bytes)) = (stdin, input) else { return Ok(()) };
    match stdin.write_all(bytes).await {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(ProcessError::io("writing to a child")),
    }
}

async fn read_whole(
    source: Option<impl AsyncRead + Unpin>,
    program: &Program,
    limit_bytes: usize,
) -> Result<Vec<u8>, ProcessError> {
    let mut whole = Vec::new();
    let Some(source) = source else { return Ok(whole) };
    // One byte beyond the cap tells "too much" from "exactly as much".
    let mut source = source.take(u64::try_from(limit_bytes).unwrap_or(u64::MAX).saturating_add(1));
    source.read_to_end(&mut whole).await.map_err(ProcessError::io("reading from a child"))?;
    if whole.len() > limit_bytes {
        return Err(ProcessError::OutputTooLarge { program: program.name(), limit_bytes });
    }
    Ok(whole)
}

async fn read_ends(
    source: Option<impl AsyncRead + Unpin>,
    limit_bytes: usize,
) -> Result<Ends, ProcessError> {
    let mut ends = Ends::new(limit_bytes);
    let Some(mut source) = source else { return Ok(ends) };
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read =
            source.read(&mut chunk).await.map_err(ProcessError::io("reading from a child"))?;
        if read == 0 {
            return Ok(ends);
        }
        ends.push(&chunk[..read]);
    }
}

/// The beginning and the end of a stream, in bounded memory.
#[derive(Debug)]
struct Ends {
    head: Vec<u8>,
    tail: Vec<u8>,
    head_bytes_max: usize,
    tail_bytes_max: usize,
    left_out_bytes: u64,
}

impl Ends {
    fn new(limit_bytes: usize) -> Self {
        let head_bytes_max = limit_bytes / 2;
        let tail_bytes_max = limit_bytes - head_bytes_max;
        Self {
            head: Vec::new(),
            tail: Vec::new(),
            head_bytes_max,
            tail_bytes_max,
            left_out_bytes: 0,
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        let (first, rest) = bytes.split_at(bytes.len().min(self.head_bytes_max - self.head.len()));
        self.head.extend_from_slice(first);
        self.tail.extend_from_slice(rest);
        // The tail is cut when it has doubled, so that a long stream costs a copy per byte and not one per chunk.
        if self.tail.len() > 2 * self.tail_bytes_max {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let excess = self.tail.len().saturating_sub(self.tail_bytes_max);
        self.tail.drain(..excess);
        self.left_out_bytes += excess as u64;
    }

    fn into_bytes(mut self) -> (Vec<u8>, u64) {
        self.cut();
        if self.left_out_bytes > 0 {
            let gap = format!("\n[{} bytes left out]\n", self.left_out_bytes);
            self.head.extend_from_slice(gap.as_bytes());
        }
        self.head.append(&mut self.tail);
        (self.head, self.left_out_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(limit_bytes: usize, chunks: &[&str], expect: &str, left_out_bytes: u64) {
        let mut ends = Ends::new(limit_bytes);
        for chunk in chunks {
            ends.push(chunk.as_bytes());
        }
        let (bytes, left_out) = ends.into_bytes();
        assert_eq!((String::from_utf8_lossy(&bytes).as_ref(), left_out), (expect, left_out_bytes));
    }

    #[test]
    fn keeps_both_ends() {
        check(4, &[], "", 0);
        check(4, &["ab", "cd"], "abcd", 0);
        check(4, &["abcde"], "ab\n[1 bytes left out]\nde", 1);
        check(4, &["a", "bcdefgh", "ij", "k"], "ab\n[7 bytes left out]\njk", 7);
        check(0, &["abc"], "\n[3 bytes left out]\n", 3);
        check(1, &["abc"], "\n[2 bytes left out]\nc", 2);
    }
}
