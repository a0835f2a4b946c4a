//! What is planted at a provider or here is found: a leak, a deletion of something foreign, and what is stuck.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use lease_process::{Program, Signal, Stream, spawn};

use super::*;
use crate::judge::{Verdict, judge};

/// A provider that nobody has used yet, and what its books showed then.
struct Planted {
    directory: tempfile::TempDir,
    house: House,
    place: Box<dyn Place>,
    before: Inventory,
}

impl Planted {
    async fn open(provider: Provider) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("program");
        fs::write(&program, "").unwrap();
        let root = directory.path().join("site");
        let (house, place) = open(provider, &root, &program).await.unwrap();
        let before = place.inventory().await.unwrap();
        assert!(!before.foreign.is_empty(), "nothing of others is there");
        Self { directory, house, place, before }
    }

    fn at(&self, path: &str) -> std::path::PathBuf {
        self.directory.path().join("site").join(path)
    }

    async fn verdict(&self) -> Verdict {
        judge(&self.before, &self.place.inventory().await.unwrap(), &self.house.left())
    }

    /// Asserts how many leaks, touches and stuck things are found.
    async fn check(&self, expected: [usize; 3]) {
        let verdict = self.verdict().await;
        let found = [verdict.leaked.len(), verdict.foreign.len(), verdict.stuck.len()];
        assert_eq!(found, expected, "{verdict:?}");
    }

    /// Asks the emulated cloud for something as somebody with the same credential does elsewhere.
    fn ask(&self, line: &str, body: &str) {
        let config = fs::read_to_string(self.at("home/.config/lease/config.yaml")).unwrap();
        let address = config.split_once("http://").unwrap().1.split_once('/').unwrap().0;
        let mut stream = TcpStream::connect(address).unwrap();
        let token = &self.house.variables[0].1;
        let length = body.len();
        let request = format!(
            "{line} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 2"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_at_a_cloud_and_what_of_others_was_deleted_there_are_found() {
    let planted = Planted::open(Provider::Hetzner).await;
    planted.check([0, 0, 0]).await;
    let key =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIG9mIGEgdGVzdCBvZiB0aGUgbG9uZyBydW4gb2YgbHMh left";
    planted.ask("POST /v1/ssh_keys", &format!(r#"{{"name":"left","public_key":"{key}"}}"#));
    planted.check([1, 0, 0]).await;
    let server = planted.before.foreign.keys().find_map(|it| it.strip_prefix("server ")).unwrap();
    planted.ask(&format!("DELETE /v1/servers/{server}"), "");
    // Its two addresses go with it.
    planted.check([1, 3, 0]).await;
    planted.place.close().await.unwrap();
}

#[tokio::test]
async fn what_is_left_of_an_adapter_and_what_of_others_was_changed_there_are_found() {
    let planted = Planted::open(Provider::External).await;
    planted.check([0, 0, 0]).await;
    fs::create_dir_all(planted.at("adapter/machines/lse-bbbbbbbbbbbbbbbbbbbb")).unwrap();
    planted.check([1, 0, 0]).await;
    fs::write(planted.at("adapter/machines/lse-aaaaaaaaaaaaaaaaaaaa/lease"), "{}").unwrap();
    planted.check([1, 1, 0]).await;
}

#[tokio::test]
async fn what_is_left_here_and_what_is_stuck_are_found() {
    let planted = Planted::open(Provider::Local).await;
    planted.check([0, 0, 0]).await;
    fs::create_dir_all(planted.at("state/boxes/lse-bbbbbbbbbbbbbbbbbbbb-0")).unwrap();
    planted.check([1, 0, 0]).await;
    fs::write(planted.at("state/leases/one.lse-bbbbbbbbbbbbbbbbbbbb.jsonl"), "").unwrap();
    planted.check([1, 0, 1]).await;
    fs::create_dir_all(planted.at("state/keys/lse-bbbbbbbbbbbbbbbbbbbb")).unwrap();
    planted.check([1, 0, 2]).await;
    fs::remove_dir_all(planted.at("state/boxes/lse-foreignforeignforeig-0")).unwrap();
    let verdict = planted.verdict().await;
    assert!(verdict.foreign.len() >= 2, "{verdict:?}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_process_that_is_left_is_stuck() {
    let planted = Planted::open(Provider::Local).await;
    let sleep = Program::new("sleep").arg("60").cwd(planted.at("tree"));
    let child = spawn(&sleep.stdout(Stream::Null).stderr(Stream::Null)).unwrap();
    let bounds = lease_core::retry::Bounds::within(std::time::Duration::from_secs(20));
    let mut pace = lease_core::retry::Pace::start(bounds);
    // Until its program is started it is a copy of this process.
    while !planted.verdict().await.stuck.iter().any(|it| it.ends_with("sleep 60")) {
        assert!(pace.wait(None).await, "{:?}", planted.verdict().await);
    }
    child.signal(Signal::Kill).unwrap();
    child.wait().await.unwrap();
    planted.check([0, 0, 0]).await;
}
