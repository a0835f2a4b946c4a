//! Our standard output, as a command's output is passed on to it.
//!
//! The runtime's own standard output hands each piece to a thread, because nothing is known of what is behind it. What can
//! be written to without a wait needs neither the copy nor the thread, which a command that prints gigabytes pays for.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;
use tokio::net::unix::pipe::Sender;

/// Where the standard output of a command goes.
#[derive(Debug)]
pub(super) enum Out {
    /// Nobody reads it.
    Nobody,
    /// A pipe, opened a second time: whoever shares the descriptor with us does not expect that it never waits.
    Pipe(Sender),
    /// Anything else.
    Other(tokio::io::Stdout),
}

impl Out {
    /// Our standard output.
    pub(super) fn open() -> Self {
        if is_null() {
            return Self::Nobody;
        }
        pipe().map_or_else(|| Self::Other(tokio::io::stdout()), Self::Pipe)
    }
}

fn is_null() -> bool {
    let device = |it: rustix::fs::Stat| {
        let is_device = rustix::fs::FileType::from_raw_mode(it.st_mode).is_char_device();
        is_device.then_some(it.st_rdev)
    };
    let ours = rustix::fs::fstat(io::stdout()).ok().and_then(device);
    let null = rustix::fs::stat("/dev/null").ok().and_then(device);
    ours.is_some() && ours == null
}

/// `None` where it is no pipe, or where the system does not open one twice.
fn pipe() -> Option<Sender> {
    let path = "/proc/self/fd/1";
    if cfg!(not(target_os = "linux")) {
        return None;
    }
    // It refuses what is no pipe.
    tokio::net::unix::pipe::OpenOptions::new().open_sender(path).ok()
}

impl AsyncWrite for Out {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Nobody => Poll::Ready(Ok(bytes.len())),
            Self::Pipe(to) => Pin::new(to).poll_write(cx, bytes),
            Self::Other(to) => Pin::new(to).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Nobody | Self::Pipe(_) => Poll::Ready(Ok(())),
            Self::Other(to) => Pin::new(to).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Nobody => Poll::Ready(Ok(())),
            Self::Pipe(to) => Pin::new(to).poll_shutdown(cx),
            Self::Other(to) => Pin::new(to).poll_shutdown(cx),
        }
    }
}
