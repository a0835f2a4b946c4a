//! Writes the documents as a site that needs no server, no script and no network to be read.

mod audit;
mod page;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use crate::Finding;
use crate::markdown::headings;
use crate::summary::{self, Chapter, Part};
use crate::tree::{Tree, relative, resolve};

/// What the site needs besides the documents.
#[derive(Clone, Debug)]
pub struct Extra<'t> {
    /// The repository, for the files that pages show.
    pub root: &'t Path,
    /// The reference of the command line, as Markdown; it ends the first part.
    pub commands: &'t str,
    /// The address of the repository, for what is a file there and no page here.
    pub repository: &'t str,
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Pages.
    pub pages: usize,
    /// References between them, each of which was followed.
    pub references: usize,
}

/// Where the reference of the command line stands among the documents.
const COMMANDS: &str = "docs/command-line.md";
const STYLE: &str = "style.css";
/// Data of tests that happens to be Markdown, and the order, which every page shows.
const NO_PAGES: &[&str] = &["testdata/", "xtask/template/", summary::PATH];
const DECISIONS: &str = "docs/decisions/";
/// A file with one of these endings is shown, so the site has a copy.
const SHOWN: &[&str] = &["svg", "png", "cast"];

/// The documents that no chapter leads to. Decisions have a list of their own.
pub fn unlisted(tree: &Tree) -> Vec<Finding> {
    let parts = summary::parts(tree.text(summary::PATH).unwrap_or_default());
    let listed: BTreeSet<&str> = chapters(&parts).map(|it| it.path.as_str()).collect();
    let missing = |path: &&str| {
        let decision = path.strip_prefix(DECISIONS).is_some_and(|it| it != "README.md");
        is_page(path) && !decision && !listed.contains(path)
    };
    let what = |path: &str| format!("no chapter leads to {path}");
    tree.documents()
        .map(|(path, _)| path)
        .filter(missing)
        .map(|path| Finding { path: summary::PATH.to_owned(), line: 1, what: what(path) })
        .collect()
}

/// Writes the site into the directory `out`, whose former content is removed, and follows every reference in it.
///
/// # Errors
///
/// A directory or a file that cannot be written, a document that is missing, or a reference that leads nowhere.
pub fn write(tree: &Tree, extra: &Extra<'_>, out: &Path) -> io::Result<Written> {
    if out.exists() {
        fs::remove_dir_all(out)?;
    }
    let site = Site::new(tree, extra);
    let mut pages = 0;
    for (path, text) in site.tree.documents().filter(|(path, _)| is_page(path)) {
        put(out, &page_of(path), page::render(&site, path, text).as_bytes())?;
        pages += 1;
    }
    put(out, STYLE, include_bytes!("style.css"))?;
    for path in tree.paths().filter(|path| is_shown(path)) {
        put(out, path, &fs::read(extra.root.join(path))?)?;
    }
    let references = audit::follow(out)?;
    Ok(Written { pages, references })
}

fn put(out: &Path, path: &str, bytes: &[u8]) -> io::Result<()> {
    let full = out.join(path);
    if let Some(parent) = full.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(full, bytes)
}

/// The documents with their order.
#[derive(Debug)]
struct Site<'t> {
    tree: Tree,
    parts: Vec<Part>,
    repository: &'t str,
}

impl<'t> Site<'t> {
    fn new(tree: &Tree, extra: &Extra<'t>) -> Self {
        let mut parts = summary::parts(tree.text(summary::PATH).unwrap_or_default());
        if let Some(first) = parts.first_mut() {
            let path = COMMANDS.to_owned();
            first.chapters.push(Chapter { title: "Command line".to_owned(), path });
        }
        Self {
            tree: tree.clone().with(COMMANDS, extra.commands),
            parts,
            repository: extra.repository,
        }
    }

    /// Where `target`, as written in the document `from`, leads on the site.
    fn target(&self, from: &str, target: &str) -> String {
        if crate::links::is_external(target) || target.starts_with('#') {
            return target.to_owned();
        }
        let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
        let Some(full) = resolve(from, file) else { return target.to_owned() };
        let index =
            if full.is_empty() { "README.md".to_owned() } else { format!("{full}/README.md") };
        let page =
            [full.clone(), index].into_iter().find(|it| is_page(it) && self.tree.has_file(it));
        let here = page_of(from);
        match page {
            Some(page) if anchor.is_empty() => relative(&here, &page_of(&page)),
            Some(page) => format!("{}#{anchor}", relative(&here, &page_of(&page))),
            None if is_shown(&full) => relative(&here, &full),
            None => {
                let kind = if self.tree.has_file(&full) { "blob" } else { "tree" };
                format!("{}/{kind}/HEAD/{full}", self.repository)
            }
        }
    }

