//! Running one process of an adapter: fed once, read within bounds, ended with everything it started.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lease_core::Secret;
use lease_process::{Child, Exit, Input, ProcessError, Program, Signal, spawn};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio::time::timeout;

use crate::config::ExternalConfig;
use crate::error::ExternalError;

/// The variable by which a running acquire is recognised after its client is gone.
pub(crate) const MARK: &str = "LEASE_EXTERNAL_ACQUIRE";

/// How long streams are read on after the adapter has ended: something that left its group may hold them open.
const DRAIN_TIME_MAX: Duration = Duration::from_millis(250);

/// How long an adapter that is out of time may take to end by itself.
const END_GRACE: Duration = Duration::from_secs(2);

const CHUNK_BYTES: usize = 16 * 1024;

/// Who hears what an adapter writes for people, while it writes it.
pub trait Listener: fmt::Debug + Send + Sync {
    /// Takes some bytes of standard error, as they come.
    fn heard(&self, bytes: &[u8]);
}

/// Hears nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unheard;

impl Listener for Unheard {
    fn heard(&self, _bytes: &[u8]) {}
}

/// What every process of an adapter has in common.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) directory: Option<PathBuf>,
    pub(crate) bytes_max: usize,
    pub(crate) listener: Arc<dyn Listener>,
    /// What must not stand in an error, should the adapter print it.
    pub(crate) secrets: Vec<Secret>,
}

/// Words in the names of variables and settings whose values are credentials.
const SECRET_NAMES: [&str; 6] = ["token", "secret", "password", "passwd", "credential", "key"];

/// Shorter values are too common to be taken out of a text.
const SECRET_CHARS_MIN: usize = 6;

/// Shows nothing of the environment.
impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("bytes_max", &self.bytes_max).finish_non_exhaustive()
    }
}

/// One process to run.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    pub(crate) operation: &'static str,
    pub(crate) argv: &'a [String],
    /// Variables beside the common ones.
    pub(crate) env: Vec<(String, String)>,
    pub(crate) stdin: Vec<u8>,
    pub(crate) deadline: Duration,
    pub(crate) stdout: Stdout,
}

/// For whom the standard output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stdout {
    /// It is the answer.
    Answer,
    /// It is for people, as standard error is.
    People,
}

/// What a process left.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: Exit,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

impl Caller {
    /// What the processes of this adapter have in common.
    pub(crate) fn of(config: &ExternalConfig, listener: Arc<dyn Listener>) -> Self {
        let is_secret = |name: &str, value: &str| {
            let name = name.to_ascii_lowercase();
            value.len() >= SECRET_CHARS_MIN && SECRET_NAMES.iter().any(|it| name.contains(it))
        };
        let variables = config.environment.iter().map(|(name, value)| (name, value.as_str()));
        let settings = config.config.iter();
        let settings = settings.filter_map(|(name, value)| Some((name, value.as_str()?)));
        let secrets = variables.chain(settings).filter(|(name, value)| is_secret(name, value));
        Self {
            environment: config.environment.clone(),
            directory: config.directory.clone(),
            bytes_max: config.output_bytes_max,
            listener,
            secrets: secrets.map(|(_, value)| Secret::new(value)).collect(),
        }
    }

    /// Takes credentials out of what an adapter says: errors are printed and written down.
    fn redacted(&self, said: &mut Said) {
        for stream in [&mut said.stdout, &mut said.stderr] {
            let text = String::from_utf8_lossy(stream).into_owned();
            *stream = self.redacted_text(text).into_bytes();
        }
    }

    pub(crate) fn redacted_text(&self, text: String) -> String {
        self.secrets.iter().fold(text, |text, it| it.redact(&text))
    }

