//! The proof that the template is what it promises: it is made into a crate beside the tree, and everything runs on it.
//!
//! The crate gets a workspace of its own in the target directory, with the manifest, the lints and the lock file of this
//! one. It uses the crates where they are, so only they and it are compiled; the tree is not touched.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::{FILES, TEMPLATE, check_name, filled, registration, rustfmt, write};
use crate::machine::{Call, cargo, say};
use crate::quickstart::target_directory;
use crate::tidy;
use crate::tree::Tree;

/// The name of the provider that is made; its crate must have no meaning in this tree.
const NAME: &str = "trial";
/// The sentence whose test ends the suite; where it did not run, neither did the others.
const LAST_SENTENCE: &str = "test doctor_reports ... ok";
/// What else decides about a build, beside the manifest.
const SETTINGS: &[&str] = &["Cargo.lock", "clippy.toml", "rustfmt.toml"];

/// Makes a provider, builds it, runs the behaviour suite and the rules on it, and removes it.
pub(super) fn run(root: &Path) -> Result<()> {
    check_name(NAME)?;
    rustfmt(root, &root.join(TEMPLATE), &["--check"]).run()?;
    obeys_the_rules(root)?;
    let target = target_directory(root)?;
    let place = target.join("new-provider");
    remove(&place)?;
    build(root, &place)?;
    let outcome = passes(&target, &place);
    remove(&place)?;
    let passed = outcome?;
    say(format_args!(
        "new-provider: ok - {} files were made, follow the rules and pass {passed} tests",
        FILES.len()
    ));
    Ok(())
}

/// Holds the rules of the tree against it with the new crate and all entries, as they would be written.
fn obeys_the_rules(root: &Path) -> Result<()> {
    let mut tree = Tree::load(root)?;
    let before = tidy::findings(&tree);
    for (path, text) in registration::edited(root, NAME)? {
        tree.insert(path, text);
    }
    for (path, text) in filled(root, NAME)? {
        tree.insert(&format!("crates/lease-{NAME}/{path}"), text);
    }
    let mut found = tidy::findings(&tree);
    // What was wrong before is for `cargo xtask tidy` to say. The list of crates is compiled into this program, so it
    // does not know the new one, although the edited text does.
    found.retain(|it| !before.contains(it) && !it.ends_with("[known-crate]"));
    for finding in &found {
        say(finding);
    }
    if !found.is_empty() {
        bail!("a new provider breaks {} rules", found.len());
    }
    Ok(())
}

/// A workspace of one member beside the tree.
fn build(root: &Path, place: &Path) -> Result<()> {
    let krate = place.join("crates").join(format!("lease-{NAME}"));
    write(&krate, &filled(root, NAME)?)?;
    let edited = registration::edited(root, NAME)?;
    let manifest = edited.iter().find(|(path, _)| *path == "Cargo.toml");
    let (_, manifest) = manifest.context("the manifest of the workspace is not edited")?;
    fs::write(place.join("Cargo.toml"), alone(manifest, root)?)?;
    for name in SETTINGS {
        fs::copy(root.join(name), place.join(name)).context(*name)?;
    }
    // The template is formatted with its own name; another one moves a word into another line.
    rustfmt(root, &krate, &[]).run()
}

/// The manifest of the workspace with one member, which finds the others where they are.
fn alone(manifest: &str, root: &Path) -> Result<String> {
    let own = format!("path = \"crates/lease-{NAME}\"");
    let elsewhere = format!("path = \"{}/crates/", root.display());
    let lines = manifest.lines().filter(|it| !it.starts_with("default-members"));
    let lines = lines.map(|it| match it {
        it if it.starts_with("members = ") => format!("members = [\"crates/lease-{NAME}\"]"),
        it if it.contains(&own) => it.to_owned(),
        it => it.replace("path = \"crates/", &elsewhere),
    });
    // A profile of a crate that is not in this build would be a warning.
    let mut kept = Vec::new();
    let mut skipping = false;
    for line in lines {
        if line.starts_with('[') {
            skipping = line.starts_with("[profile.dev.package.");
        }
        if !skipping {
            kept.push(line);
        }
    }
    let text = kept.join("\n") + "\n";
    if !text.contains(&own) || !text.contains(&elsewhere) {
        bail!("the manifest of the workspace names its crates in another way than expected");
    }
    Ok(text)
}

/// Runs clippy and the tests; returns how many tests passed.
fn passes(target: &Path, place: &Path) -> Result<usize> {
    let target = target.display().to_string();
    let call = |verb: &str| -> Call {
        cargo().args([verb, "--offline", "--quiet", "--target-dir", &target]).within(place)
    };
    call("clippy").args(["--all-targets", "--", "-D", "warnings"]).run()?;
    let tests = call("test").args(["--", "--format", "pretty"]);
    say(format_args!("$ {tests}"));
    let outcome = tests.outcome()?;
    if !outcome.success || !outcome.stdout.contains(LAST_SENTENCE) {
        bail!("a new provider does not pass, {}:\n{}", outcome.status, outcome.stdout);
    }
    Ok(outcome.stdout.lines().filter(|it| it.ends_with(" ... ok")).count())
}

fn remove(place: &Path) -> Result<()> {
    if place.exists() {
        fs::remove_dir_all(place).with_context(|| format!("cannot remove {}", place.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_new_crate_is_the_only_member_and_finds_the_others_where_they_are() {
        let manifest = "[workspace]\nmembers = [\"crates/*\"]\ndefault-members = [\"a\"]\n\
                        [workspace.dependencies]\nlease-core = { path = \"crates/lease-core\" }\n\
                        lease-trial = { path = \"crates/lease-trial\" }\n\
                        [profile.dev.package.insta]\nopt-level = 3\n[profile.dev]\ndebug = 1\n";
        let text = alone(manifest, Path::new("/srv/tree")).unwrap();
        assert_eq!(
            text,
            "[workspace]\nmembers = [\"crates/lease-trial\"]\n[workspace.dependencies]\n\
             lease-core = { path = \"/srv/tree/crates/lease-core\" }\n\
             lease-trial = { path = \"crates/lease-trial\" }\n[profile.dev]\ndebug = 1\n"
        );
        alone("[workspace]\n", Path::new("/srv/tree")).unwrap_err();
    }
}
