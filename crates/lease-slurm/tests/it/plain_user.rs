//! Tests once more in a cluster that belongs to a plain user, where Slurm's daemons run as that user.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use lease_process::{Limits, Program, output};

const UID: u32 = 54322;

/// What differs for a plain user: who starts jobs, what a namespace needs, how one logs in.
const AGAIN: &[&str] = &[
    "lease::a_lease_runs_a_command_and_leaves_nothing",
    "ending::children_that_hide",
    "identity::a_job_whose_answer",
    "waiting::a_pending_job",
    "login_node::a_lease_works",
    "doctor::a_good_cluster",
    "accounting::a_lease_works",
];

/// The superuser runs this program again as an invented user, who exists in one mount namespace only. For anybody
/// else, the other tests are those of a plain user already.
#[tokio::test]
async fn a_cluster_of_a_plain_user_works() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::copy(std::env::current_exe().unwrap(), place("it")).unwrap();
    let mut users = fs::read_to_string("/etc/passwd").unwrap();
    writeln!(users, "plain:x:{UID}:{UID}::{}:/bin/bash", place("t").display()).unwrap();
    fs::write(place("passwd"), users).unwrap();
    fs::create_dir(place("t")).unwrap();
    fs::set_permissions(place("t"), fs::Permissions::from_mode(0o1777)).unwrap();
    let script = format!(
        "mount --bind \"$0/passwd\" /etc/passwd && cd / && exec setpriv --reuid {UID} --regid {UID} --clear-groups \
         \"$0/it\" --test-threads=2 \"$@\""
    );
    let program = Program::new("unshare")
        .args(["--mount", "/bin/sh", "-c", &script])
        .arg(directory.path())
        .args(AGAIN.iter().copied())
        .env("TMPDIR", place("t"))
        .env("PATH", crate::cluster::PATH);
    let limits = Limits { deadline: Duration::from_secs(300), ..Limits::default() };
    let answer = output(&program, limits).await.unwrap();
    let said = String::from_utf8_lossy(&answer.stdout);
    assert!(answer.status.success(), "{said}\n{}", String::from_utf8_lossy(&answer.stderr));
    assert!(said.contains(&format!("{} passed", AGAIN.len() + 1)), "{said}");
}
