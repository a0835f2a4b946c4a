//! What of a tree's history anybody may read: the commit nearest to the tree that its origin has, and the files in it.

use crate::list::Git;
use crate::tree::Tree;

/// The length of a SHA-1 name. A repository of another kind is not looked at.
const NAME_DIGITS: usize = 40;

/// A commit that the origin of a tree has, as far as the remote-tracking branches here tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The origin. It holds no name of a user and no secret that can be told from a path.
    pub url: String,
    /// The commit's name: forty hexadecimal digits.
    pub commit: String,
    /// Its files, sorted by path, and whatever else is in it.
    pub(crate) files: Vec<PublishedFile>,
}

/// One path of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PublishedFile {
    pub(crate) path: Vec<u8>,
    /// `None` for what is no file: a link, a submodule.
    pub(crate) blob: Option<[u8; 20]>,
    pub(crate) is_executable: bool,
}

impl Published {
    /// Finds the commit of a tree that is the root of a repository. `None` when there is none: no git, no remote called
    /// `origin`, nothing that was pushed or fetched, or an origin whose URL has none of the `schemes` or may hold a
    /// secret. Only what is on this machine is asked.
    ///
    /// # Cancel safety
    /// It changes nothing.
    pub async fn find(tree: &Tree, schemes: &[&str]) -> Option<Self> {
        let git = Git::of(tree, &tree.root);
        // In a part of a repository most of what the origin sends would be for nothing.
        let above = git.history(&["rev-parse", "--show-cdup"]).await?;
        if !above.trim_ascii().is_empty() {
            return None;
        }
        let url = git.history(&["remote", "get-url", "origin"]).await?;
        let url = str::from_utf8(&url).ok()?.trim_end_matches('\n').to_owned();
        if !anybody_may_see(&url, schemes) {
            return None;
        }
        let commit = nearest(&git).await?;
        let listed = git.history(&["ls-tree", "-r", "-z", "--full-tree", &commit, "--"]).await?;
        let mut files = listing(&listed)?;
        files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Some(Self { url, commit, files })
    }
}

/// The nearest commit that a branch of the origin had when it was last asked.
async fn nearest(git: &Git<'_>) -> Option<String> {
    let args = ["rev-list", "--topo-order", "--boundary", "HEAD", "--not", "--remotes=origin"];
    let listed = git.history(&args).await?;
    let listed = str::from_utf8(&listed).ok()?;
    // Nothing is left of a history that was pushed; of another one, a boundary is where the pushed one begins.
    let commit = if listed.trim().is_empty() {
        let head = git.history(&["rev-parse", "--verify", "HEAD^{commit}"]).await?;
        str::from_utf8(&head).ok()?.trim().to_owned()
    } else {
        listed.lines().find_map(|it| it.strip_prefix('-'))?.to_owned()
    };
    let is_name = commit.len() == NAME_DIGITS && commit.bytes().all(|it| it.is_ascii_hexdigit());
    is_name.then_some(commit)
}

/// Whether a URL has one of the schemes, and nothing in it that may be meant for its owner alone: no user, no password,
/// no query.
fn anybody_may_see(url: &str, schemes: &[&str]) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else { return false };
    let Some((host, path)) = rest.split_once('/') else { return false };
    let is_plain = |it: u8| it.is_ascii_alphanumeric() || b"-._~/%+:[]".contains(&it);
    schemes.contains(&scheme)
        && !path.is_empty()
        && host.starts_with(|it: char| it.is_ascii_alphanumeric() || it == '[')
        && rest.bytes().all(is_plain)
}

/// Reads `ls-tree -r -z`: `mode type object<tab>path`, ended by a NUL.
fn listing(said: &[u8]) -> Option<Vec<PublishedFile>> {
    let one = |line: &[u8]| {
        let tab = line.iter().position(|it| *it == b'\t')?;
        let mut fields = line[..tab].split(|it| *it == b' ');
        let (mode, _kind, object) = (fields.next()?, fields.next()?, fields.next()?);
        let blob = match mode {
            b"100644" | b"100755" => Some(name(object)?),
            _ => None,
        };
        let is_executable = mode == b"100755";
        Some(PublishedFile { path: line[tab + 1..].to_vec(), blob, is_executable })
    };
    said.split(|it| *it == 0).filter(|it| !it.is_empty()).map(one).collect()
}

fn name(object: &[u8]) -> Option<[u8; 20]> {
    let mut bytes = [0; 20];
    if object.len() != NAME_DIGITS {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(object.chunks(2)) {
        *byte = u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_url_that_anybody_may_see_is_one() {
        for good in [
            "https://example.org/a/b.git",
            "https://example.org:8443/a",
            "https://[2001:db8::1]/~a/b+c%20d",
        ] {
            assert!(anybody_may_see(good, &["https"]), "{good}");
        }
        for bad in [
            "https://token@example.org/a",
            "https://user:secret@example.org/a",
            "https://example.org/a?private_token=secret",
            "https://example.org/a#secret",
            "https://example.org/a@secret",
            "https://example.org/",
            "https://example.org",
            "https:///etc",
            "https://-oProxyCommand=x/a",
            "https://example.org/a b",
            "https://example.org/a\nb",
            "http://example.org/a",
            "git://example.org/a",
            "ssh://example.org/a",
            "git@example.org:a/b",
            "ext::sh -c x",
            "file:///a",
            "/a",
            "HTTPS://example.org/a",
            "",
        ] {
            assert!(!anybody_may_see(bad, &["https"]), "{bad}");
        }
        assert!(anybody_may_see("git://example.org/a", &["git"]));
    }

    #[test]
    fn a_commits_list_tells_files_from_the_rest() {
        let id = "00ff".repeat(10);
        let said = format!(
            "100644 blob {id}\ta b\0100755 blob {id}\tc\n\0120000 blob {id}\tl\0160000 commit {id}\ts\0"
        );
        let files = listing(said.as_bytes()).unwrap();
        let seen: Vec<_> = files
            .iter()
            .map(|it| (it.path.as_slice(), it.blob.is_some(), it.is_executable))
            .collect();
        let expected: [(&[u8], bool, bool); 4] = [
            (b"a b", true, false),
            (b"c\n", true, true),
            (b"l", false, false),
            (b"s", false, false),
        ];
        assert_eq!(seen, expected);
        assert_eq!(files[0].blob.unwrap()[..3], [0, 255, 0]);
        assert_eq!(listing(b"100644 blob 00ff\ta\0"), None);
    }
}
