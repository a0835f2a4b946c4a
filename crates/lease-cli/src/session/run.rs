//! One command on the box: its streams, its exit code, and what Ctrl-C does to it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use lease_core::{Claim, ErrorKind, LeaseId};
use lease_ssh::{
    Ahead, Command, Followed, JobState, Outcome, Relays, Sinks, SshError, Started, Until,
};
use tokio::io::AsyncWrite;

use crate::config::span;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Meaning};
use crate::interrupt::{Interrupt, Interrupts};
use crate::runs::Which;
use crate::session::attached::{Attached, ssh_failure};
use crate::session::fresh::{Fresh, shown, tell_of};
use crate::session::machine::First;
use crate::session::out::Out;
use crate::session::stream::{Recorder, Tee, Unwritten};
use crate::session::vigil::{Bond, Over, Vigil};

/// How often a run says that its lease is in use, at the most seldom.
const HEARTBEAT: Duration = Duration::from_secs(60);
/// The number of the signal that cannot be refused.
const KILLED: i32 = 9;
/// How often at the most.
const HEARTBEAT_MIN: Duration = Duration::from_millis(500);

/// How the work of one command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The command ended by itself or by our signal; this is its code.
    Exited(u8),
    /// A second interrupt: we leave at once and the reaper finishes.
    Left,
    /// The command was started and goes on without us.
    Detached,
}

impl Ended {
    /// The exit code of the program.
    pub(crate) fn exit(self) -> Exit {
        match self {
            Self::Exited(code) => Exit::Command(code),
            Self::Left => Exit::Interrupted,
            Self::Detached => Exit::Success,
        }
    }
}

/// What is run on a box.
#[derive(Debug)]
pub(crate) struct Task<'a> {
    /// The command and its arguments.
    pub(crate) argv: &'a [OsString],
    /// Where it starts, relative to the tree.
    pub(crate) directory: Option<&'a str>,
    /// The command, where it was started already.
    pub(crate) started: Option<Started>,
}

impl Task<'_> {
    pub(super) fn words(&self) -> Command {
        let mut words = Command::new(self.argv.iter().map(|it| it.as_bytes()));
        words.directory = self.directory.map(str::to_owned);
        words
    }
}

/// Makes the box hold the tree and starts the command in it, over a session that was opened beforehand if there is one.
pub(crate) async fn start(
    context: &Context<'_>,
    attached: &Attached,
    (mut tree, ahead): (Fresh, Option<Ahead>),
    task: &Task<'_>,
    recorder: &Recorder,
) -> Result<Started, Failure> {
    if tree.is_first() {
        context.base.output.progress().step("syncing the tree");
    }
    let run = recorder.lock().unwrap_or_else(PoisonError::into_inner).id().to_owned();
    let place = (&attached.root, run.as_str());
    let words = task.words();
    let (order, sent) = tree.order();
    let work = Box::pin(attached.session.start_ahead(place, order, &words, ahead));
    let started = shown(context.base.output, sent, work).await;
    let started = started.map_err(|error| ssh_failure(&error, &attached.lease))?;
    context.base.output.progress().clear();
    tell_of(context.base.output, started.report(), context.settings.sync_drift());
    Ok(started)
}

/// Has a command not start that was asked for, and ends it where it has started already.
pub(crate) async fn give_up(
    context: &Context<'_>,
    attached: &Attached,
    recorder: &Recorder,
    (interrupts, interrupt): (&mut Interrupts, Interrupt),
) -> Result<Ended, Failure> {
    let run = recorder.lock().unwrap_or_else(PoisonError::into_inner).id().to_owned();
    context.base.output.note("interrupted; ending the command (once more leaves at once)");
    let found = tokio::select! {
        found = attached.session.cancel(&attached.root, &run) => found,
        _ = interrupts.next() => return Ok(Ended::Left),
    };
    match found {
        Ok(JobState::Refused { .. } | JobState::Absent) => Err(interrupted(&attached.lease)),
        Ok(JobState::Running { .. } | JobState::Finished(_) | JobState::Killed) => {
            end_started(context, attached, recorder, (&run, interrupts, interrupt)).await
        }
        Err(error) => {
            let what =
                format!("interrupted; whether the command was started is not known: {error}");
            let failure = Failure::tool(what).exit_with(Exit::Interrupted).kind("interrupted");
            let next = format!("lease show {}", attached.lease);
            Err(failure.meaning(Meaning::StillLeased).next(next).lease(&attached.lease))
        }
    }
}

