//! The part of OpenSSH's multiplexing protocol that opens a session and hears how it ended.
//!
//! The crate that opens all other sessions keeps its connection to the master to itself, and this one has to be handed to
//! another process. The protocol is `PROTOCOL.mux` of OpenSSH, version 4: each message is its length and a sequence of
//! big-endian numbers and of strings with their lengths.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use rustix::net::{RecvFlags, recv};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::UnixStream;

use super::descriptors::send;
use crate::session::End;

const VERSION: u32 = 4;
const HELLO: u32 = 0x0000_0001;
const NEW_SESSION: u32 = 0x1000_0002;
const EXIT_MESSAGE: u32 = 0x8000_0004;
const SESSION_OPENED: u32 = 0x8000_0006;
/// No character is an escape.
const NO_ESCAPE: u32 = 0xffff_ffff;
/// Longer than any answer of a master.
const MESSAGE_BYTES_MAX: u32 = 64 * 1024;

/// A session on a master. Dropping it gives the session up.
#[derive(Debug)]
pub(crate) struct Mux {
    master: UnixStream,
    session: u32,
}

impl Mux {
    /// Opens a session that runs `line`, with these ends as its standard streams.
    ///
    /// # Errors
    /// When there is no master, or it refuses.
    pub(super) async fn open(control: &Path, line: &[u8], ends: [OwnedFd; 3]) -> io::Result<Self> {
        let mut master = UnixStream::connect(control).await?;
        master.write_all(&message(&[Field::Number(HELLO), Field::Number(VERSION)])?).await?;
        let hello = receive(&mut master).await?;
        if hello.starts_with(&[HELLO, VERSION]) {
            let mut fields = vec![Field::Number(NEW_SESSION), Field::Number(0), Field::Text(b"")];
            // Neither a terminal nor X11 nor an agent, and no subsystem.
            fields.extend([0, 0, 0, 0, NO_ESCAPE].map(Field::Number));
            fields.extend([Field::Text(b""), Field::Text(line)]);
            master.write_all(&message(&fields)?).await?;
            for end in &ends {
                send(&master, &[0], &[end.as_fd()]).await?;
            }
            let opened = receive(&mut master).await?;
            if let [SESSION_OPENED, 0, session, ..] = opened[..] {
                return Ok(Self { master, session });
            }
        }
        Err(io::Error::other("the connection's process opens no session"))
    }

    /// Takes over a session that another process has opened.
    ///
    /// # Errors
    /// When the descriptor is none of a socket.
    pub(super) fn of(master: OwnedFd, session: u32) -> io::Result<Self> {
        let master = std::os::unix::net::UnixStream::from(master);
        master.set_nonblocking(true)?;
        Ok(Self { master: UnixStream::from_std(master)?, session })
    }

    /// What another process needs to take it over.
    pub(super) fn into_parts(self) -> io::Result<(OwnedFd, u32)> {
        Ok((self.master.into_std()?.into(), self.session))
    }

    /// Waits until the master has something to say about a session that does nothing, which is its end.
    pub(super) async fn stirs(&self) {
        // What made it readable may have been read already, which only an attempt tells; an error is an end as well.
        let peek = || {
            let mut byte = [0_u8; 1];
            recv(&self.master, &mut byte, RecvFlags::PEEK).map_err(io::Error::from)
        };
        while self.master.readable().await.is_ok() {
            match self.master.try_io(Interest::READABLE, peek) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(_) | Err(_) => return,
            }
        }
    }

    /// Waits for the session's end.
    pub(super) async fn end(mut self) -> End {
        loop {
            match receive(&mut self.master).await {
                Ok(said) => match said[..] {
                    [EXIT_MESSAGE, session, status, ..] if session == self.session => {
                        return End::Code(i32::try_from(status).unwrap_or(255));
                    }
                    _ => {}
                },
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return End::Broken("the session ended without a status".to_owned());
                }
                Err(error) => return End::Broken(error.to_string()),
            }
        }
    }
}

enum Field<'a> {
    Number(u32),
    Text(&'a [u8]),
}

fn message(fields: &[Field<'_>]) -> io::Result<Vec<u8>> {
    let bytes_of =
        |count: usize| u32::try_from(count).map(u32::to_be_bytes).map_err(io::Error::other);
    let mut body = Vec::new();
    for field in fields {
        match field {
            Field::Number(number) => body.extend_from_slice(&number.to_be_bytes()),
            Field::Text(text) => {
                body.extend_from_slice(&bytes_of(text.len())?);
                body.extend_from_slice(text);
            }
        }
    }
    let mut message = bytes_of(body.len())?.to_vec();
    message.extend(body);
    Ok(message)
}

/// The numbers that a message begins with. None of those that are understood here has anything else before its texts.
async fn receive(master: &mut UnixStream) -> io::Result<Vec<u32>> {
    let length = master.read_u32().await?;
    if length > MESSAGE_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut body = Vec::new();
    master.take(u64::from(length)).read_to_end(&mut body).await?;
    if body.len() as u64 != u64::from(length) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let number = |it: &[u8]| it.try_into().map_or(0, u32::from_be_bytes);
    Ok(body.chunks_exact(4).map(number).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn said(answers: &'static [u8]) -> End {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(answers).await.unwrap();
        drop(theirs);
        Mux { master: ours, session: 7 }.end().await
    }

    #[tokio::test]
    async fn the_end_of_a_session_is_the_status_that_the_master_tells() {
        let ended = b"\0\0\0\x0c\x80\0\0\x04\0\0\0\x07\0\0\0\x2a";
        assert_eq!(said(ended).await, End::Code(42));
        // Something else is said before.
        let later = b"\0\0\0\x08\x80\0\0\x08\0\0\0\x07\0\0\0\x0c\x80\0\0\x04\0\0\0\x07\0\0\0\0";
        assert_eq!(said(later).await, End::Code(0));
        for broken in [&b""[..], b"\0\0", b"\0\0\0\x0c\x80\0\0\x04\0\0", b"\xff\xff\xff\xff"] {
            assert!(matches!(said(broken).await, End::Broken(_)), "{broken:?}");
        }
    }

    #[test]
    fn a_message_begins_with_its_length() {
        let made = message(&[Field::Number(HELLO), Field::Text(b"abc")]).unwrap();
        assert_eq!(made, b"\0\0\0\x0b\0\0\0\x01\0\0\0\x03abc");
    }
}
