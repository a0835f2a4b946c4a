//! Everything wrong that can be typed, configured or found on disk: one clear line, nothing made, nothing lost.

use std::fs;
use std::os::unix::ffi::OsStringExt as _;

use crate::home::{AT, Home, names};

/// Each is refused with one line that says what, and nothing comes to be.
#[track_caller]
fn refused(line: &str, expected: &str) {
    let home = Home::new();
    let said = home.lease(line).bad();
    assert!(said.contains(expected), "{line}: {said}");
    assert!(names(&home.path("state/leases")).is_empty());
}

#[test]
fn what_is_typed_wrong_is_refused() {
    refused("relase", "there is no command \"relase\"; did you mean `release`?");
    refused("run", "no command is given; nothing was changed; run: lease run -- COMMAND");
    refused("run --", "no command is given");
    refused("run cargo test", "run: lease run -- cargo test");
    refused("run --dir /etc/passwd -- true", "there is no such directory; nothing was created");
    refused(
        "run --junit gone/report.xml -- true",
        "repo/gone; nothing was created; run: mkdir -p ",
    );
    refused("run --max-age -5m -- true", "--max-age: \"-5m\" is not a span");
    refused("run --max-age 5x -- true", "; run: lease run --help");
    refused("history -n 0", "a number from 1 on is expected");
    refused("history -n -1", "a number from 1 on is expected");
    refused("man", "run: lease man ~/.local/share/man/man1");
    refused("exec", "were not provided");
    refused("release", "were not provided: <LEASE>...");
    refused("release --all x", "cannot be used with");
    refused(
        "list --jsno",
        "unexpected argument '--jsno' found; a similar argument exists: '--json'",
    );
    refused("acquire --provider lcoal", "there is no provider \"lcoal\"");
    // Which of the two it is depends on the build, and neither makes anything.
    let said = Home::new().lease("acquire --provider slurm").bad();
    let why = ["set providers.slurm.shared_dir in config.yaml", "is not in this build"];
    assert!(why.iter().any(|it| said.contains(it)), "{said}");
    assert!(said.contains("; nothing was created; run: "), "{said}");
    refused("acquire --provider local --max-age soon", "--max-age: \"soon\" is not a span");
    refused("acquire --slug Not_A_Slug", "Not_A_Slug");
    refused("acquire --option novalue", "KEY=VALUE is expected");
    refused("show nobody", "no live lease is called \"nobody\"");
    refused("logs last", "no run \"last\" is recorded");
    refused("schema lease.lst/1", "did you mean \"lease.list/1\"?");
    refused("providers describe lcoal", "there is no provider \"lcoal\"");
    refused("touch x --idle-timeout 0s", "would end the lease at once");
    refused("trust", "there is no lease.yaml in this repository");
}

#[test]
fn with_json_a_failure_is_one_line_of_json() {
    let ended = Home::new().lease("show nobody --json");
    assert_eq!((ended.code, ended.stdout.as_str()), (125, ""));
    let error = crate::home::json(&ended.stderr);
    assert_eq!(error["schema"], "lease.error/1");
    assert_eq!(error["kind"], "not_found");
    assert_eq!(error["meaning"], "nothing_changed");
    assert_eq!(error["exit"], 125);
    let usage = crate::home::json(&Home::new().lease("--json relase").stderr);
    assert_eq!(usage["kind"], "usage");
}

#[test]
fn a_wrong_configuration_stops_only_what_needs_it() {
    let home = Home::new();
    home.record("calm-otter", "lse-aaaaaaaaaaaaaaaaaaaa", AT);
    home.repository("provder: local\n");
    let said = home.lease("acquire").bad();
    assert!(
        said.contains(
            "HOME/repo/lease.yaml:1:1: unknown key \"provder\"; did you mean \"provider\"?"
        ),
        "{said}"
    );
    assert!(home.lease("list").good().contains("calm-otter"));
    assert!(home.lease("show calm-otter").good().contains("calm-otter"));
    assert!(
        home.lease("keep calm-otter")
            .good()
            .contains("is kept until you run: lease release calm-otter")
    );
    assert!(home.lease("cleanup --dry-run").stdout.contains("calm-otter"));
    home.repository(vec![b'#'; 10 * 1024 * 1024]);
    assert!(home.lease("config show").bad().contains("longer than 1048576 bytes"));
    home.repository(b"class: \xff\n");
    assert!(home.lease("config show").bad().contains("lease.yaml:1:8: this is not UTF-8"));
    fs::remove_file(home.path("repo/lease.yaml")).unwrap();
    fs::create_dir(home.path("repo/lease.yaml")).unwrap();
    assert!(home.lease("config show").bad().contains("it is a directory"));
    fs::remove_dir(home.path("repo/lease.yaml")).unwrap();
    let odd = std::ffi::OsString::from_vec(vec![0xff]);
    let ended = home.ended(home.command(["config", "show"]).env("LEASE_CLASS", odd));
    assert!(ended.bad().contains("LEASE_CLASS is not valid UTF-8"));
}

