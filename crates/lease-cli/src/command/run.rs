//! `lease run`: the main job, from the tree to the exit code.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lease_core::engine::{By, Outcome, Release};
use lease_core::time::millis;
use lease_core::{Claim, Phase, Retention};
use lease_ssh::Ahead;
use tokio::time::Instant;

use crate::args::RunArgs;
use crate::command::ending::{conclude, finished, refuse_report, report};
pub(super) use crate::command::ending::{conclude_leased, finish};
use crate::command::watch::{self, AtChange};
use crate::command::{acquire, limits};
use crate::config::KeepPolicy;
use crate::config::layer::FlagValue;
use crate::context::{Base, Context};
use crate::document::{RunPhases, TimingsDocument};
use crate::exit::Exit;
use crate::failure::{Failure, Meaning};
use crate::interrupt::{Interrupt, Interrupts};
use crate::runs::RunStart;
use crate::session::{
    Artifacts, Attached, Ended, Fresh, Place, Recorder, Task, UseLock, execute, give_up,
    interrupted, is_near, launch, on_terminal, refuse_large, spare, start,
};

/// How long a login over a connection that is open may take before the tree is looked at beside it.
const LOGIN_HEAD_START: Duration = Duration::from_millis(5);

/// Runs a command on a leased box.
pub(crate) async fn run(base: Base<'_>, args: &RunArgs) -> Result<Exit, Failure> {
    run_with(base, args, None).await
}

/// Runs a command, and again whenever the tree changes.
pub(super) async fn run_again(
    base: Base<'_>,
    args: &RunArgs,
    at_change: AtChange,
) -> Result<Exit, Failure> {
    run_with(base, args, Some(at_change)).await
}

