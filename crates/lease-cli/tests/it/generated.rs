//! Completions and man pages: made from the same definition that is parsed.

use crate::home::{Home, names};

#[test]
fn every_shell_has_completions() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = home.lease(&format!("completions {shell}")).good();
        assert!(script.contains("acquire") && script.contains("idle-timeout"), "{shell}");
    }
}

#[test]
fn every_command_has_a_man_page() {
    let home = Home::new();
    let ended = home.lease("man pages/here");
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let pages = names(&home.path("repo/pages/here"));
    for name in
        ["lease.1", "lease-run.1", "lease-acquire.1", "lease-release.1", "lease-config-show.1"]
    {
        assert!(pages.iter().any(|it| it == name), "{name} is missing among {pages:?}");
    }
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let home = Home::new();
    std::fs::write(home.path("repo/file"), "").unwrap();
    assert!(home.lease("man file/here").bad().contains("HOME/repo/file/here"));
}
