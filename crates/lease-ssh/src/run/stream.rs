//! The ends of a command's streams on this side.
//!
//! ssh's connection process throws away what it has not delivered yet as soon as the asker leaves, and the asker leaves
//! when it knows the status. So the status is asked for after the streams have ended and not before, and to know when
//! that is, everything that the command prints passes through a pipe of ours.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use lease_core::retry::pause;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::unix::pipe::{self, Receiver};
use tokio::sync::oneshot;

use super::beginning::Behind;
use super::command::{Input, Sink};
use super::tap::{Gather, Tap};
use crate::error::{Result, SshError};
use crate::session::Stdio;

/// How much is passed on at once.
const CHUNK_BYTES: usize = 256 * 1024;
/// How much at first. Most commands print little, and fresh memory for more costs as much as some of them run.
const FIRST_CHUNK_BYTES: usize = 8 * 1024;
/// How much a pipe shall hold: each turn of a long output costs three processes a wait. More is not allowed to everybody.
const PIPE_BYTES: usize = 1024 * 1024;
/// From here on an output is a long one, until nothing comes for a while.
const LONG_BYTES: usize = 256 * 1024;
/// How long a long output is left to gather in its pipe. A fast connection does not fill it meanwhile, and reading each of
/// its packets would cost a waking.
const GATHERING: Duration = Duration::from_millis(1);

/// The writing end of a command's standard input. Dropping it is the end of file.
pub type Writer = pipe::Sender;

/// The reading end of a command's standard output or standard error.
///
/// Dropping it closes the stream for the command.
#[derive(Debug)]
pub struct Reader {
    source: Behind<Tap>,
    /// What was read and is to be read again.
    held: Vec<u8>,
    /// Told at the end of the stream, dropped with a reader that saw none.
    open: Option<oneshot::Sender<()>>,
}

/// Has a pipe hold more, where the system can and allows it.
pub(crate) fn widen(pipe: impl AsFd) {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::pipe::fcntl_setpipe_size(pipe, PIPE_BYTES) {
        tracing::trace!(%error, "the pipe keeps its size");
    }
    #[cfg(not(target_os = "linux"))]
    let _size_is_the_systems = pipe;
}

/// One output stream of a running command.
#[derive(Debug)]
pub(super) struct Outlet {
    reader: Option<Reader>,
    target: Option<OwnedFd>,
    ended: Option<oneshot::Receiver<()>>,
}

impl Outlet {
    /// Makes the stream and the end of it that the command gets. `behind` finds where it begins.
    pub(super) fn new(
        sink: Sink,
        behind: impl FnOnce(Tap) -> Behind<Tap>,
    ) -> Result<(Self, Stdio)> {
        let target = match sink {
            Sink::Null => {
                return Ok((Self { reader: None, target: None, ended: None }, Stdio::Null));
            }
            Sink::Pipe => None,
            Sink::Open(target) => Some(target),
        };
        let (writer, source) = pipe::pipe().map_err(|error| SshError::lost(&error))?;
        widen(&source);
        let writer = writer.into_blocking_fd().map_err(|error| SshError::lost(&error))?;
        let (open, ended) = oneshot::channel();
        let reader =
            Some(Reader { source: behind(Tap::from(source)), held: Vec::new(), open: Some(open) });
        Ok((Self { reader, target, ended: Some(ended) }, Stdio::Open(writer)))
    }

    /// The stream whose reading end somebody else has made. It is for the caller.
    pub(super) fn of(source: Receiver, behind: impl FnOnce(Tap) -> Behind<Tap>) -> Self {
        let (open, ended) = oneshot::channel();
        let reader =
            Some(Reader { source: behind(Tap::from(source)), held: Vec::new(), open: Some(open) });
        Self { reader, target: None, ended: Some(ended) }
    }

    /// The reading end, once, if it is for the caller.
    pub(super) fn take(&mut self) -> Option<Reader> {
        if self.target.is_some() { None } else { self.reader.take() }
    }

    /// Puts the reading end back.
    pub(super) fn put_back(&mut self, reader: Reader) {
        self.reader = Some(reader);
    }

    /// Copies to the descriptor if there is one, and waits for the stream's end. An end that nobody took is closed.
    pub(super) async fn drain(mut self) -> Read {
        let reader = self.reader.take();
        if let (Some(reader), Some(target)) = (reader, self.target) {
            pump(reader, tokio::fs::File::from_std(File::from(target))).await;
        }
        let Some(ended) = self.ended else { return Read::Whole };
        if ended.await.is_ok() { Read::Whole } else { Read::InPart }
    }
}

