//! Finds references that lead nowhere: to no file, to no heading, or to an address that is none.
//!
//! Nothing is asked over a network. Whether a page of somebody else is still there changes without a change here, and a
//! check that fails for that reason is one that people learn to ignore.

use std::collections::{BTreeMap, BTreeSet};

use url::{Host, Url};

use crate::Finding;
use crate::markdown::{headings, references, written_anchors};
use crate::tree::{Tree, resolve};

/// Checks every reference of every document.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let anchors: BTreeMap<&str, BTreeSet<String>> =
        tree.documents().map(|(path, text)| (path, anchors(text))).collect();
    let mut found = Vec::new();
    for (path, text) in tree.documents() {
        for reference in references(text) {
            if let Err(what) = judge(tree, &anchors, path, &reference.target) {
                found.push(Finding { path: path.to_owned(), line: reference.line, what });
            }
        }
    }
    found
}

fn anchors(text: &str) -> BTreeSet<String> {
    let made = headings(text).into_iter().map(|heading| heading.anchor);
    made.chain(written_anchors(text)).collect()
}

fn judge(
    tree: &Tree,
    anchors: &BTreeMap<&str, BTreeSet<String>>,
    from: &str,
    target: &str,
) -> Result<(), String> {
    if is_external(target) {
        return external(target);
    }
    let (file, anchor) = target.split_once('#').map_or((target, None), |(f, a)| (f, Some(a)));
    let full = if file.is_empty() { Some(from.to_owned()) } else { resolve(from, file) };
    let full = full.ok_or_else(|| format!("`{target}` leads out of the repository"))?;
    if !tree.has_file(&full) && !tree.has_directory(&full) {
        return Err(format!("`{target}` leads nowhere: there is no {full}"));
    }
    match (anchor, anchors.get(full.as_str())) {
        (Some(anchor), Some(there)) if !there.contains(anchor) => {
            Err(format!("`{target}` leads nowhere: {full} has no heading #{anchor}"))
        }
        (Some(_), None) => Err(format!("`{target}`: only a document has headings")),
        _ => Ok(()),
    }
}

/// Whether `target` names its scheme.
pub(crate) fn is_external(target: &str) -> bool {
    target.contains("://") || target.starts_with("mailto:")
}

fn external(target: &str) -> Result<(), String> {
    let url = Url::parse(target).map_err(|error| format!("`{target}` is no address: {error}"))?;
    match (url.scheme(), url.host()) {
        ("mailto", _) if url.path().contains('@') => Ok(()),
        ("https", Some(Host::Domain(host))) if host.contains('.') => Ok(()),
        ("http", Some(Host::Domain("localhost"))) => Ok(()),
        ("http", Some(Host::Ipv4(host))) if host.is_loopback() => Ok(()),
        _ => Err(format!("`{target}` is neither https, nor mailto, nor this machine")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_text(text: &str, expected: &[&str]) {
        let tree = Tree::default()
            .with("docs/a.md", text)
            .with("docs/b.md", "# One heading\n")
            .with("docs/i.svg", "")
            .with("README.md", "");
        let found: Vec<_> = check(&tree).iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found} does not say {expected}");
        }
    }

    #[test]
    fn what_leads_somewhere_is_fine() {
        check_text(
            "# Here\n[b](b.md#one-heading) [h](#here) [r](../README.md) [d](../docs/) ![i](i.svg)\n\
             [w](https://x.org/y#z) <me@x.org> [l](http://127.0.0.1:80/)\n",
            &[],
        );
    }

    #[test]
    fn what_leads_nowhere_is_found_with_its_line() {
        check_text("\n[b](c.md)\n", &["docs/a.md:2: `c.md` leads nowhere: there is no docs/c.md"]);
        check_text("[b](b.md#two)\n", &["docs/b.md has no heading #two"]);
        check_text("[h](#here)\n", &["docs/a.md has no heading #here"]);
        check_text("![i](j.svg)\n", &["there is no docs/j.svg"]);
        check_text("[i](i.svg#x)\n", &["only a document has headings"]);
        check_text("[o](../../x.md)\n", &["leads out of the repository"]);
        check_text("[o](B.md)\n", &["there is no docs/B.md"]);
    }

    #[test]
    fn an_address_has_a_form() {
        check_text("[w](http://x.org/)\n", &["neither https"]);
        check_text("[w](https://x/)\n", &["neither https"]);
        check_text("[w](https://)\n", &["is no address"]);
    }
}