#[test]
fn a_file_in_the_way_of_the_state_directory_is_named() {
    let home = Home::new();
    fs::write(home.path("state"), "precious").unwrap();
    for line in ["list", "acquire", "doctor"] {
        let ended = home.lease(line);
        let said = format!("{}{}", ended.stdout, ended.stderr);
        let what = "HOME/state: not a directory; a file is in the way of the state directory";
        assert!(said.contains(what), "{line}: {said}");
        assert_ne!(ended.code, 0, "{line}");
    }
    assert_eq!(fs::read_to_string(home.path("state")).unwrap(), "precious");
}

#[cfg(target_os = "linux")]
#[test]
fn a_state_directory_that_cannot_be_written_is_named() {
    // Even root may make nothing there.
    let home = Home::new();
    let said = home.ended(home.command(["acquire"]).env("LEASE_STATE_DIR", "/sys/lease")).bad();
    assert!(said.contains("/sys/lease") && said.contains("set LEASE_STATE_DIR"), "{said}");
}

#[test]
fn without_any_home_the_remedy_is_named() {
    let home = Home::new();
    let said = home.ended(home.command(["list"]).env_clear()).bad();
    assert!(said.contains("export LEASE_STATE_DIR=DIR"), "{said}");
}

#[test]
fn a_directory_that_is_gone_is_named() {
    let home = Home::new();
    fs::create_dir(home.path("gone")).unwrap();
    let mut command =
        home.command(["-c", "rmdir ../gone; exec \"$0\" config show", env!("CARGO_BIN_EXE_lease")]);
    #[expect(
        clippy::disallowed_methods,
        reason = "a shell removes the directory under the program's feet"
    )]
    let mut shell = std::process::Command::new("/bin/sh");
    shell
        .args(command.get_args())
        .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.current_dir(home.path("gone"));
    command = shell;
    let said = home.ended(&mut command).bad();
    assert!(said.contains("the current directory does not exist any more"), "{said}");
}

#[test]
fn the_settings_are_shown_with_a_provider_that_is_not_there_and_that_is_said() {
    let home = Home::new();
    let ended = home.ended(home.command(["config", "show"]).env("LEASE_PROVIDER", "locl"));
    let said = &ended.stderr;
    assert!(ended.code == 0 && ended.stdout.contains("locl"), "{said}");
    assert!(said.contains("there is no provider \"locl\"; did you mean \"local\"?"), "{said}");
    assert_eq!(home.lease("config show").stderr, "");
}

#[test]
fn a_state_directory_that_is_relative_is_refused_and_not_made() {
    let home = Home::new();
    let said = home.ended(home.command(["list"]).env("LEASE_STATE_DIR", "relative")).bad();
    assert!(said.contains("run: export LEASE_STATE_DIR=\"$PWD/relative\""), "{said}");
    assert!(!home.path("repo/relative").exists());
}

#[test]
fn a_misspelt_variable_is_said_before_a_box_is_leased() {
    let home = Home::new();
    let mut command = home.command(["acquire", "--slug", "Not_A_Slug"]);
    let said = home.ended(command.env("LEASE_PROVIDR", "x")).stderr;
    assert!(said.contains("LEASE_PROVIDR has no effect; did you mean LEASE_PROVIDER?"), "{said}");
}

#[test]
fn a_misspelt_lease_is_recognised() {
    let home = Home::new();
    home.record("calm-otter", "lse-aaaaaaaaaaaaaaaaaaab", AT);
    let said = home.lease("show calm-oter").bad();
    assert!(
        said.contains("no live lease is called \"calm-oter\"; did you mean calm-otter?"),
        "{said}"
    );
}

