//! `lease forward`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::thread::JoinHandle;

use rustix::process::Signal;

use crate::installation::process::send;
use crate::installation::{ANSWER_WITHIN, Deadline, Ended, eventually};
use crate::leased::Leased;

/// A server on the box, which is this machine, that says the same to each of so many clients.
fn server(clients: usize) -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = std::thread::spawn(move || {
        for _ in 0..clients {
            let (mut client, _) = listener.accept().unwrap();
            client.write_all(b"hello").unwrap();
        }
    });
    (port, serving)
}

fn heard(port: u16) -> String {
    let mut heard = String::new();
    TcpStream::connect(("127.0.0.1", port)).unwrap().read_to_string(&mut heard).unwrap();
    heard
}

/// A client that forwards, and the port that it has said.
fn forwarding(it: &Leased, port: u16) -> (Child, u16) {
    let mut command = it.0.command(["forward", "-q", "--json", "demo", &format!("0:{port}")]);
    let mut client = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(client.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let said: serde_json::Value = serde_json::from_str(&line).unwrap();
    it.is_described(&said);
    assert_eq!(
        (&said["schema"], &said["ports"][0]["remote"]),
        (&"lease.forward/1".into(), &port.into())
    );
    (client, u16::try_from(said["ports"][0]["local"].as_u64().unwrap()).unwrap())
}

#[test]
fn a_port_is_open_until_an_interrupt_and_closed_on_every_way_out() {
    let it = Leased::new();
    for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
        let (port, serving) = server(2);
        let (client, local) = forwarding(&it, port);
        assert_eq!((heard(local), heard(local)), ("hello".into(), "hello".into()));
        serving.join().unwrap();
        send(client.id(), signal);
        let ended = Ended::wait(client);
        assert_eq!(ended.code, if signal == Signal::KILL { 137 } else { 130 }, "{}", ended.stderr);
        assert!(TcpStream::connect(("127.0.0.1", local)).is_err(), "{signal:?}: it is still open");
    }
    it.end();
}

#[test]
fn a_command_finds_the_port_and_gives_its_own_code() {
    let it = Leased::new();
    let (port, serving) = server(1);
    let script = format!(
        "import os, socket, sys\ns = socket.create_connection(('127.0.0.1', int(os.environ['LEASE_PORT_{port}'])))\n\
         got = b''.join(iter(lambda: s.recv(100), b''))\nprint(got.decode())\nsys.exit(7)"
    );
    let words = ["forward", "demo", &format!("0:{port}"), "--", "python3", "-c", &script];
    let ended = it.0.lease(words);
    assert_eq!((ended.code, ended.stdout.as_slice()), (7, &b"hello\n"[..]), "{}", ended.stderr);
    serving.join().unwrap();
    let ended = it.0.lease(["forward", "demo", &port.to_string(), "--", "/no/such/program"]);
    assert_eq!(ended.code, 125);
    assert!(ended.failure().contains("/no/such/program"), "{}", ended.stderr);
    // A signal that asks us to end ends the command first.
    let mut command = it.0.command(["forward", "demo", &format!("0:{port}"), "--", "sh", "-c"]);
    command.arg("trap 'echo ended; exit 9' TERM; echo begun; while :; do sleep 0.05; done");
    let mut client = command.stdin(Stdio::null()).spawn().unwrap();
    let mut said = BufReader::new(client.stdout.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    send(client.id(), Signal::TERM);
    said.read_line(&mut line).unwrap();
    assert_eq!((Ended::wait(client).code, line.as_str()), (9, "begun\nended\n"));
    it.end();
}

#[test]
fn what_cannot_be_forwarded_is_told_before_anything_is_opened() {
    let it = Leased::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (words, expected) in [
        (vec!["demo", port.as_str()], "listening on 127.0.0.1"),
        (vec!["demo", "0"], "is no port"),
        (vec!["demo", "1:2:3"], "is no port"),
        (vec!["nobody", "80"], "no live lease"),
    ] {
        let ended = it.0.lease(["forward"].iter().chain(&words));
        assert_eq!((ended.code, ended.stdout.as_slice()), (125, &b""[..]), "{words:?}");
        assert!(ended.failure().contains(expected), "{words:?}: {}", ended.stderr);
    }
    it.end();
}

#[test]
fn a_release_ends_the_forward() {
    let it = Leased::new();
    it.good(&["touch", "demo", "--idle-timeout", "2s"]);
    let (port, serving) = server(1);
    let (client, local) = forwarding(&it, port);
    assert_eq!(heard(local), "hello");
    serving.join().unwrap();
    it.good(&["release", "-q", "demo"]);
    let ended = Ended::wait(client);
    assert_eq!(ended.code, 125);
    assert!(ended.stderr.contains("the lease was released"), "{}", ended.stderr);
    let closed = || TcpStream::connect(("127.0.0.1", local)).is_err();
    eventually(Deadline::after(ANSWER_WITHIN), closed).unwrap();
    it.0.assert_clean();
}
