//! A stream that is passed on and recorded at once.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;

use crate::runs::{RunWriter, Which};

/// The record of a run, shared by its two streams.
pub(crate) type Recorder = Arc<Mutex<RunWriter>>;

/// What could not be written to one of our own streams, shared with whoever waits for the command.
pub(super) type Unwritten = Arc<Mutex<Option<io::Error>>>;

/// Passes on to `to` and records exactly what was passed on.
#[derive(Debug)]
pub(super) struct Tee<W> {
    to: W,
    which: Which,
    recorder: Recorder,
    unwritten: Unwritten,
}

impl<W> Tee<W> {
    pub(super) fn new(to: W, which: Which, recorder: Recorder, unwritten: Unwritten) -> Self {
        Self { to, which, recorder, unwritten }
    }

    /// Notes a failure. A reader that has seen enough, such as `head`, is none.
    fn note<T>(&self, result: &Poll<io::Result<T>>) {
        if let Poll::Ready(Err(error)) = result
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            let copy = io::Error::new(error.kind(), error.to_string());
            *self.unwritten.lock().unwrap_or_else(PoisonError::into_inner) = Some(copy);
        }
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Tee<W> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.to).poll_write(cx, bytes);
        self.note(&written);
        if let Poll::Ready(Ok(count)) = written {
            let mut recorder = self.recorder.lock().unwrap_or_else(PoisonError::into_inner);
            match self.which {
                Which::Stdout => recorder.stdout(&bytes[..count]),
                Which::Stderr => recorder.stderr(&bytes[..count]),
            }
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.to).poll_flush(cx);
        self.note(&flushed);
        if flushed.is_ready() {
            let mut recorder = self.recorder.lock().unwrap_or_else(PoisonError::into_inner);
            recorder.keep(self.which);
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.to).poll_shutdown(cx)
    }
}
