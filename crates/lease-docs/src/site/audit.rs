//! Follows every reference of a written site, so that a mistake of the writer is found before a reader finds it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use super::extension;
use crate::links::is_external;
use crate::markdown::attributes;
use crate::tree::resolve;

/// Returns how many references stay inside; one that leads nowhere, or would load something from elsewhere, is an error.
pub(super) fn follow(out: &Path) -> io::Result<usize> {
    let mut files = BTreeMap::new();
    read(out, "", &mut files)?;
    let mut count = 0;
    for (path, text) in files.iter().filter(|(path, _)| extension(path) == "html") {
        let loaded = attributes(text, &["src"]);
        if let Some(target) = loaded.iter().find(|target| is_external(target)) {
            return Err(io::Error::other(format!("{path} loads {target}")));
        }
        let linked = attributes(text, &["href"]).into_iter().filter(|it| !is_external(it));
        for target in linked.chain(loaded) {
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let full = if file.is_empty() { Some(path.clone()) } else { resolve(path, file) };
            let there = full.and_then(|full| files.get(&full));
            let id = format!(" id=\"{anchor}\"");
            if !there.is_some_and(|text| anchor.is_empty() || text.contains(&id)) {
                return Err(io::Error::other(format!("{path}: {target} leads nowhere")));
            }
            count += 1;
        }
    }
    Ok(count)
}

fn read(out: &Path, below: &str, files: &mut BTreeMap<String, String>) -> io::Result<()> {
    for entry in fs::read_dir(out.join(below))? {
        let entry = entry?;
        let path = format!("{below}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            read(out, &format!("{path}/"), files)?;
        } else {
            let text = String::from_utf8_lossy(&fs::read(entry.path())?).into_owned();
            files.insert(path, text);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(page: &str, expected: Result<usize, &str>) {
        let out = tempfile::tempdir().unwrap();
        fs::create_dir(out.path().join("docs")).unwrap();
        fs::write(out.path().join("docs/a.html"), page).unwrap();
        fs::write(out.path().join("index.html"), "<h2 id=\"here\">x</h2>").unwrap();
        let found = follow(out.path()).map_err(|error| error.to_string());
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
            (found, expected) => panic!("{found:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn references_are_followed_to_files_and_anchors() {
        check("<a href=\"../index.html#here\"> <a href=\"https://x.org\">", Ok(1));
        check("<a href=\"../index.html#there\">", Err("index.html#there leads nowhere"));
        check("<a href=\"b.html\">", Err("docs/a.html: b.html leads nowhere"));
        check("<img src=\"https://x.org/i.svg\">", Err("loads https://x.org/i.svg"));
    }
}
