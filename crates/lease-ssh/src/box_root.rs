//! The directory on the box that belongs to a lease, and the names below it.

use crate::error::{Result, SshError};

/// The absolute directory on the box that belongs to a lease.
///
/// The tree lies in `work`, jobs and sync records beside it in `.lease`, so that a tree with a `.lease` of its own
/// meets nothing of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoxRoot(String);

impl BoxRoot {
    /// Checks the path: absolute, without `..`, without control characters, not the root directory.
    ///
    /// # Errors
    /// [`SshError::Invalid`].
    pub fn new(path: impl Into<String>) -> Result<Self> {
        let path = path.into();
        let trimmed = path.trim_end_matches('/');
        let wrong = |why: &str| Err(SshError::invalid("the directory on the box", why));
        if !trimmed.starts_with('/') {
            return wrong("it must be absolute and not the root directory");
        }
        if trimmed.split('/').any(|part| part == ".." || part == ".")
            || trimmed.chars().any(char::is_control)
        {
            return wrong("it has `.`, `..` or control characters");
        }
        Ok(Self(trimmed.to_owned()))
    }

    /// The directory itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where the tree lies and commands start.
    pub fn work(&self) -> String {
        format!("{}/work", self.0)
    }

    /// Where this crate keeps its records.
    pub(crate) fn records(&self) -> String {
        format!("{}/.lease", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_absolute_path_is_taken() {
        assert_eq!(BoxRoot::new("/srv/x y/").unwrap().work(), "/srv/x y/work");
        for bad in ["", "/", "//", "x", "~/x", "/a/../b", "/a/./b", "/a\nb"] {
            assert!(BoxRoot::new(bad).is_err(), "{bad}");
        }
    }
}
