//! Rules about what Rust sources say.

use super::Finding;
use crate::rust_text::{has_word, line_at, word_positions};
use crate::tree::{File, Tree};

const FILE_LINES_MAX: usize = 500;
const FEATURE_GATE: &str = "crates/lease-cli/src/catalog.rs";
/// Names of clouds and schedulers that the neutral crate must not know. `local` and `external` are also plain words.
const PROVIDER_WORDS: &[&str] = &["fal", "hetzner", "slurm"];
const INTERIOR_MUTABILITY: &[&str] = &[
    "OnceLock",
    "LazyLock",
    "OnceCell",
    "Mutex",
    "RwLock",
    "AtomicBool",
    "AtomicU32",
    "AtomicU64",
    "AtomicUsize",
];

/// Each file begins by saying why it exists.
pub(super) fn file_head(tree: &Tree) -> Vec<Finding> {
    tree.rust()
        .filter(|(_, file)| !file.text.starts_with("//!"))
        .map(|(path, _)| {
            Finding::new(
                path,
                1,
                "a file starts with `//!` and one sentence that says why it exists",
            )
        })
        .collect()
}

/// A file fits in one sitting; its inline tests do not count.
pub(super) fn file_length(tree: &Tree) -> Vec<Finding> {
    let too_long = |(path, file): (&str, &File)| {
        let lines = without_tests(&file.text).lines().count();
        (lines > FILE_LINES_MAX).then(|| {
            Finding::new(
                path,
                0,
                format!("{lines} lines before its tests, the limit is {FILE_LINES_MAX}: split it"),
            )
        })
    };
    tree.rust().filter_map(too_long).collect()
}

/// A suppressed lint says why, and disappears when it is no longer needed.
pub(super) fn expect_not_allow(tree: &Tree) -> Vec<Finding> {
    in_code(
        tree,
        &["#[allow(", "#![allow("],
        "say `#[expect(lint, reason = …)]`, which ends with its cause",
    )
}

/// A test runs, and says what it expects.
pub(super) fn no_lame_tests(tree: &Tree) -> Vec<Finding> {
    let mut found =
        in_code(tree, &["#[ignore"], "a test that does not run is not a test: fix it or delete it");
    found.extend(in_code(
        tree,
        &["#[should_panic"],
        "assert the error that is expected, in its own words",
    ));
    found
}

/// Nothing half-written is merged.
pub(super) fn no_stubs(tree: &Tree) -> Vec<Finding> {
    in_code(tree, &["todo!", "unimplemented!"], "nothing half-written is merged")
}

/// Features choose providers in one file, so that every other line is compiled and tested in each build.
pub(super) fn feature_gate(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, file) in tree.rust().filter(|(path, _)| *path != FEATURE_GATE) {
        for gate in ["cfg", "cfg_attr"] {
            for at in word_positions(&file.code, gate) {
                let condition = parenthesised(&file.code[at + gate.len()..]);
                if has_word(condition, "feature") {
                    let what = format!("`{gate}(feature)` belongs in {FEATURE_GATE} only");
                    found.push(Finding::new(path, line_at(&file.code, at), what));
                }
            }
        }
    }
    found
}

/// Nothing registers itself, and no library keeps state behind its caller's back.
pub(super) fn no_global_state(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    let library = |path: &str| {
        path.starts_with("crates/")
            && path.contains("/src/")
            && !path.starts_with("crates/lease-cli/")
    };
    for (path, file) in tree.rust().filter(|(path, _)| library(path)) {
        let code = without_tests(&file.code);
        for at in word_positions(code, "static").filter(|&at| !code[..at].ends_with('\'')) {
            let declaration = code[at..].split([';', '=']).next().unwrap_or_default();
            if INTERIOR_MUTABILITY.iter().any(|cell| has_word(declaration, cell)) {
                found.push(Finding::new(
                    path,
                    line_at(code, at),
                    "a library has no global state: pass it in",
                ));
            }
        }
    }
    found
}

/// The core knows no provider by name, not in a comment and not in a test.
pub(super) fn neutral_core(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, file) in tree.rust().filter(|(path, _)| path.starts_with("crates/lease-core/src/")) {
        for (at, line) in file.text.lines().enumerate() {
            let lower = line.to_lowercase();
            for word in PROVIDER_WORDS.iter().filter(|word| has_word(&lower, word)) {
                found.push(Finding::new(
                    path,
                    at + 1,
                    format!("lease-core names the provider `{word}`"),
                ));
            }
        }
    }
    found
}

/// The text up to the inline test module.
pub(super) fn without_tests(text: &str) -> &str {
    text.find("#[cfg(test)]\nmod tests").map_or(text, |at| &text[..at])
}

