//! Rules about what the manifests name: each crate that is expensive or dangerous comes in through one door.

use super::Finding;
use crate::tree::Tree;
use crate::workspace::{Dependency, Kind, OTHERS, PROVIDERS, YAML, dependencies, states};

/// A dependency and the only crate that may ship it.
const DOORS: &[(&str, &str)] = &[("reqwest", "lease-http"), ("openssh", "lease-ssh")];
/// Crates that may return errors without a type.
const UNTYPED: &[&str] = &["lease-cli", "xtask"];
/// They run code before `main` and thereby register things behind everybody's back.
const LIFE_BEFORE_MAIN: &[&str] = &["ctor", "inventory", "linkme"];
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Every crate takes the workspace's lints.
pub(super) fn workspace_lints(tree: &Tree) -> Vec<Finding> {
    manifests(tree)
        .filter(|(_, _, text)| !states(text, "[lints]", "workspace = true"))
        .map(|(_, path, _)| Finding::new(path, 0, "it lacks `[lints] workspace = true`"))
        .collect()
}

/// What speaks to the world is named by the crate that is its door, and by no other.
pub(super) fn one_door(tree: &Tree) -> Vec<Finding> {
    named(tree, |owner, dependency| {
        let (_, door) = DOORS.iter().find(|(name, _)| *name == dependency.name)?;
        (owner != *door).then(|| format!("`{}` is reached through {door} only", dependency.name))
    })
}

/// YAML has one reader, so that it can be replaced in one commit.
pub(super) fn one_yaml(tree: &Tree) -> Vec<Finding> {
    let mut found = named(tree, |_, dependency| {
        YAML.contains(&dependency.name)
            .then(|| format!("`{}` is a second reader of YAML", dependency.name))
    });
    if found.len() == 1 {
        found.clear();
    }
    found
}

/// A provider is a leaf: providers never depend on each other, and only the command line depends on them.
pub(super) fn provider_leaf(tree: &Tree) -> Vec<Finding> {
    named(tree, |owner, dependency| {
        // What fuzzes a provider is shipped by nobody.
        let fuzzes = owner == "lease-fuzz" || owner == "fuzz";
        let ships = owner == "lease-cli" || owner == dependency.name || fuzzes;
        // A test may borrow a provider to run on something real.
        let borrowed = dependency.kind == Kind::Dev && !PROVIDERS.contains(&owner);
        (PROVIDERS.contains(&dependency.name) && !ships && !borrowed)
            .then(|| format!("only lease-cli depends on the provider `{}`", dependency.name))
    })
}

/// A library's errors have a type that callers can branch on.
pub(super) fn typed_errors(tree: &Tree) -> Vec<Finding> {
    named(tree, |owner, dependency| {
        let library =
            !UNTYPED.contains(&owner) && (OTHERS.contains(&owner) || PROVIDERS.contains(&owner));
        let untyped = dependency.name == "anyhow" && dependency.kind != Kind::Dev;
        (library && untyped)
            .then(|| "anyhow is for the binary, xtask and tests: return a typed error".to_owned())
    })
}

/// The lock file holds nothing that runs before `main`, and nothing from elsewhere than crates.io.
pub(super) fn lockfile(tree: &Tree) -> Vec<Finding> {
    let Some(lock) = tree.text("Cargo.lock") else {
        return vec![Finding::new(
            "Cargo.lock",
            0,
            "the lock file is part of the tree: a build can be repeated",
        )];
    };
    let mut found = Vec::new();
    for (at, line) in lock.lines().enumerate() {
        let value = |key: &str| line.strip_prefix(key).map(|value| value.trim_matches('"'));
        if let Some(name) = value("name = ").filter(|name| LIFE_BEFORE_MAIN.contains(name)) {
            let what = format!("`{name}` runs code before main: pass a catalog instead");
            found.push(Finding::new("Cargo.lock", at + 1, what));
        }
        if let Some(source) = value("source = ").filter(|source| *source != REGISTRY) {
            found.push(Finding::new(
                "Cargo.lock",
                at + 1,
                format!("it takes a crate from {source}"),
            ));
        }
    }
    found
}