    /// Runs one process to its end.
    ///
    /// # Cancel safety
    /// Dropping the future kills the process group.
    pub(crate) async fn run(&self, job: Job<'_>) -> Result<Said, ExternalError> {
        let [program, args @ ..] = job.argv else {
            return Err(ExternalError::config("command", "it is empty"));
        };
        let mut program = Program::new(program.trim())
            .args(args)
            .inherit_env(self.environment.iter().cloned())
            .inherit_env(job.env)
            .stdin(Input::Pipe);
        if let Some(directory) = &self.directory {
            program = program.cwd(directory);
        }
        let mut child = spawn(&program)?;
        let mut streams = Streams::of(&mut child, self, job.stdout);
        let (stdin, deadline) = (child.take_stdin(), job.deadline);
        let feeding = feed(stdin, &job.stdin);
        let ended = timeout(deadline, streams.until_exit(&child, feeding)).await;
        let status = match ended {
            Ok(Ok(status)) => status,
            Ok(Err(error)) => {
                child.stop(Duration::ZERO).await?;
                return Err(error);
            }
            Err(_elapsed) => {
                child.stop(END_GRACE).await?;
                return Err(ExternalError::Deadline { operation: job.operation, after: deadline });
            }
        };
        // What the adapter left in its group has no business any more, and would hold the streams open.
        child.signal(Signal::Kill)?;
        let drained = timeout(DRAIN_TIME_MAX, streams.until_closed()).await;
        child.stop(Duration::ZERO).await?;
        if let Ok(drained) = drained {
            drained?;
        }
        let mut said = Said { status, stdout: streams.out.bytes, stderr: streams.err.bytes };
        if !status.success() {
            self.redacted(&mut said);
        }
        Ok(said)
    }
}

async fn feed(stdin: Option<ChildStdin>, bytes: &[u8]) {
    let Some(mut stdin) = stdin else { return };
    // An adapter that stops reading early says by its answer whether that was right.
    if let Err(error) = stdin.write_all(bytes).await {
        tracing::debug!(%error, "the adapter did not read its request to the end");
    }
}

/// Both output streams, with what was read of them so far.
struct Streams<'a> {
    out: Stream<ChildStdout>,
    err: Stream<ChildStderr>,
    listener: &'a dyn Listener,
    stdout: Stdout,
}

struct Stream<R> {
    name: &'static str,
    source: Option<R>,
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl<'a> Streams<'a> {
    fn of(child: &mut Child, caller: &'a Caller, stdout: Stdout) -> Self {
        let bytes_max = caller.bytes_max;
        let out = child.take_stdout();
        let err = child.take_stderr();
        Self {
            out: Stream { name: "standard output", source: out, bytes: Vec::new(), bytes_max },
            err: Stream { name: "standard error", source: err, bytes: Vec::new(), bytes_max },
            listener: caller.listener.as_ref(),
            stdout,
        }
    }

    async fn until_exit(
        &mut self,
        child: &Child,
        feeding: impl Future<Output = ()>,
    ) -> Result<Exit, ExternalError> {
        let fed_and_ended = async {
            let ((), ended) = tokio::join!(feeding, child.wait());
            ended
        };
        let mut exit = std::pin::pin!(fed_and_ended);
        let mut just_exit = std::pin::pin!(child.wait());
        loop {
            tokio::select! {
                ended = &mut exit => return Ok(ended?),
                // An adapter that ended without reading its request leaves the feeding where it is.
                ended = &mut just_exit => return Ok(ended?),
                read = self.read_one() => {
                    if !read? {
                        return Ok(exit.await?);
                    }
                }
            }
        }
    }

    async fn until_closed(&mut self) -> Result<(), ExternalError> {
        while self.read_one().await? {}
        Ok(())
    }

    /// Reads a bit of one stream; `false` when both are closed.
    async fn read_one(&mut self) -> Result<bool, ExternalError> {
        let (before_out, before_err) = (self.out.bytes.len(), self.err.bytes.len());
        if self.out.source.is_none() && self.err.source.is_none() {
            return Ok(false);
        }
        tokio::select! {
            read = self.out.read(), if self.out.source.is_some() => read?,
            read = self.err.read(), if self.err.source.is_some() => read?,
        }
        if let Some(new) = self.err.bytes.get(before_err..).filter(|it| !it.is_empty()) {
            self.listener.heard(new);
        }
        if self.stdout == Stdout::People
            && let Some(new) = self.out.bytes.get(before_out..).filter(|it| !it.is_empty())
        {
            self.listener.heard(new);
        }
        Ok(true)
    }
}

impl<R: AsyncRead + Unpin> Stream<R> {
    /// Reads a bit; closes the stream at its end.
    ///
    /// # Cancel safety
    /// A cancelled read took nothing.
    async fn read(&mut self) -> Result<(), ExternalError> {
        let Some(source) = &mut self.source else { return Ok(()) };
        self.bytes.reserve(CHUNK_BYTES);
        let read = source.read_buf(&mut self.bytes).await;
        let read =
            read.map_err(|source| ProcessError::Io { doing: "reading from the adapter", source })?;
        if read == 0 {
            self.source = None;
            return Ok(());
        }
        if self.bytes.len() > self.bytes_max {
            let bytes_max = self.bytes_max;
            return Err(ExternalError::Overflow { stream: self.name, bytes_max });
        }
        Ok(())
    }
}
