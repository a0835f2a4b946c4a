//! `lease watch`: a command that runs again when the tree has changed, on one box.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lease_core::Claim;
use lease_core::retry::pause;
use lease_ssh::JobSignal;
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use crate::args::{RunArgs, WatchArgs};
use crate::command::run::{self, Work, finish};
use crate::context::{Base, Context};
use crate::exit::Exit;
use crate::failure::{Failure, Meaning};
use crate::session::{Attached, Difference, Ended, Place, Recorder, in_use};

/// How long it has to be quiet before a change is looked at: a program that saves a file does so in several steps.
const QUIET: Duration = Duration::from_millis(200);
/// After how long it is looked at although it is not quiet.
const UNQUIET_MAX: Duration = Duration::from_secs(2);
/// How often the tree is looked at where the system does not tell of changes.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often a command is asked to end before it is killed, with a second in between.
const ASKED_MAX: u32 = 10;

/// Runs the command now and at every change.
pub(crate) async fn run(base: Base<'_>, args: &WatchArgs) -> Result<Exit, Failure> {
    let run = RunArgs {
        machine: args.machine.clone(),
        id: args.id.clone(),
        slug: args.slug.clone(),
        dir: args.dir.clone(),
        command: args.command.clone(),
        ..RunArgs::default()
    };
    let how = if args.restart { AtChange::Restart } else { AtChange::Wait };
    run::run_again(base, &run, how).await
}

/// What happens to a command that runs while the tree changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AtChange {
    /// Its end is waited for.
    Wait,
    /// It is ended.
    Restart,
}

/// What the system tells of a tree.
struct Changes {
    told: mpsc::Receiver<()>,
    /// It tells for as long as this is there.
    watcher: Option<RecommendedWatcher>,
}

impl Changes {
    fn of(base: &Base<'_>, tree: &Path) -> Self {
        let (tell, told) = mpsc::channel(1);
        let (root, git) = (tree.to_owned(), tree.join(".git"));
        let watch = || {
            let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
                // One that is not heard stands for all that follow, and an error for a change.
                if event.map_or(true, |it| is_of_tree(&it, &git)) {
                    tell.try_send(()).unwrap_or_default();
                }
            })?;
            watcher.watch(&root, RecursiveMode::Recursive)?;
            Ok::<_, notify::Error>(watcher)
        };
        let watcher = match watch() {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                let every = LOOK_EVERY.as_secs();
                base.output.note(&format!("the tree is looked at every {every} s: {error}"));
                None
            }
        };
        Self { told, watcher }
    }

    /// Waits until something may have changed, and then until it is quiet.
    async fn next(&mut self) {
        if self.watcher.is_none() {
            return pause(LOOK_EVERY).await;
        }
        if self.told.recv().await.is_none() {
            return pause(LOOK_EVERY).await;
        }
        let quiet = async {
            while let Ok(Some(())) = tokio::time::timeout(QUIET, self.told.recv()).await {}
        };
        drop(tokio::time::timeout(UNQUIET_MAX, quiet).await);
    }
}

/// Looking at a file is no change of it, and what git keeps is no part of the tree.
fn is_of_tree(event: &Event, git: &Path) -> bool {
    let is_git = |it: &PathBuf| it.starts_with(git);
    !event.kind.is_access() && (event.paths.is_empty() || !event.paths.iter().all(is_git))
}

/// Runs the command until an interrupt, or until it cannot be run. The record that is given is the first one's; the one
/// that is returned is the last one's, if its end is not recorded yet.
pub(super) async fn rounds(
    work: &mut Work<'_>,
    claim: &Claim,
    mut recorder: Recorder,
    at_change: AtChange,
) -> (Option<Recorder>, Result<Ended, Failure>) {
    let (context, place) = (work.context, work.place.clone());
    let mut changes = Changes::of(&context.base, &place.tree.root);
    loop {
        let (round, next) = match at_change {
            AtChange::Wait => (work.use_box(claim, &recorder).await, Next::Wait),
            AtChange::Restart => restarted(work, claim, &recorder, &mut changes).await,
        };
        let code = match &round {
            Ok(Ended::Exited(code)) if !work.interrupts.were_heard() => *code,
            _ => return (Some(recorder), round),
        };
        finish(&context.base, recorder, &round);
        if next == Next::Wait {
            context.base.output.note(&format!("ended with {code}; waiting for a change"));
            let waited = tokio::select! {
                waited = changed(context, claim, &place, &mut changes) => waited,
                _ = work.interrupts.next() => {
                    return (None, Ok(Ended::Exited(Exit::Interrupted.code())));
                }
            };
            if let Err(failure) = waited {
                return (None, Err(failure));
            }
        }
        recorder = match work.record(claim) {
            Ok(recorder) => recorder,
            Err(failure) => return (None, Err(failure)),
        };
    }
}

