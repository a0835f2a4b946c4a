//! All the other tests once more, as somebody who is not the superuser.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use lease_core::{ErrorKind, Provider as _};
use lease_process::{Limits, Program, output};

use crate::bench::{Bench, caller};

const UID: u32 = 54321;

/// The superuser runs this program again as an invented user, who exists in one mount namespace only. For anybody
/// else, the other tests are those of a plain user already.
#[tokio::test]
async fn everything_works_for_a_plain_user() {
    if caller().1 != 0 {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = std::env::current_exe().unwrap();
    fs::copy(&program, place("it")).unwrap();
    let mut users = fs::read_to_string("/etc/passwd").unwrap();
    writeln!(users, "plain:x:{UID}:{UID}::/:/bin/sh").unwrap();
    fs::write(place("passwd"), users).unwrap();
    fs::create_dir(place("tmp")).unwrap();
    fs::set_permissions(place("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();

    let script = format!(
        "mount --bind \"$1/passwd\" /etc/passwd && cd / && exec setpriv --reuid {UID} --regid {UID} \
         --clear-groups \"$1/it\" --skip plain_user::everything"
    );
    let program = Program::new("unshare")
        .args(["--mount", "/bin/sh", "-c", &script, "sh"])
        .arg(directory.path())
        .env("TMPDIR", place("tmp"))
        .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
    let limits = Limits { deadline: Duration::from_secs(600), ..Limits::default() };
    let answer = output(&program, limits).await.unwrap();
    let said = String::from_utf8_lossy(&answer.stdout);
    assert!(answer.status.success(), "{said}\n{}", String::from_utf8_lossy(&answer.stderr));
    assert!(said.contains("an_entry_that_cannot_be_read_breaks_the_listing ... ok"), "{said}");
}

/// Only for the plain user is there anything that cannot be read.
#[tokio::test]
async fn an_entry_that_cannot_be_read_breaks_the_listing() {
    let bench = Bench::new();
    let (mut lease, _) = bench.make().await;
    let closed = bench.root().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    let listed = bench.provider.list().await;
    if caller().1 == 0 {
        assert_eq!(listed.unwrap().items.len(), 1);
    } else {
        assert_eq!(listed.unwrap_err().kind(), ErrorKind::Storage);
    }
    fs::remove_dir(&closed).unwrap();
    bench.destroy(&mut lease).await.unwrap();
}
