//! Watching over a command that runs: what Ctrl-C and its relatives do, how the lease's use is noted, and whether it is
//! released meanwhile.

use std::pin::Pin;
use std::time::Duration;

use lease_core::LeaseId;
use lease_core::retry::{Bounds, Pace, pause};
use lease_ssh::{JobSignal, Outcome, SshError};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Meaning};
use crate::interrupt::{Interrupt, Interrupts};
use crate::session::attached::Attached;
use crate::session::machine::{First, gone};
use crate::session::run::{beat, released_meanwhile};

/// How long a command that was asked to end may take, before it is killed.
const END_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a signal may be on its way; a connection that carries none any more must not hold us up.
const SIGNAL_TIME_MAX: Duration = Duration::from_secs(5);
/// How long a kill may take to show.
const KILL_TIME_MAX: Duration = Duration::from_secs(3);
/// How often it is looked whether a lease whose connection was lost has been released.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Whose command it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bond {
    /// It was started by this process: every signal is passed on to it.
    Own,
    /// It was started by another: Ctrl-C is passed on, and whatever ends this process leaves it alone.
    Attached,
}

/// What came of waiting for a command.
#[derive(Debug)]
pub(super) enum Over {
    /// What the other side said.
    Outcome(Result<Outcome, SshError>),
    /// We are to leave at once.
    Left,
    /// It was killed and still holds its streams: the release ends what is left.
    Forced,
    /// The lease was released meanwhile, its machine is gone, or nothing reaches the command any more.
    Released(Failure),
}

/// Whether a command heard of the last signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    Yes,
    No,
}

/// One command that is watched over, across as many connections as it takes.
pub(super) struct Vigil<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) attached: &'a Attached,
    pub(super) run: &'a str,
    pub(super) interrupts: &'a mut Interrupts,
    bond: Bond,
    /// What ends the command, once that was asked for, until it has done all it can.
    end: Option<Pin<Box<dyn Future<Output = Heard> + 'a>>>,
    /// That it has, and whether the command heard of it.
    is_asked: Option<Heard>,
    is_lost: bool,
}

impl<'a> Vigil<'a> {
    pub(super) fn new(
        context: &'a Context<'a>,
        attached: &'a Attached,
        run: &'a str,
        interrupts: &'a mut Interrupts,
        bond: Bond,
    ) -> Self {
        let (end, is_asked, is_lost) = (None, None, false);
        Self { context, attached, run, interrupts, bond, end, is_asked, is_lost }
    }

    /// From here on the connection is lost, and the lease may be going.
    pub(super) fn lost(&mut self) {
        self.is_lost = true;
    }

    /// Whether the connection was lost before.
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// From here on the command is being ended: the signal is passed on, and a kill follows where it is not heeded.
    pub(super) fn asked(&mut self, interrupt: Interrupt) {
        self.end = Some(Box::pin(end_command(self.attached, self.run, interrupt)));
    }

    /// Waits as [`Vigil::over`] does for a command whose connection may be lost, and for a machine that still is there.
    pub(super) async fn over_while_there(
        &mut self,
        first: First,
        running: impl Future<Output = Result<Outcome, SshError>>,
    ) -> Over {
        let gone = gone(self.context, self.attached, first);
        tokio::select! {
            over = self.over(running) => over,
            failure = gone => Over::Released(failure),
        }
    }

    /// Waits for the command, or for what comes before its end.
    pub(super) async fn over(
        &mut self,
        running: impl Future<Output = Result<Outcome, SshError>>,
    ) -> Over {
        let mut running = std::pin::pin!(running);
        loop {
            let every = self.attached.heartbeat;
            let every = if self.is_lost { every.min(LOOK_EVERY) } else { every };
            tokio::select! {
                outcome = &mut running => return Over::Outcome(outcome),
                interrupt = self.interrupts.next() => {
                    let is_passed_on = self.bond == Bond::Own || interrupt == Interrupt::CtrlC;
                    if self.end.is_some() || self.is_asked.is_some() || !is_passed_on {
                        return Over::Left;
                    }
                    self.context.base.output
                        .note("interrupted; ending the command (once more leaves at once)");
                    self.asked(interrupt);
                }
                heard = ended(&mut self.end) => {
                    self.end = None;
                    self.is_asked = Some(heard);
                }
                () = pause(KILL_TIME_MAX), if self.is_asked.is_some() => {
                    return match self.is_asked {
                        Some(Heard::No) => Over::Released(unheard(&self.attached.lease)),
                        Some(Heard::Yes) | None => Over::Forced,
                    };
                }
                () = pause(every), if self.end.is_none() && self.is_asked.is_none() => {
                    beat(self.context, self.attached).await;
                    if self.is_lost
                        && let Some(failure) = released_meanwhile(self.context, self.attached).await
                    {
                        return Over::Released(failure);
                    }
                }
            }
        }
    }
}

/// Waits for what ends the command; for ever where nothing was asked for.
async fn ended(end: &mut Option<Pin<Box<dyn Future<Output = Heard> + '_>>>) -> Heard {
    match end {
        Some(end) => end.await,
        None => std::future::pending().await,
    }
}

/// Passes the signal on, and kills what does not heed it.
async fn end_command(attached: &Attached, run: &str, interrupt: Interrupt) -> Heard {
    let signal = match interrupt {
        Interrupt::CtrlC => JobSignal::Interrupt,
        Interrupt::Terminate => JobSignal::Terminate,
        Interrupt::Hangup => JobSignal::Hangup,
    };
    // What did not hear of it needs no time to heed it.
    if send(attached, run, signal).await == Heard::Yes {
        pause(END_TIME_MAX).await;
    }
    send(attached, run, JobSignal::Kill).await
}

/// Sends a signal, for as long as a lost connection may take to come back.
async fn send(attached: &Attached, run: &str, signal: JobSignal) -> Heard {
    let pauses = (Duration::from_millis(200), Duration::from_secs(1));
    let mut pace = Pace::start(Bounds::within(SIGNAL_TIME_MAX).paused(pauses.0, pauses.1));
    loop {
        let sent = attached.session.signal(&attached.root, run, signal);
        match tokio::time::timeout(pace.left(), sent).await {
            Ok(Ok(_)) => return Heard::Yes,
            Ok(Err(error)) => {
                tracing::warn!(%error, ?signal, "the command could not be signalled");
                if !pace.wait(None).await {
                    return Heard::No;
                }
            }
            Err(_elapsed) => {
                tracing::warn!(?signal, "the command was not signalled in time");
                return Heard::No;
            }
        }
    }
}

/// What that means for a box that stays leased; where it does not, its release ends the command.
fn unheard(lease: &LeaseId) -> Failure {
    let what = "interrupted; nothing reaches the box any more, so the command may still run there";
    let failure = Failure::tool(what).exit_with(Exit::Interrupted).kind("interrupted");
    failure.meaning(Meaning::StillLeased).next(format!("lease release {lease}")).lease(lease)
}
