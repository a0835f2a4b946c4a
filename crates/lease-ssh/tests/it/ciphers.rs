//! Which cipher a connection has, and that it comes about where there is no choice.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use lease_ssh::Client;

use crate::fixture::{Box, LEASE, tool};

const AES: &str = "aes128-gcm@openssh.com";
const CHACHA: &str = "chacha20-poly1305@openssh.com";

/// A box whose sshd writes down which ciphers a connection has.
async fn talkative(extra: &str) -> Box {
    Box::with("", &format!("LogLevel DEBUG1\n{extra}")).await
}

/// The cipher of what the box sends.
fn cipher(it: &Box) -> String {
    let log = fs::read_to_string(it.at("sshd.log")).unwrap();
    let (_, tail) = log.split_once("server->client cipher: ").unwrap_or_else(|| panic!("{log}"));
    tail.split(' ').next().unwrap_or_default().to_owned()
}

/// What this machine's processor is through with soonest.
fn fastest() -> &'static str {
    let told = fs::read_to_string("/proc/cpuinfo").unwrap();
    let can = told.lines().any(|line| {
        (line.starts_with("flags") || line.starts_with("Features")) && line.contains(" aes")
    });
    if can { AES } else { CHACHA }
}

#[tokio::test]
async fn a_processor_that_helps_is_used() {
    let it = talkative("").await;
    it.connect().await.check().await.unwrap();
    assert_eq!(cipher(&it), fastest());
    it.end().await;
}

#[tokio::test]
async fn a_box_that_refuses_a_cipher_gets_another() {
    for only in [CHACHA, "aes256-ctr"] {
        let it = talkative(&format!("Ciphers {only}")).await;
        it.connect().await.check().await.unwrap();
        assert_eq!(cipher(&it), only);
        it.end().await;
    }
}

#[tokio::test]
async fn an_ssh_that_cannot_be_told_uses_its_own_choice() {
    let mut it = talkative("").await;
    // As before 8.1, and as one that was built without OpenSSL.
    let old = "#!/bin/sh
case \" $* \" in *Ciphers=*) echo \"command-line line 0: Bad SSH2 cipher spec '^x'.\" >&2; exit 255 ;; esac
exec /usr/bin/ssh \"$@\"
";
    fs::create_dir(it.at("old")).unwrap();
    fs::write(it.at("old/ssh"), old).unwrap();
    fs::set_permissions(it.at("old/ssh"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut settings = it.client.settings().clone();
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin:/usr/sbin", it.at("old").display());
    settings.environment = vec![("PATH".into(), path.into())];
    it.client = Client::new(settings);
    it.client.connect(LEASE, &it.endpoint).await.unwrap().check().await.unwrap();
    let told = tool("ssh", &["-F", "none", "-G", "-T", "--", "box"]).await.stdout;
    let told = String::from_utf8(told).unwrap();
    let first = told.lines().find_map(|line| line.strip_prefix("ciphers ")?.split(',').next());
    assert_eq!(Some(cipher(&it).as_str()), first);
    it.end().await;
}
