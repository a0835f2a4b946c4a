//! The opt-in smoke against a real cloud: one short lease, with the inventory before and after compared.
//!
//! It costs money, so nothing runs it by itself. It ends in one line, `classification=… reason=…`. What the surroundings
//! lack, a credential or a quota, is not a failure of the program and not of this command.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::machine::{Call, cargo, environment, repository_root, say};
use crate::quickstart::target_directory;

/// A cloud, and the variables that may hold its credential.
#[derive(Debug)]
struct Cloud {
    name: &'static str,
    credentials: &'static [&'static str],
}

const CLOUDS: &[Cloud] = &[
    Cloud { name: "hetzner", credentials: &["HCLOUD_TOKEN"] },
    Cloud { name: "fal", credentials: &["LEASE_FAL_KEY", "FAL_KEY"] },
];

/// The command that runs on the machine, and what it has to print.
const SAID: &str = "lease-live-ok";

/// How the smoke ended.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Classification {
    word: &'static str,
    reason: String,
}

impl Classification {
    fn new(word: &'static str, reason: impl Into<String>) -> Self {
        Self { word, reason: reason.into() }
    }

    /// Whether the program did something wrong.
    fn is_failure(&self) -> bool {
        matches!(self.word, "validation_failed" | "cleanup_failed")
    }
}

/// Runs the smoke of one cloud and prints its classification as the last line.
pub(crate) fn run(name: &str) -> Result<()> {
    let Some(cloud) = CLOUDS.iter().find(|it| it.name == name) else {
        let names: Vec<&str> = CLOUDS.iter().map(|it| it.name).collect();
        bail!("there is no live smoke for `{name}`; there is: {}", names.join(", "));
    };
    let has = |name: &&&str| environment(name).is_some_and(|value| !value.is_empty());
    let end = match cloud.credentials.iter().find(has) {
        None => {
            let reason = format!("{} is not set", cloud.credentials.join(" or "));
            Classification::new("environment_blocked", reason)
        }
        Some(_) => smoke(cloud)?,
    };
    say(format_args!("classification={} reason={}", end.word, end.reason));
    if end.is_failure() {
        bail!("the smoke of {name} ended in {}", end.word);
    }
    Ok(())
}

fn smoke(cloud: &Cloud) -> Result<Classification> {
    let root = repository_root()?;
    cargo().args(["build", "-p", "lease-cli", "--features", cloud.name]).within(&root).run()?;
    let state = tempfile::Builder::new().prefix("lease-live-").tempdir()?;
    let smoke = Smoke {
        lease: target_directory(&root)?.join("debug/lease"),
        provider: cloud.name,
        state: state.path().join("state"),
        root,
    };
    let end = smoke.conduct()?;
    if end.word == "cleanup_failed" {
        // The records there are what a person needs to find the machine.
        say(format_args!("the state directory is kept: {}", state.keep().display()));
    }
    Ok(end)
}

/// One installation with a state directory of its own.
#[derive(Debug)]
struct Smoke {
    root: PathBuf,
    lease: PathBuf,
    provider: &'static str,
    state: PathBuf,
}

impl Smoke {
    /// Looks, leases, runs, gives back, and looks again.
    fn conduct(&self) -> Result<Classification> {
        let before = match self.inventory()? {
            Ok(before) => before,
            Err(blocked) => return Ok(blocked),
        };
        let ran = self.lease(&["run", "--provider", self.provider, "--", "echo", SAID])?;
        let released = self.lease(&["cleanup", "--provider", self.provider])?;
        let after = match self.inventory()? {
            Ok(after) => after,
            Err(blocked) => return Ok(Classification::new("cleanup_failed", blocked.reason)),
        };
        if let Err(problem) = released {
            return Ok(Classification::new("cleanup_failed", problem.what));
        }
        if before != after {
            let reason = format!("the inventory was {before:?} and is {after:?}");
            return Ok(Classification::new("cleanup_failed", reason));
        }
        Ok(match ran {
            Err(problem) => classify(&problem),
            Ok(text) if text.lines().any(|line| line == SAID) => {
                let reason =
                    format!("ran and released; {} resources before and after", after.len());
                Classification::new("live_passed", reason)
            }
            Ok(text) => Classification::new("validation_failed", format!("it printed {text:?}")),
        })
    }