fn in_code(tree: &Tree, needles: &[&str], what: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, file) in tree.rust() {
        for needle in needles {
            for (at, _) in file.code.match_indices(needle) {
                if needle.starts_with('#') || !file.code[..at].ends_with(crate::rust_text::is_word)
                {
                    found.push(Finding::new(path, line_at(&file.code, at), what));
                }
            }
        }
    }
    found
}

/// What stands in the parentheses that `text` opens with, with or without the `!` of a macro; empty when it does not.
fn parenthesised(text: &str) -> &str {
    let text = text.strip_prefix('!').unwrap_or(text);
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return &text[..at];
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    #[test]
    fn a_file_says_why_it_exists() {
        check(file_head, &[("crates/x/src/a.rs", "use a;\n")], &["a.rs:1: a file starts"]);
        check(file_head, &[("crates/x/src/a.rs", "//! Why.\n")], &[]);
    }

    #[test]
    fn a_file_has_a_limit_that_its_tests_do_not_count_against() {
        let long = "x\n".repeat(501);
        check(file_length, &[("a.rs", &long)], &["501 lines"]);
        let tested = format!("{}#[cfg(test)]\nmod tests {{\n{long}}}\n", "x\n".repeat(500));
        check(file_length, &[("a.rs", &tested)], &[]);
    }

    #[test]
    fn a_lint_is_expected_not_allowed() {
        let planted = "//! #[allow(a)]\n#[allow(dead_code)]\nfn f() {}\n";
        check(expect_not_allow, &[("a.rs", planted)], &["a.rs:2: say `#[expect"]);
        check(expect_not_allow, &[("a.rs", "#![allow(x)]\n")], &["a.rs:1"]);
        check(expect_not_allow, &[("a.rs", "#[expect(x, reason = \"#[allow(\")]\n")], &[]);
    }

    #[test]
    fn tests_run_and_do_not_merely_panic() {
        check(
            no_lame_tests,
            &[("a.rs", "#[test]\n#[ignore = \"slow\"]\nfn f() {}\n")],
            &["a.rs:2"],
        );
        check(no_lame_tests, &[("a.rs", "#[should_panic]\nfn f() {}\n")], &["a.rs:1"]);
        check(no_lame_tests, &[("a.rs", "#[test]\nfn f() {} // not #[ignore]\n")], &[]);
    }

    #[test]
    fn nothing_is_left_to_do() {
        check(no_stubs, &[("a.rs", "fn f() { todo!() }\n")], &["a.rs:1"]);
        check(no_stubs, &[("a.rs", "fn f() {\n    unimplemented!(\"x\")\n}\n")], &["a.rs:2"]);
        check(no_stubs, &[("a.rs", "fn f() { \"todo!()\"; not_todo!() }\n")], &[]);
    }

    #[test]
    fn features_are_read_in_the_catalog_only() {
        let gated = "#[cfg(any(unix, feature = \"fal\"))]\nmod a;\n";
        check(feature_gate, &[("crates/lease-cli/src/main.rs", gated)], &["main.rs:1"]);
        check(
            feature_gate,
            &[("crates/lease-core/src/lib.rs", "if cfg!(feature = \"x\") {}")],
            &["lib.rs:1"],
        );
        check(
            feature_gate,
            &[("a.rs", "#![cfg_attr(feature = \"x\", y)]")],
            &["`cfg_attr(feature)`"],
        );
        check(feature_gate, &[(FEATURE_GATE, gated)], &[]);
        check(feature_gate, &[("a.rs", "#[cfg(unix)]\nfn feature() {}\n")], &[]);
    }

    #[test]
    fn libraries_have_no_global_state() {
        let planted = "static CACHE: std::sync::OnceLock<u8> = OnceLock::new();\n";
        check(no_global_state, &[("crates/lease-x/src/a.rs", planted)], &["a.rs:1"]);
        check(no_global_state, &[("crates/lease-cli/src/a.rs", planted)], &[]);
        let fine = "static N: u8 = 1;\nfn f() -> &'static Mutex<u8> {}\n";
        check(no_global_state, &[("crates/lease-x/src/a.rs", fine)], &[]);
    }

    #[test]
    fn the_core_names_no_provider() {
        check(
            neutral_core,
            &[("crates/lease-core/src/a.rs", "//! As Slurm does.\n")],
            &["`slurm`"],
        );
        check(neutral_core, &[("crates/lease-core/src/a.rs", "//! A falcon.\n")], &[]);
        check(neutral_core, &[("crates/lease-slurm/src/a.rs", "//! Slurm.\n")], &[]);
    }
}
