//! The recorded words of Slurm and ssh, `testdata/slurm`, read by the functions that read them in earnest.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::error::SlurmError;
use crate::partition::partitions;
use crate::pulse::{Pulse, pulse};
use crate::queue::{never_resolves, rows};
use crate::report::Part;
use crate::submission::outcome;

/// So many recordings there are of each kind at the least; taking one away has to be said here.
const ENTRIES_MIN: &[(&str, usize)] =
    &[("squeue", 9), ("reason", 5), ("sbatch", 18), ("scancel", 5), ("sinfo", 2), ("ssh", 6)];

/// Every version that was recorded stays covered.
const VERSIONS: &[&str] = &["22.05.8"];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    why: String,
    source: String,
    date: String,
    version: String,
    reads: String,
    code: i32,
    stdout: String,
    stderr: String,
    expect: Value,
}

fn entries() -> BTreeMap<String, Entry> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/slurm");
    let mut entries = BTreeMap::new();
    for file in fs::read_dir(directory).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|it| it == "json") {
            let text = fs::read_to_string(&path).unwrap();
            let entry = serde_json::from_str(&text);
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            entries.insert(name.clone(), entry.unwrap_or_else(|error| panic!("{name}: {error}")));
        }
    }
    entries
}

fn conclusion(entry: &Entry) -> Value {
    let part =
        Part { code: entry.code, stdout: entry.stdout.clone(), stderr: entry.stderr.clone() };
    match entry.reads.as_str() {
        "squeue" => match rows(&part) {
            Ok(rows) => rows.iter().map(|it| format!("{:?}", it.standing())).collect(),
            Err(_) => Value::from("unclear"),
        },
        "reason" => {
            let rows = rows(&part).unwrap();
            Value::from(if never_resolves(&rows[0].reason) { "never" } else { "waits" })
        }
        "sbatch" => Value::from(match outcome(&part) {
            Ok(number) => format!("job {number}"),
            Err(SlurmError::Refused { kind, .. }) => format!("refused {kind}"),
            Err(_) => "unclear".to_owned(),
        }),
        // Whatever scancel says, only a look at the queue says what became of the job.
        "scancel" => {
            let answered = part.code == 0 || part.stderr.contains("Invalid job id specified");
            Value::from(if answered { "answered" } else { "unclear" })
        }
        "sinfo" => match partitions(&part) {
            Ok(partitions) => partitions
                .iter()
                .map(|it| {
                    let (state, default) = (["down", "up"][usize::from(it.is_up)], it.is_default);
                    format!("{} {state}{}", it.name, if default { " default" } else { "" })
                })
                .collect(),
            Err(_) => Value::from("unclear"),
        },
        "ssh" => Value::from(match pulse(&part) {
            Pulse::Alive => "alive",
            Pulse::Dead => "dead",
            Pulse::Unknown(_) => "unknown",
        }),
        other => panic!("nobody reads {other}"),
    }
}

#[test]
fn every_recording_leads_to_its_conclusion() {
    for (name, entry) in entries() {
        assert_eq!(conclusion(&entry), entry.expect, "{name}: {}", entry.why);
    }
}

#[test]
fn every_recording_says_why_it_is_there_and_where_it_is_from() {
    for (name, entry) in entries() {
        assert!(entry.why.len() > 10 && entry.source.len() > 10, "{name}");
        let date: Vec<_> = entry.date.split('-').map(str::len).collect();
        assert_eq!(date, [4, 2, 2], "{name}: {}", entry.date);
        assert!(!entry.version.is_empty(), "{name}");
    }
}

#[test]
fn no_kind_and_no_version_loses_its_coverage() {
    let entries = entries();
    for (kind, least) in ENTRIES_MIN {
        let count = entries.values().filter(|it| it.reads == *kind).count();
        assert!(count >= *least, "{count} recordings of {kind}, and there were {least}");
    }
    for version in VERSIONS {
        assert!(entries.values().any(|it| it.version == *version), "nothing of {version} is left");
    }
}
