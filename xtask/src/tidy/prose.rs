//! Rules about documents, and about the bytes of every text file.

use std::path::Path;

use super::Finding;
use crate::tree::{Tree, extension};

const ARCHITECTURE: &str = "ARCHITECTURE.md";
const DECISIONS: &str = "docs/decisions/";
const CORE: &str = "crates/lease-core/src/";
/// Recorded data is kept as it was recorded, and licences as they were published.
const VERBATIM: &[&str] = &["testdata/", "/testdata/", "/snapshots/", "LICENSE-", "Cargo.lock"];
/// Text that people write, by the end of its name.
const WRITTEN: &[&str] = &[".rs", ".toml", ".md", ".yml", ".yaml", ".sh", ".ci/run", ".gitignore"];

/// The map names every crate and every top-level module of the core; a map that does not is worse than none.
pub(super) fn architecture(tree: &Tree) -> Vec<Finding> {
    let Some(map) = tree.text(ARCHITECTURE) else {
        return vec![Finding::new(ARCHITECTURE, 0, "the map of the code is missing")];
    };
    let unnamed = |name: &str| !map.contains(&format!("`{name}`"));
    let mut found: Vec<Finding> = tree
        .crates()
        .filter(|name| unnamed(name))
        .map(|name| Finding::new(ARCHITECTURE, 0, format!("it does not name the crate `{name}`")))
        .collect();
    let mut modules: Vec<&str> = tree
        .rust()
        .filter_map(|(path, _)| path.strip_prefix(CORE)?.split(['/', '.']).next())
        .filter(|name| *name != "lib")
        .collect();
    modules.dedup();
    found.extend(modules.into_iter().filter(|name| unnamed(name)).map(|name| {
        Finding::new(ARCHITECTURE, 0, format!("it does not name the module `{name}` of lease-core"))
    }));
    found
}

/// A relative link leads to a file.
pub(super) fn links(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, file) in tree.ending_in(".md") {
        for (line, target) in link_targets(&file.text) {
            let target = target.split(['#', '?']).next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            if !resolve(path, target).is_some_and(|full| full.is_empty() || tree.has(&full)) {
                found.push(Finding::new(
                    path,
                    line,
                    format!("the link to `{target}` leads nowhere"),
                ));
            }
        }
    }
    found
}

/// Every decision is listed where one looks for it.
pub(super) fn decisions(tree: &Tree) -> Vec<Finding> {
    let index = format!("{DECISIONS}README.md");
    let list = tree.text(&index).unwrap_or_default();
    tree.ending_in(".md")
        .filter_map(|(path, _)| path.strip_prefix(DECISIONS))
        .filter(|name| {
            name.starts_with(|c: char| c.is_ascii_digit()) && !list.contains(&format!("({name})"))
        })
        .map(|name| Finding::new(&index, 0, format!("it does not list {name}")))
        .collect()
}

/// There is always a place for the next change to be told.
pub(super) fn changelog(tree: &Tree) -> Vec<Finding> {
    let path = "CHANGELOG.md";
    let told = tree
        .text(path)
        .is_some_and(|text| text.lines().any(|line| line.starts_with("## [Unreleased]")));
    if told {
        Vec::new()
    } else {
        vec![Finding::new(path, 0, "it has no `## [Unreleased]` section")]
    }
}

/// No tabs in code, no invisible blanks, one line end at the end.
pub(super) fn white_space(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    let written = |path: &str| WRITTEN.iter().any(|end| path.ends_with(end)) && !is_verbatim(path);
    for (path, file) in tree.iter().filter(|(path, _)| written(path)) {
        let tabs = ["rs", "toml"].contains(&extension(path));
        for (at, line) in file.text.split('\n').enumerate() {
            if line.ends_with([' ', '\t', '\r']) {
                found.push(Finding::new(path, at + 1, "white space at the end of the line"));
            }
            if tabs && line.contains('\t') {
                found.push(Finding::new(
                    path,
                    at + 1,
                    "a tab: indent with blanks, write `\\t` in strings",
                ));
            }
        }
        if !file.text.is_empty() && (!file.text.ends_with('\n') || file.text.ends_with("\n\n")) {
            found.push(Finding::new(path, 0, "a file ends with exactly one line end"));
        }
    }
    found
}

/// Nothing here is true on one machine only.
pub(super) fn machine_paths(tree: &Tree) -> Vec<Finding> {
    // Put together here, so that this file does not match itself.
    let everywhere = [["/wo", "rk/"].concat(), ["/ro", "ot/"].concat()];
    let documents = [["/ho", "me/"].concat(), ["/Us", "ers/"].concat()];
    let hosts = [
        ["index.", "crates.io"].concat(),
        ["static.", "crates.io"].concat(),
        ["registry.", "npmjs.org"].concat(),
    ];
    let mut found = Vec::new();
    for (path, file) in tree.iter() {
        let document = extension(path) == "md";
        for (at, line) in file.text.lines().enumerate() {
            let paths = everywhere.iter().chain(documents.iter().filter(|_| document));
            for needle in paths.filter(|needle| starts_a_path(line, needle)) {
                found.push(Finding::new(
                    path,
                    at + 1,
                    format!("`{needle}` is a path of one machine"),
                ));
            }
            for needle in hosts.iter().filter(|needle| line.contains(*needle)) {
                found.push(Finding::new(
                    path,
                    at + 1,
                    format!("`{needle}`: which registry is used is the user's choice"),
                ));
            }
        }
    }
    found
}