/// The manifests of all member crates: crate, path, text. What is in `testdata` is somebody else's by intent.
fn manifests(tree: &Tree) -> impl Iterator<Item = (&str, &str, &str)> {
    let members = tree.ending_in("/Cargo.toml").filter(|(path, _)| !path.starts_with("testdata/"));
    members.filter_map(|(path, file)| {
        let directory = path.strip_suffix("/Cargo.toml")?;
        Some((directory.rsplit('/').next()?, path, file.text.as_str()))
    })
}

fn named(tree: &Tree, judge: impl Fn(&str, &Dependency<'_>) -> Option<String>) -> Vec<Finding> {
    let mut found = Vec::new();
    for (owner, path, text) in manifests(tree) {
        for dependency in dependencies(text) {
            if let Some(what) = judge(owner, &dependency) {
                found.push(Finding::new(path, dependency.line, what));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    #[test]
    fn each_crate_takes_the_lints_of_the_workspace() {
        check(
            workspace_lints,
            &[("crates/x/Cargo.toml", "[lints.rust]\nworkspace = true\n")],
            &["it lacks"],
        );
        check(workspace_lints, &[("crates/x/Cargo.toml", "[lints]\nworkspace = true\n")], &[]);
    }

    #[test]
    fn the_world_is_reached_through_doors() {
        let http = "[dependencies]\nreqwest.workspace = true\n";
        check(
            one_door,
            &[("crates/lease-fal/Cargo.toml", http)],
            &["Cargo.toml:2: `reqwest` is reached"],
        );
        check(one_door, &[("crates/lease-http/Cargo.toml", http)], &[]);
        check(
            one_door,
            &[("crates/lease-cli/Cargo.toml", "[dev-dependencies]\nopenssh = \"1\"\n")],
            &["lease-ssh"],
        );
    }

    #[test]
    fn yaml_has_one_reader() {
        let one = ("crates/lease-cli/Cargo.toml", "[dependencies]\nserde_yaml = \"1\"\n");
        let two = ("crates/lease-local/Cargo.toml", "[dependencies]\nserde_norway = \"1\"\n");
        check(one_yaml, &[one], &[]);
        check(one_yaml, &[one, two], &["`serde_yaml`", "`serde_norway`"]);
    }

    #[test]
    fn a_provider_is_a_leaf() {
        let ships = "[dependencies]\nlease-local.workspace = true\n";
        check(provider_leaf, &[("crates/lease-core/Cargo.toml", ships)], &["only lease-cli"]);
        check(provider_leaf, &[("crates/lease-cli/Cargo.toml", ships)], &[]);
        check(provider_leaf, &[("fuzz/Cargo.toml", ships)], &[]);
        let tests = "[dev-dependencies]\nlease-local.workspace = true\n";
        check(provider_leaf, &[("crates/lease-testkit/Cargo.toml", tests)], &[]);
    }

    #[test]
    fn a_library_returns_typed_errors() {
        let ships = "[dependencies]\nanyhow.workspace = true\n";
        check(typed_errors, &[("crates/lease-core/Cargo.toml", ships)], &["Cargo.toml:2: anyhow"]);
        check(
            typed_errors,
            &[("crates/lease-cli/Cargo.toml", ships), ("xtask/Cargo.toml", ships)],
            &[],
        );
        let tests = "[dev-dependencies]\nanyhow.workspace = true\n";
        check(typed_errors, &[("crates/lease-core/Cargo.toml", tests)], &[]);
    }

    #[test]
    fn the_lock_file_is_clean() {
        check(lockfile, &[], &["part of the tree"]);
        check(
            lockfile,
            &[("Cargo.lock", "[[package]]\nname = \"ctor\"\n")],
            &["Cargo.lock:2: `ctor`"],
        );
        let git = "[[package]]\nname = \"a\"\nsource = \"git+https://example.org/a\"\n";
        check(lockfile, &[("Cargo.lock", git)], &["Cargo.lock:3: it takes a crate from git+"]);
        let fine = format!("[[package]]\nname = \"a\"\nsource = \"{REGISTRY}\"\n");
        check(lockfile, &[("Cargo.lock", &fine)], &[]);
    }
}
