//! The sample adapter for machines of a list, with an ssh that runs here what it should run there.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use lease_core::engine::Outcome;
use lease_core::store::memory::MemoryStore;
use lease_core::{Effect, HostKey, OsEntropy, Provider as _};
use lease_external::conformance::check;
use lease_external::{ExternalConfig, Unheard};
use lease_process::{Limits, Program, Stream, output, spawn, wait};

use crate::bench::{Bench, KEY, PATH, PATIENCE, path, quick, root, write_program};

/// Runs the script here, in a home of the machine's name, unless the machine is said to be down.
const SSH: &str = r#"#!/bin/sh
while [ $# -gt 2 ]; do shift; done
[ ! -e "@/down-$1" ] || { echo "connect to host $1: Connection refused" >&2; exit 255; }
HOME="@/homes/$1"
export HOME
mkdir -p "$HOME"
exec "$2"
"#;

struct Hosts {
    bench: Bench,
}

impl Hosts {
    fn new(list: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| directory.path().join(name);
        fs::write(file("hosts"), list).unwrap();
        write_program(&file("ssh"), &SSH.replace('@', &path(directory.path())));
        let mut config =
            ExternalConfig::command([path(&root().join("docs/examples/hosts/lease-hosts"))]);
        quick(&mut config);
        config.idempotent_lease_id = true;
        for name in ["hosts", "state", "ssh"] {
            config.config.insert(name.to_owned(), path(&file(name)).into());
        }
        let store = Arc::new(MemoryStore::new().unwrap());
        Self { bench: Bench::of(directory, config, store) }
    }

    fn keys(&self, host: &str) -> String {
        let file = self.home(host).join(".ssh/authorized_keys");
        fs::read_to_string(file).unwrap_or_default()
    }

    fn home(&self, host: &str) -> PathBuf {
        self.bench.directory.path().join("homes").join(host)
    }
}

#[tokio::test]
async fn a_machine_takes_the_key_and_is_cleared_of_it_again() {
    let pinned = KEY.rsplit_once(' ').unwrap().0;
    let hosts = Hosts::new(&format!("# mine\nann@192.0.2.1:2200 {pinned}\n"));
    fs::create_dir_all(hosts.home("192.0.2.1").join(".ssh")).unwrap();
    let foreign = "ssh-ed25519 AAAAforeign me@desk\n";
    fs::write(hosts.home("192.0.2.1").join(".ssh/authorized_keys"), foreign).unwrap();
    let claim = hosts.bench.acquire().await.unwrap();
    let reach = claim.usable().unwrap().clone();
    assert_eq!((reach.host.as_str(), reach.port, reach.user.as_str()), ("192.0.2.1", 2200, "ann"));
    assert_eq!(hosts.bench.doors.asked()[0].host_key, HostKey::Pinned(pinned.to_owned()));
    let own = hosts.home("192.0.2.1").join("lease").join(claim.lease().as_str());
    assert_eq!(reach.root, path(&own));
    assert!(hosts.keys("192.0.2.1").contains(&format!("restrict,pty {pinned} lease:cbx_")));
    fs::create_dir_all(own.join("work")).unwrap();
    let program = Program::new("sleep").arg("86411").env("PATH", PATH).cwd(own.join("work"));
    let left = spawn(&program.stdout(Stream::Null).stderr(Stream::Null)).unwrap();
    assert!(matches!(hosts.bench.release(claim.lease()).await, Outcome::Released));
    assert_eq!(hosts.keys("192.0.2.1"), foreign);
    assert!(!own.exists());
    let ended = wait::until(PATIENCE, std::time::Duration::from_millis(10), || {
        left.try_wait().unwrap().is_some()
    });
    assert!(ended.await);
}

#[tokio::test]
async fn each_machine_is_leased_once_and_a_full_list_is_harmless() {
    let hosts = Hosts::new("ann@192.0.2.1\nann@192.0.2.2\n");
    let one = hosts.bench.acquire().await.unwrap();
    let two = hosts.bench.acquire().await.unwrap();
    assert_ne!(one.usable().unwrap().host, two.usable().unwrap().host);
    let mut writer = hosts.bench.intend().await;
    let error = hosts.bench.create(&mut writer).await.1.unwrap_err();
    assert_eq!(error.effect(), Effect::None, "{error}");
    assert!(error.to_string().contains("every machine of the list is taken"), "{error}");
    for claim in [one, two] {
        assert!(matches!(hosts.bench.release(claim.lease()).await, Outcome::Released));
    }
    assert_eq!(hosts.bench.provider.list().await.unwrap().items.len(), 0);
}

#[tokio::test]
async fn a_machine_that_cannot_be_asked_stays_taken_until_it_can() {
    let hosts = Hosts::new("ann@192.0.2.1\n");
    let claim = hosts.bench.acquire().await.unwrap();
    let down = hosts.bench.directory.path().join("down-192.0.2.1");
    fs::write(&down, "").unwrap();
    let mut writer = hosts.bench.intend().await;
    hosts.bench.create(&mut writer).await.1.unwrap_err();
    assert_eq!(hosts.bench.provider.list().await.unwrap().items.len(), 1);
    fs::remove_file(&down).unwrap();
    assert!(matches!(hosts.bench.release(claim.lease()).await, Outcome::Released));
    assert!(!hosts.keys("192.0.2.1").contains("lease:"));
}

#[tokio::test]
async fn a_list_that_smuggles_an_option_is_refused() {
    for line in ["-oProxyCommand=x@h", "ann@-oProxyCommand=x", "ann@h -x y\n@", "ann", "ann@h:22x"]
    {
        let hosts = Hosts::new(&format!("{line}\n"));
        let failure = hosts.bench.acquire().await.unwrap_err();
        let said = failure.error.to_string();
        assert!(said.contains("USER@HOST") || said.contains("hostKey"), "{line}: {said}");
        assert_eq!(hosts.bench.live().await, 0);
    }
}

#[tokio::test]
async fn it_passes_the_protocol_checks() {
    let hosts = Hosts::new("ann@192.0.2.1\nann@192.0.2.2\n");
    let mut config =
        ExternalConfig::command([path(&root().join("docs/examples/hosts/lease-hosts"))]);
    quick(&mut config);
    config.idempotent_lease_id = true;
    for name in ["hosts", "state", "ssh"] {
        let file = hosts.bench.directory.path().join(name);
        config.config.insert(name.to_owned(), path(&file).into());
    }
    let report = check(config, Arc::new(Unheard), &OsEntropy, KEY).await.unwrap();
    assert!(report.is_conforming(), "{report}");
    assert!(!hosts.keys("192.0.2.1").contains("lease:"));
}

#[tokio::test]
async fn shell_files_are_clean_by_shellcheck_where_it_is_installed_and_by_sh_everywhere() {
    let skeleton = root().join("crates/lease-external/skeleton/adapter.sh");
    let run = async |program: &str, args: &[&str]| {
        let program = Program::new(program).args(args.iter().copied()).arg(&skeleton);
        output(&program.env("PATH", PATH), Limits::default()).await
    };
    assert!(run("sh", &["-n"]).await.unwrap().status.success());
    match run("shellcheck", &[]).await {
        Ok(checked) => {
            let said = String::from_utf8_lossy(&checked.stdout).into_owned();
            assert!(checked.status.success(), "{said}");
        }
        Err(error) => assert!(!error.may_have_run(), "{error}"),
    }
}
