//! Which files below the tree are wanted, read alike by the box's shell and by us.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use globset::{GlobBuilder, GlobMatcher};

use crate::error::{Result, SshError};

const WHAT: &str = "the name of what is to be fetched";

/// Paths below the tree, with `*`, `?` and `[…]` as a shell reads them. A directory stands for all that is in it.
///
/// The box expands them, and what it sends is held against them again here: nothing else is taken from it. What is below
/// a `.git` is taken only where a pattern names it, because git runs programs from there.
#[derive(Clone, Debug, Default)]
pub struct Patterns {
    texts: Vec<String>,
    parts: Vec<Vec<GlobMatcher>>,
}

impl Patterns {
    /// Reads patterns.
    ///
    /// # Errors
    /// [`SshError::Invalid`] for one that is empty, absolute, or leads outside, and for `**` and `\`, which
    /// shells do not read alike.
    pub fn new<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Result<Self> {
        let mut it = Self::default();
        for text in texts {
            let text = text.as_ref();
            let plain = text.strip_prefix("./").unwrap_or(text).trim_end_matches('/');
            let wrong = |why: &str| SshError::invalid(WHAT, format!("{text:?}: {why}"));
            if plain.is_empty() || plain.chars().any(char::is_control) {
                return Err(wrong("it is empty, or has control characters"));
            }
            if plain.split('/').any(|part| matches!(part, "" | "." | "..")) {
                return Err(wrong("it has to be a path below the tree"));
            }
            if plain.contains('\\') {
                return Err(wrong("shells read `\\` differently; write `[*]` for a plain `*`"));
            }
            if plain.contains("**") {
                return Err(wrong(
                    "`**` is not known on the box; a directory is fetched as a whole",
                ));
            }
            let parts = plain.split('/').map(matcher).collect::<Option<Vec<_>>>();
            it.parts.push(parts.ok_or_else(|| wrong("it is no pattern"))?);
            it.texts.push(plain.to_owned());
        }
        Ok(it)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// The patterns as they were given, in their order.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// Whether a path below the tree is wanted.
    pub(super) fn want(&self, path: &[&[u8]]) -> bool {
        let fits = |parts: &&Vec<GlobMatcher>| {
            parts.len() <= path.len() && parts.iter().zip(path).all(|(glob, part)| is(glob, part))
        };
        self.parts.iter().filter(fits).any(|parts| !path[parts.len()..].iter().any(is_git))
    }
}

fn is(glob: &GlobMatcher, part: &[u8]) -> bool {
    // A shell's star leaves out what begins with a dot.
    let is_hidden = part.starts_with(b".") && !glob.glob().glob().starts_with('.');
    !is_hidden && glob.is_match(Path::new(OsStr::from_bytes(part)))
}

/// Some file systems take every spelling for the same.
fn is_git(part: &&[u8]) -> bool {
    part.eq_ignore_ascii_case(b".git")
}

fn matcher(part: &str) -> Option<GlobMatcher> {
    // Braces are plain characters to a shell that reads a pattern from a variable.
    let part = part.replace('{', "\\{").replace('}', "\\}");
    let glob = GlobBuilder::new(&part).literal_separator(true).backslash_escape(true).build();
    glob.ok().map(|it| it.compile_matcher())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, path: &str, wanted: bool) {
        let patterns = Patterns::new([pattern]).unwrap();
        let parts: Vec<_> = path.split('/').map(str::as_bytes).collect();
        assert_eq!(patterns.want(&parts), wanted, "{pattern} and {path}");
    }

    #[test]
    fn a_pattern_wants_what_a_shell_would_give() {
        check("out", "out", true);
        check("out/", "out/deep/er", true);
        check("./out", "out", true);
        check("out", "output", false);
        check("a/*.xml", "a/x.xml", true);
        check("a/*.xml", "a/b/x.xml", false);
        check("a/*", "a/b/c", true);
        check("*", ".profile", false);
        check("[!a]?", "bc", true);
        check("{a,b}", "a", false);
        check("{a,b}", "{a,b}", true);
        check("a[*]", "a*", true);
        check("a[*]", "ab", false);
        check("[[]x]", "[x]", true);
    }

    #[test]
    fn what_git_would_run_is_wanted_only_by_its_name() {
        check("sub", "sub/.git/hooks/pre-commit", false);
        check("sub", "sub/.GIT/hooks/pre-commit", false);
        check("*", ".git", false);
        check(".git/HEAD", ".git/HEAD", true);
    }

    #[test]
    fn what_leads_outside_is_no_pattern() {
        for bad in
            ["", ".", "/", "/etc", "..", "a/../../b", "a//b", "**/x", "a\nb", "./", "[a", "a\\*"]
        {
            assert!(Patterns::new([bad]).is_err(), "{bad:?}");
        }
    }
}
