//! The page that the parts are written into: each part replaces its own section and leaves the others.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::generated::{Mode, between_markers, reconcile};

const PAGE: &str = "docs/performance.md";

/// What one part has to say.
#[derive(Debug)]
pub(super) struct Section {
    /// The name of its markers.
    pub(super) name: &'static str,
    pub(super) body: String,
}

/// Puts the section into the page.
pub(super) fn put(root: &Path, section: &Section) -> Result<()> {
    let present =
        fs::read_to_string(root.join(PAGE)).with_context(|| format!("cannot read {PAGE}"))?;
    let text = between_markers(&present, section.name, &section.body)
        .with_context(|| format!("{PAGE} has no place for it"))?;
    reconcile(root, PAGE, &text, Mode::Write, "cargo xtask bench")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::repository_root;

    #[test]
    fn a_part_replaces_its_own_section_and_no_other() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("docs")).unwrap();
        let page = root.path().join(PAGE);
        let text =
            "# P\n<!-- a:start -->\nold\n<!-- a:end -->\n<!-- b:start -->\nstays\n<!-- b:end -->\n";
        fs::write(&page, text).unwrap();
        put(root.path(), &Section { name: "a", body: "new".to_owned() }).unwrap();
        let written = fs::read_to_string(&page).unwrap();
        assert!(written.contains("new") && written.contains("stays"), "{written}");
        assert!(!written.contains("old"), "{written}");
        assert!(put(root.path(), &Section { name: "c", body: String::new() }).is_err());
    }

    #[test]
    fn the_page_of_this_repository_has_a_place_for_each_part() {
        let page = fs::read_to_string(repository_root().unwrap().join(PAGE)).unwrap();
        for name in ["command-line", "slurm", "data-plane"] {
            assert!(between_markers(&page, name, "new").is_ok(), "{name}");
        }
    }
}
