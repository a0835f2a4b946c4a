//! A session that is open and waits on the box, from its opening until it is handed over.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::net::unix::pipe;

use super::script::ready_line;
use crate::files::random_text;
use crate::run::{When, keeping, widen};
use crate::session::{Mux, receive, request, send};

/// What a keeper begins each of its answers with.
pub(super) const HEAD: &str = "lease-spare-1";
/// How much a login shell may say before ours does.
const NOISE_BYTES_MAX: usize = 64 * 1024;

/// An open session whose program waits for its parameters.
#[derive(Debug)]
pub(super) struct Waiting {
    /// What its last line has to say.
    pub(super) name: String,
    mux: Mux,
    stdin: OwnedFd,
    stdout: pipe::Receiver,
    stderr: pipe::Receiver,
    master: (u64, u64),
}

/// The same in the hands of a client.
#[derive(Debug)]
pub(super) struct Handed {
    pub(super) name: String,
    pub(super) mux: Mux,
    pub(super) stdin: OwnedFd,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

impl Waiting {
    /// Opens a session on the master at `control` and waits until its program does.
    ///
    /// # Errors
    /// When there is no master, or the box does not do what is asked.
    pub(super) async fn open(control: &Path, program: &[u8]) -> io::Result<Self> {
        let name = random_text(24).map_err(io::Error::other)?;
        // Where the lease's directory is, only its runs know.
        let (script, root) = (keeping(program, When::Told), b"");
        let line = request(&script, &[program, root, name.as_bytes()]).map_err(io::Error::other)?;
        let master = identity(control)?;
        let pipe = || pipe_with(PipeFlags::CLOEXEC);
        let ((their_stdin, stdin), (stdout, their_stdout)) = (pipe()?, pipe()?);
        let (stderr, their_stderr) = pipe()?;
        widen(&stdout);
        let mux = Mux::open(control, &line, [their_stdin, their_stdout, their_stderr]).await?;
        let mut stdout = pipe::Receiver::from_owned_fd(stdout)?;
        let mut stderr = pipe::Receiver::from_owned_fd(stderr)?;
        let ready = ready_line(&name);
        tokio::try_join!(skip_to(&mut stdout, &ready), skip_to(&mut stderr, &ready))?;
        Ok(Self { name, mux, stdin, stdout, stderr, master })
    }

    /// Waits until it does not wait any more.
    pub(super) async fn ended(&self) {
        self.mux.stirs().await;
    }

    /// Whether the master that it is on is still the one that the lease's connection has.
    pub(super) fn is_current(&self, control: &Path) -> bool {
        identity(control).is_ok_and(|it| it == self.master)
    }

    /// Gives it away. Nothing of it is left here, so its end of file is the client's.
    ///
    /// # Errors
    /// When the client is gone; the session ends then.
    pub(super) async fn hand_over(self, to: &UnixStream) -> io::Result<()> {
        let (mux, session) = self.mux.into_parts()?;
        let (stdout, stderr) =
            (self.stdout.into_nonblocking_fd()?, self.stderr.into_nonblocking_fd()?);
        let text = format!("{HEAD} handed {session} {}\n", self.name);
        let open = [mux.as_fd(), self.stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
        send(to, text.as_bytes(), &open).await
    }
}

impl Handed {
    /// Takes what a keeper gives; `None` when it gives nothing.
    ///
    /// # Errors
    /// When the keeper is gone or says something else.
    pub(super) async fn take(from: &UnixStream) -> io::Result<Option<Self>> {
        let (text, open) = receive(from).await?;
        let text = String::from_utf8(text).map_err(io::Error::other)?;
        let words = text.strip_suffix('\n').and_then(|it| it.strip_prefix(HEAD));
        let words: Vec<&str> = words.unwrap_or_default().split_whitespace().collect();
        match (&words[..], <[OwnedFd; 4]>::try_from(open)) {
            (["handed", session, name], Ok([mux, stdin, stdout, stderr])) => {
                let mux = Mux::of(mux, session.parse().map_err(io::Error::other)?)?;
                Ok(Some(Self { name: (*name).to_owned(), mux, stdin, stdout, stderr }))
            }
            (["none"], _) => Ok(None),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// Reads past what a login shell says, up to the line and not further: nothing follows it.
async fn skip_to(from: &mut pipe::Receiver, line: &[u8]) -> io::Result<()> {
    let mut said = Vec::new();
    while !said.ends_with(line) {
        if said.len() > NOISE_BYTES_MAX {
            return Err(io::Error::other("the box said too much"));
        }
        if from.read_buf(&mut said).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let meta = fs::symlink_metadata(path)?;
    Ok((meta.dev(), meta.ino()))
}
