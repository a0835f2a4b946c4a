//! The pages that people read.

use std::process::Stdio;

use crate::home::{AT, Home};

#[test]
fn without_a_word_it_says_what_to_type_and_makes_nothing() {
    let home = Home::new();
    insta::assert_snapshot!(home.lease("").good(), @r"
    lease: a remote machine for one piece of work, given back afterwards

      lease run -- COMMAND      lease a box, sync this tree, run, give the box back
      lease acquire             lease a box and leave it ready
      lease run --id NAME -- …  run on a leased box; it stays leased
      lease list                what is leased
      lease release NAME        give it back
      lease doctor              check everything that would fail later
      lease --help              everything else

    Nothing is leased right now. A box comes from local: lease providers
    ");
    assert!(!home.path("state").exists());
}

#[test]
fn the_version_needs_no_home() {
    let home = Home::new();
    let ended = home.ended(home.command(["--version"]).env_clear());
    assert_eq!(ended.good(), format!("lease {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_help_is_a_page_and_leads_to_the_tables() {
    let help = Home::new().lease("--help").good();
    let more = ["[also: warmup]", "lease help environment", "lease help exit-codes"];
    for expected in more {
        assert!(help.contains(expected), "{expected} is missing in {help}");
    }
    assert_eq!(Home::new().lease("help").good(), help);
    assert!(Home::new().lease("help exit-codes").good().contains("  125    lease itself failed"));
    assert!(Home::new().lease("help environment").good().contains("LEASE_STATE_DIR"));
    let short = Home::new().lease("run -h").good();
    assert!(short.contains("Usage: lease run [OPTIONS] -- <COMMAND>..."), "{short}");
}

#[test]
fn show_says_everything_about_a_lease() {
    let home = Home::new();
    home.record("calm-otter", "lse-aaaaaaaaaaaaaaaaaaaa", AT);
    insta::assert_snapshot!(home.lease("show calm-otter").good(), @r"
    name        calm-otter
    id          lse-aaaaaaaaaaaaaaaaaaaa
    state       ready
    provider    local
    account     uid-7 at /boxes
    for         /some/tree
    created     2023-11-14T22:13:20.000Z
    last used   2023-11-14T22:13:20.000Z
    ends        2035-04-12T14:13:20.000Z
    login       me@box port 22 over TCP, host key pinned
    directory   /boxes/1
    resource    box box-1 (present)
    ");
    assert_eq!(
        home.lease("show lse-aaaaaaaaaaaaaaaaaaaa").good(),
        home.lease("show lse-aaa").good()
    );
}

#[test]
fn show_names_the_runs_that_go_on() {
    let home = Home::new();
    let lease = "lse-aaaaaaaaaaaaaaaaaaaa";
    home.record("calm-otter", lease, AT);
    crate::records::unfinished(&home, "run-2222222223aaaaaaa", lease);
    crate::records::unfinished(&home, "run-2222222224aaaaaaa", "lse-bbbbbbbbbbbbbbbbbbbb");
    let text = home.lease("show calm-otter").good();
    let runs: Vec<_> = text.lines().filter(|it| it.starts_with("run ")).collect();
    let expected = "run         run-2222222223aaaaaaa since 2023-11-14T22:13:20.000Z, its client is gone: sleep 9";
    assert_eq!(runs, [expected]);
    crate::schemas::check(&home, "show calm-otter", "lease.show/1");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let home = Home::new();
    let mut child =
        home.command(["schema"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), ended.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn config_show_names_each_origin() {
    let home = Home::new();
    home.repository("max_age: 2h\n");
    let ended = home.ended(home.command(["config", "show"]).env("LEASE_CLASS", "tiny"));
    let text = ended.good();
    let line = |key: &str| {
        text.lines().find(|it| it.starts_with(key)).unwrap().split_whitespace().collect::<Vec<_>>()
    };
    assert_eq!(line("max_age"), ["max_age", "2h", "HOME/repo/lease.yaml:1"]);
    assert_eq!(line("class"), ["class", "tiny", "LEASE_CLASS"]);
    assert_eq!(line("keep"), ["keep", "never", "default"]);
}

#[test]
fn spans_that_are_no_limits_have_no_none() {
    let home = Home::new();
    let show =
        |text: &str| home.ended(home.command(["config", "show"]).env("LEASE_READY_TIMEOUT", text));
    let text = show("90s").good();
    assert!(
        text.lines().any(|it| it.split_whitespace().eq([
            "ready_timeout",
            "1m30s",
            "LEASE_READY_TIMEOUT"
        ])),
        "{text}"
    );
    assert!(show("none").bad().contains("run: unset LEASE_READY_TIMEOUT"));
}

#[test]
fn a_provider_with_one_kind_of_machine_says_so() {
    let home = Home::new();
    let ended = home.lease("providers sizes local");
    assert_eq!((ended.code, ended.stdout.as_str()), (0, ""));
    assert!(ended.stderr.contains("local has one kind of machine"), "{}", ended.stderr);
    let described = home.lease("providers describe local").good();
    assert!(described.contains("contain:") && described.contains("landing time"), "{described}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_page_that_cannot_be_printed_is_a_line_on_standard_error() {
    let home = Home::new();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ended = home.command(["--help"]).stdout(full).output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(125), "{said}");
    assert!(said.starts_with("lease: write to standard output: No space left"), "{said}");
}

#[test]
fn the_man_pages_are_written_where_they_are_asked_for() {
    let home = Home::new();
    let said = home.ended(&mut home.command(["man", "pages/man1"])).stderr;
    let directory = home.path("repo/pages/man1");
    assert!(said.contains("man -l ") && directory.join("lease-run.1").is_file(), "{said}");
    let file = home.path("a-file");
    std::fs::write(&file, "mine").unwrap();
    let said = home.ended(home.command(["man"]).arg(&file)).bad();
    assert!(said.contains("it is not a directory"), "{said}");
}
