//! `lease run`: the main job, from the tree to the exit code.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lease_core::engine::{By, Outcome, Release};
use lease_core::{Claim, Deadlines, Phase, Retention};
use tokio::time::Instant;

use crate::args::RunArgs;
use crate::command::acquire;
use crate::config::KeepPolicy;
use crate::context::{Base, Context};
use crate::exit::Exit;
use crate::failure::{Failure, Meaning};
use crate::interrupt::{Interrupt, Interrupts};
use crate::runs::RunStart;
use crate::session::{
    Attached, Ended, Fresh, Place, Recorder, Task, UseLock, execute, give_up, launch, start,
};

/// When a lease with a detached run ends at the latest, where nothing else says so.
const DETACHED_AGE_MAX: Duration = Duration::from_secs(12 * 60 * 60);

/// Runs a command on a leased box.
pub(crate) async fn run(base: Base<'_>, args: &RunArgs) -> Result<Exit, Failure> {
    refuse_empty(args)?;
    let context = base.open(&acquire::flags(&args.machine)).await?;
    let place = Place::of(&context, args.dir.as_deref())?;
    // A tree that cannot be synced is told before a box is leased; where there is one, looking once is enough.
    if !args.no_sync && args.id.is_none() {
        let scan = place.scan(&context).await?;
        if scan.manifest().is_empty() {
            let root = place.tree.root.display();
            base.output.note(&format!("there is no file in {root} that is synced"));
        }
    }
    let interrupts = Interrupts::listen()?;
    match &args.id {
        Some(name) => {
            let claim = context.claim(name).await?;
            let other = context.other_for(&claim).await?;
            let context = other.as_ref().unwrap_or(&context);
            Work { context, args, place, interrupts }.on_existing(&claim).await
        }
        None => Work { context: &context, args, place, interrupts }.on_new().await,
    }
}

fn refuse_empty(args: &RunArgs) -> Result<(), Failure> {
    if args.command.first().is_none_or(|it| it.is_empty()) {
        let failure = Failure::invalid("the command is empty", "lease run -- COMMAND");
        return Err(failure.meaning(Meaning::NothingCreated).kind("usage"));
    }
    if args.detach && args.id.is_none() && !args.keep {
        let what = "--detach leaves the command running, so the box must stay: give --id or --keep";
        let failure = Failure::invalid(what, "lease run --detach --keep -- COMMAND");
        return Err(failure.meaning(Meaning::NothingCreated).kind("usage"));
    }
    Ok(())
}

/// What is done with the box in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Afterwards {
    Release,
    Keep,
}

struct Work<'a> {
    context: &'a Context<'a>,
    args: &'a RunArgs,
    place: Place,
    interrupts: Interrupts,
}

