//! Rules about how files and crates are named and laid out.

use std::path::Path;

use super::Finding;
use crate::rust_text::line_at;
use crate::tree::Tree;
use crate::workspace::{OTHERS, PROVIDER_FILES, PROVIDERS};

/// Names that say nothing about what is inside, and therefore attract everything.
const EMPTY_NAMES: &[&str] = &["util", "utils", "helper", "helpers", "common", "misc", "types"];

/// A module is named after the noun that it holds.
pub(super) fn module_name(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, file) in tree.rust() {
        let parts = path.split('/').map(|part| part.trim_end_matches(".rs"));
        for name in parts.filter(|part| EMPTY_NAMES.contains(part)) {
            found.push(Finding::new(
                path,
                0,
                format!("`{name}` says nothing: name the noun that is inside"),
            ));
        }
        for name in EMPTY_NAMES {
            for (at, _) in file.code.match_indices(&format!("mod {name} {{")) {
                let what = format!("`mod {name}` says nothing: name the noun that is inside");
                found.push(Finding::new(path, line_at(&file.code, at), what));
            }
        }
    }
    found
}

/// A module with children is `foo/mod.rs`, so that everything about it is in one directory.
pub(super) fn module_file(tree: &Tree) -> Vec<Finding> {
    let beside = |(path, _): (&str, _)| {
        let directory = path.strip_suffix(".rs")?;
        // `main.rs` and `lib.rs` are roots, not modules; a directory of that name would be a module of its own.
        let named_self = Path::new(path).file_name()?.to_str()?;
        (tree.has(directory) && named_self != "mod.rs").then(|| {
            Finding::new(path, 0, format!("move it to {directory}/mod.rs: one place per module"))
        })
    };
    tree.rust().filter_map(beside).collect()
}

/// Each crate is known to be a provider or not, so that none escapes the rules for providers.
pub(super) fn known_crate(tree: &Tree) -> Vec<Finding> {
    let unknown = |name: &&str| !PROVIDERS.contains(name) && !OTHERS.contains(name);
    tree.crates()
        .filter(unknown)
        .map(|name| {
            let what = "name this crate in xtask/src/workspace.rs, as a provider or as another";
            Finding::new(&format!("crates/{name}/Cargo.toml"), 0, what)
        })
        .collect()
}

/// Each provider crate has the same files.
pub(super) fn provider_files(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for provider in PROVIDERS {
        for file in PROVIDER_FILES {
            let path = format!("crates/{provider}/{file}");
            if tree.text(&path).is_none() {
                found.push(Finding::new(&path, 0, "every provider has this file"));
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
    fn modules_are_named_after_what_they_hold() {
        check(module_name, &[("crates/x/src/utils.rs", "")], &["`utils` says nothing"]);
        check(module_name, &[("crates/x/src/helpers/mod.rs", "")], &["`helpers` says nothing"]);
        check(
            module_name,
            &[("crates/x/src/a.rs", "//! A.\nmod types {\n}\n")],
            &["a.rs:2: `mod types`"],
        );
        check(module_name, &[("crates/x/src/utility.rs", "// mod util {\n")], &[]);
    }

    #[test]
    fn a_module_lives_in_one_place() {
        check(
            module_file,
            &[("c/src/foo.rs", ""), ("c/src/foo/bar.rs", "")],
            &["c/src/foo/mod.rs"],
        );
        check(
            module_file,
            &[("c/src/foo/mod.rs", ""), ("c/src/foo/bar.rs", ""), ("c/src/foob.rs", "")],
            &[],
        );
    }

    #[test]
    fn each_crate_is_classified() {
        check(known_crate, &[("crates/lease-new/Cargo.toml", "")], &["name this crate"]);
        check(
            known_crate,
            &[("crates/lease-core/Cargo.toml", ""), ("crates/lease-local/Cargo.toml", "")],
            &[],
        );
    }

    #[test]
    fn providers_have_the_same_files() {
        let paths: Vec<String> = PROVIDERS
            .iter()
            .flat_map(|p| PROVIDER_FILES.iter().map(move |f| format!("crates/{p}/{f}")))
            .collect();
        let all: Vec<(&str, &str)> = paths.iter().map(|path| (path.as_str(), "")).collect();
        check(provider_files, &all, &[]);
        check(provider_files, &all[1..], &["README.md: every provider has this file"]);
    }
}