/// How much of a stream was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// All of it, or it was never to be read.
    Whole,
    /// Its reader was dropped before its end.
    InPart,
}

impl Reader {
    /// Puts bytes back that were read.
    pub(crate) fn put_back(&mut self, mut bytes: Vec<u8>) {
        bytes.append(&mut self.held);
        self.held = bytes;
    }
}

impl Gather for Reader {
    fn gather(&mut self) {
        self.source.gather();
    }
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.held.is_empty() {
            let count = self.held.len().min(buffer.remaining());
            buffer.put_slice(&self.held[..count]);
            self.held.drain(..count);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let asked = buffer.remaining() > 0;
        let polled = Pin::new(&mut self.source).poll_read(cx, buffer);
        let ended = match &polled {
            Poll::Pending => false,
            Poll::Ready(Ok(())) => asked && buffer.filled().len() == before,
            Poll::Ready(Err(_)) => true,
        };
        if ended && let Some(open) = self.open.take() {
            let heard = open.send(());
            tracing::trace!(?heard, "a stream ended");
        }
        polled
    }
}

/// The end of a standard input that the command gets, and the one that the caller gets.
pub(super) fn inlet(input: Input) -> Result<(Option<Writer>, Stdio)> {
    match input {
        Input::Null => Ok((None, Stdio::Null)),
        Input::Open(source) => Ok((None, Stdio::Open(source))),
        Input::Pipe => {
            let (writer, source) = pipe::pipe().map_err(|error| SshError::lost(&error))?;
            let source = source.into_blocking_fd().map_err(|error| SshError::lost(&error))?;
            Ok((Some(writer), Stdio::Open(source)))
        }
    }
}

/// Makes room for more at once where a read has filled what there was.
fn grow(chunk: &mut Vec<u8>, read: usize) {
    if read == chunk.len() && chunk.len() < CHUNK_BYTES {
        *chunk = vec![0; CHUNK_BYTES];
    }
}

/// Copies until one side ends, then drops both, which closes the command's stream.
pub(super) async fn pump(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let copied: io::Result<()> = async {
        let mut chunk = vec![0; FIRST_CHUNK_BYTES];
        loop {
            let read = from.read(&mut chunk).await?;
            if read == 0 {
                return to.flush().await;
            }
            to.write_all(&chunk[..read]).await?;
            to.flush().await?;
            grow(&mut chunk, read);
        }
    }
    .await;
    if let Err(error) = copied {
        tracing::debug!(%error, "a stream ended early");
    }
}

/// A sink with the number of the bytes that are behind it.
#[derive(Debug)]
pub(super) struct Counted<W> {
    to: W,
    bytes: u64,
    /// Whether it may hold back some of them.
    holds: bool,
    /// Whether it took no more once.
    is_closed: bool,
}