    /// The chapter that the document `path` belongs to.
    fn chapter(&self, path: &str) -> Option<usize> {
        let find = |wanted: &str| chapters(&self.parts).position(|it| it.path == wanted);
        find(path)
            .or_else(|| find("docs/decisions/README.md").filter(|_| path.starts_with(DECISIONS)))
    }
}

fn chapters(parts: &[Part]) -> impl Iterator<Item = &Chapter> {
    parts.iter().flat_map(|part| &part.chapters)
}

fn is_page(path: &str) -> bool {
    extension(path) == "md" && !NO_PAGES.iter().any(|start| path.starts_with(start))
}

fn is_shown(path: &str) -> bool {
    SHOWN.contains(&extension(path)) && path.starts_with("docs/")
}

fn extension(path: &str) -> &str {
    path.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map_or("", |(_, end)| end)
}

/// The file of the site that a document becomes.
fn page_of(path: &str) -> String {
    let stem = path.strip_suffix(".md").unwrap_or(path);
    match stem.strip_suffix("README") {
        Some(directory) => format!("{directory}index.html"),
        None => format!("{stem}.html"),
    }
}

/// The first heading of a document, or its path.
fn title(path: &str, text: &str) -> String {
    headings(text).into_iter().next().map_or_else(|| path.to_owned(), |heading| heading.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        Tree::default()
            .with("README.md", "# Start\n\n[a](docs/a.md#two) [d](docs/decisions) ![s](docs/s.svg) [l](LICENSE) [w](https://x.org)\n")
            .with("docs/a.md", "# A & B\n\n## Two\n\n`<x>` [home](../README.md) [self](#two)\n")
            .with("docs/decisions/README.md", "# Decisions\n\n[one](0001-one.md) [c](../../crates)\n")
            .with("docs/decisions/0001-one.md", "# One\n")
            .with("docs/SUMMARY.md", "# C\n\n## Use\n\n* [Start](../README.md)\n* [A](a.md)\n* [Why](decisions/README.md)\n")
            .with("docs/s.svg", "")
            .with("LICENSE", "")
            .with("crates/x/Cargo.toml", "")
            .with("testdata/x.md", "")
    }

    fn written(tree: &Tree) -> (tempfile::TempDir, io::Result<Written>) {
        let home = tempfile::tempdir().unwrap();
        // What was there before is no part of it.
        put(home.path(), "site/old.html", b"").unwrap();
        put(home.path(), "root/docs/s.svg", b"<svg/>").unwrap();
        let commands = "# Command line\n\n## `lease run`\n";
        let extra =
            Extra { root: &home.path().join("root"), commands, repository: "https://x.org/r" };
        let written = write(tree, &extra, &home.path().join("site"));
        (home, written)
    }

    #[test]
    fn pages_lead_to_each_other_and_what_is_no_page_to_the_repository() {
        let (home, written) = written(&tree());
        let site = home.path().join("site");
        let written = written.unwrap();
        assert_eq!(written.pages, 5);
        assert!(written.references > 20, "{written:?}");
        assert!(!site.join("old.html").exists() && site.join("docs/s.svg").exists());
        let read = |path: &str| fs::read_to_string(site.join(path)).unwrap();
        let start = read("index.html");
        for expected in [
            "href=\"docs/a.html#two\"",
            "href=\"docs/decisions/index.html\"",
            "src=\"docs/s.svg\"",
            "href=\"https://x.org/r/blob/HEAD/LICENSE\"",
            "href=\"docs/command-line.html\"",
        ] {
            assert!(start.contains(expected), "{expected} is missing in {start}");
        }
        let a = read("docs/a.html");
        assert!(a.contains("<title>A &amp; B") && a.contains("<h2 id=\"two\">"), "{a}");
        assert!(a.contains("&lt;x&gt;") && a.contains("href=\"../index.html\""), "{a}");
        let decisions = read("docs/decisions/index.html");
        assert!(decisions.contains("href=\"https://x.org/r/tree/HEAD/crates\""), "{decisions}");
        assert!(read("docs/decisions/0001-one.html").contains("aria-current"));
        assert!(!site.join("testdata").exists());
    }

    #[test]
    fn a_site_with_a_broken_reference_is_refused() {
        let (_home, written) =
            written(&tree().with("docs/a.md", "# A\n\n[x](../README.md#absent)\n"));
        let error = written.unwrap_err().to_string();
        assert!(error.contains("docs/a.html: ../index.html#absent leads nowhere"), "{error}");
    }

    #[test]
    fn a_document_without_a_chapter_is_found() {
        assert_eq!(unlisted(&tree()), []);
        let found = unlisted(&tree().with("docs/new.md", ""));
        assert_eq!(found.len(), 1);
        assert!(found[0].what.contains("docs/new.md"), "{found:?}");
    }
}
