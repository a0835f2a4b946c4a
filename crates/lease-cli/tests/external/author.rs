//! What an author of an adapter gets: a beginning that works, and a report.

use std::fs;

use crate::site::{Site, adapter, repository};

#[test]
fn what_is_begun_passes_the_test() {
    let site = Site::new();
    let begun = site.lease(&["provider", "new", "begun"]);
    assert_eq!(begun.code, 0, "{}", begun.stderr);
    let leases = serde_json::json!({"directory": site.at("leases")}).to_string();
    for name in ["adapter.sh", "adapter.py"] {
        let program = format!("begun/{name}");
        let words =
            ["provider", "test", "--idempotent-lease-id", "--config", &leases, "--", &program];
        let ended = site.lease(&words);
        let said = String::from_utf8(ended.stdout).unwrap();
        assert_eq!(ended.code, 0, "{said}{}", ended.stderr);
        assert!(said.contains("what was released is listed no more"), "{said}");
        assert!(said.contains(" 0 broken, "), "{said}");
    }
    assert_eq!(crate::installation::entries(&site.installation.state().join("keys")).count(), 0);
    let again = site.lease(&["provider", "new", "begun"]);
    assert_eq!(again.code, 125);
    assert!(again.failure().contains("is not empty; nothing was written"), "{}", again.stderr);
    for (language, file) in [("shell", "adapter.sh"), ("python", "adapter.py")] {
        let words = ["provider", "new", language, "--language", language, "--json"];
        let ended = site.lease(&words);
        let written: serde_json::Value = serde_json::from_slice(&ended.stdout).unwrap();
        let path = site.installation.tree().join(language).join(file);
        assert_eq!(written["files"], serde_json::json!([path]));
        assert!(path.is_file());
    }
}

#[test]
fn the_adapters_of_these_tests_and_the_sample_keep_the_rules() {
    let site = Site::new();
    let config = serde_json::json!({"state": site.at("adapter"), "work_root": site.at("work")});
    let program = adapter("machines.py");
    let words =
        ["provider", "test", "--config", &config.to_string(), "--", program.to_str().unwrap()];
    let ended = site.lease(&words);
    assert_eq!(ended.code, 0, "{}{}", String::from_utf8_lossy(&ended.stdout), ended.stderr);
    assert_eq!(site.left(), Vec::<std::path::PathBuf>::new());
    // Without machines there is nothing to lease, and that is said and not glossed over.
    fs::write(site.at("hosts"), "").unwrap();
    let config = serde_json::json!({"hosts": site.at("hosts"), "state": site.at("state")});
    let program = repository().join("docs/examples/hosts/lease-hosts");
    let words =
        ["provider", "test", "--config", &config.to_string(), "--", program.to_str().unwrap()];
    let ended = site.lease(&words);
    assert_eq!(ended.code, 1);
    assert!(String::from_utf8_lossy(&ended.stdout).contains("there is no machine in"));
}

#[test]
fn what_is_wrong_is_named_and_trouble_is_told_from_a_broken_rule() {
    let site = Site::new();
    let broken = site.lease(&["provider", "test", "--json", "--", "/bin/false"]);
    assert_eq!(broken.code, 1, "{}", broken.stderr);
    let report: serde_json::Value = serde_json::from_slice(&broken.stdout).unwrap();
    assert_eq!(
        (&report["schema"], &report["conforming"]),
        (&"lease.adapter-test/1".into(), &false.into())
    );
    let outcomes: Vec<_> =
        report["findings"].as_array().unwrap().iter().map(|it| &it["outcome"]).collect();
    assert!(outcomes.iter().any(|it| **it == "broken"), "{outcomes:?}");
    for words in [
        &["provider", "test", "--", "/nonexistent/adapter"][..],
        &["provider", "test", "--config", "[1]", "--", "/bin/true"],
        &["provider", "test"],
    ] {
        let ended = site.lease(words);
        assert_eq!((ended.code, ended.stdout.as_slice()), (125, &b""[..]), "{words:?}");
    }
}
