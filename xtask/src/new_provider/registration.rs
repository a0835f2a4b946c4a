//! Where a provider crate must be known: a word or a line each in a handful of files, beside the other providers.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// A file, what its lines begin with beside which the new one belongs, and the new line.
#[derive(Debug)]
struct Entry {
    path: &'static str,
    /// The last line that begins so is the neighbour.
    neighbour: &'static str,
    line: fn(&str) -> String,
}

/// Every entry; two in one file are made one after the other.
const ENTRIES: &[Entry] = &[
    Entry {
        path: "Cargo.toml",
        neighbour: "lease-external = {",
        line: |name| {
            format!("lease-{name} = {{ path = \"crates/lease-{name}\", version = \"0.1.0\" }}")
        },
    },
    Entry {
        path: "crates/lease-cli/Cargo.toml",
        neighbour: "external = [",
        line: |name| format!("{name} = [\"dep:lease-{name}\"]"),
    },
    Entry {
        path: "crates/lease-cli/Cargo.toml",
        neighbour: "lease-external = {",
        line: |name| format!("lease-{name} = {{ workspace = true, optional = true }}"),
    },
    Entry {
        path: "ARCHITECTURE.md",
        neighbour: "| `lease-slurm`",
        line: |name| format!("| `lease-{name}` | machines of {name} | orchestrate |"),
    },
    Entry {
        path: "docs/SUMMARY.md",
        neighbour: "* [lease-external]",
        line: |name| format!("* [lease-{name}](../crates/lease-{name}/README.md)"),
    },
];

/// The list of provider crates, for the rules that all of them follow.
const LIST: &str = "xtask/src/workspace.rs";
/// What the list begins with.
const LIST_HEAD: &str = "const PROVIDERS: &[&str]";

/// Each file that must name the crate, from the root, with its new text. Nothing is written.
pub(super) fn edited(root: &Path, name: &str) -> Result<Vec<(&'static str, String)>> {
    let list = fs::read_to_string(root.join(LIST)).context(LIST)?;
    let mut edited: Vec<(&str, String)> = vec![(LIST, listed(&list, name)?)];
    for entry in ENTRIES {
        let place = edited.iter_mut().find(|(path, _)| *path == entry.path);
        if let Some((_, text)) = place {
            *text = entered(text, entry, name)?;
        } else {
            let text = fs::read_to_string(root.join(entry.path)).context(entry.path)?;
            edited.push((entry.path, entered(&text, entry, name)?));
        }
    }
    Ok(edited)
}

/// `text` with the line of the entry after its neighbour.
fn entered(text: &str, entry: &Entry, name: &str) -> Result<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let at = lines.iter().rposition(|it| it.starts_with(entry.neighbour)).with_context(|| {
        format!("{} has no line that begins with {:?}", entry.path, entry.neighbour)
    })?;
    lines.insert(at + 1, (entry.line)(name));
    Ok(lines.join("\n") + "\n")
}

/// `text` with the crate at the end of the list of providers; whoever writes it formats it.
fn listed(text: &str, name: &str) -> Result<String> {
    let (before, rest) =
        text.split_once(LIST_HEAD).with_context(|| format!("{LIST} has no {LIST_HEAD:?}"))?;
    let (list, after) =
        rest.split_once("];").with_context(|| format!("the list in {LIST} does not end"))?;
    let list = list.trim_end().trim_end_matches(',');
    Ok(format!("{before}{LIST_HEAD}{list}, \"lease-{name}\"];{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::repository_root;

    #[test]
    fn a_list_grows_at_its_end_however_it_is_laid_out() {
        for list in [
            "const PROVIDERS: &[&str] =\n    &[\"lease-a\"];\nx",
            "const PROVIDERS: &[&str] = &[\n    \"lease-a\",\n];\nx",
        ] {
            let grown = listed(list, "pasture").unwrap();
            assert!(grown.contains("\"lease-a\", \"lease-pasture\"];\nx"), "{grown}");
        }
        listed("const OTHERS: &[&str] = &[];", "pasture").unwrap_err();
    }

    #[test]
    fn every_place_of_this_tree_takes_the_entry_once() {
        let root = repository_root().unwrap();
        let edited = edited(&root, "pasture").unwrap();
        assert_eq!(edited.len(), 5);
        for (path, text) in edited {
            let before = fs::read_to_string(root.join(path)).unwrap();
            let added: Vec<&str> =
                text.lines().filter(|it| !before.lines().any(|old| old == *it)).collect();
            assert!(!added.is_empty(), "{path}");
            assert!(added.iter().all(|it| it.contains("pasture")), "{path}: {added:?}");
        }
    }

    #[test]
    fn a_file_without_the_neighbour_is_named() {
        let error = entered("nothing\n", &ENTRIES[0], "pasture").unwrap_err().to_string();
        assert!(error.contains("Cargo.toml") && error.contains("lease-external"), "{error}");
    }
}
