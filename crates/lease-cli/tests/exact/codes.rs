//! Exit codes are the command's own.

use crate::installation::{Ended, Installation};

fn run(installation: &Installation, command: &[&str]) -> Ended {
    installation.lease(["run", "--"].iter().chain(command))
}

#[track_caller]
fn check(command: &[&str], code: i32, stdout: &str) -> String {
    let installation = Installation::new();
    let ended = run(&installation, command);
    assert_eq!(
        (ended.code, ended.stdout.as_slice()),
        (code, stdout.as_bytes()),
        "{}",
        ended.stderr
    );
    installation.assert_clean();
    ended.stderr
}

#[test]
fn a_good_command_is_good() {
    let installation = Installation::new();
    let ended = run(&installation, &["cargo", "--version"]);
    let here = installation.process("cargo").arg("--version").output().unwrap();
    assert_eq!((ended.code, ended.stdout), (0, here.stdout), "{}", ended.stderr);
    installation.assert_clean();
}

#[test]
fn a_code_is_passed_on() {
    let said = [
        check(&["sh", "-c", "echo seven; exit 7"], 7, "seven\n"),
        check(&["sh", "-c", "exit 255"], 255, ""),
    ];
    assert!(said.iter().all(|it| !it.contains("; run: ")), "{said:?}");
}

#[test]
fn a_command_that_is_not_there_is_127_and_says_so() {
    let said = check(&["nosuchbinary"], 127, "");
    assert!(said.contains("nosuchbinary"), "{said}");
}

#[test]
fn a_directory_or_a_plain_file_is_126_and_says_so() {
    for command in ["./src", "./a.txt"] {
        let said = check(&[command], 126, "");
        assert!(said.contains(command), "{said}");
    }
}

#[test]
fn a_signal_is_128_and_its_number() {
    let said = [
        check(&["sh", "-c", "kill -9 $$"], 137, ""),
        check(&["sh", "-c", "kill -TERM $$"], 143, ""),
    ];
    assert!(said.iter().all(|it| !it.contains("; run: ")), "{said:?}");
}

#[test]
fn the_tools_own_failure_is_125() {
    let installation = Installation::new();
    let ended = installation.lease(["run", "--provider", "nosuch", "--", "true"]);
    assert_eq!(ended.code, 125);
    assert!(ended.failure().contains("nosuch"), "{}", ended.stderr);
    assert_eq!(installation.litter(), Vec::<std::path::PathBuf>::new());
    installation.assert_clean();
}
