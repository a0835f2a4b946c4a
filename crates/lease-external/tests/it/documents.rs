//! The page for adapter authors is true: every request in it is answered, every exchange is as it is printed.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use lease_core::Store as _;
use lease_core::engine::Outcome;
use lease_core::store::memory::MemoryStore;
use lease_external::lifecycle::{Connection, Lifecycle};
use lease_external::{ExternalConfig, skeleton};
use lease_process::{Input, Limits, Program, output};
use serde_json::Value;

use crate::bench::{Bench, PATH, path, quick, root};

/// The blocks of the page with this info string.
fn blocks(info: &str) -> Vec<String> {
    let page = fs::read_to_string(root().join("docs/external-protocol.md")).unwrap();
    let mut found = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if line == format!("```{info}") {
            let block: Vec<_> = lines.by_ref().take_while(|it| *it != "```").collect();
            found.push(block.join("\n"));
        }
    }
    found
}

async fn answer(program: &Path, leases: &Path, request: &str) -> String {
    let program = Program::new(path(program))
        .env("PATH", PATH)
        .env("LEASE_ADAPTER_DIRECTORY", path(leases))
        .stdin(Input::Bytes(format!("{request}\n").into_bytes()));
    let said = output(&program, Limits::default()).await.unwrap();
    String::from_utf8(said.stdout).unwrap()
}

#[tokio::test]
async fn every_request_of_the_page_is_answered_by_both_skeletons() {
    let requests = blocks("json request");
    let operation = |it: &String| {
        let request: Value = serde_json::from_str(it).unwrap();
        request["operation"].as_str().unwrap().to_owned()
    };
    let operations: Vec<_> = requests.iter().map(operation).collect();
    let all = ["doctor", "acquire", "list", "resolve", "touch", "release", "cleanup"];
    assert_eq!(operations, all);
    let directory = tempfile::tempdir().unwrap();
    for program in skeleton::write(directory.path(), &skeleton::SKELETONS).unwrap() {
        let leases = directory.path().join("leases");
        for request in &requests {
            let said = answer(&program, &leases, request).await;
            let said: Value = serde_json::from_str(&said).unwrap();
            assert_eq!(said["protocolVersion"], 1, "{request}: {said}");
            assert_eq!(said["error"], Value::Null, "{request}: {said}");
        }
    }
}

#[tokio::test]
async fn every_exchange_of_the_page_is_as_it_is_printed() {
    let directory = tempfile::tempdir().unwrap();
    skeleton::write(directory.path(), &skeleton::SKELETONS).unwrap();
    let mut exchanges = 0;
    for block in blocks("console") {
        let mut lines = block.lines();
        while let Some(command) = lines.next() {
            let (request, program) = command
                .strip_prefix("$ echo '")
                .and_then(|it| it.split_once("' | ./"))
                .unwrap_or_else(|| panic!("{command:?} is no exchange"));
            let program = directory.path().join(program);
            let said = answer(&program, &directory.path().join("leases"), request).await;
            assert_eq!(Some(said.trim_end()), lines.next(), "{command}");
            exchanges += 1;
        }
    }
    assert!(exchanges >= 4, "{exchanges}");
}

#[tokio::test]
async fn the_lifecycle_of_the_page_leases_and_releases() {
    let blocks = blocks("json lifecycle");
    assert_eq!(blocks.len(), 1);
    let value: Value = serde_json::from_str(&blocks[0]).unwrap();
    let lifecycle: Lifecycle = serde_json::from_value(value["lifecycle"].clone()).unwrap();
    let connection: Connection = serde_json::from_value(value["connection"].clone()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let cloud = directory.path().join("cloud");
    fs::create_dir(&cloud).unwrap();
    let store = MemoryStore::new().unwrap();
    let mut config = ExternalConfig::lifecycle(lifecycle, connection);
    quick(&mut config);
    config.config.insert("directory".to_owned(), path(&cloud).into());
    config.installation = Some(store.installation().await.unwrap());
    let bench = Bench::of(directory, config, Arc::new(store));
    let claim = bench.acquire().await.unwrap();
    let name = fs::read_dir(&cloud).unwrap().next().unwrap().unwrap().file_name();
    assert_eq!(name.len(), 54, "the page says how long a name is");
    assert!(matches!(bench.release(claim.lease()).await, Outcome::Released));
    assert_eq!(fs::read_dir(&cloud).unwrap().count(), 0);
}

#[test]
fn the_page_names_every_field_of_a_request() {
    let page = fs::read_to_string(root().join("docs/external-protocol.md")).unwrap();
    for field in [
        "protocolVersion",
        "operation",
        "config",
        "desired",
        "lease",
        "expected",
        "id",
        "state",
        "releaseOnly",
        "force",
        "all",
        "refresh",
        "dryRun",
        "repo",
        "publicKey",
        "labels",
        "expiresAt",
        "message",
        "error",
        "effect",
        "leases",
        "hostKey",
        "proxyCommand",
        "readyCheck",
    ] {
        assert!(page.contains(&format!("`{field}`")), "{field}");
    }
}
