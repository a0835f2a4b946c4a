//! The part of OpenSSH's multiplexing protocol that opens a session, hears how it ended, and asks whether the master is there.
//!
//! No crate is used for it: a session that waits is handed to another process with its connection to the master, and
//! whoever hears a status must know which master told it. The protocol is `PROTOCOL.mux` of OpenSSH, version 4: each
//! message is its length and a sequence of big-endian numbers and of strings with their lengths.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use rustix::net::{RecvFlags, recv};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::UnixStream;

use super::End;
use super::descriptors::send;

const VERSION: u32 = 4;
const HELLO: u32 = 0x0000_0001;
/// Asks whether the master is there.
const ALIVE_CHECK: u32 = 0x1000_0004;
const NEW_SESSION: u32 = 0x1000_0002;
const PERMISSION_DENIED: u32 = 0x8000_0002;
const FAILURE: u32 = 0x8000_0003;
const EXIT_MESSAGE: u32 = 0x8000_0004;
const ALIVE: u32 = 0x8000_0005;
const SESSION_OPENED: u32 = 0x8000_0006;
/// No character is an escape.
const NO_ESCAPE: u32 = 0xffff_ffff;
/// Longer than any answer of a master.
const MESSAGE_BYTES_MAX: u32 = 64 * 1024;

/// A master, told from those before and after it by the process that made its socket; no system names that of no process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Master(Option<i32>);

impl Master {
    fn of(socket: &UnixStream) -> Option<Self> {
        socket.peer_cred().ok().map(|it| Self(it.pid()))
    }
}

/// Asks the master at `control` whether it is there, and says which one answered.
///
/// # Errors
/// When there is none, or it says something else.
pub(crate) async fn ask(control: &Path) -> io::Result<Master> {
    let mut socket = UnixStream::connect(control).await?;
    let mut asked = message(&[Field::Number(HELLO), Field::Number(VERSION)])?;
    asked.extend(message(&[Field::Number(ALIVE_CHECK), Field::Number(0)])?);
    socket.write_all(&asked).await?;
    let (hello, said) =
        (numbers(&receive(&mut socket).await?), numbers(&receive(&mut socket).await?));
    if hello.starts_with(&[HELLO, VERSION]) && said.starts_with(&[ALIVE, 0]) {
        return Master::of(&socket).ok_or_else(|| io::ErrorKind::NotConnected.into());
    }
    Err(io::Error::other("the connection's process does not say that it is there"))
}

/// A session that a master was asked for. Dropping it gives the session up.
#[derive(Debug)]
pub(crate) struct Requested(UnixStream);

impl Requested {
    /// Asks for a session that runs `line`, with these ends as its standard streams. The box is not waited for.
    ///
    /// # Errors
    /// When there is no master.
    pub(crate) async fn from(control: &Path, line: &[u8], ends: [OwnedFd; 3]) -> io::Result<Self> {
        let mut socket = UnixStream::connect(control).await?;
        socket.write_all(&message(&[Field::Number(HELLO), Field::Number(VERSION)])?).await?;
        let hello = receive(&mut socket).await?;
        if !numbers(&hello).starts_with(&[HELLO, VERSION]) {
            return Err(senseless());
        }
        let mut fields = vec![Field::Number(NEW_SESSION), Field::Number(0), Field::Text(b"")];
        // Neither a terminal nor X11 nor an agent, and no subsystem.
        fields.extend([0, 0, 0, 0, NO_ESCAPE].map(Field::Number));
        fields.extend([Field::Text(b""), Field::Text(line)]);
        socket.write_all(&message(&fields)?).await?;
        for end in &ends {
            send(&socket, &[0], &[end.as_fd()]).await?;
        }
        Ok(Self(socket))
    }

    /// Waits until the session is open.
    ///
    /// # Errors
    /// When the master refuses, or is gone.
    pub(crate) async fn answer(self) -> io::Result<Mux> {
        let Self(mut socket) = self;
        let said = receive(&mut socket).await?;
        match numbers(&said)[..] {
            [SESSION_OPENED, 0, session, ..] => Ok(Mux::on(socket, session)),
            [PERMISSION_DENIED | FAILURE, 0, ..] => {
                // Behind the two numbers is the length of the reason.
                let reason = String::from_utf8_lossy(said.get(12..).unwrap_or_default());
                Err(io::Error::other(format!("ssh opens no session: {reason}")))
            }
            _ => Err(senseless()),
        }
    }
}

fn senseless() -> io::Error {
    io::Error::other("the connection's process makes no sense")
}

/// A session on a master. Dropping it gives the session up.
#[derive(Debug)]
pub(crate) struct Mux {
    socket: UnixStream,
    session: u32,
    /// Asked for while the master holds its end: not every system tells it of a socket whose other end is closed.
    master: Option<Master>,
}

