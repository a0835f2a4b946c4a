//! Every kind of adapter from the first command to the last, through the program that people type.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use crate::installation::{ANSWER_WITHIN, Deadline, eventually};
use crate::site::{QUICK, Site, adapter, repository};

#[test]
fn an_adapter_in_python_that_starts_servers() {
    let site = Site::machines();
    site.check_run();
    let log = site.log();
    for operation in ["acquire", "list", "release"] {
        assert!(log.iter().any(|it| it == operation), "{log:?}");
    }
    let checked = site.lease(&["doctor"]);
    let said = String::from_utf8(checked.stdout).unwrap();
    assert!(said.contains("sshd processes on loopback"), "{said}");
}

#[test]
fn what_an_adapter_says_for_people_is_heard_while_it_works() {
    let site = Site::machines();
    let ended = site.lease(&["run", "--no-sync", "--", "true"]);
    assert!(ended.stderr.contains("preparing a machine\n"), "{}", ended.stderr);
    let ended = site.lease(&["--quiet", "run", "--no-sync", "--", "true"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    site.assert_clean();
}

#[test]
fn an_adapter_in_shell_whose_logins_are_proxy_commands() {
    let site = Site::new();
    site.configure(&format!(
        "    command: {}\n    args: [\"{}\", \"{}\"]\n{QUICK}",
        adapter("pipe.sh").display(),
        site.at("adapter/machines").display(),
        site.at("work").display()
    ));
    site.check_run();
}

#[test]
fn a_lease_that_stays_is_used_by_every_command_and_given_back() {
    let site = Site::machines();
    let acquired = site.lease(&["acquire", "--slug", "calm-otter"]);
    assert_eq!(acquired.code, 0, "{}", acquired.stderr);
    assert_eq!(site.left().len(), 1);
    let listed = site.installation.json(&["provider", "inventory", "external"]);
    assert_eq!(listed["resources"][0]["claimed_by"], "calm-otter", "{listed}");
    assert_eq!(site.lease(&["sync", "calm-otter"]).code, 0);
    let ended = site.lease(&["exec", "calm-otter", "--", "cat", "a.txt"]);
    assert_eq!((ended.code, ended.stdout.as_slice()), (0, &b"a\n"[..]), "{}", ended.stderr);
    let ended = site.lease(&["run", "--id", "calm-otter", "--", "cat", "src/b.txt"]);
    assert_eq!((ended.code, ended.stdout.as_slice()), (0, &b"b\n"[..]), "{}", ended.stderr);
    fs::remove_file(site.installation.tree().join("src/b.txt")).unwrap();
    fs::write(site.installation.tree().join("c.txt"), "c\n").unwrap();
    let planned = site.lease(&["sync", "calm-otter", "--dry-run"]);
    let said = String::from_utf8(planned.stdout).unwrap();
    assert_eq!(
        said,
        "add    c.txt (2 B)\nremove src/b.txt (2 B)\n1 files, 2 bytes (2 B) would be sent, 1 paths removed\n"
    );
    let touched = site.lease(&["touch", "calm-otter", "--max-age", "2h"]);
    assert_eq!(touched.code, 0, "{}", touched.stderr);
    let shown = fs::read_to_string(site.left()[0].join("lease")).unwrap();
    assert!(shown.contains("expires_at"), "the adapter is told the deadline: {shown}");
    let released = site.lease(&["release", "calm-otter"]);
    assert_eq!(released.code, 0, "{}", released.stderr);
    site.assert_clean();
}

/// A machine that was there before: a server on loopback that a key of the test logs in to.
struct Host {
    server: Child,
    key: PathBuf,
    home: PathBuf,
    port: u16,
}

impl Host {
    fn start(site: &Site) -> Self {
        let home = site.at("host");
        fs::create_dir_all(home.join(".ssh")).unwrap();
        for name in ["key", "host_key"] {
            let mut made = site.installation.process("ssh-keygen");
            made.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(home.join(name));
            assert!(made.status().unwrap().success());
        }
        fs::copy(home.join("key.pub"), home.join(".ssh/authorized_keys")).unwrap();
        if rustix::process::geteuid().is_root() {
            fs::create_dir_all("/run/sshd").unwrap();
        }
        loop {
            let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let port = probe.local_addr().unwrap().port();
            drop(probe);
            let shown = home.display();
            let config = format!(
                "ListenAddress 127.0.0.1\nPort {port}\nHostKey {shown}/host_key\nAuthorizedKeysFile {shown}/.ssh/authorized_keys\n\
                 StrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\nPidFile none\nSetEnv \"HOME={shown}\"\n"
            );
            fs::write(home.join("sshd_config"), config).unwrap();
            let mut server = site.installation.process("/usr/sbin/sshd");
            server.args(["-D", "-f"]).arg(home.join("sshd_config")).args(["-E"]);
            let server = server.arg(home.join("sshd.log")).stdout(Stdio::null()).spawn().unwrap();
            let mut host = Self { server, key: home.join("key"), home: home.clone(), port };
            // Somebody else may have got the port meanwhile, and then this server has ended.
            let answers = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
            let ready = eventually(Deadline::after(ANSWER_WITHIN), || {
                host.server.try_wait().unwrap().is_some() || answers()
            });
            ready.unwrap();
            if host.server.try_wait().unwrap().is_none() {
                return host;
            }
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.server.kill());
        drop(self.server.wait());
    }
}

#[test]
fn commands_from_templates_with_a_key_file_of_their_own() {
    let mut site = Site::new();
    let host = Host::start(&site);
    site.installation.plant([], Some(host.server.id()));
    let cloud = site.at("adapter/machines");
    fs::create_dir_all(&cloud).unwrap();
    let names = r#"cd "$0" && printf '[' && for it in *; do [ -d "$it" ] && printf '%s"%s"' "$c" "$it" && c=,; done; printf ']'"#;
    let user = login();
    let settings = serde_json::json!({
        "lifecycle": {
            "acquire": {"argv": ["mkdir", "{{config.cloud}}/{{resourceName}}"]},
            "list": {"argv": ["sh", "-c", names, "{{config.cloud}}"], "output": "json-name-array"},
            "release": {"argv": ["rm", "-rf", "{{config.cloud}}/{{resourceName}}"]},
        },
        "connection": {"ssh": {
            "user": user, "host": "127.0.0.1", "port": "{{config.port}}", "key": host.key,
        }},
        "config": {"cloud": cloud, "port": host.port},
        "work_root": site.at("work"),
    });
    // JSON is YAML, so a line of it will do.
    let mut lines = String::new();
    for (name, value) in settings.as_object().unwrap() {
        writeln!(lines, "    {name}: {value}").unwrap();
    }
    site.configure(&format!("{lines}{QUICK}"));
    let checked = site.lease(&["doctor"]);
    let ours =
        |it: &str| ["lease: asking ", "lease: no problem "].iter().any(|one| it.starts_with(one));
    assert!(checked.stderr.lines().all(ours), "{}", checked.stderr);
    site.check_run();
    // A key that others can read reaches no ssh.
    fs::set_permissions(&host.key, fs::Permissions::from_mode(0o644)).unwrap();
    let ended = site.lease(&["run", "--no-sync", "--", "true"]);
    assert_eq!(ended.code, 125);
    assert!(ended.failure().contains("chmod 600"), "{}", ended.stderr);
    site.assert_clean();
}

#[test]
fn the_sample_adapter_hands_over_machines_that_were_there_before() {
    let mut site = Site::new();
    let host = Host::start(&site);
    site.installation.plant([], Some(host.server.id()));
    let ssh = site.at("ssh");
    let options = "-F /dev/null -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR";
    let script = format!("#!/bin/sh\nexec ssh {options} -i {} \"$@\"\n", host.key.display());
    fs::write(&ssh, script).unwrap();
    fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).unwrap();
    let key = fs::read_to_string(host.home.join("host_key.pub")).unwrap();
    let list = format!("{}@127.0.0.1:{} {key}", login(), host.port);
    fs::write(site.at("hosts"), list).unwrap();
    site.configure(&format!(
        "    command: {}\n    idempotent_lease_id: true\n    config:\n      hosts: {}\n      state: {}\n      ssh: {}\n      workRoot: {}\n{QUICK}",
        repository().join("docs/examples/hosts/lease-hosts").display(),
        site.at("hosts").display(),
        site.at("adapter").display(),
        ssh.display(),
        site.at("work").display(),
    ));
    site.check_run();
    let keys = fs::read_to_string(host.home.join(".ssh/authorized_keys")).unwrap();
    assert_eq!(keys, fs::read_to_string(host.home.join("key.pub")).unwrap());
    assert_eq!(crate::installation::entries(&site.at("adapter/leases")).count(), 0);
    assert_eq!(crate::installation::entries(&site.at("work")).count(), 0);
}

fn login() -> String {
    let known = fs::read_to_string("/etc/passwd").unwrap();
    let uid = rustix::process::getuid().as_raw().to_string();
    let line = known.lines().find(|it| it.split(':').nth(2) == Some(&uid)).unwrap();
    line.split(':').next().unwrap().to_owned()
}