    /// The ids of everything that the provider lists; `Err` when the surroundings do not allow a look.
    fn inventory(&self) -> Result<Result<Vec<String>, Classification>> {
        let text = match self.lease(&["providers", "inventory", self.provider])? {
            Ok(text) => text,
            Err(problem) => return Ok(Err(classify(&problem))),
        };
        ids(&text).map(Ok)
    }

    /// Runs the program; its output, or what its last line says about the failure.
    fn lease(&self, words: &[&str]) -> Result<Result<String, Problem>> {
        let together = ["sh", "-c", "exec \"$@\" 2>&1", "sh"];
        let call = Call::new(self.lease.display().to_string())
            .args(["--json", "--quiet"])
            .args(words)
            .env("LEASE_STATE_DIR", self.state.display().to_string())
            .within(&self.root)
            .wrapped(&together);
        say(format_args!("$ lease {}", words.join(" ")));
        let outcome = call.outcome()?;
        let printed = outcome.stdout;
        if outcome.success { Ok(Ok(printed)) } else { Ok(Err(Problem::read(&printed))) }
    }
}

/// A failure as the program describes it.
#[derive(Debug, PartialEq, Eq)]
struct Problem {
    kind: String,
    what: String,
}

impl Problem {
    fn read(printed: &str) -> Self {
        let described = printed.lines().rev().find_map(|line| {
            let value: Value = serde_json::from_str(line.trim()).ok()?;
            let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
            Some(Self { kind: text("kind")?, what: text("what")? })
        });
        described.unwrap_or_else(|| {
            let last = printed.lines().last().unwrap_or("nothing was printed");
            Self { kind: "unknown".to_owned(), what: last.to_owned() }
        })
    }
}

fn classify(problem: &Problem) -> Classification {
    let word = match problem.kind.as_str() {
        "denied" => "environment_blocked",
        "refused" if problem.what.contains("credit") => "billing_blocked",
        "capacity" => "capacity_blocked",
        "unavailable" if problem.what.contains("limit") => "quota_blocked",
        _ => "validation_failed",
    };
    Classification::new(word, problem.what.clone())
}

fn ids(text: &str) -> Result<Vec<String>> {
    let document: Value = serde_json::from_str(text.trim()).context("the inventory is not JSON")?;
    let items = document["resources"].as_array().context("the inventory has no resources")?;
    let mut ids: Vec<String> =
        items.iter().filter_map(|it| it["id"].as_str().map(str::to_owned)).collect();
    ids.sort();
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_cloud_is_an_error_that_lists_the_clouds() {
        let error = run("moon").unwrap_err().to_string();
        assert!(error.contains("hetzner, fal"), "{error}");
    }

    #[test]
    fn what_the_surroundings_lack_is_told_from_what_the_program_did() {
        let word = |kind: &str, what: &str| {
            classify(&Problem { kind: kind.to_owned(), what: what.to_owned() }).word
        };
        assert_eq!(word("denied", "the token was refused"), "environment_blocked");
        assert_eq!(word("refused", "at least $500 credit"), "billing_blocked");
        assert_eq!(word("capacity", "sold out"), "capacity_blocked");
        assert_eq!(word("unavailable", "server limit reached"), "quota_blocked");
        assert_eq!(word("protocol", "no JSON"), "validation_failed");
        assert!(Classification::new("cleanup_failed", "x").is_failure());
        assert!(!Classification::new("environment_blocked", "x").is_failure());
    }

    #[test]
    fn a_failure_is_read_from_the_last_line_that_describes_one() {
        let printed = "lease: acquiring\n{\"kind\":\"denied\",\"what\":\"no token\"}\n";
        let expected = Problem { kind: "denied".to_owned(), what: "no token".to_owned() };
        assert_eq!(Problem::read(printed), expected);
        assert_eq!(Problem::read("boom").what, "boom");
    }

    #[test]
    fn an_inventory_is_compared_by_its_ids() {
        let text = r#"{"schema":"x","resources":[{"id":"b"},{"id":"a"}]}"#;
        assert_eq!(ids(text).unwrap(), ["a", "b"]);
        assert!(ids("{}").is_err());
    }
}
