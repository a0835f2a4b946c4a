//! The emulator as a program: how it starts, how it ends, and that nothing of it stays.

use std::time::Duration;

use lease_core::retry::{Bounds, Pace};
use lease_process::{Child, Input, Program, Signal, spawn};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{ChildStdin, ChildStdout};

struct Emulator {
    child: Child,
    input: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
    hello: Value,
    _directory: tempfile::TempDir,
}

async fn start(arguments: &[&str]) -> Emulator {
    let directory = tempfile::tempdir().unwrap();
    let program = Program::new(env!("CARGO_BIN_EXE_lease-emulator"))
        .args(arguments.iter().map(std::ffi::OsString::from))
        .arg("--work-dir")
        .arg(directory.path())
        .stdin(Input::Pipe);
    let mut child = spawn(&program).unwrap();
    let input = child.take_stdin();
    let mut lines = BufReader::new(child.take_stdout().unwrap()).lines();
    let hello = lines.next_line().await.unwrap().unwrap();
    let hello = serde_json::from_str(&hello).unwrap();
    Emulator { child, input, lines, hello, _directory: directory }
}

impl Emulator {
    async fn ask(&self, request: &str) -> String {
        let origin = self.hello["origin"].as_str().unwrap();
        let mut stream = TcpStream::connect(origin.strip_prefix("http://").unwrap()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).await.unwrap();
        said
    }

    async fn create(&self) -> Value {
        let body = json!({ "instance_type": "gpu_1x_h100_sxm5", "ssh_key": KEY }).to_string();
        let length = body.len();
        let said = self
            .ask(&format!(
                "POST /v1/compute/instances HTTP/1.1\r\nhost: x\r\nauthorization: Key a:b\r\nconnection: close\r\n\
                 content-length: {length}\r\n\r\n{body}"
            ))
            .await;
        let (head, body) = said.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 201"), "{said}");
        serde_json::from_str(body).unwrap()
    }

    /// Where the machine of an instance listens, once it does.
    async fn machine(&self, instance: &Value) -> (String, u16) {
        let port = u16::try_from(self.hello["ssh_port"].as_u64().unwrap()).unwrap();
        let place = (instance["ip"].as_str().unwrap().to_owned(), port);
        assert!(becomes(&place, Reached::Yes).await, "{place:?}");
        place
    }

    async fn ledger(&mut self) -> Value {
        let line = self.lines.next_line().await.unwrap().unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ test";

#[derive(Clone, Copy, PartialEq)]
enum Reached {
    Yes,
    No,
}

async fn becomes(machine: &(String, u16), wanted: Reached) -> bool {
    let bounds = Bounds::within(Duration::from_secs(20))
        .paused(Duration::from_millis(10), Duration::from_millis(50));
    let mut pace = Pace::start(bounds);
    loop {
        let is_reached = TcpStream::connect((machine.0.as_str(), machine.1)).await.is_ok();
        if is_reached == (wanted == Reached::Yes) {
            return true;
        }
        if !pace.wait(None).await {
            return false;
        }
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn it_ends_its_machines_and_prints_its_ledger_when_its_input_closes() {
    let mut emulator = start(&["fal", "--token", "a:b"]).await;
    assert_eq!(emulator.hello["pid"].as_i64(), Some(emulator.child.pid().get().into()));
    let instance = emulator.create().await;
    let place = emulator.machine(&instance).await;
    drop(emulator.input.take());
    let ledger = emulator.ledger().await;
    assert_eq!(ledger["ledger"][0]["id"], instance["id"]);
    assert_eq!(ledger["ledger"][0]["gone_seconds"], Value::Null);
    assert!(emulator.child.wait().await.unwrap().success());
    assert!(becomes(&place, Reached::No).await);
}

#[tokio::test]
async fn it_ends_when_it_is_told_to() {
    for provider in ["fal", "hetzner"] {
        let mut emulator = start(&[provider, "--machines", "none"]).await;
        emulator.child.signal(Signal::Terminate).unwrap();
        assert_eq!(emulator.ledger().await["ledger"], json!([]));
        assert!(emulator.child.wait().await.unwrap().success());
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn no_machine_outlives_an_emulator_that_is_killed() {
    let emulator = start(&["fal", "--token", "a:b"]).await;
    let instance = emulator.create().await;
    let place = emulator.machine(&instance).await;
    emulator.child.signal(Signal::Kill).unwrap();
    emulator.child.wait().await.unwrap();
    assert!(becomes(&place, Reached::No).await);
}

#[tokio::test]
async fn a_scenario_makes_something_go_wrong() {
    let emulator = start(&["fal", "--machines", "none", "--scenario", "rate-limited"]).await;
    let request = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    assert!(emulator.ask(request).await.starts_with("HTTP/1.1 429"));
    assert!(emulator.ask(request).await.starts_with("HTTP/1.1 401"));
    emulator.child.stop(Duration::from_secs(20)).await.unwrap();
}
