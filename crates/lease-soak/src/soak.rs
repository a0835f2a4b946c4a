//! The leases of one provider from the first to the verdict.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lease_core::retry::pause;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::plan::{Provider, draw};
use crate::site::{Outcome, Site};
use crate::trouble::Trouble;

/// How often it says how far it is.
const SAY_EVERY: Duration = Duration::from_secs(25);
/// How often the reapers are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// How long everything may take to settle after the last lease.
const SETTLE: Duration = Duration::from_secs(75);
/// The least time for that, when it has to fit into a short run.
const SETTLE_MIN: Duration = Duration::from_secs(30);

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) leases: usize,
    pub(crate) seed: u64,
    /// How long all of it may take.
    pub(crate) within: Duration,
    /// The real program.
    pub(crate) program: PathBuf,
}

/// Makes the leases of one provider, waits, looks and judges. Where something is wrong, the directory stays for whoever
/// looks for it. It is asked to end early by the end of its input.
pub(crate) async fn part(wish: &Wish, provider: Provider) -> Result<Outcome, Trouble> {
    let began = Instant::now();
    // Short, because the path of a socket is limited.
    let directory = tempfile::Builder::new().prefix("lsk-").tempdir_in("/tmp")?;
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
    let plan = draw(wish.seed, wish.leases, &[provider]).remove(0);
    let kills = plan.lives.iter().filter(|it| it.kill.is_some()).count();
    let harms = plan.lives.iter().filter(|it| it.harm.is_some()).count();
    let count = plan.lives.len();
    say(&format!("{provider}: {count} leases, with {kills} kills, and {harms} cuts and faults"));
    let root = directory.path().join(provider.name());
    let site = Arc::new(Site::open(plan, root, &wish.program).await?);
    let result = run(&site, began, wish.within).await;
    site.close().await?;
    let outcome = result?;
    if !outcome.findings().is_empty() {
        say(&format!("{provider}: the records are kept in {}", directory.keep().display()));
    }
    Ok(outcome)
}

async fn run(site: &Arc<Site>, began: Instant, within: Duration) -> Result<Outcome, Trouble> {
    let settle = SETTLE.min(within / 4).max(SETTLE_MIN);
    let until = began + within.saturating_sub(settle);
    let watcher = watch(Arc::clone(site), began);
    stop_at_end_of_input(Arc::clone(site));
    let mut working = JoinSet::new();
    for _ in 0..site.workers() {
        let site = Arc::clone(site);
        working.spawn(async move { site.work(until).await });
    }
    let mut failed = None;
    while let Some(done) = working.join_next().await {
        let done = done.unwrap_or_else(|broken| Err(Trouble::other(broken.to_string())));
        if let Err(trouble) = done {
            site.stop();
            failed = Some(trouble);
        }
    }
    watcher.abort();
    say(&format!("{} s: {}; looking at what is left", began.elapsed().as_secs(), site.progress()));
    let outcome = site.finish(settle).await?;
    failed.map_or(Ok(outcome), Err)
}

/// Says how far it is, and looks at the reaper.
fn watch(site: Arc<Site>, began: Instant) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut said = Instant::now();
        loop {
            pause(LOOK_EVERY).await;
            site.look_at_reaper();
            if said.elapsed() >= SAY_EVERY {
                said = Instant::now();
                say(&format!("{} s: {}", began.elapsed().as_secs(), site.progress()));
            }
        }
    })
}

/// Begins no further lease once whoever holds the other end of the input lets go of it, or is gone.
fn stop_at_end_of_input(site: Arc<Site>) {
    // A thread of its own: the runtime would wait for a read that is still going on when it ends.
    std::thread::spawn(move || {
        let mut buffer = [0_u8; 64];
        while io::stdin().read(&mut buffer).is_ok_and(|count| count > 0) {}
        site.stop();
    });
}

/// Prints one line, at once.
pub(crate) fn say(line: &str) {
    let mut out = io::stdout().lock();
    // A closed pipe is no reason to leave leases behind.
    writeln!(out, "{line}").and_then(|()| out.flush()).unwrap_or_default();
}
