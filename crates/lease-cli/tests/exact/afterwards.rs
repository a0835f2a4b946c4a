//! What is left of a run is what was asked for, and the local tree is never written.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::installation::{Installation, entries};

/// The retention of the only lease, or nothing.
fn retention(installation: &Installation) -> Option<String> {
    let leases = installation.leases();
    assert!(leases.len() <= 1, "{leases:?}");
    leases.first().map(|it| it["retention"].as_str().unwrap().to_owned())
}

/// Ends the kept lease, which nothing automatic does.
fn end_kept(installation: &Installation) {
    let slug = installation.leases()[0]["slug"].as_str().unwrap().to_owned();
    assert_eq!(installation.lease(["cleanup"]).code, 0);
    assert_eq!(retention(installation).as_deref(), Some("keep"));
    assert_eq!(installation.lease(["exec", &slug, "--", "true"]).code, 0, "it can be used");
    assert_eq!(installation.lease(["release", &slug]).code, 0);
    installation.assert_clean();
}

#[test]
fn keep_keeps_whatever_the_command_returned() {
    for code in ["0", "7"] {
        let installation = Installation::new();
        let ended =
            installation.lease(["run", "--keep", "--", "sh", "-c", &format!("exit {code}")]);
        assert_eq!(ended.code.to_string(), code, "{}", ended.stderr);
        end_kept(&installation);
    }
}

#[test]
fn keep_on_failure_keeps_a_failure_only() {
    let installation = Installation::new();
    let ended = installation.lease(["run", "--keep-on-failure", "--", "true"]);
    assert_eq!((ended.code, retention(&installation)), (0, None), "{}", ended.stderr);
    let ended = installation.lease(["run", "--keep-on-failure", "--", "sh", "-c", "exit 7"]);
    assert_eq!(ended.code, 7, "{}", ended.stderr);
    end_kept(&installation);
}

#[test]
fn a_named_lease_stays_and_keeps_its_directory() {
    let installation = Installation::new();
    assert_eq!(installation.lease(["acquire", "--slug", "named"]).code, 0);
    let run = |command: &str| {
        let ended = installation.lease(["run", "--id", "named", "--", "sh", "-c", command]);
        (ended.code, String::from_utf8(ended.stdout).unwrap())
    };
    assert_eq!(run("echo built > built; exit 7").0, 7);
    fs::write(installation.tree().join("new"), "new\n").unwrap();
    fs::remove_file(installation.tree().join("a.txt")).unwrap();
    // What the command made stays, and what the tree lost is gone.
    assert_eq!(run("cat built new; ls"), (0, "built\nnew\nbuilt\nnew\nsrc\n".to_owned()));
    assert_eq!(retention(&installation).as_deref(), Some("until_deadline"));
    assert_eq!(installation.lease(["release", "named"]).code, 0);
    installation.assert_clean();
}

#[test]
fn without_a_sync_the_directory_is_empty() {
    let installation = Installation::new();
    let ended = installation.lease(["run", "--no-sync", "--", "ls", "-A"]);
    assert_eq!((ended.code, ended.stdout.as_slice()), (0, b"".as_slice()), "{}", ended.stderr);
    installation.assert_clean();
}

#[test]
fn a_run_below_the_top_of_the_tree_runs_there() {
    let installation = Installation::new();
    let mut command = installation.command(["run", "--", "ls"]);
    let output = command.current_dir(installation.tree().join("src")).output().unwrap();
    assert_eq!(output.stdout, b"b.txt\n", "{}", String::from_utf8_lossy(&output.stderr));
    installation.assert_clean();
}

#[test]
fn i14_the_local_tree_is_never_written() {
    let installation = Installation::new();
    let git = |arguments: &[&str]| {
        assert!(installation.process("git").args(arguments).status().unwrap().success());
    };
    git(&["add", "a.txt"]);
    // The index is out of date, which tempts git to refresh it.
    fs::write(installation.tree().join("a.txt"), "a\n").unwrap();
    let before = look(&installation.tree());
    let script = "rm -rf a.txt src; echo x > new; git init -q . 2>/dev/null; ls -a";
    let ended = installation.lease(["run", "--", "sh", "-c", script]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(look(&installation.tree()), before);
    installation.assert_clean();
}

/// Every file below a directory, with what changes when it is written, renamed or made anew.
fn look(dir: &Path) -> Vec<(String, u64, i64, i64, i64, u64)> {
    let mut seen = Vec::new();
    for path in entries(dir) {
        let meta = fs::symlink_metadata(&path).unwrap();
        let (changed, fraction) = (meta.ctime(), meta.ctime_nsec());
        let name = path.display().to_string();
        seen.push((name, meta.ino(), changed, fraction, meta.mtime(), meta.size()));
        if meta.is_dir() {
            seen.extend(look(&path));
        }
    }
    seen
}

#[test]
fn the_timings_name_each_phase_and_leave_standard_output_alone() {
    let installation = Installation::new();
    let ended = installation.lease(["run", "--timings", "--", "cat", "a.txt"]);
    assert_eq!((ended.code, ended.stdout.as_slice()), (0, &b"a\n"[..]), "{}", ended.stderr);
    let line = ended.stderr.lines().find(|it| it.starts_with("lease: run-")).unwrap();
    let words: Vec<_> = line.split(' ').collect();
    for phase in ["scan", "acquire", "connect", "sync", "command", "release"] {
        let at = words.iter().position(|it| *it == phase).unwrap_or_else(|| panic!("{line}"));
        assert!(words[at + 1].parse::<u64>().is_ok() && words[at + 2].starts_with("ms"), "{line}");
    }
    assert_eq!(installation.lease(["acquire", "--slug", "named"]).code, 0);
    let words = ["--json", "run", "--timings", "--no-sync", "--id", "named", "--", "echo", "x"];
    let ended = installation.lease(words);
    assert_eq!((ended.code, ended.stdout.as_slice()), (0, &b"x\n"[..]), "{}", ended.stderr);
    let line = ended.stderr.lines().find(|it| it.starts_with('{')).unwrap();
    let document: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(document["schema"], "lease.timings/1");
    for (phase, happened) in
        [("scan", false), ("acquire", false), ("connect", true), ("run", true), ("sync", false)]
    {
        assert_eq!(document["phases"][format!("{phase}_ms")].is_u64(), happened, "{document}");
    }
    assert_eq!(installation.lease(["release", "named"]).code, 0);
    installation.assert_clean();
}
