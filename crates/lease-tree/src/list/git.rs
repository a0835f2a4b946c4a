//! What is asked of git: which paths belong to a repository's tree, and which directories it ignores.

use std::collections::HashSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;
use std::time::Duration;

use lease_process::{Input, Limits, Output, ProcessError, Program, output};

use super::paths::{Paths, Range};
use crate::error::{Result, TreeError, shortened};
use crate::order;
use crate::tree::{Tree, is_inside};

/// A list of a million files with long names.
const LIST_BYTES_MAX: usize = 512 * 1024 * 1024;
const LIST_TIME_MAX: Duration = Duration::from_secs(120);
/// They change what a path means that is passed as an argument.
const PATHSPEC_VARIABLES: [&str; 4] =
    ["GIT_LITERAL_PATHSPECS", "GIT_GLOB_PATHSPECS", "GIT_NOGLOB_PATHSPECS", "GIT_ICASE_PATHSPECS"];
const LISTING: [&str; 4] = ["ls-files", "-z", "-t", "-s"];

/// git in one directory.
pub(crate) struct Git<'a> {
    tree: &'a Tree,
    directory: &'a Path,
}

/// git's list of a directory.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// Files and links, tracked or untracked and not ignored, relative to the directory.
    pub(crate) files: Paths,
    /// Repositories: what is tracked as a submodule, and untracked directories that are repositories.
    pub(crate) inner: Vec<Vec<u8>>,
    /// A hash of what is tracked.
    pub(crate) tracked: [u8; 32],
    /// Which of the files are tracked, in the index's order.
    tracked_files: Vec<Range>,
}

impl Listing {
    /// Whether something is tracked below that directory.
    pub(crate) fn tracks_below(&self, directory: &[u8]) -> bool {
        let below = order::join(directory, b"");
        let at = self.tracked_files.partition_point(|it| self.files.at(*it) < below.as_slice());
        self.tracked_files.get(at).is_some_and(|it| self.files.at(*it).starts_with(&below))
    }
}

impl<'a> Git<'a> {
    pub(crate) fn of(tree: &'a Tree, directory: &'a Path) -> Self {
        Self { tree, directory }
    }

    /// Whether git has a list of the directory; the inner error says why not.
    pub(crate) async fn lists(&self) -> Result<Result<(), &'static str>> {
        let inside = match bounded(&self.program(&["rev-parse", "--is-inside-work-tree"])).await {
            Ok(it) => it,
            Err(ProcessError::NotFound { .. }) => return Ok(Err("git is not installed")),
            Err(error) => return Err(error.into()),
        };
        if !inside.status.success() {
            let said = String::from_utf8_lossy(&inside.stderr);
            if said.contains("not a git repository") {
                return Ok(Err("it is not a git tree"));
            }
            return Err(TreeError::Git { detail: shortened(&inside.stderr) });
        }
        if inside.stdout.trim_ascii() != b"true" {
            return Ok(Err("it is inside of a `.git` directory or a bare repository"));
        }
        Ok(Ok(()))
    }

    /// Everything: tracked, and untracked but not ignored.
    pub(crate) async fn all(&self) -> Result<Listing> {
        let program = self.program(&LISTING).args(["-c", "-o", "--exclude-standard"]);
        listing(&successful(&program).await?.stdout)
    }

    /// The same of a few paths and what is below them, taken literally.
    pub(crate) async fn among(&self, paths: &[Vec<u8>]) -> Result<Listing> {
        let program = self
            .program(&LISTING)
            .args(["-c", "-o", "--exclude-standard", "--"])
            .args(paths.iter().cloned().map(OsString::from_vec))
            .env("GIT_LITERAL_PATHSPECS", "1");
        listing(&successful(&program).await?.stdout)
    }

    /// A hash of what is tracked, as [`Listing::tracked`].
    pub(crate) async fn tracked(&self) -> Result<[u8; 32]> {
        let program = self.program(&LISTING).arg("-c");
        Ok(listing(&successful(&program).await?.stdout)?.tracked)
    }

    /// Which of these directories are ignored. One in which something is tracked is not.
    ///
    /// A git that cannot tell makes nothing ignored, which costs time and misses nothing.
    pub(crate) async fn ignored(&self, directories: &[&[u8]]) -> Result<HashSet<Vec<u8>>> {
        let mut input = Vec::new();
        for directory in directories {
            // The prefix keeps a name from being read as an option or as a pattern's magic.
            input.extend_from_slice(b"./");
            input.extend_from_slice(directory);
            input.push(0);
        }
        let program = self
            .program(&["check-ignore", "-v", "-z", "--stdin", "--no-index"])
            .stdin(Input::Bytes(input));
        let answer = bounded(&program).await?;
        let mut ignored = HashSet::new();
        let mut fields = answer.stdout.split(|it| *it == 0);
        // Each answer has four fields: file, line, pattern, path. A pattern that begins with `!` takes back.
        while let (Some(_), Some(_), Some(pattern), Some(path)) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        {
            if answer.status.success()
                && !pattern.starts_with(b"!")
                && let Some(path) = path.strip_prefix(b"./")
            {
                ignored.insert(path.to_vec());
            }
        }
        Ok(ignored)
    }

    /// What git says about its own files and configuration; `None` when it says nothing.
    pub(crate) async fn about(&self, args: &[&str]) -> Option<Vec<u8>> {
        let answer = bounded(&self.program(args)).await.ok()?;
        answer.status.success().then_some(answer.stdout)
    }

    /// What git says about the history that is here; `None` when it says nothing. Nobody else is asked: a clone that has
    /// left out objects does not fetch them.
    pub(crate) async fn history(&self, args: &[&str]) -> Option<Vec<u8>> {
        let program = self
            .program(args)
            .env("GIT_ALLOW_PROTOCOL", "")
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_NO_REPLACE_OBJECTS", "1");
        let answer = bounded(&program).await.ok()?;
        answer.status.success().then_some(answer.stdout)
    }

    fn program(&self, args: &[&str]) -> Program {
        let mine = |name: &OsString| !PATHSPEC_VARIABLES.iter().any(|it| name == it);
        Program::new("git")
            .inherit_env(self.tree.environment.iter().filter(|(name, _)| mine(name)).cloned())
            // Listing must not write the index, and its messages are matched.
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("LC_ALL", "C")
            .arg("-C")
            .arg(self.directory)
            .args(args.iter().map(OsString::from))
    }
}

