//! The place of a lease's keeper: who is there, and how it is ended.
//!
//! Two files beside the control socket: `NAME.keeper` is locked by the keeper and says which process it is, `NAME.spare`
//! is the socket on which it is asked. A keeper removes both when it leaves.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lease_process::{Liveness, Pid, ProcessIdentity, liveness};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{UnixListener, UnixStream};

use super::waiting::HEAD;

/// How long a keeper that was asked to may take to leave, and again when it was killed.
const LEAVE_TIME_MAX: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Where the keeper of a lease is, if there is one.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    lock: PathBuf,
    socket: PathBuf,
}

/// A keeper's own hold on its post.
#[derive(Debug)]
pub(super) struct Held {
    post: Post,
    #[expect(dead_code, reason = "it is held, not read")]
    lock: File,
    pub(super) listener: UnixListener,
}

impl Post {
    /// The post beside a control socket.
    pub(crate) fn of(control: &Path) -> Self {
        let at = |name| control.with_extension(name);
        Self { lock: at("keeper"), socket: at("spare") }
    }

    /// Takes it; `None` when another keeper has it.
    ///
    /// # Errors
    /// When the files cannot be made.
    pub(super) fn take(self) -> io::Result<Option<Held>> {
        let mut options = OpenOptions::new();
        let opened = options.create(true).truncate(false).write(true).mode(0o600).open(&self.lock);
        let mut lock = opened?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // The keeper before us removes the file, and may have done so between our two steps.
        let ours = lock.metadata()?;
        if !fs::metadata(&self.lock)
            .is_ok_and(|it| (it.dev(), it.ino()) == (ours.dev(), ours.ino()))
        {
            return Ok(None);
        }
        let who = ProcessIdentity::current().map_err(io::Error::other)?;
        lock.set_len(0)?;
        writeln!(lock, "{} {} {} {}", who.pid.get(), who.start, who.boot_id, who.pid_namespace)?;
        // Nobody listens there: whoever did had the lock.
        remove(&self.socket)?;
        let listener = UnixListener::bind(&self.socket)?;
        Ok(Some(Held { post: self, lock, listener }))
    }

    /// Goes to the keeper.
    ///
    /// # Errors
    /// When there is none.
    pub(super) async fn visit(&self) -> io::Result<UnixStream> {
        UnixStream::connect(&self.socket).await
    }

    /// Whether a keeper is there.
    pub(crate) fn is_kept(&self) -> bool {
        let Ok(file) = File::open(&self.lock) else { return false };
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
    }

    /// Ends the keeper, if there is one, and removes what it leaves. It takes two seconds at the most, whatever the keeper
    /// does: a keeper that survives has a connection that is about to end.
    pub(crate) async fn clear(&self) {
        if self.is_kept() {
            let asked =
                async { self.visit().await?.write_all(format!("{HEAD} end\n").as_bytes()).await };
            let asked = tokio::time::timeout(LEAVE_TIME_MAX, asked).await;
            let left = || !self.is_kept();
            if !lease_process::wait::until(LEAVE_TIME_MAX, LOOK_EVERY, left).await {
                tracing::debug!(?asked, "a keeper does not leave");
                self.kill();
                let gone = lease_process::wait::until(LEAVE_TIME_MAX, LOOK_EVERY, left).await;
                tracing::debug!(gone, "a keeper was killed");
            }
        }
        for path in [&self.lock, &self.socket] {
            if let Err(error) = remove(path) {
                tracing::debug!(%error, path = %path.display(), "what a keeper left stays");
            }
        }
    }

    /// Kills the very process that says that it is the keeper.
    fn kill(&self) {
        let Some(who) = fs::read_to_string(&self.lock).ok().as_deref().and_then(read) else {
            return;
        };
        if liveness(&who) == Liveness::Alive
            && let Some(pid) = rustix::process::Pid::from_raw(who.pid.get())
        {
            let killed = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            tracing::debug!(?killed, pid = who.pid.get(), "killed a keeper that would not leave");
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // The lock is still ours, so neither can be another keeper's.
        drop(remove(&self.post.socket));
        drop(remove(&self.post.lock));
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn read(text: &str) -> Option<ProcessIdentity> {
    let mut words = text.strip_suffix('\n')?.split(' ');
    let mut word = || words.next();
    Some(ProcessIdentity {
        pid: Pid::new(word()?.parse().ok()?)?,
        start: word()?.parse().ok()?,
        boot_id: word()?.to_owned(),
        pid_namespace: word()?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_keeper_has_the_post_and_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let post = Post::of(&directory.path().join("0123"));
        assert!(!post.is_kept());
        let held = post.clone().take().unwrap().unwrap();
        assert!(post.is_kept());
        assert!(post.clone().take().unwrap().is_none());
        assert!(post.visit().await.is_ok());
        drop(held);
        assert!(!post.is_kept());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        post.clear().await;
    }

    #[tokio::test]
    async fn what_a_killed_keeper_leaves_is_no_keeper_and_is_cleared() {
        let directory = tempfile::tempdir().unwrap();
        let control = directory.path().join("0123");
        for name in ["keeper", "spare"] {
            fs::write(control.with_extension(name), "1 2 3 4\n").unwrap();
        }
        let post = Post::of(&control);
        assert!(!post.is_kept());
        assert!(post.visit().await.is_err());
        let held = post.clone().take().unwrap().unwrap();
        assert!(post.visit().await.is_ok());
        drop(held);
        fs::write(control.with_extension("keeper"), "").unwrap();
        post.clear().await;
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn who_keeps_is_read_back_and_nothing_else_is() {
        let who = ProcessIdentity::current().unwrap();
        let text =
            format!("{} {} {} {}\n", who.pid.get(), who.start, who.boot_id, who.pid_namespace);
        assert_eq!(read(&text), Some(who));
        for bad in ["", "\n", "1 2\n", "0 2 3 4\n", "1 2 3 4"] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }
}
