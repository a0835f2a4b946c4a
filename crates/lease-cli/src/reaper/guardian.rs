//! Starting the reaper, before anything is created (invariant I11).

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use lease_core::retry::{Bounds, Pace};
use lease_core::watch::Guardian;
use lease_core::{Clock as _, Error, ErrorKind, LeaseId, Result, Scope};
use lease_process::{Program, spawn_detached};

use crate::catalog;
use crate::config::Settings;
use crate::context::Base;
use crate::env::SystemClock;
use crate::failure::Failure;
use crate::reaper::lock::{is_watched, watcher_at, watchers};
use crate::reaper::post::Post;
use crate::setup::Setup;

/// How long a started reaper may take until it watches.
const START_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a reaper may take to say in which account it is.
const ACCOUNT_TIME_MAX: Duration = Duration::from_secs(2);
/// How long is waited before another one is started: the first may have lost its race for the lock.
const STARTED_AGAIN_AFTER: Duration = Duration::from_secs(2);
/// A log longer than this is begun anew.
const LOG_BYTES_MAX: u64 = 1024 * 1024;

/// Makes sure that a reaper with our credentials watches the state directory.
#[derive(Debug)]
pub(super) struct Reaper {
    state_dir: PathBuf,
    executable: PathBuf,
    variables: Vec<(OsString, OsString)>,
    posts: Vec<Post>,
    /// What leases are made with; none where none are made.
    settings: Option<Settings>,
}

impl Reaper {
    /// The reaper of the state directory of `base`. It is started with our own environment, because it needs the same
    /// credentials to release what we create.
    pub(super) fn new(
        base: &Base<'_>,
        posts: Vec<Post>,
        settings: Option<Settings>,
    ) -> std::result::Result<Self, Failure> {
        let state_dir = base.state_dir()?;
        let executable = base.environment.executable()?.to_owned();
        let mut variables: Vec<_> = base
            .environment
            .all_variables()
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        // Started inside a box, it must not look like a process of that box, which ends with it.
        variables.retain(|(name, _)| name != "LEASE_STATE_DIR" && name != "LEASE_BOX");
        variables.push(("LEASE_STATE_DIR".into(), state_dir.clone().into_os_string()));
        // What it deletes and why must be traceable afterwards, whoever asked for a log or not.
        if base.environment.variable("LEASE_LOG").is_none() {
            variables.push(("LEASE_LOG".into(), "lease=info".into()));
        }
        Ok(Self { state_dir, executable, variables, posts, settings })
    }

    /// The post from which leases in `scope` are given back with what we are configured with.
    fn post(&self, scope: &Scope) -> Option<&Post> {
        self.posts.iter().find(|it| it.provider() == scope.provider)
    }

    /// Without a credential nobody can be started, but somebody who has one may watch already.
    fn find_another(&self, scope: &Scope) -> Result<()> {
        let others = watchers(&self.state_dir)
            .map_err(|failure| Error::harmless(ErrorKind::Storage, DOING, failure.what()))?;
        if others.iter().any(|it| it.serves(scope)) {
            return Ok(());
        }
        let message = match catalog::credentials(&scope.provider) {
            [] => format!("the provider {} is not in this build", scope.provider),
            names => format!(
                "no reaper watches the leases in {}, and there is no credential to start one; set {}",
                scope,
                names.join(" or ")
            ),
        };
        Err(Error::harmless(ErrorKind::Unsupported, DOING, message))
    }

    /// The settings that leases in `scope` are made with, written down by whoever makes one: whoever gives it back needs
    /// them, wherever it stands then.
    fn setup(&self, scope: &Scope) -> Result<Option<Setup>> {
        let Some(settings) = &self.settings else {
            return Ok(Setup::for_scope(&self.state_dir, scope));
        };
        let setup = Setup::of(scope, settings, SystemClock.now());
        let kept = setup.as_ref().map_or(Ok(()), |it| it.keep(&self.state_dir));
        kept.map_err(|failure| Error::harmless(ErrorKind::Storage, DOING, failure.what()))?;
        Ok(setup)
    }

    fn is_watched(&self, post: &Post) -> Result<bool> {
        is_watched(&self.state_dir, post)
            .map_err(|failure| Error::harmless(ErrorKind::Storage, DOING, failure.what()))
    }

    /// Waits until the reaper at the post has said in which account it is; in another one it is of no use here. One that
    /// cannot tell yet, because its provider does not answer, is believed.
    async fn confirm(&self, post: &Post, scope: &Scope) -> Result<()> {
        let pauses = (Duration::from_millis(2), Duration::from_millis(50));
        let mut pace = Pace::start(Bounds::within(ACCOUNT_TIME_MAX).paused(pauses.0, pauses.1));
        loop {
            let watcher = watcher_at(&self.state_dir, post)
                .map_err(|failure| Error::harmless(ErrorKind::Storage, DOING, failure.what()))?;
            match watcher.and_then(|it| it.scope) {
                Some(known) if known == *scope => return Ok(()),
                Some(_) => return self.find_another(scope),
                None if !pace.wait(None).await => return Ok(()),
                None => {}
            }
        }
    }

    /// Starts a reaper, with the settings that leases were made with where they are kept.
    pub(super) fn start(&self, setup: Option<&Setup>) -> Result<()> {
        let log = self.state_dir.join("reaper.log");
        if std::fs::metadata(&log).is_ok_and(|it| it.len() > LOG_BYTES_MAX) {
            drop(std::fs::remove_file(&log));
        }
        let with = setup.map(|it| format!("--setup={}", it.name()));
        let program = Program::new(self.executable.as_os_str())
            .args(["reaper", "run", "--detach"])
            .args(with)
            .cwd(&self.state_dir)
            .inherit_env(self.variables.iter().cloned());
        let started = spawn_detached(&program, Some(&log));
        started.map(drop).map_err(|error| {
            Error::harmless(ErrorKind::Unavailable, DOING, "the reaper did not start")
                .with_source(error)
        })
    }
}

const DOING: &str = "start the reaper";

#[async_trait]
impl Guardian for Reaper {
    async fn ensure(&self, _lease: &LeaseId, scope: &Scope) -> Result<()> {
        let Some(post) = self.post(scope) else { return self.find_another(scope) };
        let setup = self.setup(scope)?;
        if self.is_watched(post)? {
            return self.confirm(post, scope).await;
        }
        self.start(setup.as_ref())?;
        let pauses = (Duration::from_millis(2), Duration::from_millis(50));
        let mut pace = Pace::start(Bounds::within(START_TIME_MAX).paused(pauses.0, pauses.1));
        let mut next_start = STARTED_AGAIN_AFTER;
        while !self.is_watched(post)? {
            if pace.elapsed() >= next_start {
                next_start += STARTED_AGAIN_AFTER;
                self.start(setup.as_ref())?;
            }
            if !pace.wait(None).await {
                let log = self.state_dir.join("reaper.log");
                let message = format!(
                    "no reaper watches the leases at {} in {}; see {}",
                    post.provider(),
                    self.state_dir.display(),
                    log.display()
                );
                return Err(Error::harmless(ErrorKind::Unavailable, DOING, message));
            }
        }
        self.confirm(post, scope).await
    }
}
