//! `lease history` and `lease logs` on records as they are on disk.

use std::fs;

use crate::home::Home;

fn record(home: &Home, id: &str, fields: &serde_json::Value, stdout: &[u8], stderr: &[u8]) {
    let dir = home.path("state/runs").join(id);
    fs::create_dir_all(&dir).unwrap();
    let mut record = serde_json::json!({
        "v": 1, "id": id, "command": ["cargo", "test"], "lease": "lse-aaaaaaaaaaaaaaaaaaaa", "slug": "calm-otter",
        "provider": "local", "started_at": "2023-11-14T22:13:20.000Z", "finished_at": "2023-11-14T22:13:22.000Z",
        "phases": {"acquire_ms": 900, "sync_ms": 40, "run_ms": 2000, "release_ms": 30}, "exit": 0,
        "stdout": {"bytes": stdout.len(), "truncated": false}, "stderr": {"bytes": stderr.len(), "truncated": false},
        "recording_failed": null, "pid": 1,
    });
    for (name, value) in fields.as_object().unwrap() {
        record[name] = value.clone();
    }
    fs::write(dir.join("record.json"), record.to_string()).unwrap();
    fs::write(dir.join("stdout"), stdout).unwrap();
    fs::write(dir.join("stderr"), stderr).unwrap();
}

/// A run on that lease whose client died in another boot of this machine.
pub(crate) fn unfinished(home: &Home, id: &str, lease: &str) {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let process =
        serde_json::json!({"host": name, "boot": "another", "start": 1, "pid_namespace": "1"});
    let fields = serde_json::json!({
        "finished_at": null, "exit": null, "command": ["sleep", "9"], "lease": lease, "process": process,
    });
    record(home, id, &fields, b"", b"");
}

#[test]
fn runs_are_listed_and_their_output_is_printed_where_it_belongs() {
    let home = Home::new();
    record(&home, "run-2222222222aaaaaaa", &serde_json::json!({}), b"out\n", b"err\n");
    let unfinished =
        serde_json::json!({"finished_at": null, "exit": null, "command": ["sh", "-c", "a\nb"]});
    record(&home, "run-2222222223aaaaaaa", &unfinished, b"so far", b"");
    insta::assert_snapshot!(home.lease("history").good(), @r"
    RUN                    STARTED                   TOOK  EXIT        LEASE       COMMAND
    run-2222222223aaaaaaa  2023-11-14T22:13:20.000Z  2s    unfinished  calm-otter  sh -c a b
    run-2222222222aaaaaaa  2023-11-14T22:13:20.000Z  2s    0           calm-otter  cargo test
    ");
    let ended = home.lease("logs run-2222222222");
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (0, "out\n", "err\n"));
    assert_eq!(home.lease("logs 2222222222 --stdout").good(), "out\n");
    let last = home.lease("logs last");
    assert_eq!(
        (last.stdout.as_str(), last.stderr.as_str()),
        (
            "so far",
            "lease: find the lease: no live lease is called \"lse-aaaaaaaaaaaaaaaaaaaa\"; this is what was recorded here\nlease: this run has no recorded end\n"
        )
    );
    crate::schemas::check(&home, "history", "lease.history/1");
    crate::schemas::check(&home, "logs last", "lease.logs/1");
    assert!(home.lease("logs run-").bad().contains("could be 2 runs"));
    let history = crate::home::json(&home.lease("history --json -n 1").good());
    assert_eq!(history["runs"][0]["id"], "run-2222222223aaaaaaa");
}

#[test]
fn a_binary_stream_comes_back_exactly() {
    let home = Home::new();
    let bytes: Vec<u8> = (0..=255).collect();
    record(&home, "run-2222222222aaaaaaa", &serde_json::json!({}), &bytes, b"");
    assert_eq!(home.command(["logs", "last"]).output().unwrap().stdout, bytes);
}

#[test]
fn a_damaged_record_hides_no_other() {
    let home = Home::new();
    record(&home, "run-2222222222aaaaaaa", &serde_json::json!({}), b"", b"");
    record(&home, "run-2222222223aaaaaaa", &serde_json::json!({}), b"", b"");
    fs::write(home.path("state/runs/run-2222222223aaaaaaa/record.json"), "{").unwrap();
    assert!(home.lease("history").good().contains("run-2222222222aaaaaaa"));
    assert!(home.lease("logs last").bad().contains("is not the record of a run"));
}
