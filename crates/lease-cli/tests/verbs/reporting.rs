//! `lease run --junit`.

use std::fs;

use crate::leased::Leased;

/// What a reader of XML makes of a report: the names of the elements with their attributes and texts, in order.
fn read(it: &Leased, name: &str) -> serde_json::Value {
    let script = "import json, sys, xml.etree.ElementTree as t\n\
                  print(json.dumps([[e.tag, e.attrib, e.text or ''] for e in t.parse(sys.argv[1]).iter()]))";
    let mut python = it.0.process("python3");
    let read = python.args(["-c", script, name]).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    serde_json::from_slice(&read.stdout).unwrap()
}

fn element<'a>(report: &'a serde_json::Value, tag: &str) -> Option<&'a serde_json::Value> {
    report.as_array().unwrap().iter().find(|it| it[0] == tag)
}

#[test]
fn a_report_is_xml_whatever_the_command_prints() {
    let it = Leased::new();
    let script =
        "printf '\\0\\001\\033[1m<&]]>\\377\\303\\244\\r\\n'; echo \"err <x>\" >&2; exit 3";
    let words = ["run", "--id", "demo", "--junit", "report.xml", "--", "sh", "-c", script];
    let ended = it.0.lease(words);
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    let report = read(&it, "report.xml");
    let suite = element(&report, "testsuite").unwrap();
    assert_eq!((&suite[1]["tests"], &suite[1]["failures"]), (&"1".into(), &"1".into()));
    let case = element(&report, "testcase").unwrap();
    assert!(case[1]["name"].as_str().unwrap().starts_with("sh -c printf"), "{case}");
    assert_eq!(element(&report, "failure").unwrap()[1]["message"], "exit code 3");
    let bad = "\u{fffd}";
    let out = format!("{bad}{bad}{bad}[1m<&]]>{bad}ä\r\n");
    assert_eq!(element(&report, "system-out").unwrap()[2], out.as_str());
    assert_eq!(element(&report, "system-err").unwrap()[2], "err <x>\n");
    // Not in the way of the next sync, and replaced by the next run.
    let words = ["run", "--id", "demo", "--junit", "report.xml", "--", "true"];
    it.good(&words);
    let report = read(&it, "report.xml");
    assert!(element(&report, "failure").is_none() && element(&report, "error").is_none());
    it.end();
}

#[test]
fn what_the_tool_could_not_do_is_an_error_in_the_report() {
    let it = Leased::new();
    let words = ["run", "--id", "demo", "--junit", "r.xml", "--download", "none", "--", "true"];
    assert_eq!(it.0.lease(words).code, 125);
    let report = read(&it, "r.xml");
    let message = &element(&report, "error").unwrap()[1]["message"];
    assert!(message.as_str().unwrap().contains("the box has no none"), "{message}");
    // A report that cannot be written is a failure only where nothing else was one.
    for (script, code) in [("true", 125), ("exit 4", 4)] {
        let words = ["run", "--id", "demo", "--junit", "/proc/r.xml", "--", "sh", "-c", script];
        let ended = it.0.lease(words);
        assert_eq!(ended.code, code, "{}", ended.stderr);
        assert!(ended.stderr.contains("/proc/r.xml cannot be written"), "{}", ended.stderr);
    }
    assert_eq!(fs::read_dir(it.0.tree()).unwrap().count(), 4, "a draft was left");
    // One that has no place is told before anything is run.
    let ended =
        it.0.lease(["run", "--id", "demo", "--junit", "no/such/r.xml", "--", "touch", "ran"]);
    assert!(ended.failure().contains("; nothing was created; run: mkdir -p "), "{}", ended.stderr);
    assert!(!it.work().join("ran").exists());
    it.end();
}
