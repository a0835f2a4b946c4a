//! Credentials in the environment stay there (invariant I12).

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::installation::process::contains;
use crate::installation::{
    ANSWER_WITHIN, Deadline, Ended, Installation, entries, eventually, processes,
};

const NAMES: [&str; 2] = ["HCLOUD_TOKEN", "FAL_KEY"];

#[test]
fn i12_a_credential_is_neither_recorded_nor_said_nor_in_any_argument() {
    let installation = Installation::new();
    // The name of the directory is random, and nobody else can know it reversed.
    let name = installation.root().file_name().unwrap().to_str().unwrap();
    let marker: String = name.chars().rev().chain("-marker".chars()).collect();
    let with_credentials = |mut command: Command| {
        command.envs(NAMES.map(|it| (it, &marker)));
        command
    };
    let begun = installation.root().join("begun");
    let mut run = installation.command(["-vv", "run", "--slug", "secret", "--", "sh", "-c"]);
    run.arg("env; : > \"$0\"; read line; exit 3").arg(&begun).stdin(Stdio::piped());
    let mut run = with_credentials(run).spawn().unwrap();
    eventually(Deadline::after(ANSWER_WITHIN), || begun.exists()).unwrap();

    for process in processes() {
        assert!(!contains(&process.command_line, marker.as_bytes()), "{process}");
    }
    assert_eq!(holders(&installation.state(), &marker), Vec::<String>::new());
    let mut said = Vec::new();
    for line in ["list", "show secret", "config show", "doctor", "providers"] {
        for json in [false, true] {
            let words = line.split(' ').chain(json.then_some("--json"));
            said.push(with_credentials(installation.command(words)).output().unwrap());
        }
    }
    drop(run.stdin.take());
    let ended = Ended::wait(run);
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    assert!(!contains(&ended.stdout, marker.as_bytes()), "the box sees the credential");
    assert!(!contains(ended.stderr.as_bytes(), marker.as_bytes()), "{}", ended.stderr);
    let history = installation.json(&["history"]);
    let run = history["runs"][0]["id"].as_str().unwrap();
    for words in [&["history", "--json"][..], &["logs", run, "--json"], &["logs", run]] {
        said.push(with_credentials(installation.command(words)).output().unwrap());
    }
    for output in said {
        for stream in [&output.stdout, &output.stderr] {
            assert!(!contains(stream, marker.as_bytes()), "{}", String::from_utf8_lossy(stream));
        }
    }
    installation.assert_clean();
    assert_eq!(holders(&installation.state(), &marker), Vec::<String>::new());
}

/// The files below a directory that contain the marker.
fn holders(dir: &Path, marker: &str) -> Vec<String> {
    let mut found = Vec::new();
    for path in entries(dir) {
        if path.is_dir() && !path.is_symlink() {
            found.extend(holders(&path, marker));
        } else if contains(&fs::read(&path).unwrap_or_default(), marker.as_bytes()) {
            found.push(path.display().to_string());
        }
    }
    found
}
