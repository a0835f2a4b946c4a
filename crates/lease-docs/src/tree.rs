//! The files of the repository: every path that git would track, and the text of the documents.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// Every file by its path from the root, with its text where it is a document.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    files: BTreeMap<String, Option<String>>,
}

impl Tree {
    /// Reads the repository at `root`, without what its `.gitignore` names.
    ///
    /// # Errors
    ///
    /// A directory or a document that cannot be read.
    pub fn read(root: &Path) -> io::Result<Self> {
        let mut walk = ignore::WalkBuilder::new(root);
        walk.hidden(false).parents(false).git_global(false).require_git(false);
        walk.filter_entry(|entry| entry.file_name() != ".git");
        let mut tree = Self::default();
        for entry in walk.build() {
            let entry = entry.map_err(io::Error::other)?;
            if !entry.file_type().is_some_and(|kind| kind.is_file()) {
                continue;
            }
            let full = entry.path();
            let Some(path) = full.strip_prefix(root).ok().and_then(Path::to_str) else { continue };
            let text = if is_document(path) { Some(fs::read_to_string(full)?) } else { None };
            tree.files.insert(path.to_owned(), text);
        }
        Ok(tree)
    }

    /// The same tree with `text` as the document `path`.
    #[must_use]
    pub fn with(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.to_owned(), is_document(path).then(|| text.to_owned()));
        self
    }

    /// The documents, by path.
    pub fn documents(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().filter_map(|(path, text)| Some((path.as_str(), text.as_deref()?)))
    }

    /// Every path.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// The text of the document `path`.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path)?.as_deref()
    }

    /// Whether `path` is a file.
    pub fn has_file(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// Whether `path` is a directory that has files; the empty path is the root.
    pub fn has_directory(&self, path: &str) -> bool {
        let start = format!("{path}/");
        let mut below = self.files.range(start.clone()..);
        path.is_empty() || below.next().is_some_and(|(next, _)| next.starts_with(&start))
    }
}

fn is_document(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|it| it == "md")
}

/// `target`, as the document `from` writes it, as a path from the root; nothing when it leaves the tree.
pub(crate) fn resolve(from: &str, target: &str) -> Option<String> {
    if target.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
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

/// The way from the file `from` to the file `to`, both from the root.
pub(crate) fn relative(from: &str, to: &str) -> String {
    let mut here: Vec<&str> = from.split('/').collect();
    here.pop();
    let there: Vec<&str> = to.split('/').collect();
    let directories = there.len().saturating_sub(1);
    let same = here.iter().zip(&there[..directories]).take_while(|(a, b)| a == b).count();
    let up = vec![".."; here.len() - same];
    up.iter().chain(&there[same..]).copied().collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_is_found_in_both_directions() {
        for (from, target, to) in [
            ("docs/a.md", "b.md", "docs/b.md"),
            ("docs/a.md", "../README.md", "README.md"),
            ("README.md", "docs/providers/fal.md", "docs/providers/fal.md"),
            ("docs/providers/fal.md", "../a.md", "docs/a.md"),
            ("docs/a/x.md", "../b/x.md", "docs/b/x.md"),
        ] {
            assert_eq!(resolve(from, target).as_deref(), Some(to));
            assert_eq!(relative(from, to), target);
        }
        assert_eq!(resolve("README.md", "../other/x.md"), None);
        assert_eq!(resolve("README.md", "/etc/passwd"), None);
    }

    #[test]
    fn what_git_ignores_is_no_part_of_the_tree() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("target/x")).unwrap();
        fs::create_dir_all(root.path().join("docs")).unwrap();
        for (path, text) in
            [(".gitignore", "/target\n"), ("target/x/a.md", ""), ("docs/a.md", "# A\n")]
        {
            fs::write(root.path().join(path), text).unwrap();
        }
        let tree = Tree::read(root.path()).unwrap();
        assert_eq!(tree.documents().collect::<Vec<_>>(), [("docs/a.md", "# A\n")]);
        assert!(tree.has_file(".gitignore") && tree.has_directory("docs"));
        assert!(!tree.has_directory("target") && !tree.has_directory("doc"));
    }
}
