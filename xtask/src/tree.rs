//! The files of the repository as text: what git tracks and what it would track, nothing that it ignores.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::machine::Call;
use crate::rust_text::blank_prose;

/// A file that is text.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) text: String,
    /// For Rust sources: the text with comments and strings blanked. Empty otherwise.
    pub(crate) code: String,
}

/// Every text file, by its path from the root.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    files: BTreeMap<String, File>,
}

impl Tree {
    /// Reads the repository at `root`.
    pub(crate) fn load(root: &Path) -> Result<Self> {
        let listed = Call::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .within(root)
            .output()
            .context("git could not list the files of this tree")?;
        let mut tree = Self::default();
        for path in listed.split('\0').filter(|path| !path.is_empty()) {
            let full = root.join(path);
            // A link's target is listed by itself; a file deleted since the last commit has no text to judge.
            if !fs::symlink_metadata(&full).is_ok_and(|meta| meta.is_file()) {
                continue;
            }
            let bytes = fs::read(&full).with_context(|| format!("cannot read {path}"))?;
            if let Ok(text) = String::from_utf8(bytes)
                && !text.contains('\0')
            {
                tree.insert(path, text);
            }
        }
        Ok(tree)
    }

    /// Puts a file there that is not on the disk, or another text of one that is.
    pub(crate) fn insert(&mut self, path: &str, text: String) {
        let code = if is_rust(path) { blank_prose(&text) } else { String::new() };
        self.files.insert(path.to_owned(), File { text, code });
    }

    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &File)> {
        self.files.iter().map(|(path, file)| (path.as_str(), file))
    }

    /// The Rust sources.
    pub(crate) fn rust(&self) -> impl Iterator<Item = (&str, &File)> {
        self.iter().filter(|(path, _)| is_rust(path))
    }

    /// The files whose name ends in `suffix`.
    pub(crate) fn ending_in<'t>(
        &'t self,
        suffix: &'t str,
    ) -> impl Iterator<Item = (&'t str, &'t File)> {
        self.iter().filter(move |(path, _)| path.ends_with(suffix))
    }

    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(|file| file.text.as_str())
    }

    /// Whether `path` names a file or a directory that has files.
    pub(crate) fn has(&self, path: &str) -> bool {
        let directory = format!("{}/", path.trim_end_matches('/'));
        self.files.contains_key(path)
            || self
                .files
                .range(directory.clone()..)
                .next()
                .is_some_and(|(next, _)| next.starts_with(&directory))
    }

    /// The names of the directories under `crates/` that hold a manifest.
    pub(crate) fn crates(&self) -> impl Iterator<Item = &str> {
        self.files.keys().filter_map(|path| {
            path.strip_prefix("crates/")?
                .strip_suffix("/Cargo.toml")
                .filter(|name| !name.contains('/'))
        })
    }
}

fn is_rust(path: &str) -> bool {
    extension(path) == "rs"
}

/// What follows the last dot of the file's name.
pub(crate) fn extension(path: &str) -> &str {
    Path::new(path).extension().and_then(|extension| extension.to_str()).unwrap_or_default()
}

#[cfg(test)]
impl Tree {
    /// A tree made up for a test.
    pub(crate) fn planted(files: &[(&str, &str)]) -> Self {
        let mut tree = Self::default();
        for (path, text) in files {
            tree.insert(path, (*text).to_owned());
        }
        tree
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine;

    #[test]
    fn a_directory_is_there_when_it_has_files() {
        let tree = Tree::planted(&[("docs/a.md", ""), ("crates/x/Cargo.toml", "")]);
        assert!(tree.has("docs") && tree.has("docs/") && tree.has("docs/a.md"));
        assert!(!tree.has("doc") && !tree.has("docs/a"));
        assert_eq!(tree.crates().collect::<Vec<_>>(), ["x"]);
    }

    #[test]
    fn this_repository_can_be_read() {
        let tree = Tree::load(&machine::repository_root().unwrap()).unwrap();
        assert!(tree.text("Cargo.toml").unwrap().contains("[workspace]"));
        assert!(!tree.has("target"), "what git ignores is not part of the tree");
    }
}
