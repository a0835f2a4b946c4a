//! The reading end of a pipe whose bytes may be left to gather in it.

use std::io;
use std::mem;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::unix::pipe::Receiver;
use tokio::task::coop;

/// A stream that nobody is woken for while its bytes gather.
pub(super) trait Gather {
    /// Has nobody be woken for what comes, until it is read from again and nothing is there.
    fn gather(&mut self);
}

/// The reading end of a pipe.
///
/// The runtime watches for edges: each packet that a pipe gets wakes it, whether or not anybody waits for that. So a pipe
/// that is left to gather is taken out of its hands.
#[derive(Debug)]
pub(super) struct Tap(State);

#[derive(Debug)]
enum State {
    Watched(Receiver),
    Left(OwnedFd),
    /// It could not be taken out of the runtime's hands, or given back. Told once; what follows is the end.
    Broken(Option<io::Error>),
}

impl From<Receiver> for Tap {
    fn from(receiver: Receiver) -> Self {
        Self(State::Watched(receiver))
    }
}

impl Gather for Tap {
    fn gather(&mut self) {
        self.0 = match mem::replace(&mut self.0, State::Broken(None)) {
            State::Watched(receiver) => match receiver.into_nonblocking_fd() {
                Ok(fd) => State::Left(fd),
                Err(error) => State::Broken(Some(error)),
            },
            other @ (State::Left(_) | State::Broken(_)) => other,
        };
    }
}

impl Tap {
    /// Reads what is there, while it is left. `None` when nothing is.
    fn take(&self, buffer: &mut ReadBuf<'_>) -> Option<io::Result<()>> {
        let State::Left(fd) = &self.0 else { return None };
        match rustix::io::read(fd, buffer.initialize_unfilled()) {
            Ok(read) => {
                buffer.advance(read);
                Some(Ok(()))
            }
            Err(Errno::AGAIN | Errno::INTR) => None,
            Err(errno) => Some(Err(errno.into())),
        }
    }

    /// Has the runtime watch it again.
    fn watch(&mut self) -> io::Result<Option<&mut Receiver>> {
        if let State::Left(_) = self.0
            && let State::Left(fd) = mem::replace(&mut self.0, State::Broken(None))
        {
            // It was non-blocking before.
            self.0 = State::Watched(Receiver::from_owned_fd_unchecked(fd)?);
        }
        match &mut self.0 {
            State::Watched(receiver) => Ok(Some(receiver)),
            State::Broken(error) => error.take().map_or(Ok(None), Err),
            State::Left(_) => Ok(None),
        }
    }
}

impl AsyncRead for Tap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // What is always there must not keep everybody else from their turn.
        let turn = ready!(coop::poll_proceed(cx));
        if let Some(taken) = self.take(buffer) {
            turn.made_progress();
            return Poll::Ready(taken);
        }
        drop(turn);
        match self.watch()? {
            Some(receiver) => Pin::new(receiver).poll_read(cx, buffer),
            None => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn what_comes_while_nobody_is_woken_is_there_afterwards() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let mut writer = std::fs::File::from(writer);
        let mut tap = Tap::from(Receiver::from_owned_fd(reader).unwrap());
        let mut seen = [0; 3];
        for said in [b"one", b"two"] {
            tap.gather();
            tap.gather();
            writer.write_all(said).unwrap();
            tap.read_exact(&mut seen).await.unwrap();
            assert_eq!(&seen, said);
            assert!(matches!(tap.0, State::Left(_)), "the runtime would be woken: {tap:?}");
        }
        tap.gather();
        let (read, wrote) = tokio::join!(tap.read_exact(&mut seen), async {
            tokio::task::yield_now().await;
            writer.write_all(b"six")
        });
        assert_eq!((read.unwrap(), wrote.unwrap(), &seen), (3, (), b"six"));
        assert!(matches!(tap.0, State::Watched(_)), "nobody would wake the reader: {tap:?}");
        drop(writer);
        tap.gather();
        assert_eq!(tap.read(&mut seen).await.unwrap(), 0);
    }
}