impl Mux {
    /// Opens a session that runs `line`, with these ends as its standard streams.
    ///
    /// # Errors
    /// When there is no master, or it refuses.
    pub(crate) async fn open(control: &Path, line: &[u8], ends: [OwnedFd; 3]) -> io::Result<Self> {
        Requested::from(control, line, ends).await?.answer().await
    }

    /// Takes over a session that another process has opened.
    ///
    /// # Errors
    /// When the descriptor is none of a socket.
    pub(crate) fn of(socket: OwnedFd, session: u32) -> io::Result<Self> {
        let socket = std::os::unix::net::UnixStream::from(socket);
        socket.set_nonblocking(true)?;
        Ok(Self::on(UnixStream::from_std(socket)?, session))
    }

    fn on(socket: UnixStream, session: u32) -> Self {
        Self { master: Master::of(&socket), socket, session }
    }

    /// The master that it is on.
    pub(crate) fn master(&self) -> Option<Master> {
        self.master
    }

    /// What another process needs to take it over.
    pub(crate) fn into_parts(self) -> io::Result<(OwnedFd, u32)> {
        Ok((self.socket.into_std()?.into(), self.session))
    }

    /// Waits until the master has something to say about a session that does nothing, which is its end.
    pub(crate) async fn stirs(&self) {
        // What made it readable may have been read already, which only an attempt tells; an error is an end as well.
        let peek = || {
            let mut byte = [0_u8; 1];
            recv(&self.socket, &mut byte, RecvFlags::PEEK).map_err(io::Error::from)
        };
        while self.socket.readable().await.is_ok() {
            match self.socket.try_io(Interest::READABLE, peek) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(_) | Err(_) => return,
            }
        }
    }

    /// Waits for the session's end.
    pub(crate) async fn end(mut self) -> End {
        loop {
            match receive(&mut self.socket).await {
                Ok(said) => match numbers(&said)[..] {
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

/// A message without its length.
async fn receive(socket: &mut UnixStream) -> io::Result<Vec<u8>> {
    let length = socket.read_u32().await?;
    if length > MESSAGE_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut body = Vec::new();
    socket.take(u64::from(length)).read_to_end(&mut body).await?;
    if body.len() as u64 != u64::from(length) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(body)
}

/// The numbers that a message begins with. None of those that are understood here has anything else before its texts.
fn numbers(body: &[u8]) -> Vec<u32> {
    let number = |it: &[u8]| it.try_into().map_or(0, u32::from_be_bytes);
    body.chunks_exact(4).map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn said(answers: &'static [u8]) -> End {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(answers).await.unwrap();
        drop(theirs);
        Mux::on(ours, 7).end().await
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

    /// What a master that says this on each connection is taken for.
    async fn asked(answers: &'static [u8]) -> (io::Result<Master>, io::Result<Mux>) {
        let directory = tempfile::tempdir().unwrap();
        let control = directory.path().join("control");
        let listener = tokio::net::UnixListener::bind(&control).unwrap();
        let serving = async {
            for _ in 0..2 {
                let (mut socket, _) = listener.accept().await.unwrap();
                socket.write_all(answers).await.unwrap();
                // The asker's last words may come after it has heard enough.
                let mut heard = Vec::new();
                let read = socket.read_to_end(&mut heard).await;
                assert!(read.is_ok() || !heard.is_empty());
            }
        };
        let null = || std::fs::File::open("/dev/null").unwrap().into();
        let asking = async {
            (ask(&control).await, Mux::open(&control, b"true", [null(), null(), null()]).await)
        };
        tokio::join!(asking, serving).0
    }

    #[tokio::test]
    async fn only_an_answer_is_an_answer() {
        let hello = b"\0\0\0\x08\0\0\0\x01\0\0\0\x04";
        let alive = b"\0\0\0\x0c\x80\0\0\x05\0\0\0\0\0\0\0\x2a";
        let refused = b"\0\0\0\x0f\x80\0\0\x03\0\0\0\0\0\0\0\x03why";
        let (found, opened) = asked([&hello[..], alive].concat().leak()).await;
        let me = i32::try_from(std::process::id()).unwrap();
        assert_eq!(found.unwrap(), Master(Some(me)));
        assert!(opened.is_err());
        let (found, opened) = asked([&hello[..], refused].concat().leak()).await;
        assert!(found.is_err());
        assert_eq!(opened.unwrap_err().to_string(), "ssh opens no session: why");
        let other = b"\0\0\0\x08\0\0\0\x01\0\0\0\x05";
        let (found, opened) = asked([&other[..], alive].concat().leak()).await;
        assert!(found.is_err() && opened.is_err());
        assert!(ask(Path::new("/nonexistent")).await.is_err());
    }

    #[test]
    fn a_message_begins_with_its_length() {
        let made = message(&[Field::Number(HELLO), Field::Text(b"abc")]).unwrap();
        assert_eq!(made, b"\0\0\0\x0b\0\0\0\x01\0\0\0\x03abc");
    }
}
