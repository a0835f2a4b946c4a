//! `lease run --download`, and `artifacts` in the settings.

use std::fs;

use crate::installation::Installation;
use crate::leased::Leased;

#[test]
fn what_a_command_left_is_fetched_whatever_its_code() {
    let installation = Installation::new();
    let script =
        "mkdir -p out/deep && echo 1 >out/a.xml && echo 2 >out/deep/b && echo 3 >out/c.txt; exit 3";
    let words =
        ["run", "--download", "out/*.xml", "--download", "out/deep", "--", "sh", "-c", script];
    let ended = installation.lease(words);
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    let of = |name: &str| fs::read_to_string(installation.tree().join(name)).ok();
    assert_eq!((of("out/a.xml"), of("out/deep/b")), (Some("1\n".into()), Some("2\n".into())));
    assert_eq!(of("out/c.txt"), None);
    assert!(ended.stderr.contains("2 files fetched"), "{}", ended.stderr);
    installation.assert_clean();
}

#[test]
fn a_failed_download_counts_only_where_the_command_succeeded() {
    let it = Leased::new();
    for (script, code) in [("true", 125), ("exit 4", 4)] {
        let words = ["run", "--id", "demo", "--download", "none", "--", "sh", "-c", script];
        let ended = it.0.lease(words);
        assert_eq!(ended.code, code, "{}", ended.stderr);
        assert!(ended.stderr.contains("the box has no none"), "{}", ended.stderr);
    }
    let words = ["run", "--id", "demo", "--download", "../x", "--", "touch", "started"];
    let ended = it.0.lease(words);
    assert_eq!(ended.code, 125);
    assert!(ended.failure().contains("below the tree"), "{}", ended.stderr);
    assert!(!it.work().join("started").exists());
    it.end();
}

#[test]
fn a_file_that_changed_here_meanwhile_stays() {
    let it = Leased::new();
    let tree = it.0.tree();
    fs::write(tree.join(".gitignore"), "ignored\n").unwrap();
    fs::write(tree.join("ignored"), "old\n").unwrap();
    // The command changes what is in the tree here as well, as an editor would meanwhile.
    let script = format!(
        "echo box >a.txt; echo box >src/b.txt; echo box >ignored; echo box >new; \
         echo mine >{tree}/a.txt; echo mine >{tree}/new",
        tree = tree.display()
    );
    let mut words = vec!["run", "--id", "demo"];
    for name in ["a.txt", "src/b.txt", "ignored", "new"] {
        words.extend(["--download", name]);
    }
    words.extend(["--", "sh", "-c", &script]);
    let ended = it.good(&words);
    let of = |name: &str| fs::read_to_string(tree.join(name)).unwrap();
    for name in ["a.txt", "new"] {
        assert_eq!((of(name), of(&format!("{name}.from-box"))), ("mine\n".into(), "box\n".into()));
    }
    for name in ["src/b.txt", "ignored"] {
        assert_eq!(of(name), "box\n");
    }
    assert!(ended.stderr.contains("a.txt was changed here and stays"), "{}", ended.stderr);
    it.end();
}

#[test]
fn a_repository_may_ask_for_artifacts_once_it_is_trusted() {
    let it = Leased::new();
    let tree = it.0.tree();
    fs::write(tree.join("lease.yaml"), "artifacts: [report]\n").unwrap();
    let run = |more: &[&str]| {
        let words = ["run", "--id", "demo"].iter().chain(more);
        it.0.lease(words.chain(&["--", "sh", "-c", "echo x >report"]))
    };
    let ended = run(&[]);
    assert_eq!(ended.code, 125);
    assert!(ended.failure().contains("lease trust"), "{}", ended.stderr);
    it.good(&["trust"]);
    let ended = run(&["--download-to", "else/where"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(fs::read_to_string(tree.join("else/where/report")).unwrap(), "x\n");
    assert!(!tree.join("report").exists());
    let ended = run(&["--detach"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("artifacts are not fetched"), "{}", ended.stderr);
    it.end();
}