/// Passes an interrupt on to a command whose start nobody waited for, and what it prints to our streams.
async fn end_started(
    context: &Context<'_>,
    attached: &Attached,
    recorder: &Recorder,
    (run, interrupts, interrupt): (&str, &mut Interrupts, Interrupt),
) -> Result<Ended, Failure> {
    context.base.output.progress().clear();
    let unwritten = Unwritten::default();
    let mut sinks = recorded(recorder, &unwritten);
    let mut vigil = Vigil::new(context, attached, run, interrupts, Bond::Own);
    vigil.asked(interrupt);
    let followed = async {
        let how = (Relays::End, Until::End);
        let lost = |job, detail: &str| Outcome::TransportLost { job, detail: detail.to_owned() };
        let followed = attached.session.follow((&attached.root, run), how, &mut sinks).await?;
        Ok::<_, SshError>(match followed {
            Followed::Ended(code) | Followed::Nothing(JobState::Finished(code)) => {
                Outcome::Finished(code)
            }
            Followed::Killed | Followed::Nothing(JobState::Killed) => {
                Outcome::Finished(128 + KILLED)
            }
            // There is no log, so there is nothing to wait for but the end of the asking.
            Followed::Running | Followed::Nothing(JobState::Running { .. }) => {
                std::future::pending().await
            }
            Followed::Nothing(job) => lost(Some(job), "there is no log"),
            Followed::Lost { detail } => lost(None, &detail),
        })
    };
    let over = vigil.over(Box::pin(followed)).await;
    conclude(&mut vigil, over, &mut sinks, &unwritten).await
}

/// The failure that says that a command was not started.
pub(crate) fn interrupted(lease: &LeaseId) -> Failure {
    let failure =
        Failure::tool("interrupted before the command started").exit_with(Exit::Interrupted);
    failure.meaning(Meaning::StillLeased).kind("interrupted").lease(lease)
}

/// Runs a command on the box, with our standard streams.
pub(crate) async fn execute(
    context: &Context<'_>,
    attached: &Attached,
    task: Task<'_>,
    recorder: &Recorder,
    interrupts: &mut Interrupts,
) -> Result<Ended, Failure> {
    let words = task.words();
    let run = recorder.lock().unwrap_or_else(PoisonError::into_inner).id().to_owned();
    context.base.output.progress().clear();
    let unwritten = Unwritten::default();
    let mut sinks = recorded(recorder, &unwritten);
    let mut vigil = Vigil::new(context, attached, &run, interrupts, Bond::Own);
    let place = (&attached.root, run.as_str());
    let running = async {
        match task.started {
            None => attached.session.run_into(place, &words, tokio::io::stdin(), &mut sinks).await,
            Some(started) => started.carry(tokio::io::stdin(), &mut sinks).await,
        }
    };
    let over = vigil.over(Box::pin(running)).await;
    conclude(&mut vigil, over, &mut sinks, &unwritten).await
}

/// Our standard streams, with what goes there recorded.
pub(super) fn recorded(
    recorder: &Recorder,
    unwritten: &Unwritten,
) -> Sinks<Tee<Out>, Tee<tokio::io::Stderr>> {
    let (out, err) = (Out::open(), tokio::io::stderr());
    let stdout = Tee::new(out, Which::Stdout, Arc::clone(recorder), Arc::clone(unwritten));
    let stderr = Tee::new(err, Which::Stderr, Arc::clone(recorder), Arc::clone(unwritten));
    Sinks::new(stdout, stderr)
}