async fn run_with(
    base: Base<'_>,
    args: &RunArgs,
    again: Option<AtChange>,
) -> Result<Exit, Failure> {
    refuse_empty(args)?;
    refuse_without_terminal(&base, args)?;
    refuse_report(&base, args.junit.as_deref())?;
    let mut flags = acquire::flags(&args.machine);
    flags.extend(args.allow_large.then(FlagValue::allow_large));
    let context = base.open(&flags).await?;
    if args.id.is_none() {
        crate::catalog::resolve(context.settings.provider())?;
    }
    let place = Place::of(&context, args.dir.as_deref())?;
    let artifacts = Artifacts::of(&context, &args.download, args.download_to.as_deref(), &place)?;
    // A tree that cannot be synced is told before a box is leased; where there is one, looking once is enough.
    let mut looked = None;
    if !args.no_sync && args.id.is_none() {
        let began = Instant::now();
        let scan = place.scan(&context).await?;
        looked = Some(began.elapsed());
        let next = "lease run --allow-large -- COMMAND";
        refuse_large(&context, &scan, (Meaning::NothingCreated, next))?;
        if scan.manifest().is_empty() {
            let root = place.tree.root.display();
            base.output.note(&format!("there is no file in {root} that is synced"));
        }
    }
    let interrupts = Interrupts::listen()?;
    if let Some(name) = &args.id {
        let claim = context.claim(name).await?;
        let other = context.other_for(&claim).await?;
        let context = other.as_ref().unwrap_or(&context);
        let mut work = Work { context, args, place, looked, interrupts, again, artifacts };
        return work.on_existing(&claim).await;
    }
    let context = &context;
    let mut work = Work { context, args, place, looked, interrupts, again, artifacts };
    work.on_new().await
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

/// A command with a terminal needs one on this side as well.
fn refuse_without_terminal(base: &Base<'_>, args: &RunArgs) -> Result<(), Failure> {
    if args.tty && !base.environment.reads_terminal() {
        let what = "--tty needs a terminal, and standard input is none";
        let failure = Failure::invalid(what, "lease run -- COMMAND");
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

/// One or more commands on one box.
pub(super) struct Work<'a> {
    pub(super) context: &'a Context<'a>,
    args: &'a RunArgs,
    pub(super) place: Place,
    /// How long the tree was looked at before there was a box.
    looked: Option<Duration>,
    pub(super) interrupts: Interrupts,
    /// Whether it runs again when the tree changes, and what becomes of a command that runs then.
    again: Option<AtChange>,
    artifacts: Option<Artifacts>,
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
        let (recorder, result) = self.rounds(claim, recorder).await;
        if !self.args.no_sync && matches!(result, Ok(Ended::Exited(_))) {
            spare::ensure(self.context, claim);
        }
        let result = self.finish(recorder, result);
        conclude_leased(claim, result)
    }

    /// Says how long each phase took, where that was asked for. Standard output is the command's.
    fn tell_timings(&self, recorder: &Recorder) -> Result<(), Failure> {
        if !self.args.timings {
            return Ok(());
        }
        let (mut run, mut phases) = (String::new(), RunPhases::default());
        with(recorder, |it| (run, phases) = (it.id().to_owned(), *it.phases()));
        let document = TimingsDocument::new(run, phases);
        self.context.base.output.aside(&document, || document.line())
    }

    /// Runs the command, once or as often as is asked for, and fetches what it left.
    async fn rounds(
        &mut self,
        claim: &Claim,
        recorder: Recorder,
    ) -> (Option<Recorder>, Result<Ended, Failure>) {
        if let Some(at_change) = self.again {
            return watch::rounds(self, claim, recorder, at_change).await;
        }
        let mut result = self.use_box(claim, &recorder).await;
        if matches!(result, Ok(Ended::Detached)) && self.artifacts.is_some() {
            self.context.base.output.note("artifacts are not fetched after a command that goes on");
        }
        let code = match &result {
            Ok(Ended::Exited(code)) => Some(*code),
            Ok(Ended::Left | Ended::Detached) | Err(_) => None,
        };
        if let (Some(code), Some(artifacts)) = (code, self.artifacts.take()) {
            let place = (self.context, claim);
            let fetched = artifacts.fetch(place, &self.place, &mut self.interrupts).await;
            match (fetched, code) {
                (Ok(_), _) => {}
                (Err(failure), 0) => result = Err(failure),
                (Err(failure), _) => {
                    let what = failure.what();
                    self.context.base.output.note(&format!("not everything was fetched: {what}"));
                }
            }
        }
        (Some(recorder), result)
    }

    /// Ends the record, and says what was asked for about it.
    fn finish(
        &self,
        recorder: Option<Recorder>,
        result: Result<Ended, Failure>,
    ) -> Result<Ended, Failure> {
        let Some(recorder) = recorder else { return result };
        self.tell_timings(&recorder)?;
        let base = &self.context.base;
        let record = finished(base, recorder, &result);
        let (Some(path), Some(record)) = (&self.args.junit, record) else { return result };
        match (report(base, path, &record, result.as_ref().err()), &result) {
            (Err(failure), Ok(Ended::Exited(0))) => Err(failure),
            (Err(failure), _) => {
                base.output.note(failure.what());
                result
            }
            (Ok(()), _) => result,
        }
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
                with(&recorder, |it| it.phases().acquire_ms = Some(millis(acquired)));
                let (recorder, result) = self.rounds(&claim, recorder).await;
                drop(lock);
                if let (Some(recorder), Ok(Ended::Exited(code))) = (&recorder, &result) {
                    // A release may take long, and we may be killed in it; what failed is said at the end.
                    with(recorder, |it| drop(it.exited(*code)));
                }
                (recorder, result)
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
        if let Some(recorder) = &recorder {
            with(recorder, |it| it.phases().release_ms = Some(millis(released.elapsed())));
        }
        let result = self.finish(recorder, result);
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

    pub(super) fn record(&self, claim: &Claim) -> Result<Recorder, Failure> {
        let base = &self.context.base;
        let writer = base.runs()?.begin(RunStart::of(claim, &self.args.command), base.now())?;
        Ok(Arc::new(Mutex::new(writer)))
    }

    /// Logs in, syncs and runs. An interrupt before the command starts ends the work like a failure.
    pub(super) async fn use_box(
        &mut self,
        claim: &Claim,
        recorder: &Recorder,
    ) -> Result<Ended, Failure> {
        // A box that was never synced has no directories inside.
        let place = (!self.args.no_sync).then_some(&self.place);
        let directory = place.and_then(|it| it.directory.as_deref());
        let mut task = Task { argv: &self.args.command, directory, started: None };
        let mut run = None;
        if !self.args.detach && !self.args.tty {
            with(recorder, |it| run = Some(it.id().to_owned()));
        }
        let prepare = Box::pin(prepare(self.context, claim, place, run.as_deref()));
        let Prepared { attached, tree, looked, connect, ahead } = tokio::select! {
            prepared = prepare => prepared?,
            _ = self.interrupts.next() => return Err(interrupted(claim.lease())),
        };
        with(recorder, |it| {
            let phases = it.phases();
            phases.connect_ms = Some(millis(connect));
            phases.scan_ms = self.scan_time(looked).map(millis);
        });
        let began = Instant::now();
        if self.args.detach || self.args.tty {
            if let Some(tree) = tree {
                let sync = attached.sync(self.context, tree);
                tokio::select! {
                    synced = sync => drop(synced?),
                    _ = self.interrupts.next() => return Err(interrupted(claim.lease())),
                }
                with(recorder, |it| it.phases().sync_ms = Some(millis(began.elapsed())));
            }
            if self.args.tty {
                let (began, interrupts) = (Instant::now(), &mut self.interrupts);
                let result =
                    on_terminal(self.context, &attached, &task, recorder, interrupts).await;
                with(recorder, |it| it.phases().run_ms = Some(millis(began.elapsed())));
                return result;
            }
            let command = (self.args.command.as_slice(), directory);
            return self.leave_running(claim, &attached, command, recorder).await;
        }
        if let Some(tree) = tree {
            let started = tokio::select! {
                started = start(self.context, &attached, (tree, ahead), &task, recorder) => Ok(started?),
                interrupt = self.interrupts.next() => Err(interrupt),
            };
            match started {
                Ok(started) => task.started = Some(started),
                Err(interrupt) => {
                    let how = (&mut self.interrupts, interrupt);
                    return give_up(self.context, &attached, recorder, how).await;
                }
            }
            with(recorder, |it| it.phases().sync_ms = Some(millis(began.elapsed())));
        }
        let began = Instant::now();
        let ran = execute(self.context, &attached, task, recorder, &mut self.interrupts);
        let ran = Box::pin(ran).await;
        with(recorder, |it| it.phases().run_ms = Some(millis(began.elapsed())));
        ran
    }

    /// How long the tree was looked at, before there was a box and after.
    fn scan_time(&self, looked: Option<Duration>) -> Option<Duration> {
        match (self.looked, looked) {
            (None, None) => None,
            (before, after) => Some(before.unwrap_or_default() + after.unwrap_or_default()),
        }
    }

    /// Starts the command and says how to come back to it. A box that is not used by anybody here must stay for it, so
    /// its idle limit goes until the end of the command is known, and it ends at its total limit.
    async fn leave_running(
        &self,
        claim: &Claim,
        attached: &Attached,
        command: (&[std::ffi::OsString], Option<&str>),
        recorder: &Recorder,
    ) -> Result<Ended, Failure> {
        let output = self.context.base.output;
        limits::lift(self.context, claim, recorder).await?;
        let ended = match Box::pin(launch(attached, command, recorder)).await {
            Ok(ended) => ended,
            Err(failure) => {
                let mut record = None;
                with(recorder, |it| record = Some(it.record().clone()));
                if let Some(record) = record {
                    limits::restore(self.context, &record).await;
                }
                return Err(failure);
            }
        };
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
        let request = Release::new(By::Owner, "the command of `lease run` ended");
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
                let is_gone = self.context.is_released(lease).await;
                let outcome = if is_gone { "released, but" } else { "not released yet:" };
                let note = format!("{} is {outcome} {error}", claim.slug());
                self.context.base.output.note(&note);
                if is_gone { Meaning::Released } else { Meaning::MayExist }
            }
        })
    }
}

