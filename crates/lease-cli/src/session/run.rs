//! One command on the box: its streams, its exit code, and what Ctrl-C does to it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use lease_core::retry::pause;
use lease_core::{Claim, ErrorKind};
use lease_ssh::{Command, JobSignal, JobState, Outcome, SshError};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Meaning};
use crate::interrupt::{Interrupt, Interrupts};
use crate::runs::Which;
use crate::session::attached::{Attached, ssh_failure};
use crate::session::stream::{Recorder, Tee, Unwritten};

/// How often a run says that its lease is in use, at the most seldom.
const HEARTBEAT: Duration = Duration::from_secs(60);
/// How often at the most.
const HEARTBEAT_MIN: Duration = Duration::from_millis(500);
/// How long a command that was asked to end may take, before it is killed.
const END_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a kill may take to show.
const KILL_TIME_MAX: Duration = Duration::from_secs(3);

/// How the work of one command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The command ended by itself or by our signal; this is its code.
    Exited(u8),
    /// A second interrupt: we leave at once and the reaper finishes.
    Left,
}

impl Ended {
    /// The exit code of the program.
    pub(crate) fn exit(self) -> Exit {
        match self {
            Self::Exited(code) => Exit::Command(code),
            Self::Left => Exit::Interrupted,
        }
    }
}

/// Runs a command on the box, with our standard streams.
pub(crate) async fn execute(
    context: &Context<'_>,
    attached: &Attached,
    command: (&[OsString], Option<&str>),
    recorder: &Recorder,
    interrupts: &mut Interrupts,
) -> Result<Ended, Failure> {
    let (argv, directory) = command;
    let mut words = Command::new(argv.iter().map(|it| it.as_bytes()));
    words.directory = directory.map(str::to_owned);
    let run = recorder.lock().unwrap_or_else(PoisonError::into_inner).id().to_owned();
    context.base.output.progress().clear();
    let unwritten = Unwritten::default();
    let tee = |which| (which, Arc::clone(recorder), Arc::clone(&unwritten));
    let ((out, out_record, out_lost), (err, err_record, err_lost)) =
        (tee(Which::Stdout), tee(Which::Stderr));
    let stdout = Tee::new(tokio::io::stdout(), out, out_record, out_lost);
    let stderr = Tee::new(tokio::io::stderr(), err, err_record, err_lost);
    let place = (&attached.root, run.as_str());
    let running = attached.session.run(place, &words, tokio::io::stdin(), (stdout, stderr));
    let mut running = std::pin::pin!(running);
    let first = loop {
        tokio::select! {
            outcome = &mut running => return ended(context, attached, outcome, &unwritten).await,
            interrupt = interrupts.next() => break interrupt,
            () = pause(attached.heartbeat) => beat(context, attached).await,
        }
    };
    context.base.output.note("interrupted; ending the command (once more leaves at once)");
    let end = end_command(attached, &run, first);
    let mut end = std::pin::pin!(end);
    let mut asked = false;
    loop {
        tokio::select! {
            outcome = &mut running => return ended(context, attached, outcome, &unwritten).await,
            _ = interrupts.next() => return Ok(Ended::Left),
            () = &mut end, if !asked => asked = true,
            // The kill was sent and the command still holds its streams: the release ends what is left.
            () = pause(KILL_TIME_MAX), if asked => return Ok(Ended::Exited(Exit::Interrupted.code())),
        }
    }
}

/// Passes the signal on, and kills what does not heed it.
async fn end_command(attached: &Attached, run: &str, interrupt: Interrupt) {
    let signal = match interrupt {
        Interrupt::CtrlC => JobSignal::Interrupt,
        Interrupt::Terminate => JobSignal::Terminate,
        Interrupt::Hangup => JobSignal::Hangup,
    };
    for (signal, patience) in [(signal, END_TIME_MAX), (JobSignal::Kill, Duration::ZERO)] {
        if let Err(error) = attached.session.signal(&attached.root, run, signal).await {
            tracing::warn!(%error, ?signal, "the command could not be signalled");
        }
        pause(patience).await;
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
async fn released_meanwhile(context: &Context<'_>, attached: &Attached) -> Option<Failure> {
    let claim: Claim = context.engine.store().load(&attached.lease).await.ok()?;
    let why = &claim.releasing()?.why;
    let failure = Failure::tool(format!("the lease was released while the command ran ({why})"));
    let failure =
        failure.meaning(Meaning::Releasing).next("lease list").kind(ErrorKind::Conflict.name());
    Some(failure.lease(&attached.lease))
}