/// When the next round begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// At the next change.
    Wait,
    /// At once: the change has been seen.
    Now,
}

/// Runs the command once, and ends it when the tree changes.
async fn restarted(
    work: &mut Work<'_>,
    claim: &Claim,
    recorder: &Recorder,
    changes: &mut Changes,
) -> (Result<Ended, Failure>, Next) {
    let (context, place) = (work.context, work.place.clone());
    let running = work.use_box(claim, recorder);
    let mut running = std::pin::pin!(running);
    let seen = tokio::select! {
        ended = &mut running => return (ended, Next::Wait),
        seen = changed(context, claim, &place, changes) => seen,
    };
    if let Err(failure) = seen {
        return (Err(failure), Next::Wait);
    }
    context.base.output.note("a file changed; ending the command");
    // What is ended may as well end by itself in that moment, or not have begun yet.
    let ended = tokio::select! {
        ended = running => ended,
        () = end(context, claim, recorder) => {
            let failure = Failure::tool("the command does not end").kind("unavailable");
            Err(failure.meaning(Meaning::StillLeased).lease(claim.lease()))
        }
    };
    (ended, Next::Now)
}

/// Asks the command to end, and kills it when it does not. Returns when even that has not helped.
async fn end(context: &Context<'_>, claim: &Claim, recorder: &Recorder) {
    let mut run = String::new();
    run::with(recorder, |it| it.id().clone_into(&mut run));
    for asked in 0..3 * ASKED_MAX {
        let signal = if asked < ASKED_MAX { JobSignal::Terminate } else { JobSignal::Kill };
        if let Ok(attached) = Attached::to(context, claim).await {
            let signalled = attached.session.signal(&attached.root, &run, signal).await;
            tracing::debug!(?signalled, "a file changed");
        }
        pause(Duration::from_secs(1)).await;
    }
}

/// Waits until a file of the tree is another than the one that was sent. The box stays in use meanwhile.
async fn changed(
    context: &Context<'_>,
    claim: &Claim,
    place: &Place,
    changes: &mut Changes,
) -> Result<(), Failure> {
    let attached = Attached::to(context, claim).await?;
    let differs = async {
        loop {
            changes.next().await;
            let difference = match Difference::look(context, claim, place).await {
                Ok(difference) => difference,
                // A tree in the middle of a change may not be readable for a moment.
                Err(failure) => {
                    context.base.output.note(failure.what());
                    continue;
                }
            };
            let look = tokio::task::spawn_blocking(move || difference.is_any()).await;
            if look.map_err(|error| Failure::tool(format!("look at the tree: {error}")))? {
                return Ok::<_, Failure>(());
            }
            tracing::debug!("what has changed is not the tree");
        }
    };
    in_use((context, &attached), Box::pin(differs)).await?
}

#[cfg(test)]
mod tests {
    use notify::EventKind;
    use notify::event::{AccessKind, CreateKind};

    use super::*;

    #[test]
    fn neither_a_look_nor_what_git_keeps_is_a_change() {
        let git = Path::new("/tree/.git");
        let is = |kind: EventKind, paths: &[&str]| {
            let event = Event { paths: paths.iter().map(Into::into).collect(), ..Event::new(kind) };
            is_of_tree(&event, git)
        };
        let made = EventKind::Create(CreateKind::File);
        assert!(is(made, &["/tree/a"]));
        assert!(is(made, &["/tree/.git/a", "/tree/a"]));
        assert!(is(EventKind::Other, &[]));
        assert!(!is(made, &["/tree/.git/index.lock"]));
        assert!(!is(EventKind::Access(AccessKind::Any), &["/tree/a"]));
    }
}