/// A login, and the tree that is to go there.
struct Prepared {
    attached: Attached,
    tree: Option<Fresh>,
    looked: Option<Duration>,
    connect: Duration,
    ahead: Option<Ahead>,
}

/// Logs in, and meanwhile looks at the tree if there is one to sync. A session for `run` is opened beside that.
///
/// The look takes every processor there is. So on a near box, which can begin with the session meanwhile, it is begun when
/// the login is through, or when that turns out to have something to wait for; elsewhere at once.
async fn prepare(
    context: &Context<'_>,
    claim: &Claim,
    place: Option<&Place>,
    run: Option<&str>,
) -> Result<Prepared, Failure> {
    let began = Instant::now();
    let look = async {
        let Some(place) = place else { return Ok::<_, Failure>((None, None)) };
        let began = Instant::now();
        let tree = Fresh::look(context, claim, place).await?;
        Ok((Some(tree), Some(began.elapsed())))
    };
    let login = async {
        let attached = Attached::to(context, claim).await?;
        let connect = began.elapsed();
        let ahead = match (place, run) {
            (Some(_), Some(run)) => attached.session.open_ahead((&attached.root, run)).await,
            _ => None,
        };
        Ok::<_, Failure>((attached, connect, ahead))
    };
    let mut login = std::pin::pin!(login);
    let early = if is_near(context, claim) {
        tokio::time::timeout(LOGIN_HEAD_START, &mut login).await.ok()
    } else {
        None
    };
    let ((tree, looked), (attached, connect, ahead)) = match early.transpose()? {
        Some(login) => (look.await?, login),
        None => tokio::try_join!(look, login)?,
    };
    Ok(Prepared { attached, tree, looked, connect, ahead })
}

pub(super) fn with(recorder: &Recorder, change: impl FnOnce(&mut crate::runs::RunWriter)) {
    change(&mut recorder.lock().unwrap_or_else(PoisonError::into_inner));
}
