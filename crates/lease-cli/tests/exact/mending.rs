//! What is wrong with the files of this machine is told with the command that mends it, and nothing is said of the machine
//! that is not so.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::installation::{Ended, Installation};

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Does what the line of a failure says is to be typed, which must be a `chmod`.
#[track_caller]
fn mend(installation: &Installation, ended: &Ended) {
    let line = ended.failure();
    let (_, typed) = line.split_once("; run: ").unwrap();
    let words: Vec<_> = typed.split(' ').collect();
    assert_eq!(words[0], "chmod", "{line}");
    assert!(installation.process("chmod").args(&words[1..]).status().unwrap().success());
}

#[test]
fn a_key_that_others_may_read_costs_a_chmod_and_no_machine() {
    let installation = Installation::new();
    assert_eq!(installation.lease(["acquire", "--slug", "demo"]).code, 0);
    let lease = installation.leases()[0]["id"].as_str().unwrap().to_owned();
    let key = installation.state().join("keys").join(lease).join("id_ed25519");
    mode(&key, 0o644);
    let ended = installation.lease(["exec", "demo", "--", "true"]);
    assert!(
        ended.code == 125 && ended.failure().contains("; the machine is still leased; "),
        "{}",
        ended.stderr
    );
    mend(&installation, &ended);
    let ended = installation.lease(["exec", "demo", "--", "true"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(installation.lease(["release", "demo"]).code, 0);
    installation.assert_clean();
}

#[test]
fn a_runtime_directory_without_its_parent_is_told_before_a_box_is_made() {
    let installation = Installation::new();
    let nowhere = installation.root().join("nowhere/deep");
    let mut command = installation.command(["run", "--", "true"]);
    let ended = Ended::of(&command.env("XDG_RUNTIME_DIR", &nowhere).output().unwrap());
    let said = ended.failure();
    assert!(said.contains("; nothing was created; run: mkdir -m 700 -p "), "{said}");
    assert!(said.ends_with(nowhere.to_str().unwrap()), "{said}");
    installation.assert_clean();
}

#[test]
fn a_release_that_cannot_forget_the_keys_says_that_the_machine_is_gone() {
    let installation = Installation::new();
    assert_eq!(installation.lease(["acquire", "--slug", "demo"]).code, 0);
    mode(&installation.runtime(), 0o755);
    let ended = installation.lease(["release", "demo"]);
    assert!(
        ended.code == 125 && ended.failure().contains("; the machine was released; "),
        "{}",
        ended.stderr
    );
    mend(&installation, &ended);
    assert_eq!(installation.lease(["release", "demo"]).code, 0);
    installation.assert_clean();
}
