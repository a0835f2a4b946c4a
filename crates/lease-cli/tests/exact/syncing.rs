//! What `lease sync` says it would do is what it does, and a tree that is too large stops before it is on the line.

use std::fs;

use crate::installation::{Installation, entries};

/// An installation with a lease that has the tree.
fn synced() -> Installation {
    let installation = Installation::new();
    assert_eq!(installation.lease(["acquire", "--slug", "named"]).code, 0);
    assert_eq!(installation.json(&["sync", "named"])["files"], 2);
    installation
}

fn end(installation: &Installation) {
    assert_eq!(installation.lease(["release", "named"]).code, 0);
    installation.assert_clean();
}

/// What is in the tree on the box.
fn on_the_box(installation: &Installation) -> String {
    let script = "for it in *.txt src/*.txt; do [ ! -f $it ] || { echo $it; cat $it; }; done";
    let arguments = ["exec", "named", "--", "sh", "-c", script];
    let ended = installation.lease(arguments);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    String::from_utf8(ended.stdout).unwrap()
}

#[test]
fn a_plan_says_what_the_sync_then_does_and_changes_nothing() {
    let installation = synced();
    let tree = installation.tree();
    fs::write(tree.join("a.txt"), "changed\n").unwrap();
    fs::write(tree.join("c.txt"), "c\n").unwrap();
    fs::remove_file(tree.join("src/b.txt")).unwrap();
    let before = on_the_box(&installation);
    let plan = installation.json(&["sync", "named", "--dry-run"]);
    let expected = serde_json::json!([
        {"path": "a.txt", "action": "change", "bytes": 8},
        {"path": "c.txt", "action": "add", "bytes": 2},
        {"path": "src/b.txt", "action": "remove", "bytes": 2},
    ]);
    assert_eq!(plan["changes"], expected, "{plan}");
    assert_eq!(
        (&plan["dry_run"], &plan["files"], &plan["bytes"]),
        (&true.into(), &2.into(), &10.into())
    );
    assert_eq!(on_the_box(&installation), before, "a plan changes nothing");
    let text = installation.lease(["sync", "named", "--dry-run"]).stdout;
    let text = String::from_utf8(text).unwrap();
    assert_eq!(
        text,
        "change a.txt (8 B)\nadd    c.txt (2 B)\nremove src/b.txt (2 B)\n2 files, 10 bytes (10 B) would be sent, 1 paths removed\n"
    );
    let done = installation.json(&["sync", "named"]);
    for what in ["files", "bytes", "removed"] {
        assert_eq!(done[what], plan[what], "{what}: {done}");
    }
    assert_eq!(on_the_box(&installation).lines().filter(|it| *it == "changed").count(), 1);
    assert_eq!(
        installation.json(&["sync", "named", "--dry-run"])["changes"],
        serde_json::json!([])
    );
    end(&installation);
}

#[test]
fn a_full_sync_believes_nothing_and_sends_everything() {
    let installation = synced();
    assert_eq!(installation.json(&["sync", "named"])["files"], 0);
    assert_eq!(installation.json(&["sync", "named", "--checksum"])["files"], 0);
    assert_eq!(installation.json(&["sync", "named", "--full", "--dry-run"])["files"], 2);
    assert_eq!(installation.json(&["sync", "named", "--full"])["files"], 2);
    assert_eq!(installation.json(&["sync", "named"])["files"], 0);
    end(&installation);
}

#[test]
fn what_a_command_changed_on_the_box_is_told() {
    let installation = synced();
    let arguments = ["run", "--id", "named", "--", "sh", "-c", "echo other > a.txt"];
    assert_eq!(installation.lease(arguments).code, 0);
    let plan = installation.lease(["sync", "named", "--dry-run"]);
    let told = "a command had changed a.txt on the box; the tree's files would be there again";
    assert!(plan.stderr.contains(told), "{}", plan.stderr);
    let done = installation.json(&["sync", "named"]);
    assert_eq!((&done["drifted"], &done["files"]), (&serde_json::json!(["a.txt"]), &1.into()));
    end(&installation);
}

#[test]
fn a_first_sync_that_is_too_large_stops_before_anything_is_leased_or_sent() {
    let installation = Installation::new();
    let tree = installation.tree();
    fs::create_dir_all(tree.join("data/raw")).unwrap();
    fs::write(tree.join("data/raw/one.bin"), [7; 4096]).unwrap();
    fs::write(tree.join("lease.yaml"), "sync:\n  max_size: 1KiB\n").unwrap();
    let refused = installation.lease(["run", "--", "true"]);
    assert_eq!(refused.code, 125, "{}", refused.stderr);
    for word in
        ["data/raw/one.bin (4.0 KiB)", "sync.max_size is 1KiB", "--allow-large", ".leaseignore"]
    {
        assert!(refused.failure().contains(word), "{word}: {}", refused.stderr);
    }
    assert!(refused.failure().contains("nothing was created"), "{}", refused.stderr);
    assert!(installation.journals().is_empty());
    assert_eq!(installation.lease(["acquire", "--slug", "named"]).code, 0);
    let refused = installation.lease(["sync", "named"]);
    assert_eq!(refused.code, 125, "{}", refused.stderr);
    let told = "the machine is still leased; run: lease sync named --allow-large";
    assert!(refused.failure().contains(told), "{}", refused.stderr);
    let root = entries(&installation.boxes()).map(|it| it.join("root/work")).find(|it| it.exists());
    assert!(root.is_none_or(|it| entries(&it).next().is_none()), "something was sent");
    let planned = installation.lease(["sync", "named", "--dry-run"]);
    assert_eq!(planned.code, 0, "{}", planned.stderr);
    assert!(planned.stderr.contains("sync.max_size is 1KiB"), "{}", planned.stderr);
    let words = ["run", "--id", "named", "--allow-large", "--", "wc", "-c", "data/raw/one.bin"];
    let allowed = installation.lease(words);
    assert_eq!(allowed.code, 0, "{}", allowed.stderr);
    // It is there now, so what follows is not the first.
    assert_eq!(installation.lease(["sync", "named"]).code, 0);
    end(&installation);
}

#[test]
fn a_box_calls_the_origin_only_where_a_trusted_setting_says_so() {
    let installation = Installation::new();
    let tree = installation.tree();
    let git = |arguments: &[&str]| {
        let who = ["-c", "user.name=x", "-c", "user.email=x@example.org"];
        assert!(installation.process("git").args(who).args(arguments).status().unwrap().success());
    };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "x"]);
    git(&["update-ref", "refs/remotes/origin/main", "HEAD"]);
    git(&["config", "remote.origin.url", &format!("https://{address}/a.git")]);
    // Whoever calls finds that nobody speaks TLS here.
    let called = std::thread::spawn(move || drop(listener.accept().unwrap()));
    assert_eq!(installation.lease(["acquire", "--slug", "named"]).code, 0);
    assert_eq!(installation.json(&["sync", "named"])["files"], 2);
    end(&installation);
    assert!(!called.is_finished());
    fs::write(tree.join("lease.yaml"), "sync:\n  seed: 1B\n").unwrap();
    assert_ne!(installation.lease(["acquire", "--slug", "named"]).code, 0);
    assert_eq!(installation.lease(["trust"]).code, 0);
    assert_eq!(installation.lease(["acquire", "--slug", "named"]).code, 0);
    assert_eq!(installation.json(&["sync", "named"])["files"], 3);
    assert!(called.is_finished(), "the box did not call");
    end(&installation);
}
