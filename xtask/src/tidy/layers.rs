//! Inside lease-core, imports point down only: words, pure model, contracts, engine.
//!
//! The layers are kept in one crate because one idea is read in one place; this rule is what keeps them layers.

use super::Finding;
use super::source::without_tests;
use crate::rust_text::{is_word, line_at, word_positions};
use crate::tree::Tree;

const SOURCE: &str = "crates/lease-core/src/";

/// From the bottom to the top; a module may use its own layer and what is below. A new module is entered here.
const LAYERS: &[(&str, &[&str])] = &[
    ("words", &["entropy", "error", "id", "secret", "time"]),
    ("model", &["claim", "host", "journal", "owner", "scope", "spec", "state"]),
    ("contracts", &["descriptor", "evidence", "proof", "provider", "store", "watch"]),
    ("engine", &["engine", "retry"]),
];

/// No module uses a layer above its own.
pub(super) fn layers(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, file) in tree.rust() {
        let Some(module) = path.strip_prefix(SOURCE).and_then(|rest| rest.split(['/', '.']).next())
        else {
            continue;
        };
        // A file of tests may look at the whole, as a test module may.
        if module == "lib" || path.ends_with("/tests.rs") {
            continue;
        }
        let Some(own) = layer_of(module) else {
            let what =
                format!("say which layer `{module}` belongs to, in xtask/src/tidy/layers.rs");
            found.push(Finding::new(path, 0, what));
            continue;
        };
        // A unit test may look at the whole; what ships may not.
        let code = without_tests(&file.code);
        for (at, used) in crate_paths(code) {
            if let Some(other) = layer_of(used).filter(|other| *other > own) {
                let (own, other) = (LAYERS[own].0, LAYERS[other].0);
                let what =
                    format!("`{module}` ({own}) uses `{used}` ({other}): imports point down only");
                found.push(Finding::new(path, line_at(code, at), what));
            }
        }
    }
    found
}

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|(_, modules)| modules.contains(&module))
}

/// The top-level modules that `code` reaches by `crate::…`, with the place of each.
fn crate_paths(code: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for at in word_positions(code, "crate") {
        let Some(tail) = code[at..].strip_prefix("crate::") else { continue };
        if let Some(group) = tail.strip_prefix('{') {
            found.extend(group_heads(group).into_iter().map(|name| (at, name)));
        } else {
            found.push((at, leading_word(tail)));
        }
    }
    found
}

/// The first word of each item of a `use` group whose `{` was already read.
fn group_heads(group: &str) -> Vec<&str> {
    let mut heads = Vec::new();
    let mut depth = 0_usize;
    let mut start = 0;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' | ',' if depth == 0 => {
                heads.push(leading_word(group[start..at].trim_start()));
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    heads
}

fn leading_word(text: &str) -> &str {
    text.split(|c: char| !is_word(c)).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    #[test]
    fn imports_point_down() {
        let up = "//! X.\nuse crate::provider::Provider;\n";
        check(
            layers,
            &[("crates/lease-core/src/state.rs", up)],
            &["state.rs:2: `state` (model) uses `provider`"],
        );
        let grouped = "use crate::{error::{Error, Result}, engine, id::LeaseId};\n";
        check(
            layers,
            &[("crates/lease-core/src/store/fs.rs", grouped)],
            &["`store` (contracts) uses `engine`"],
        );
        check(layers, &[("crates/lease-core/src/engine/release.rs", grouped)], &[]);
        check(layers, &[("crates/lease-core/src/lib.rs", "pub use crate::engine::Engine;\n")], &[]);
        check(layers, &[("crates/lease-ssh/src/state.rs", up)], &[]);
    }

    #[test]
    fn a_path_in_an_expression_counts_and_one_in_a_test_does_not() {
        let path = "fn f() { crate::engine::go() }\n";
        check(layers, &[("crates/lease-core/src/error.rs", path)], &["error.rs:1"]);
        let test = format!("#[cfg(test)]\nmod tests {{ {path} }}\n");
        check(layers, &[("crates/lease-core/src/error.rs", &test)], &[]);
        check(layers, &[("crates/lease-core/src/error.rs", "//! [`crate::engine`]\n")], &[]);
    }

    #[test]
    fn a_new_module_is_entered_in_the_table() {
        check(
            layers,
            &[("crates/lease-core/src/novel.rs", "")],
            &["say which layer `novel` belongs to"],
        );
    }
}