#[test]
fn an_ambiguous_name_lists_the_candidates() {
    let home = Home::new();
    home.record("calm-otter", "lse-aaaaaaaaaaaaaaaaaaab", AT);
    home.record("calm-oak", "lse-aaaaaaaaaaaaaaaaaaac", AT);
    let said = home.lease("show lse-aaa").bad();
    assert!(said.contains("calm-otter (lse-aaaaaaaaaaaaaaaaaaab)"), "{said}");
    assert!(said.contains("calm-oak (lse-aaaaaaaaaaaaaaaaaaac)"), "{said}");
    assert!(home.lease("show lse-aaa").bad().contains("could be 2 leases"));
    assert!(home.lease("show lse-aaaaaaaaaaaaaaaaaaac").good().contains("calm-oak"));
}

#[test]
fn the_beginning_of_a_slug_means_nothing() {
    let home = Home::new();
    home.record("ci-10", "lse-aaaaaaaaaaaaaaaaaaaa", AT);
    for name in ["ci-1", "ci", "lse-", "lse-aa", ""] {
        let said = home.ended(&mut home.command(["show", name])).bad();
        assert!(said.contains("no live lease is called"), "{name}: {said}");
    }
}

/// One journal of each wrong kind beside a good one: each is reported, none hides the good one, none is changed.
#[test]
fn unreadable_records_are_reported_and_hide_none() {
    let home = Home::new();
    home.record("calm-otter", "lse-aaaaaaaaaaaaaaaaaaaa", AT);
    let wrong = [
        ("bad-corrupt", "lse-bbbbbbbbbbbbbbbbbbbb", &b"{]\n"[..]),
        ("bad-empty", "lse-cccccccccccccccccccc", b""),
        ("bad-newer", "lse-dddddddddddddddddddd", b"{\"v\":99}\n"),
        ("bad-binary", "lse-eeeeeeeeeeeeeeeeeeee", b"\0\xff\0\n"),
    ];
    for (slug, id, bytes) in wrong {
        home.record(slug, id, AT);
        fs::write(home.journal(slug), bytes).unwrap();
    }
    // A journal of another lease under this one's name.
    home.record("bad-foreign", "lse-ffffffffffffffffffff", AT);
    fs::copy(home.journal("calm-otter"), home.journal("bad-foreign")).unwrap();
    fs::write(home.path("state/leases/notes.txt"), "mine").unwrap();
    let before = names(&home.path("state/leases"));
    let ended = home.lease("list");
    assert_eq!(ended.code, 0);
    assert!(
        ended.stdout.contains("calm-otter") && !ended.stdout.contains("bad-"),
        "{}",
        ended.stdout
    );
    for name in ["bad-corrupt", "bad-empty", "bad-newer", "bad-binary", "bad-foreign", "notes.txt"]
    {
        let lines = ended
            .stderr
            .lines()
            .filter(|it| it.contains(&format!("the record of {name} cannot be read")));
        assert_eq!(lines.count(), 1, "{name}: {}", ended.stderr);
    }
    let listed = crate::home::json(&home.lease("list --json").stdout);
    assert_eq!(listed["leases"].as_array().unwrap().len(), 1);
    assert_eq!(listed["unreadable"].as_array().unwrap().len(), 6);
    assert!(home.lease("show bad-newer").bad().contains("use a newer `lease`"));
    let doctor = home.lease("doctor");
    assert!(
        doctor.code == 1 && doctor.stdout.contains("6 of 7 records cannot be read"),
        "{}",
        doctor.stdout
    );
    assert_eq!(names(&home.path("state/leases")), before);
}

#[test]
fn a_torn_last_line_was_never_acknowledged() {
    let home = Home::new();
    home.record("calm-otter", "lse-aaaaaaaaaaaaaaaaaaaa", AT);
    let mut bytes = fs::read(home.journal("calm-otter")).unwrap();
    bytes.extend_from_slice(b"{\"v\":1,\"seq\":6,\"at\":5,\"eve");
    fs::write(home.journal("calm-otter"), bytes).unwrap();
    assert!(home.lease("show calm-otter").good().contains("ready"));
}

#[test]
fn a_misspelt_variable_is_found_by_the_doctor() {
    let home = Home::new();
    let ended = home.ended(home.command(["doctor"]).env("LEASE_PROVDER", "x"));
    assert!(
        ended.stdout.contains("LEASE_PROVDER has no effect; did you mean LEASE_PROVIDER?"),
        "{}",
        ended.stdout
    );
}