impl Work<'_> {
    /// On a box that somebody else acquired, and that stays leased.
    async fn on_existing(&mut self, claim: &Claim) -> Result<Exit, Failure> {
        let _lock = UseLock::take(self.context, claim).await?;
        self.context
            .engine
            .touch(claim.lease(), None)
            .await
            .map_err(|error| Failure::from(error).lease(claim.lease()))?;
        let recorder = self.record(claim)?;
        let result = self.use_box(claim, &recorder).await;
        finish(&self.context.base, recorder, &result);
        conclude_leased(claim, result)
    }

    /// On a box of our own, from acquiring to releasing.
    async fn on_new(&mut self) -> Result<Exit, Failure> {
        let started = Instant::now();
        let policy = self.policy();
        let mut request =
            acquire::request(self.context, &self.args.machine, self.args.slug.as_deref())?;
        request.retention =
            if policy == KeepPolicy::Always { Retention::Keep } else { Retention::WithOwner };
        request.keep_on_failure = policy != KeepPolicy::Never;
        let claim = acquire::lease_box(self.context, request, &mut self.interrupts).await?;
        let acquired = started.elapsed();
        // From here on the box is ours: whatever fails, it is given back or kept before we return.
        let (recorder, result) = match self.begin(&claim).await {
            Ok((lock, recorder)) => {
                let acquire_ms = Some(lease_core::time::millis(acquired));
                with(&recorder, |it| it.phases().acquire_ms = acquire_ms);
                let result = self.use_box(&claim, &recorder).await;
                drop(lock);
                if let Ok(Ended::Exited(code)) = &result {
                    // A release may take long, and we may be killed in it; what failed is said at the end.
                    with(&recorder, |it| drop(it.exited(*code)));
                }
                (Some(recorder), result)
            }
            Err(failure) => (None, Err(failure)),
        };
        let afterwards = match (policy, &result) {
            (KeepPolicy::Never, _) | (KeepPolicy::OnFailure, Ok(Ended::Exited(0))) => {
                Afterwards::Release
            }
            (KeepPolicy::Always | KeepPolicy::OnFailure, _) => Afterwards::Keep,
        };
        let released = Instant::now();
        let meaning = match (&result, afterwards) {
            // A second interrupt leaves at once; the reaper sees that we are gone.
            (Ok(Ended::Left), Afterwards::Release) => Meaning::Releasing,
            _ => self.give_back(&claim, afterwards).await?,
        };
        if let Some(recorder) = recorder {
            let release_ms = Some(lease_core::time::millis(released.elapsed()));
            with(&recorder, |it| it.phases().release_ms = release_ms);
            finish(&self.context.base, recorder, &result);
        }
        conclude(&claim, result, meaning)
    }

    async fn begin(&self, claim: &Claim) -> Result<(UseLock, Recorder), Failure> {
        let lock = UseLock::take(self.context, claim).await?;
        Ok((lock, self.record(claim)?))
    }

    fn policy(&self) -> KeepPolicy {
        if self.args.keep {
            KeepPolicy::Always
        } else if self.args.keep_on_failure {
            KeepPolicy::OnFailure
        } else {
            self.context.settings.keep()
        }
    }

    fn record(&self, claim: &Claim) -> Result<Recorder, Failure> {
        let base = &self.context.base;
        let writer = base.runs()?.begin(RunStart::of(claim, &self.args.command), base.now())?;
        Ok(Arc::new(Mutex::new(writer)))
    }

    /// Logs in, syncs and runs. An interrupt before the command starts ends the work like a failure.
    async fn use_box(&mut self, claim: &Claim, recorder: &Recorder) -> Result<Ended, Failure> {
        // A box that was never synced has no directories inside.
        let directory = if self.args.no_sync { None } else { self.place.directory.as_deref() };
        let mut task = Task { argv: &self.args.command, directory, started: None };
        let began = Instant::now();
        let prepare = prepare(self.context, claim, (!self.args.no_sync).then_some(&self.place));
        let (attached, tree) = tokio::select! {
            prepared = prepare => prepared?,
            _ = self.interrupts.next() => return Err(interrupted(claim)),
        };
        if self.args.detach {
            if tree.is_some() {
                let sync = attached.sync(self.context, claim, &self.place);
                tokio::select! {
                    synced = sync => drop(synced?),
                    _ = self.interrupts.next() => return Err(interrupted(claim)),
                }
            }
            let command = (self.args.command.as_slice(), directory);
            return self.leave_running(claim, &attached, command, recorder).await;
        }
        if let Some(tree) = tree {
            let started = tokio::select! {
                started = start(self.context, &attached, tree, &task, recorder) => Some(started?),
                _ = self.interrupts.next() => None,
            };
            let Some(started) = started else {
                give_up(&attached, recorder).await;
                return Err(interrupted(claim));
            };
            task.started = Some(started);
            with(recorder, |it| {
                it.phases().sync_ms = Some(lease_core::time::millis(began.elapsed()));
            });
        }
        let began = Instant::now();
        let result = execute(self.context, &attached, task, recorder, &mut self.interrupts).await;
        with(recorder, |it| it.phases().run_ms = Some(lease_core::time::millis(began.elapsed())));
        result
    }

    /// Starts the command and says how to come back to it. A box that is not used by anybody here must stay for it, so
    /// its idle limit goes, and it ends at its total limit.
    async fn leave_running(
        &self,
        claim: &Claim,
        attached: &Attached,
        command: (&[std::ffi::OsString], Option<&str>),
        recorder: &Recorder,
    ) -> Result<Ended, Failure> {
        let output = self.context.base.output;
        if claim.retention() != Retention::Keep {
            let last = self.context.settings.max_age().unwrap_or(DETACHED_AGE_MAX);
            let last = self.context.base.now().after(last);
            let deadlines = Deadlines {
                idle_ms: None,
                expires_at: Some(claim.deadlines().expires_at.unwrap_or(last)),
            };
            let touched = self.context.engine.touch(claim.lease(), Some(deadlines)).await;
            touched.map_err(|error| Failure::from(error).lease(claim.lease()))?;
        }
        let ended = launch(attached, command, recorder).await?;
        output.progress().clear();
        let mut run = String::new();
        with(recorder, |it| it.id().clone_into(&mut run));
        output.note(&format!("the command goes on; `lease attach {run}` follows it"));
        output.bytes(format!("{run}\n").as_bytes())?;
        Ok(ended)
    }

    /// Gives the box back or keeps it, whatever the terminal does meanwhile, and says what that means for the machine.
    async fn give_back(
        &mut self,
        claim: &Claim,
        afterwards: Afterwards,
    ) -> Result<Meaning, Failure> {
        let (engine, lease) = (&self.context.engine, claim.lease());
        if afterwards == Afterwards::Keep {
            let current = engine.store().load(lease).await?;
            // Somebody released it meanwhile; a keep must not stand in the way of that.
            if current.releasing().is_some() {
                let gone = current.phase() == Phase::Released;
                return Ok(if gone { Meaning::Released } else { Meaning::Releasing });
            }
            engine
                .keep(lease, "`lease run` was asked to keep it")
                .await
                .map_err(|error| Failure::from(error).lease(lease))?;
            let slug = claim.slug();
            self.context
                .base
                .output
                .note(&format!("{slug} is kept; `lease release {slug}` ends it"));
            return Ok(Meaning::StillLeased);
        }
        let request = Release {
            by: By::Owner,
            why: "the command of `lease run` ended".to_owned(),
            keep: false,
        };
        let outcome = {
            let release = engine.release(lease, request);
            let mut release = std::pin::pin!(release);
            loop {
                tokio::select! {
                    outcome = &mut release => break outcome,
                    interrupt = self.interrupts.next() => {
                        // The release goes on although the terminal is gone; only a person can cut it short.
                        if interrupt != Interrupt::Hangup {
                            let note = format!("{} is being released; the reaper finishes", claim.slug());
                            self.context.base.output.note(&note);
                            return Ok(Meaning::Releasing);
                        }
                    }
                }
            }
        };
        self.context.base.output.progress().clear();
        Ok(match outcome {
            Ok(Outcome::Released) => Meaning::Released,
            Ok(Outcome::Kept(_)) => Meaning::StillLeased,
            Ok(Outcome::Pending(claim)) if claim.obstacle().is_none() => Meaning::Releasing,
            Ok(Outcome::Pending(claim)) => {
                let obstacle =
                    claim.obstacle().map_or("another process is at it", |it| it.message.as_str());
                self.context
                    .base
                    .output
                    .note(&format!("{} is not released yet: {obstacle}", claim.slug()));
                Meaning::MayExist
            }
            Err(error) => {
                self.context
                    .base
                    .output
                    .note(&format!("{} is not released yet: {error}", claim.slug()));
                Meaning::MayExist
            }
        })
    }
}

