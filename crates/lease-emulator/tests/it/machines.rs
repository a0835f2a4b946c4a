//! Machines that are logged in to with the real `ssh`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lease_core::retry::{Bounds, Pace};
use lease_emulator::machine::{Access, Condition, Containment, SshdMachines, SshdSettings};
use lease_emulator::{Birth, Machines as _};
use lease_process::{Limits, Output, ProcessTable, Program, output};
use serde_json::json;
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{LineEnding, PrivateKey};

/// Machines, a key pair of a client, and a directory for what the test writes.
struct Bench {
    machines: SshdMachines,
    directory: tempfile::TempDir,
    public: String,
}

impl Bench {
    async fn new(settings: SshdSettings) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (private, public) = key_pair();
        write_private(&directory.path().join("id"), &private);
        let machines = SshdMachines::start(settings).await.unwrap();
        Self { machines, directory, public }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    async fn boot(&self, id: &str, user_data: Option<String>) {
        let address = self.machines.address();
        let authorized_keys = vec![self.public.clone()];
        self.machines.boot(Birth { id: id.to_owned(), address, authorized_keys, user_data }).await;
    }

    /// Logs in, with whatever host key the machine shows or with the one given.
    async fn ssh(&self, id: &str, host_key: Option<&str>, command: &str) -> Output {
        let address = self.machines.address_of(id).unwrap();
        let port = self.machines.port_of(id).unwrap();
        let known = self.at("known_hosts");
        let line = host_key.map(|it| format!("[{address}]:{port} {it}\n")).unwrap_or_default();
        fs::write(&known, line).unwrap();
        let checking = if host_key.is_some() { "yes" } else { "accept-new" };
        let program = Program::new("ssh")
            .args(["-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"])
            .arg("-o")
            .arg(format!("UserKnownHostsFile={}", known.display()))
            .arg("-o")
            .arg(format!("StrictHostKeyChecking={checking}"))
            .args(["-o", "ConnectTimeout=10", "-i"])
            .arg(self.at("id"))
            .args(["-p", &port.to_string(), "-l", self.machines.user()])
            .arg(address.to_string())
            .arg(command);
        output(&program, Limits::default()).await.unwrap()
    }

    #[track_caller]
    fn up(&self, id: &str, listening: bool) {
        let condition = self.machines.condition(id);
        assert!(listening, "{condition:?}\n{}", self.machines.log(id));
    }
}

fn key_pair() -> (String, String) {
    let mut seed = [0_u8; 32];
    getrandom::fill(&mut seed).unwrap();
    let pair = KeypairData::from(Ed25519Keypair::from_seed(&seed));
    let key = PrivateKey::new(pair, "test").unwrap();
    let private = key.to_openssh(LineEnding::LF).unwrap().as_str().to_owned();
    (private, key.public_key().to_openssh().unwrap())
}

fn write_private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

fn cloud_config(document: &serde_json::Value) -> String {
    format!("#cloud-config\n{document}\n")
}

async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let bounds = Bounds::within(Duration::from_secs(20))
        .paused(Duration::from_millis(10), Duration::from_millis(50));
    let mut pace = Pace::start(bounds);
    while !condition() {
        assert!(pace.wait(None).await, "never: {what}");
    }
}

#[tokio::test]
async fn a_login_with_the_given_key_runs_a_command_in_the_given_environment() {
    let settings = SshdSettings::default().with_environment("GREETING", "hello \"you\"");
    let bench = Bench::new(settings).await;
    bench.boot("1", None).await;
    bench.up("1", bench.machines.listening("1").await);
    let done =
        bench.ssh("1", None, "echo \"$GREETING\"; command -v shutdown; shutdown -P +5").await;
    let said = text(&done.stdout);
    assert!(done.status.success(), "{said} {}", text(&done.stderr));
    assert!(said.starts_with("hello \"you\"\n"), "{said}");
    assert_eq!(bench.machines.power_notes("1"), "shutdown -P +5\n");
    bench.machines.end_all().await;
    assert_eq!(bench.machines.condition("1"), None);
}

#[tokio::test]
async fn each_machine_has_an_address_of_its_own_and_answers_there_only() {
    let bench = Bench::new(SshdSettings::default()).await;
    bench.boot("1", None).await;
    bench.boot("2", None).await;
    bench.up("1", bench.machines.listening("1").await);
    bench.up("2", bench.machines.listening("2").await);
    assert_ne!(bench.machines.address_of("1"), bench.machines.address_of("2"));
    let address = bench.machines.address_of("1").unwrap();
    let port = bench.machines.port_of("1").unwrap();
    bench.machines.end("1").await;
    assert!(tokio::net::TcpStream::connect((address, port)).await.is_err());
    assert!(bench.ssh("2", None, "true").await.status.success());
    bench.machines.end_all().await;
}

