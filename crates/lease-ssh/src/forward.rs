//! Ports of a box on this machine: a listener of ours on loopback, and for each connection a channel of the lease's SSH
//! connection.
//!
//! The listener belongs to this process and not to the background connection, so a forwarded port is closed whenever the
//! process that opened it ends, however that ends.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use lease_process::{Input, Stream, spawn};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::error::{Result, SshError, shortened};
use crate::session::Session;

/// How many connections one port has at once; the others wait.
const CONNECTIONS_MAX: usize = 256;
/// How much is kept of what ssh says about a connection.
const SAID_BYTES_MAX: u64 = 16 * 1024;

/// A port of the box, listened for on this machine's loopback address.
#[derive(Debug)]
pub struct Forward {
    listener: TcpListener,
    local: u16,
    remote: u16,
}

impl Forward {
    /// Listens on `local` of 127.0.0.1, or on a free port where that is 0. Nothing is forwarded yet; who connects waits.
    ///
    /// # Errors
    /// [`SshError::Storage`] when the port is taken.
    ///
    /// # Cancel safety
    /// Nothing is left.
    pub async fn listen(local: u16, remote: u16) -> Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, local));
        let failed = SshError::storage("listening on", address.to_string());
        let bound = TcpListener::bind(address).await;
        let listener = bound.map_err(failed)?;
        let bound = listener.local_addr().map_err(|error| SshError::lost(&error))?;
        Ok(Self { listener, local: bound.port(), remote })
    }

    /// The port on this machine.
    pub fn local(&self) -> u16 {
        self.local
    }

    /// The port on the box.
    pub fn remote(&self) -> u16 {
        self.remote
    }

    /// Forwards each connection to the box's own loopback, for ever. What ends one early is handed to `told`.
    ///
    /// # Errors
    /// [`SshError::Lost`] when this machine can accept no more.
    ///
    /// # Cancel safety
    /// Dropping it ends every connection and closes the port.
    pub async fn serve(self, session: &Session, told: impl Fn(String)) -> Result<()> {
        let turns = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => {
                    let (client, _) = accepted.map_err(|error| SshError::lost(&error))?;
                    let (session, turns, remote) = (session.clone(), Arc::clone(&turns), self.remote);
                    connections.spawn(async move {
                        let _turn = turns.acquire_owned().await;
                        carry(&session, client, remote).await
                    });
                }
                Some(ended) = connections.join_next() => {
                    if let Ok(Err(error)) = ended {
                        told(format!("a connection to port {}: {error}", self.remote));
                    }
                }
            }
        }
    }
}

/// Carries one connection to its end, each direction for itself.
async fn carry(session: &Session, client: TcpStream, port: u16) -> Result<()> {
    let program = session.link.ssh().stdin(Input::Pipe).stdout(Stream::Pipe).stderr(Stream::Pipe);
    let program = program.args(["-W".to_owned(), format!("localhost:{port}")]).arg("--");
    let mut ssh = spawn(&program.arg(session.lease())).map_err(SshError::of_ssh)?;
    let (input, output, errors) = (ssh.take_stdin(), ssh.take_stdout(), ssh.take_stderr());
    let (mut from, mut to) = client.into_split();
    let up = async {
        let Some(mut input) = input else { return };
        let copied = tokio::io::copy(&mut from, &mut input).await;
        tracing::trace!(?copied, port, "a client said its last");
        // Dropping it tells the other side that nothing more comes.
    };
    let down = async {
        let Some(mut output) = output else { return };
        let copied = tokio::io::copy(&mut output, &mut to).await;
        let closed = to.shutdown().await;
        tracing::trace!(?copied, ?closed, port, "a server said its last");
    };
    let said = async {
        let mut said = Vec::new();
        if let Some(errors) = errors {
            let mut errors = tokio::io::AsyncReadExt::take(errors, SAID_BYTES_MAX);
            let read = tokio::io::AsyncReadExt::read_to_end(&mut errors, &mut said).await;
            tracing::trace!(?read, port, "ssh said its last");
        }
        said
    };
    // The end of ssh is the end of the connection, also when the client has more to say.
    let ended = async { tokio::join!(down, said, ssh.wait()) };
    let up = async {
        up.await;
        std::future::pending::<()>().await;
    };
    let ((), said, exit) = tokio::select! {
        ended = ended => ended,
        () = up => return Ok(()),
    };
    if exit?.success() {
        return Ok(());
    }
    Err(SshError::Box { doing: "connecting to a port of it", detail: shortened(&said) })
}