fn is_verbatim(path: &str) -> bool {
    VERBATIM
        .iter()
        .any(|part| path.starts_with(part) || part.starts_with('/') && path.contains(part))
}

/// Whether `needle` stands in `line` as the start of an absolute path rather than in the middle of a longer one.
fn starts_a_path(line: &str, needle: &str) -> bool {
    line.match_indices(needle).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "_-.~}$)>".contains(c))
    })
}

/// The targets of the Markdown links in `text` that are not inside code, with their lines.
fn link_targets(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (at, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            continue;
        }
        if fenced || line.starts_with("    ") {
            continue;
        }
        for (open, _) in line.match_indices("](") {
            let in_code = line[..open].matches('`').count() % 2 == 1;
            let target = line[open + 2..].split([')', ' ']).next().unwrap_or_default();
            if !in_code {
                found.push((at + 1, target));
            }
        }
    }
    found
}

/// `target`, as written in the file at `from`, as a path from the root; nothing when it leaves the tree.
fn resolve(from: &str, target: &str) -> Option<String> {
    if target.starts_with('/') {
        return None;
    }
    let parent = Path::new(from).parent()?.to_str()?;
    let mut parts: Vec<&str> = parent.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    #[test]
    fn the_map_names_crates_and_modules() {
        let code = [("crates/lease-core/Cargo.toml", ""), ("crates/lease-core/src/id.rs", "")];
        let map = |text| [code[0], code[1], ("ARCHITECTURE.md", text)];
        check(architecture, &code, &["the map of the code is missing"]);
        check(
            architecture,
            &map("lease-core has id"),
            &["the crate `lease-core`", "the module `id`"],
        );
        check(architecture, &map("`lease-core` has `id`"), &[]);
    }

    #[test]
    fn links_lead_somewhere() {
        let file = |text| [("docs/a.md", text), ("docs/b.md", ""), ("README.md", "")];
        check(links, &file("see\n[b](c.md)\n"), &["docs/a.md:2: the link to `c.md`"]);
        check(links, &file("[out](../../x.md)\n"), &["leads nowhere"]);
        check(
            links,
            &file("[b](b.md#x) [r](../README.md) [w](https://x.org/y) [h](#h) [d](../docs)\n"),
            &[],
        );
        check(links, &file("`[b](c.md)`\n```\n[b](c.md)\n```\n"), &[]);
    }

    #[test]
    fn decisions_are_listed() {
        let decision = ("docs/decisions/0001-x.md", "");
        check(decisions, &[decision], &["does not list 0001-x.md"]);
        check(decisions, &[decision, ("docs/decisions/README.md", "* [x](0001-x.md)\n")], &[]);
    }

    #[test]
    fn changes_are_told() {
        check(
            changelog,
            &[("CHANGELOG.md", "# Changelog\n\n## 0.1.0\n")],
            &["no `## [Unreleased]`"],
        );
        check(changelog, &[("CHANGELOG.md", "# Changelog\n\n## [Unreleased]\n")], &[]);
    }

    #[test]
    fn white_space_is_plain() {
        check(white_space, &[("a.rs", "a \nb\n")], &["a.rs:1: white space"]);
        check(white_space, &[("a.toml", "\ta\n")], &["a.toml:1: a tab"]);
        check(white_space, &[("a.md", "a")], &["exactly one line end"]);
        check(white_space, &[("a.md", "a\n\n")], &["exactly one line end"]);
        check(white_space, &[("a.md", "a\r\n")], &["white space at the end"]);
        check(white_space, &[("a.md", "\ta\n"), ("testdata/x.md", "a "), ("b.json", "a ")], &[]);
    }

    #[test]
    fn no_machine_is_special() {
        let home = ["see /ro", "ot/.ssh\n"].concat();
        check(machine_paths, &[("docs/a.md", &home)], &["docs/a.md:1"]);
        let person = ["cd /ho", "me/me/x\n"].concat();
        check(machine_paths, &[("docs/a.md", &person), ("src/a.rs", &person)], &["docs/a.md:1"]);
        let registry = ["https://index.", "crates.io/config.json\n"].concat();
        check(machine_paths, &[("a.toml", &registry)], &["the user's choice"]);
        check(
            machine_paths,
            &[("docs/a.md", "a/work/tree ~/work/x $HOME/work/ https://x.org/root/\n")],
            &[],
        );
    }
}