/// What came of a command; where its connection was lost, it is taken up again first.
pub(super) async fn conclude<O, E>(
    vigil: &mut Vigil<'_>,
    mut over: Over,
    sinks: &mut Sinks<O, E>,
    unwritten: &Unwritten,
) -> Result<Ended, Failure>
where
    O: AsyncWrite + Unpin,
    E: AsyncWrite + Unpin,
{
    let (context, attached) = (vigil.context, vigil.attached);
    let within = context.settings.run_reconnect();
    if let Over::Outcome(Ok(Outcome::TransportLost { job: None, detail })) = &over
        && !vigil.is_lost()
    {
        if let Some(failure) = released_meanwhile(context, attached).await {
            return Err(failure);
        }
        tracing::debug!(%detail, "the connection was lost");
        if !within.is_zero() {
            context.base.output.note(&format!(
                "the connection to the box was lost; the command goes on, and is taken up again within {}",
                span::format(within)
            ));
        }
        vigil.lost();
        let place = (&attached.root, vigil.run);
        let taken_up = attached.session.take_up(place, Relays::End, sinks);
        over = vigil.over_while_there(First::Now, Box::pin(taken_up)).await;
    }
    let missing = sinks.missing_bytes();
    match over {
        Over::Outcome(Ok(Outcome::Finished(code))) if sinks.log_failed() => {
            let what = format!(
                "the command ended with {code}, and its output may be incomplete: the log on the box is, most likely \
                 because the disk was full"
            );
            let failure = Failure::tool(what).meaning(Meaning::StillLeased).kind("unavailable");
            Err(failure.next("lease logs last").lease(&attached.lease))
        }
        Over::Outcome(Ok(Outcome::Finished(code))) if missing > 0 => {
            let what = format!(
                "the command ended with {code}, and at least {missing} bytes of its output are lost: the connection \
                 was, and the log on the box was full"
            );
            let failure = Failure::tool(what).meaning(Meaning::StillLeased).kind("unavailable");
            Err(failure.next("lease logs last").lease(&attached.lease))
        }
        Over::Outcome(outcome) => ended(context, attached, outcome, unwritten).await,
        Over::Left => Ok(Ended::Left),
        Over::Forced => Ok(Ended::Exited(Exit::Interrupted.code())),
        Over::Released(failure) => Err(failure),
    }
}

/// How often use must be noted so that an idle deadline never passes under it.
pub(crate) fn heartbeat(claim: &Claim) -> Duration {
    let idle = claim.deadlines().idle_ms.map_or(HEARTBEAT, |ms| Duration::from_millis(ms / 4));
    idle.clamp(HEARTBEAT_MIN, HEARTBEAT)
}

/// Notes that the lease is in use; what keeps it from being noted ends nothing.
pub(crate) async fn beat(context: &Context<'_>, attached: &Attached) {
    if let Err(error) = context.engine.touch(&attached.lease, None).await {
        tracing::debug!(%error, "the lease could not be touched");
    }
}

async fn ended(
    context: &Context<'_>,
    attached: &Attached,
    outcome: Result<Outcome, SshError>,
    unwritten: &Unwritten,
) -> Result<Ended, Failure> {
    let lease = &attached.lease;
    let lost = unwritten.lock().unwrap_or_else(PoisonError::into_inner).take();
    match outcome {
        Ok(Outcome::Finished(code)) if lost.is_some() => {
            // The command cannot know that its output did not arrive, so its own code would say too much.
            let why = lost.map(|it| it.to_string()).unwrap_or_default();
            let what = format!(
                "the command ended with {code}, and its output could not be written: {why}"
            );
            let failure = Failure::tool(what).meaning(Meaning::StillLeased).kind("storage");
            Err(failure.next("lease logs last").lease(lease))
        }
        Ok(Outcome::Finished(code)) => Ok(Ended::Exited(u8::try_from(code).unwrap_or(u8::MAX))),
        Ok(Outcome::TransportLost { job, detail }) => {
            if let Some(failure) = released_meanwhile(context, attached).await {
                return Err(failure);
            }
            let job = match job {
                Some(JobState::Running { .. }) => {
                    "the command may still run and is not started again"
                }
                Some(JobState::Finished(_)) => "the command ended, and its output is incomplete",
                Some(JobState::Killed) => "the command was killed",
                Some(JobState::Absent | JobState::Refused { .. }) => "the command was not started",
                None => "what became of the command is not known",
            };
            let what = format!("the connection to the box was lost: {detail}; {job}");
            let failure = Failure::tool(what).meaning(Meaning::StillLeased).kind("unavailable");
            Err(failure.next(format!("lease show {lease}")).lease(lease))
        }
        Err(error) => match released_meanwhile(context, attached).await {
            Some(failure) => Err(failure),
            None => Err(ssh_failure(&error, lease)),
        },
    }
}

/// Whether the lost connection means that somebody gave the lease back.
pub(super) async fn released_meanwhile(
    context: &Context<'_>,
    attached: &Attached,
) -> Option<Failure> {
    let claim: Claim = context.engine.store().load(&attached.lease).await.ok()?;
    let why = &claim.releasing()?.why;
    let failure = Failure::tool(format!("the lease was released while the command ran ({why})"));
    let failure =
        failure.meaning(Meaning::Releasing).next("lease list").kind(ErrorKind::Conflict.name());
    Some(failure.lease(&attached.lease))
}
