//! Commands that go on without us: starting one, and following one that another process started.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use lease_core::retry::{Bounds, Pace};
use lease_ssh::{Command, Followed, Input, JobState, Outcome, Relays, Sink, Sinks, Streams, Until};
use tokio::io::AsyncWrite;

use crate::context::Context;
use crate::failure::{Failure, Meaning};
use crate::interrupt::Interrupts;
use crate::runs::Which;
use crate::session::attached::{Attached, ssh_failure};
use crate::session::machine::First;
use crate::session::out::Out;
use crate::session::run::{Ended, conclude};
use crate::session::stream::{Recorder, Tee, Unwritten};
use crate::session::vigil::{Bond, Vigil};

/// How long the box may take to say that a command has started.
const START_TIME_MAX: Duration = Duration::from_secs(20);
/// How long after it made a record of a command the box may still refuse to start it.
const REFUSAL_TIME_MAX: Duration = Duration::from_millis(300);

type Writer = Box<dyn AsyncWrite + Unpin>;

/// Where a followed run's output goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Followers<'a> {
    /// Whether standard output is passed on to ours.
    pub(crate) stdout: bool,
    /// Whether standard error is.
    pub(crate) stderr: bool,
    /// What records both, if anything does.
    pub(crate) recorder: Option<&'a Recorder>,
}

impl Followers<'_> {
    fn sinks(
        &self,
        (out_bytes, err_bytes): (u64, u64),
        unwritten: &Unwritten,
    ) -> Sinks<Writer, Writer> {
        let stdout: Writer =
            if self.stdout { Box::new(Out::open()) } else { Box::new(tokio::io::sink()) };
        let stderr: Writer =
            if self.stderr { Box::new(tokio::io::stderr()) } else { Box::new(tokio::io::sink()) };
        let tee = |to: Writer, which| -> Writer {
            match self.recorder {
                Some(it) => Box::new(Tee::new(to, which, Arc::clone(it), Arc::clone(unwritten))),
                None => to,
            }
        };
        let sinks = (tee(stdout, Which::Stdout), tee(stderr, Which::Stderr));
        Sinks::after(sinks, (out_bytes, err_bytes))
    }
}

/// Starts a command that goes on without us, and waits until the box says that it has started.
pub(crate) async fn launch(
    attached: &Attached,
    command: (&[OsString], Option<&str>),
    recorder: &Recorder,
) -> Result<Ended, Failure> {
    let (argv, directory) = command;
    let mut words = Command::new(argv.iter().map(|it| it.as_bytes()));
    words.directory = directory.map(str::to_owned);
    let run = recorder.lock().unwrap_or_else(PoisonError::into_inner).id().to_owned();
    let failed = |error| ssh_failure(&error, &attached.lease);
    let streams = Streams { stdin: Input::Null, stdout: Sink::Null, stderr: Sink::Null };
    let running = attached.session.start(&attached.root, &run, &words, streams).await;
    let running = running.map_err(failed)?;
    let mut pace = Pace::start(
        Bounds::within(START_TIME_MAX)
            .paused(Duration::from_millis(20), Duration::from_millis(200)),
    );
    // Nobody reads over this connection once we are gone; until then it tells at once when nothing was started.
    let mut channel = std::pin::pin!(running.wait());
    let mut is_open = true;
    loop {
        let said = tokio::select! {
            ended = &mut channel, if is_open => {
                is_open = false;
                // Where the connection was lost the box is asked.
                if matches!(ended.map_err(failed)?, Outcome::Finished(_)) {
                    return Ok(Ended::Detached);
                }
                continue;
            }
            said = attached.session.job(&attached.root, &run) => said,
        };
        let why = match said {
            Ok(JobState::Running { .. }) if is_open => {
                let ended = tokio::time::timeout(REFUSAL_TIME_MAX, &mut channel).await;
                let Ok(ended) = ended else { return Ok(Ended::Detached) };
                is_open = false;
                ended.map_err(failed)?;
                continue;
            }
            Ok(JobState::Running { .. } | JobState::Finished(_) | JobState::Killed) => {
                return Ok(Ended::Detached);
            }
            Ok(JobState::Refused { why }) => {
                let failure = Failure::tool(format!("the command was not started: {why}"));
                return Err(failure.meaning(Meaning::StillLeased).lease(&attached.lease));
            }
            Ok(JobState::Absent) => "the box has no record of it".to_owned(),
            Err(error) => error.to_string(),
        };
        if !pace.wait(None).await {
            let what = format!("whether the command was started is not known: {why}");
            let failure = Failure::tool(what).meaning(Meaning::StillLeased).kind("unavailable");
            return Err(failure.next(format!("lease logs {run}")).lease(&attached.lease));
        }
    }
}

/// Follows a run from so many bytes on to its end. Ctrl-C is passed on to it; what ends this process otherwise is not.
pub(crate) async fn attach(
    (context, attached): (&Context<'_>, &Attached),
    run: &str,
    (relays, from): (Relays, (u64, u64)),
    followers: Followers<'_>,
    interrupts: &mut Interrupts,
) -> Result<Ended, Failure> {
    context.base.output.progress().clear();
    let unwritten = Unwritten::default();
    let mut sinks = followers.sinks(from, &unwritten);
    let mut vigil = Vigil::new(context, attached, run, interrupts, Bond::Attached);
    vigil.lost();
    let followed = attached.session.take_up((&attached.root, run), relays, &mut sinks);
    let over = vigil.over_while_there(First::Later, Box::pin(followed)).await;
    conclude(&mut vigil, over, &mut sinks, &unwritten).await
}

/// Passes on what a run has printed so far, and to its end where `until` says so. Nothing of the run is changed.
pub(crate) async fn fetch(
    attached: &Attached,
    run: &str,
    until: Until,
    followers: Followers<'_>,
) -> Result<Followed, Failure> {
    let unwritten = Unwritten::default();
    let mut sinks = followers.sinks((0, 0), &unwritten);
    let place = (&attached.root, run);
    let failed = |error| ssh_failure(&error, &attached.lease);
    if until == Until::Now {
        let how = (Relays::Leave, Until::Now);
        return attached.session.follow(place, how, &mut sinks).await.map_err(failed);
    }
    let outcome = attached.session.take_up(place, Relays::Leave, &mut sinks).await;
    Ok(match outcome.map_err(failed)? {
        Outcome::Finished(code) => Followed::Ended(code),
        Outcome::TransportLost { job: Some(job), .. } => Followed::Nothing(job),
        Outcome::TransportLost { job: None, detail } => Followed::Lost { detail },
    })
}
