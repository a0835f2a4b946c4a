//! A repository's file gets no power without a person's word.

use std::fs;

use crate::home::Home;

const FILE: &str = "providers:\n  local:\n    sshd: bin/evil\n";

#[test]
fn trust_is_asked_for_given_outdated_and_taken_back() {
    let home = Home::new();
    home.repository(FILE);
    let asked = home.lease("acquire").bad();
    assert!(
        asked.contains("sets providers.local.sshd in line 3, which a repository could abuse"),
        "{asked}"
    );
    assert!(
        asked.ends_with("nothing was created; run: lease trust HOME/repo/lease.yaml"),
        "{asked}"
    );
    // The value can be read before it is trusted, and the file is named.
    let shown = home.lease("config show");
    assert!(shown.stdout.contains("HOME/repo/bin/evil"), "{}", shown.stdout);
    assert!(
        shown.stderr.contains("is not trusted to set providers.local.sshd"),
        "{}",
        shown.stderr
    );
    let given = home.lease("trust").good();
    assert!(given.contains("line 3: providers.local.sshd = \"HOME/repo/bin/evil\""), "{given}");
    assert!(home.lease("trust --list").good().contains("HOME/repo/lease.yaml"));
    assert_eq!(home.lease("config show").stderr, "");
    home.repository(format!("{FILE}# changed\n"));
    let again = home.lease("acquire").bad();
    assert!(again.contains("has changed since it was trusted"), "{again}");
    home.repository(FILE);
    assert_eq!(home.lease("config show").stderr, "");
    assert!(home.lease("trust --revoke").good().contains("is not trusted any more"));
    assert!(home.lease("trust --revoke").good().contains("was not trusted"));
    assert!(home.lease("acquire").bad().contains("which a repository could abuse"));
    assert!(home.lease("trust --list").good().contains("no file is trusted"));
}

#[test]
fn trust_can_be_taken_back_from_a_file_that_is_gone() {
    let home = Home::new();
    home.repository(FILE);
    home.lease("trust").good();
    fs::remove_file(home.path("repo/lease.yaml")).unwrap();
    let path = home.path("repo/lease.yaml");
    let ended = home.ended(&mut home.command(["trust", "--revoke", path.to_str().unwrap()]));
    assert!(ended.good().contains("is not trusted any more"));
}

#[test]
fn harmless_settings_need_no_trust() {
    let home = Home::new();
    home.repository("class: tiny\nsync:\n  ignore: [\"target/\"]\n");
    assert_eq!(home.lease("config show").stderr, "");
    assert!(home.lease("trust").good().contains("it sets nothing that needs trust"));
}
