//! Documents that are made from the code: written, or compared so that drift fails.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::machine::{Call, say};

/// What to do with a generated text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Write it into the tree.
    Write,
    /// Fail, and show the difference, when the tree holds another text.
    Check,
}

/// Brings the file `path` under `root` and `text` together as `mode` says. `command` is what regenerates it.
pub(crate) fn reconcile(
    root: &Path,
    path: &str,
    text: &str,
    mode: Mode,
    command: &str,
) -> Result<()> {
    let full = root.join(path);
    let present = fs::read_to_string(&full).unwrap_or_default();
    if present == text {
        say(format_args!("{path}: up to date"));
        return Ok(());
    }
    if mode == Mode::Check {
        show_difference(root, path, &present, text)?;
        bail!("{path} is not what the code says: run `{command}` and commit the result");
    }
    if let Some(parent) = full.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(&full, text).with_context(|| format!("cannot write {path}"))?;
    say(format_args!("{path}: written"));
    Ok(())
}

/// `document` with what stands between the two markers of `name` replaced by `body`.
pub(crate) fn between_markers(document: &str, name: &str, body: &str) -> Result<String> {
    let start = format!("<!-- {name}:start -->");
    let end = format!("<!-- {name}:end -->");
    let (before, rest) =
        document.split_once(&start).with_context(|| format!("the marker {start} is missing"))?;
    let (_, after) =
        rest.split_once(&end).with_context(|| format!("the marker {end} is missing"))?;
    Ok(format!("{before}{start}\n\n{}\n\n{end}{after}", body.trim()))
}

fn show_difference(root: &Path, path: &str, present: &str, wanted: &str) -> Result<()> {
    let texts = tempfile::tempdir()?;
    let name = path.replace('/', "-");
    for (directory, text) in [("tree", present), ("code", wanted)] {
        fs::create_dir(texts.path().join(directory))?;
        let mut file = fs::File::create(texts.path().join(directory).join(&name))?;
        file.write_all(text.as_bytes())?;
    }
    // It ends with 1 because the texts differ; that is what we want to see.
    let difference = Call::new("git")
        .args(["diff", "--no-index", "--no-color", "--no-ext-diff", "--"])
        .args([format!("tree/{name}"), format!("code/{name}")])
        .env("GIT_CEILING_DIRECTORIES", root.display().to_string())
        .within(texts.path())
        .outcome()?;
    say(difference.stdout.trim_end());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_between_the_markers_is_replaced_and_nothing_else() {
        let document = "a\n<!-- x:start -->\nold\n<!-- x:end -->\nb\n";
        let new = between_markers(document, "x", "new\n").unwrap();
        assert_eq!(new, "a\n<!-- x:start -->\n\nnew\n\n<!-- x:end -->\nb\n");
        assert_eq!(between_markers(&new, "x", "new").unwrap(), new, "it is stable");
        assert!(between_markers("a", "x", "new").unwrap_err().to_string().contains("x:start"));
    }

    #[test]
    fn a_check_fails_on_drift_and_writes_nothing() {
        let root = tempfile::tempdir().unwrap();
        reconcile(root.path(), "docs/a.md", "one\n", Mode::Write, "make").unwrap();
        reconcile(root.path(), "docs/a.md", "one\n", Mode::Check, "make").unwrap();
        let error = reconcile(root.path(), "docs/a.md", "two\n", Mode::Check, "make")
            .unwrap_err()
            .to_string();
        assert!(error.contains("run `make`"), "{error}");
        assert_eq!(fs::read_to_string(root.path().join("docs/a.md")).unwrap(), "one\n");
    }
}