impl<W> Counted<W> {
    pub(super) fn new(to: W, bytes: u64) -> Self {
        Self { to, bytes, holds: false, is_closed: false }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl<W: AsyncWrite + Unpin> Counted<W> {
    /// Writes all of it and counts what was written, also when this is cancelled in between.
    async fn pass_on(&mut self, mut chunk: &[u8]) -> io::Result<()> {
        while !chunk.is_empty() {
            let written = self.to.write(chunk).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            (self.bytes, self.holds) = (self.bytes + written as u64, true);
            chunk = &chunk[written..];
        }
        Ok(())
    }

    /// Has a sink that holds bytes back let them go.
    async fn flush(&mut self) {
        if !self.is_closed
            && let Err(error) = self.to.flush().await
        {
            tracing::debug!(%error, "a sink takes no more");
            self.is_closed = true;
        }
        self.holds = false;
    }
}

/// What is done with a stream whose sink takes no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// It is read and thrown away.
    Discard,
    /// It is closed.
    Close,
}

/// Copies a stream to its end. Once the sink takes no more, `closed` says what is done with the rest.
pub(super) async fn deliver<W: AsyncWrite + Unpin>(
    mut from: impl AsyncRead + Gather + Unpin,
    to: &mut Counted<W>,
    closed: impl AsyncFnOnce() -> Rest,
) {
    let mut closed = Some(closed);
    let mut chunk = vec![0; FIRST_CHUNK_BYTES];
    let (mut recent_bytes, mut has_gathered) = (0, false);
    loop {
        if to.is_closed
            && let Some(closed) = closed.take()
            && closed().await == Rest::Close
        {
            return;
        }
        let read = tokio::select! {
            biased;
            read = from.read(&mut chunk) => read,
            // Nothing more is there yet, and what was written must not wait for it. While more is there, it is read
            // beside the writing.
            () = std::future::ready(()), if to.holds => {
                if recent_bytes < LONG_BYTES {
                    to.flush().await;
                } else if has_gathered {
                    to.flush().await;
                    recent_bytes = 0;
                } else {
                    from.gather();
                    pause(GATHERING).await;
                    has_gathered = true;
                }
                continue;
            }
        };
        has_gathered = false;
        recent_bytes += read.as_ref().map_or(0, |it| *it);
        match read {
            Ok(0) => return to.flush().await,
            Ok(read) => {
                if to.is_closed {
                    to.bytes += read as u64;
                } else if let Err(error) = to.pass_on(&chunk[..read]).await {
                    tracing::debug!(%error, "a sink takes no more");
                    to.is_closed = true;
                }
                grow(&mut chunk, read);
            }
            Err(error) => {
                tracing::debug!(%error, "a stream ended early");
                return to.flush().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::watch;

    use super::*;

    /// Counts what it is given, and tells when it is flushed.
    struct Tank {
        bytes: usize,
        flushed: Arc<watch::Sender<(usize, usize)>>,
    }

    impl AsyncWrite for Tank {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.bytes += bytes.len();
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.flushed.send_modify(|it| *it = (it.0 + 1, self.bytes));
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Counts how often it is left to gather.
    struct Near {
        from: tokio::io::DuplexStream,
        gathered: Arc<AtomicUsize>,
    }

    impl Gather for Near {
        fn gather(&mut self) {
            self.gathered.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl AsyncRead for Near {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.from).poll_read(cx, buffer)
        }
    }

    /// Fills whatever it is given so many times, and notes how large that was.
    struct Full(Vec<usize>, usize);

    impl AsyncRead for Full {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let room = buffer.remaining();
            if self.0.len() < self.1 {
                buffer.initialize_unfilled().fill(7);
                buffer.advance(room);
            }
            self.0.push(room);
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn room_for_much_is_made_when_much_has_come() {
        let (mut full, mut taken) = (Full(Vec::new(), 3), Vec::new());
        pump(&mut full, &mut taken).await;
        assert_eq!(full.0, [FIRST_CHUNK_BYTES, CHUNK_BYTES, CHUNK_BYTES, CHUNK_BYTES]);
        assert_eq!(taken, vec![7; FIRST_CHUNK_BYTES + 2 * CHUNK_BYTES]);
        let mut empty = Full(Vec::new(), 0);
        pump(&mut empty, &mut taken).await;
        assert_eq!(empty.0, [FIRST_CHUNK_BYTES]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_output_is_let_go_where_it_pauses_and_not_after_each_packet() {
        let (packet, packets) = (vec![7; 32 * 1024], 512);
        let (flushed, mut seen) = watch::channel((0, 0));
        let mut tank = Counted::new(Tank { bytes: 0, flushed: Arc::new(flushed) }, 0);
        let (mut far, from) = tokio::io::duplex(PIPE_BYTES);
        let gathered = Arc::<AtomicUsize>::default();
        let near = Near { from, gathered: Arc::clone(&gathered) };
        let fed = async {
            for sent in 1..=2 {
                for _ in 0..packets {
                    far.write_all(&packet).await.unwrap();
                    tokio::task::yield_now().await;
                }
                // It says nothing for a while, and what it said has to be there.
                let all = sent * packets * 32 * 1024;
                seen.wait_for(|it| it.1 == all).await.unwrap();
            }
            far.write_all(b"end").await.unwrap();
            drop(far);
            let often = seen.wait_for(|it| it.1 % 32_768 == 3).await.unwrap().0;
            assert!(often < packets / 4, "{often}");
        };
        tokio::join!(fed, deliver(near, &mut tank, async || Rest::Close));
        assert_eq!(tank.bytes(), 2 * packets as u64 * 32_768 + 3);
        assert!(gathered.load(Ordering::Relaxed) >= 2, "it was woken for each packet");
    }
}
