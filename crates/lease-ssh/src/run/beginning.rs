//! Where a command's own output begins: behind whatever the login shell of the box prints first.
//!
//! Many start-up files print something also for a shell that nobody sees. Our scripts print one line with a word that
//! nobody can guess before anything of the command, on both streams; what comes before it belongs to nobody and is
//! neither passed on nor counted.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use super::tap::Gather;

/// How much of what came before is kept for whoever asks why nothing else came.
const NOISE_BYTES_MAX: usize = 4096;

/// What the streams of one attempt have seen of its beginning.
#[derive(Debug, Default)]
pub(super) struct Beginning {
    is_seen: AtomicBool,
    is_missed: AtomicBool,
    noise: Mutex<Vec<u8>>,
}

impl Beginning {
    /// Notes that the output begins.
    pub(super) fn see(&self) {
        self.is_seen.store(true, Ordering::Relaxed);
    }

    /// Whether the line came on a stream.
    pub(super) fn is_seen(&self) -> bool {
        self.is_seen.load(Ordering::Relaxed)
    }

    /// Whether a stream ended without the line, and none had it.
    pub(super) fn is_missing(&self) -> bool {
        self.is_missed.load(Ordering::Relaxed) && !self.is_seen()
    }

    /// The last of what came before the line, on both streams.
    pub(super) fn noise(&self) -> Vec<u8> {
        self.noise.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, bytes: &[u8]) {
        let mut noise = self.noise.lock().unwrap_or_else(PoisonError::into_inner);
        noise.extend_from_slice(bytes);
        let surplus = noise.len().saturating_sub(NOISE_BYTES_MAX);
        noise.drain(..surplus);
    }
}

/// The line behind which the output of that attempt begins.
fn line(nonce: &str) -> String {
    format!("lease-1 {nonce} started\n")
}

/// A stream that begins behind the line.
#[derive(Debug)]
pub(super) struct Behind<R> {
    from: R,
    /// What is looked for; nothing once it was found or the stream has ended.
    mark: Vec<u8>,
    /// Whether the mark is passed on.
    is_passed_on: bool,
    /// What was read and is not passed on yet.
    held: Vec<u8>,
    beginning: Arc<Beginning>,
}

impl<R> Behind<R> {
    /// Drops the line and what is before it.
    pub(super) fn line(from: R, nonce: &str, beginning: &Arc<Beginning>) -> Self {
        Self::new(from, line(nonce).into_bytes(), beginning)
    }

    /// Drops what is before any line with the nonce, and passes that line on.
    pub(super) fn noise(from: R, nonce: &str, beginning: &Arc<Beginning>) -> Self {
        let mark = format!("lease-1 {nonce} ").into_bytes();
        Self { is_passed_on: true, ..Self::new(from, mark, beginning) }
    }

    fn new(from: R, mark: Vec<u8>, beginning: &Arc<Beginning>) -> Self {
        let beginning = Arc::clone(beginning);
        Self { from, mark, is_passed_on: false, held: Vec::new(), beginning }
    }

    /// Looks for the mark in what is held. What can no more be a part of it is let go.
    fn look(&mut self) {
        let found = self.held.windows(self.mark.len()).position(|it| it == self.mark);
        let noise = found.unwrap_or_else(|| (self.held.len() + 1).saturating_sub(self.mark.len()));
        self.beginning.note(&self.held[..noise]);
        self.held.drain(..noise);
        if found.is_some() {
            if !self.is_passed_on {
                self.held.drain(..self.mark.len());
                self.beginning.see();
            }
            self.mark.clear();
        }
    }
}

impl<R: Gather> Gather for Behind<R> {
    fn gather(&mut self) {
        self.from.gather();
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Behind<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let it = &mut *self;
        while !it.mark.is_empty() {
            let mut chunk = [0; 4096];
            let mut read = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut it.from).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                it.beginning.note(&it.held);
                it.held.clear();
                it.mark.clear();
                it.beginning.is_missed.store(true, Ordering::Relaxed);
                return Poll::Ready(Ok(()));
            }
            it.held.extend_from_slice(read.filled());
            it.look();
        }
        if it.held.is_empty() {
            return Pin::new(&mut it.from).poll_read(cx, buffer);
        }
        let count = it.held.len().min(buffer.remaining());
        buffer.put_slice(&it.held[..count]);
        it.held.drain(..count);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    /// Reads a stream that comes in pieces of that size.
    async fn behind(said: &[u8], piece: usize) -> (Vec<u8>, Arc<Beginning>) {
        let beginning = Arc::default();
        let (mut to, from) = tokio::io::duplex(piece);
        let mut behind = Behind::line(from, "nonce", &beginning);
        let mut seen = Vec::new();
        let fed = async {
            tokio::io::AsyncWriteExt::write_all(&mut to, said).await.unwrap();
            drop(to);
        };
        let (read, ()) = tokio::join!(behind.read_to_end(&mut seen), fed);
        read.unwrap();
        (seen, beginning)
    }

    #[tokio::test]
    async fn what_is_before_the_line_is_dropped_however_it_is_cut() {
        let said = b"Welcome!\nlease-1 other started\nno end of linelease-1 nonce started\nout\0lease-1 nonce started\n";
        for piece in 1..40 {
            let (seen, beginning) = behind(said, piece).await;
            assert_eq!(seen, b"out\0lease-1 nonce started\n", "pieces of {piece}");
            assert!(beginning.is_seen() && !beginning.is_missing());
            assert!(beginning.noise().ends_with(b"no end of line"));
        }
    }

    #[tokio::test]
    async fn without_the_line_the_end_of_what_was_said_is_kept() {
        let mut said = vec![b'x'; 3 * NOISE_BYTES_MAX];
        said.extend_from_slice(b"\nThis account is not available\n");
        let (seen, beginning) = behind(&said, 1000).await;
        assert_eq!(seen, b"");
        assert!(beginning.is_missing());
        let noise = beginning.noise();
        assert!(noise.ends_with(b"not available\n") && noise.len() == NOISE_BYTES_MAX);
    }
}
