//! Ports of a box on this machine, through a real connection.

use std::net::SocketAddr;

use lease_ssh::{Forward, Session};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::fixture::Box;

/// A server on the box that says back what it hears, after the client has said its last.
async fn echo() -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut heard = Vec::new();
                client.read_to_end(&mut heard).await.unwrap();
                client.write_all(&heard).await.unwrap();
            });
        }
    });
    (port, serving)
}

/// A forward that is served, its local address, and what it tells.
async fn open(
    session: &Session,
    port: u16,
) -> (SocketAddr, JoinHandle<()>, mpsc::UnboundedReceiver<String>) {
    let forward = Forward::listen(0, port).await.unwrap();
    assert_eq!(forward.remote(), port);
    let address = SocketAddr::from(([127, 0, 0, 1], forward.local()));
    let (tell, told) = mpsc::unbounded_channel();
    let session = session.clone();
    let serving = tokio::spawn(async move {
        let tell = move |said| tell.send(said).unwrap_or_default();
        forward.serve(&session, tell).await.unwrap();
    });
    (address, serving, told)
}

#[tokio::test]
async fn each_direction_of_a_connection_ends_for_itself() {
    let it = Box::new().await;
    let session = it.ready().await;
    let (port, server) = echo().await;
    let (address, serving, _told) = open(&session, port).await;
    let sent: Vec<u8> = (0..2_000_000_u32).map(|it| it.to_le_bytes()[it as usize % 4]).collect();
    let talk = async |size: usize| {
        let client = TcpStream::connect(address).await.unwrap();
        let (mut from, mut to) = client.into_split();
        let said = async {
            to.write_all(&sent[..size]).await.unwrap();
            to.shutdown().await.unwrap();
        };
        let mut heard = Vec::new();
        let ((), read) = tokio::join!(said, from.read_to_end(&mut heard));
        read.unwrap();
        assert!(heard == sent[..size], "{} bytes of {size} came back", heard.len());
    };
    // Several at once, an empty one among them.
    tokio::join!(talk(2_000_000), talk(0), talk(1), talk(70_000));
    serving.abort();
    server.abort();
    it.end().await;
}

#[tokio::test]
async fn a_server_that_ends_first_ends_the_connection() {
    let it = Box::new().await;
    let session = it.ready().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (address, serving, _told) = open(&session, port).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    server.write_all(b"bye").await.unwrap();
    drop(server);
    let mut heard = String::new();
    client.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "bye");
    serving.abort();
    it.end().await;
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_told_and_ends_only_that_connection() {
    let it = Box::new().await;
    let session = it.ready().await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    let (address, serving, mut told) = open(&session, port).await;
    for _ in 0..2 {
        let mut client = TcpStream::connect(address).await.unwrap();
        let mut heard = Vec::new();
        // The end of the stream or a reset, and no byte.
        assert_eq!(client.read_to_end(&mut heard).await.unwrap_or(0), 0);
        let said = told.recv().await.unwrap();
        assert!(said.contains(&port.to_string()), "{said}");
    }
    session.check().await.unwrap();
    serving.abort();
    it.end().await;
}

#[tokio::test]
async fn a_forward_that_is_dropped_closes_its_port_and_its_connections() {
    let it = Box::new().await;
    let session = it.ready().await;
    let (port, server) = echo().await;
    let (address, serving, _told) = open(&session, port).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"x").await.unwrap();
    serving.abort();
    assert!(serving.await.unwrap_err().is_cancelled());
    let mut heard = Vec::new();
    assert_eq!(client.read_to_end(&mut heard).await.unwrap_or(0), 0);
    assert!(TcpStream::connect(address).await.is_err(), "the port is still open");
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken_port = taken.local_addr().unwrap().port();
    assert!(Forward::listen(taken_port, 1).await.is_err());
    server.abort();
    it.end().await;
}
