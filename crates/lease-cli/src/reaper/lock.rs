//! The locks that say who is at which post. Each is held by the process that watches, and by nobody else for longer than
//! a look.

use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use lease_core::Scope;

use crate::failure::Failure;
use crate::reaper::post::{Post, provider_of};

/// A process that watches the leases of one provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Watcher {
    /// The provider's registered name.
    pub(crate) provider: String,
    /// Its number, if that can be read.
    pub(crate) pid: Option<u32>,
    /// The account that it can serve, once it has asked.
    pub(crate) scope: Option<Scope>,
}

/// A held lock.
#[derive(Debug)]
pub(super) struct Watch {
    path: PathBuf,
    file: File,
}

/// Everybody who watches a part of a state directory.
pub(crate) fn watchers(state_dir: &Path) -> Result<Vec<Watcher>, Failure> {
    let entries = match state_dir.read_dir() {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(state_dir, &error)),
    };
    let mut watchers = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| failed(state_dir, &error))?.path();
        let Some(provider) = provider_of(&path) else { continue };
        if let Some(text) = held(&path)? {
            watchers.push(Watcher::read(provider, &text));
        }
    }
    watchers.sort_by(|one, two| (&one.provider, one.pid).cmp(&(&two.provider, two.pid)));
    Ok(watchers)
}

/// Whether somebody is at the post.
pub(super) fn is_watched(state_dir: &Path, post: &Post) -> Result<bool, Failure> {
    Ok(held(&post.path_in(state_dir))?.is_some())
}

/// Who is at the post, with the account as far as it is known there.
pub(super) fn watcher_at(state_dir: &Path, post: &Post) -> Result<Option<Watcher>, Failure> {
    let text = held(&post.path_in(state_dir))?;
    Ok(text.map(|text| Watcher::read(post.provider(), &text)))
}

/// What the holder of a lock wrote into it; `None` when nobody holds it.
fn held(path: &Path) -> Result<Option<String>, Failure> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(path, &error)),
    };
    // A shared lock does not disturb other lookers; only the one who watches holds the exclusive one.
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            Ok(Some(file.read_to_string(&mut text).map(|_| text).unwrap_or_default()))
        }
        Err(TryLockError::Error(error)) => Err(failed(path, &error)),
    }
}

impl Watcher {
    /// What is written is for people and for `lease reaper status`; what counts is the lock.
    fn read(provider: &str, text: &str) -> Self {
        let mut lines = text.lines();
        Self {
            provider: provider.to_owned(),
            pid: lines.next().and_then(|it| it.trim().parse().ok()),
            scope: lines.next().and_then(|it| serde_json::from_str(it).ok()),
        }
    }

    /// Whether a lease in `scope` is watched. Before the account is known, everything of the provider is.
    pub(crate) fn serves(&self, scope: &Scope) -> bool {
        self.provider == scope.provider && self.scope.as_ref().is_none_or(|it| it == scope)
    }
}

impl Watch {
    /// Takes the lock of a post, if nobody has it.
    pub(super) fn take(state_dir: &Path, post: &Post) -> Result<Option<Self>, Failure> {
        let path = post.path_in(state_dir);
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = file.open(&path).map_err(|error| failed(&path, &error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(failed(&path, &error)),
        }
        let mut watch = Self { path, file };
        watch.tell(None)?;
        Ok(Some(watch))
    }

    /// Writes down who watches, and in which account.
    pub(super) fn tell(&mut self, scope: Option<&Scope>) -> Result<(), Failure> {
        let mut text = format!("{}\n", std::process::id());
        if let Some(scope) = scope.and_then(|it| serde_json::to_string(it).ok()) {
            text = format!("{text}{scope}\n");
        }
        let file = &mut self.file;
        let written = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(text.as_bytes()));
        written.map_err(|error| failed(&self.path, &error))
    }

    /// Whether the file was deleted, so that this lock keeps nobody out. A file system that is away for a while, or a
    /// directory with another name, deletes nothing; neither does a file system that counts no names.
    pub(super) fn is_deleted(&self) -> bool {
        let Ok(held) = self.file.metadata() else { return false };
        let is_it = |there: Metadata| (there.dev(), there.ino()) == (held.dev(), held.ino());
        held.nlink() == 0 && !self.path.metadata().is_ok_and(is_it)
    }

    /// Gives the lock back.
    pub(super) fn give_back(self) {
        drop(self.file);
    }
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::tool(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(account: &str) -> Scope {
        Scope {
            provider: "cloud".to_owned(),
            endpoint: "https://cloud.example".to_owned(),
            account: account.to_owned(),
        }
    }

    #[test]
    fn one_is_at_a_post_and_everybody_can_see_it() {
        let dir = tempfile::tempdir().unwrap();
        let (post, other) = (Post::new("cloud", &[b"one"]), Post::new("cloud", &[b"two"]));
        assert!(!is_watched(dir.path(), &post).unwrap());
        assert_eq!(watchers(dir.path()).unwrap(), []);
        let mut watch = Watch::take(dir.path(), &post).unwrap().unwrap();
        assert!(Watch::take(dir.path(), &post).unwrap().is_none());
        assert!(is_watched(dir.path(), &post).unwrap());
        assert!(!is_watched(dir.path(), &other).unwrap(), "other credentials are another post");
        let pid = Some(std::process::id());
        let seen = watchers(dir.path()).unwrap();
        assert_eq!(seen, [Watcher { provider: "cloud".to_owned(), pid, scope: None }]);
        assert!(seen[0].serves(&scope("a")) && seen[0].serves(&scope("b")));
        watch.tell(Some(&scope("a"))).unwrap();
        let seen = watchers(dir.path()).unwrap();
        assert!(seen[0].serves(&scope("a")) && !seen[0].serves(&scope("b")));
        watch.give_back();
        assert!(!is_watched(dir.path(), &post).unwrap());
        assert_eq!(watchers(dir.path()).unwrap(), []);
    }

    #[test]
    fn a_lock_keeps_nobody_out_when_its_file_is_deleted_and_does_when_the_directory_is_moved() {
        let dir = tempfile::tempdir().unwrap();
        let (here, there) = (dir.path().join("here"), dir.path().join("there"));
        std::fs::create_dir(&here).unwrap();
        let post = Post::new("cloud", &[]);
        let watch = Watch::take(&here, &post).unwrap().unwrap();
        std::fs::rename(&here, &there).unwrap();
        assert!(!watch.is_deleted() && is_watched(&there, &post).unwrap());
        std::fs::remove_dir_all(&there).unwrap();
        assert!(watch.is_deleted());
    }

    #[test]
    fn nobody_watches_a_directory_that_is_not_there() {
        assert_eq!(watchers(Path::new("/nonexistent/lease")).unwrap(), []);
    }
}
