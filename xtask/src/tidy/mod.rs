//! The rules of STYLE.md that a machine can check, one function each; a promise without a check rots.
//!
//! A rule reads the [`Tree`] and returns what it found. A rule that has to be broken somewhere is broken in
//! [`EXCEPTIONS`], with a reason; that list may only become shorter, and an entry that is no longer needed is a finding.

mod layers;
mod manifests;
mod modules;
mod prose;
mod source;

use std::fmt;

use anyhow::{Result, bail};

use crate::machine::{repository_root, say};
use crate::tree::Tree;

/// One place where a rule is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    path: String,
    /// From 1; zero when it is about the whole file.
    line: usize,
    what: String,
}

impl Finding {
    fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.what),
            line => write!(f, "{}:{line}: {}", self.path, self.what),
        }
    }
}

type Rule = fn(&Tree) -> Vec<Finding>;

const RULES: &[(&str, Rule)] = &[
    ("file-head", source::file_head),
    ("file-length", source::file_length),
    ("expect-not-allow", source::expect_not_allow),
    ("no-lame-tests", source::no_lame_tests),
    ("no-stubs", source::no_stubs),
    ("feature-gate", source::feature_gate),
    ("no-global-state", source::no_global_state),
    ("neutral-core", source::neutral_core),
    ("module-name", modules::module_name),
    ("module-file", modules::module_file),
    ("known-crate", modules::known_crate),
    ("provider-files", modules::provider_files),
    ("layers", layers::layers),
    ("workspace-lints", manifests::workspace_lints),
    ("one-door", manifests::one_door),
    ("one-yaml", manifests::one_yaml),
    ("provider-leaf", manifests::provider_leaf),
    ("typed-errors", manifests::typed_errors),
    ("lockfile", manifests::lockfile),
    ("architecture", prose::architecture),
    ("links", prose::links),
    ("decisions", prose::decisions),
    ("changelog", prose::changelog),
    ("white-space", prose::white_space),
    ("machine-paths", prose::machine_paths),
];

/// A rule that is broken on purpose: its name, the file, and why.
type Exception = (&'static str, &'static str, &'static str);

/// This list may only become shorter.
const EXCEPTIONS: &[Exception] = &[];

/// Checks the tree; prints each finding.
pub(crate) fn run() -> Result<()> {
    let tree = Tree::load(&repository_root()?)?;
    let findings = findings(&tree);
    for finding in &findings {
        say(finding);
    }
    if !findings.is_empty() {
        bail!("{} findings in {} files by {} rules", findings.len(), tree.len(), RULES.len());
    }
    say(format_args!(
        "tidy: ok - {} files, {} rules, {} exceptions",
        tree.len(),
        RULES.len(),
        EXCEPTIONS.len()
    ));
    Ok(())
}

/// What the rules say against a tree, a line for each finding, with the name of its rule.
pub(crate) fn findings(tree: &Tree) -> Vec<String> {
    let found = judge(tree, RULES, EXCEPTIONS);
    found.into_iter().map(|(rule, finding)| format!("{finding} [{rule}]")).collect()
}

fn judge<'r>(
    tree: &Tree,
    rules: &[(&'r str, Rule)],
    exceptions: &[Exception],
) -> Vec<(&'r str, Finding)> {
    let mut findings = Vec::new();
    let mut used = vec![false; exceptions.len()];
    for &(name, rule) in rules {
        for finding in rule(tree) {
            let excused = exceptions
                .iter()
                .position(|(rule, path, _)| *rule == name && *path == finding.path);
            match excused {
                Some(at) => used[at] = true,
                None => findings.push((name, finding)),
            }
        }
    }
    for ((rule, path, _), used) in exceptions.iter().zip(used) {
        if !used {
            let what =
                format!("the exception from {rule} is no longer needed: remove it from the list");
            findings.push(("exceptions", Finding::new(path, 0, what)));
        }
    }
    findings
}

/// What the tests of all rules share: one planted tree, what is found in it, in short form.
#[cfg(test)]
#[track_caller]
fn check(rule: Rule, files: &[(&str, &str)], found: &[&str]) {
    let findings = rule(&Tree::planted(files));
    let shown: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert_eq!(shown.len(), found.len(), "{shown:#?}");
    for (shown, start) in shown.iter().zip(found) {
        assert!(shown.contains(start), "{shown:?} does not say {start:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLANTED: &[(&str, &str)] = &[("crates/x/src/a.rs", "fn a() {}\n")];
    const RULE: &[(&str, Rule)] = &[("file-head", source::file_head)];

    #[test]
    fn a_finding_names_its_rule_file_and_line() {
        let tree = Tree::planted(PLANTED);
        let found = judge(&tree, RULE, &[]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, "file-head");
        assert!(found[0].1.to_string().starts_with("crates/x/src/a.rs:1: "), "{}", found[0].1);
    }

    #[test]
    fn an_exception_excuses_one_rule_in_one_file() {
        let tree = Tree::planted(PLANTED);
        assert!(judge(&tree, RULE, &[("file-head", "crates/x/src/a.rs", "a test")]).is_empty());
        let elsewhere = judge(&tree, RULE, &[("file-head", "crates/x/src/b.rs", "a test")]);
        assert_eq!(
            elsewhere.len(),
            2,
            "the finding stays, and the exception is stale: {elsewhere:?}"
        );
    }

    #[test]
    fn rule_names_are_unique() {
        let mut names: Vec<_> = RULES.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), RULES.len());
    }
}