/// Ends the record of a run. What keeps it from being written is said and changes nothing else.
pub(super) fn finish(base: &Base<'_>, recorder: Recorder, result: &Result<Ended, Failure>) {
    // Its end is recorded by whoever sees it.
    if matches!(result, Ok(Ended::Detached)) {
        return;
    }
    let Ok(writer) = Arc::try_unwrap(recorder) else { return };
    let mut writer = writer.into_inner().unwrap_or_else(PoisonError::into_inner);
    let code = match result {
        Ok(ended) => ended.exit().code(),
        Err(failure) => failure.exit().code(),
    };
    let finished = writer.exited(code).and_then(|()| writer.finish(base.now()));
    if let Err(failure) = finished {
        base.output.note(&format!("the run is not recorded: {}", failure.what()));
    }
}

/// The command's own code, on a box that stays leased. Leaving a command behind must be said.
pub(super) fn conclude_leased(
    claim: &Claim,
    result: Result<Ended, Failure>,
) -> Result<Exit, Failure> {
    match result {
        Ok(Ended::Left) => {
            let lease = claim.lease();
            let failure = Failure::tool("interrupted twice; the command may still run on the box");
            let failure = failure.exit_with(Exit::Interrupted).kind("interrupted");
            Err(failure
                .meaning(Meaning::StillLeased)
                .next(format!("lease release {lease}"))
                .lease(lease))
        }
        result => result.map(Ended::exit),
    }
}

/// The command's own code, unless the box could not be given back: that must not look like success.
fn conclude(
    claim: &Claim,
    result: Result<Ended, Failure>,
    meaning: Meaning,
) -> Result<Exit, Failure> {
    let lease = claim.lease();
    let next = match meaning {
        Meaning::MayExist | Meaning::StillLeased => format!("lease release {lease}"),
        Meaning::Releasing => "lease cleanup".to_owned(),
        Meaning::Released | Meaning::NothingCreated | Meaning::NothingChanged => {
            "lease history".to_owned()
        }
    };
    match result {
        Err(failure) => Err(failure.meaning(meaning).next(next)),
        Ok(ended) if meaning == Meaning::MayExist => {
            let what = format!(
                "the command ended with {}, and the box could not be released",
                ended.exit().code()
            );
            Err(Failure::tool(what).meaning(meaning).next(next).lease(lease).kind("unavailable"))
        }
        Ok(Ended::Left) => {
            let what = "interrupted twice; what the command does on the box ends with its release";
            let failure = Failure::tool(what).exit_with(Exit::Interrupted).kind("interrupted");
            Err(failure.meaning(meaning).next(next).lease(lease))
        }
        Ok(ended) => Ok(ended.exit()),
    }
}

/// Logs in, and meanwhile looks at the tree if there is one to sync.
async fn prepare(
    context: &Context<'_>,
    claim: &Claim,
    place: Option<&Place>,
) -> Result<(Attached, Option<Fresh>), Failure> {
    let look = async {
        match place {
            Some(place) => Fresh::look(context, claim, place).await.map(Some),
            None => Ok(None),
        }
    };
    tokio::try_join!(Attached::to(context, claim), look)
}

fn interrupted(claim: &Claim) -> Failure {
    let failure =
        Failure::tool("interrupted before the command started").exit_with(Exit::Interrupted);
    failure.meaning(Meaning::StillLeased).kind("interrupted").lease(claim.lease())
}

fn with(recorder: &Recorder, change: impl FnOnce(&mut crate::runs::RunWriter)) {
    change(&mut recorder.lock().unwrap_or_else(PoisonError::into_inner));
}