#[tokio::test]
async fn user_data_sets_the_host_key_adds_keys_writes_files_and_runs_commands() {
    let bench = Bench::new(SshdSettings::default()).await;
    let (private, public) = key_pair();
    let (file, early, late) = (bench.at("sub/file"), bench.at("early"), bench.at("late"));
    let data = json!({
        "ssh_keys": { "ed25519_private": private, "ed25519_public": public },
        "ssh_authorized_keys": [bench.public],
        "packages": ["git"],
        "write_files": [{ "path": file, "content": "it's\n$HOME", "permissions": "0640" }],
        "bootcmd": [["touch", early]],
        "runcmd": [format!("cat '{}' && true", file.display()), ["touch", late]],
    });
    let address = bench.machines.address();
    let birth = Birth {
        id: "1".to_owned(),
        address,
        authorized_keys: Vec::new(),
        user_data: Some(cloud_config(&data)),
    };
    bench.machines.boot(birth).await;
    bench.up("1", bench.machines.listening("1").await);
    let done = bench.ssh("1", Some(&public), "echo in").await;
    assert_eq!(text(&done.stdout), "in", "{}", text(&done.stderr));
    eventually("the last command has run", || late.exists()).await;
    assert!(early.exists());
    assert_eq!(fs::read_to_string(&file).unwrap(), "it's\n$HOME");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    let (_, other) = key_pair();
    assert!(!bench.ssh("1", Some(&other), "true").await.status.success());
    bench.machines.end_all().await;
}

#[tokio::test]
async fn user_data_that_is_not_understood_leaves_a_machine_that_nobody_reaches() {
    let bench = Bench::new(SshdSettings::default()).await;
    bench.boot("1", Some(cloud_config(&json!({ "snap": {} })))).await;
    let forbidden = json!({ "write_files": [{ "path": "/etc/lease-emulator", "content": "" }] });
    bench.boot("2", Some(cloud_config(&forbidden))).await;
    assert!(!bench.machines.listening("1").await);
    assert!(!bench.machines.listening("2").await);
    let says = |id: &str, expect: &str| {
        let condition = bench.machines.condition(id);
        let Some(Condition::Broken(why)) = &condition else { panic!("{condition:?}") };
        assert!(why.contains(expect), "{why}");
    };
    says("1", "unknown field `snap`");
    says("2", "may not write");
    bench.machines.end_all().await;
}

#[tokio::test]
async fn a_machine_can_refuse_keys_show_another_host_key_or_never_answer() {
    let bench = Bench::new(SshdSettings::default()).await;
    let (private, public) = key_pair();
    let data = Some(cloud_config(
        &json!({ "ssh_keys": { "ed25519_private": private, "ed25519_public": public } }),
    ));
    for (id, access) in [
        ("refusing", Access::KeyRefused),
        ("other", Access::OtherHostKey),
        ("mute", Access::Unreachable),
    ] {
        bench.machines.set_access(access);
        bench.boot(id, data.clone()).await;
    }
    bench.up("refusing", bench.machines.listening("refusing").await);
    bench.up("other", bench.machines.listening("other").await);
    let refused = bench.ssh("refusing", Some(&public), "true").await;
    assert!(text(&refused.stderr).contains("Permission denied"), "{}", text(&refused.stderr));
    let changed = bench.ssh("other", Some(&public), "true").await;
    assert!(text(&changed.stderr).contains("HOST IDENTIFICATION"), "{}", text(&changed.stderr));
    assert!(!bench.machines.listening("mute").await);
    bench.machines.end_all().await;
}

#[tokio::test]
async fn nobody_gets_in_before_the_machine_has_booted() {
    let settings = SshdSettings::default().with_boot_delay(Duration::from_secs(3_600));
    let bench = Bench::new(settings).await;
    let early = bench.at("early");
    bench.boot("1", Some(cloud_config(&json!({ "bootcmd": [["touch", early]] })))).await;
    eventually("the boot command has run", || early.exists()).await;
    assert_eq!(bench.machines.condition("1"), Some(Condition::Booting));
    let address = bench.machines.address_of("1").unwrap();
    let port = bench.machines.port_of("1").unwrap();
    assert!(tokio::net::TcpStream::connect((address, port)).await.is_err());
    bench.machines.end_all().await;
}

#[tokio::test]
async fn the_end_of_a_machine_reaches_what_was_detached_on_it() {
    for containment in [Containment::Auto, Containment::Scan] {
        let settings = SshdSettings { containment, ..SshdSettings::default() };
        let bench = Bench::new(settings).await;
        bench.boot("1", None).await;
        bench.up("1", bench.machines.listening("1").await);
        let file = bench.at("followed");
        let line = format!(
            "touch {0}; setsid nohup tail -f {0} </dev/null >/dev/null 2>&1 &",
            file.display()
        );
        assert!(bench.ssh("1", None, &line).await.status.success());
        eventually("the detached process runs", || is_followed(&file)).await;
        bench.machines.end("1").await;
        assert!(!is_followed(&file), "{containment:?}");
    }
}

#[tokio::test]
async fn dropping_the_machines_ends_their_servers() {
    for containment in [Containment::Auto, Containment::Scan] {
        let settings = SshdSettings { containment, ..SshdSettings::default() };
        let bench = Bench::new(settings).await;
        bench.boot("1", None).await;
        bench.up("1", bench.machines.listening("1").await);
        let address = bench.machines.address_of("1").unwrap();
        let port = bench.machines.port_of("1").unwrap();
        drop(bench);
        eventually("nobody listens", || std::net::TcpStream::connect((address, port)).is_err())
            .await;
    }
}

/// Whether `tail` follows this file.
fn is_followed(file: &Path) -> bool {
    let table = ProcessTable::read().unwrap();
    let wanted = file.as_os_str();
    let is_tail = |argv: &[std::ffi::OsString]| {
        argv.first().is_some_and(|it| it == "tail") && argv.iter().any(|it| it == wanted)
    };
    table.iter().any(|it| is_tail(&it.argv()))
}