async fn bounded(program: &Program) -> Result<Output, ProcessError> {
    let limits =
        Limits { deadline: LIST_TIME_MAX, stdout_bytes_max: LIST_BYTES_MAX, ..Limits::default() };
    output(program, limits).await
}

async fn successful(program: &Program) -> Result<Output> {
    let answer = bounded(program).await?;
    if answer.status.success() {
        Ok(answer)
    } else {
        Err(TreeError::Git { detail: shortened(&answer.stderr) })
    }
}

/// Reads `ls-files -z -t -s`: `? path` for what is untracked, `tag mode object stage<tab>path` for the rest.
fn listing(said: &[u8]) -> Result<Listing> {
    let mut list = Listing::default();
    let mut tracked = blake3::Hasher::new();
    let wrong = |what: &str| TreeError::Git { detail: what.to_owned() };
    for line in said.split(|it| *it == 0).filter(|it| !it.is_empty()) {
        let untracked = line.strip_prefix(b"? ");
        let (mode, name) = match untracked {
            Some(name) => (&b""[..], name),
            None => tracked_line(line).ok_or_else(|| wrong("its list makes no sense"))?,
        };
        // A repository inside that is not a submodule is listed with a slash at its end.
        let (name, is_inner) = match name.strip_suffix(b"/") {
            Some(name) => (name, true),
            None => (name, mode == b"160000"),
        };
        if !is_inside(name) {
            return Err(wrong("it listed a path outside of the tree"));
        }
        if untracked.is_none() {
            tracked.update(&[u8::from(is_inner)]).update(name).update(&[0]);
        }
        if is_inner {
            list.inner.push(name.to_vec());
        } else {
            let at = list.files.push(&[name]);
            if untracked.is_none() {
                list.tracked_files.push(at);
            }
        }
    }
    list.inner.sort_unstable();
    list.inner.dedup();
    list.tracked = *tracked.finalize().as_bytes();
    Ok(list)
}

fn tracked_line(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let tab = line.iter().position(|it| *it == b'\t')?;
    let mode = line[..tab].split(|it| *it == b' ').nth(1)?;
    Some((mode, &line[tab + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_with_odd_names_and_repositories() {
        let said =
            b"? a b\0? inner/\0H 100644 0123 0\tb\tc\0S 160000 0123 0\tsub\0M 100644 9 1\tz\0";
        let list = listing(said).unwrap();
        let files: Vec<_> = list.files.iter().collect();
        assert_eq!(files, [&b"a b"[..], b"b\tc", b"z"]);
        assert_eq!(list.inner, [b"inner".to_vec(), b"sub".to_vec()]);
        assert!(!list.tracks_below(b"b") && !list.tracks_below(b"a"));
    }

    #[test]
    fn what_is_tracked_is_told_by_paths_and_not_by_contents() {
        let tracked = |said: &[u8]| listing(said).unwrap().tracked;
        let one = tracked(b"H 100644 0123 0\ta\0? b\0");
        assert_eq!(one, tracked(b"H 100755 4567 0\ta\0? c\0"));
        assert_ne!(one, tracked(b"H 160000 0123 0\ta\0"));
        assert_ne!(one, tracked(b"H 100644 0123 0\ta\0H 100644 0123 0\tb\0"));
    }

    #[test]
    fn tracked_paths_below_a_directory_are_found() {
        let list = listing(b"H 1 1 0\ta-\0H 1 1 0\ta/b/c\0H 1 1 0\ta0\0? u/v\0").unwrap();
        assert!(list.tracks_below(b"a") && list.tracks_below(b"a/b"));
        assert!(
            !list.tracks_below(b"a/b/c") && !list.tracks_below(b"u") && !list.tracks_below(b"z")
        );
    }

    #[test]
    fn a_path_that_leads_outside_is_refused() {
        for bad in [&b"? ../a\0"[..], b"? /a\0", b"H 1 1 0\ta/../b\0", b"nonsense\0"] {
            assert!(listing(bad).is_err());
        }
    }
}
