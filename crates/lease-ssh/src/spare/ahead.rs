//! A session for a command of which nothing is known yet: one that has waited, or one that is opened meanwhile.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::time::Instant;

use super::script;
use super::waiting::{HEAD, Handed};
use super::{Channel, Early};
use crate::box_root::BoxRoot;
use crate::files::random_text;
use crate::keys::LeaseFiles;
use crate::run::{JobState, Mode, When, Writer, check_run, keeping, kept, kind, program, widen};
use crate::session::{Requested, Session, is_near, pays_ahead, request};
use crate::sync::is_synced;

/// What is written to a session at the most: its shell reads byte after byte, and a pipe takes so much at once.
const PARAMETERS_BYTES_MAX: usize = 48 * 1024;
/// How long a keeper may take. It has nothing to do but to hand over, so one that takes longer is stopped or dead.
const HANDOVER_TIME_MAX: Duration = Duration::from_millis(250);

/// A session for the next command in a tree, opened while nothing is known of either. Dropping it gives it up.
#[derive(Debug)]
pub struct Ahead {
    /// What its last line has to say.
    name: String,
    channel: Early,
    stdin: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
}

/// A command that was started over such a session.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) channel: Channel,
    pub(crate) stdin: Writer,
    pub(crate) stdout: Receiver,
    pub(crate) stderr: Receiver,
}

/// What the time means that it takes to open a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Timing {
    /// How far the box is.
    Noted,
    /// Nothing: something else goes on.
    Ignored,
}

impl Session {
    /// Has a session ready, or on its way, for [`Session::start_ahead`] of that run. It does not wait for the box, and is to be
    /// called before the tree is looked at, which takes every processor that a box on this machine could begin with. `None`
    /// where the box has never been synced from here, where none can be had, and, unless one waits there, on a box that is not
    /// near while the look at the tree takes less than a round trip: what comes on a new session's standard input takes a round
    /// trip more than what comes in a request.
    ///
    /// # Cancel safety
    /// A session that was asked for is given up.
    pub async fn open_ahead(&self, place: (&BoxRoot, &str)) -> Option<Ahead> {
        self.open_if(pays_ahead, place).await
    }

    /// The same where the tree was looked at already, so that nothing goes on beside it.
    pub(crate) async fn open_behind(&self, place: (&BoxRoot, &str)) -> Option<Ahead> {
        self.open_if(is_near, place).await
    }

    /// A session that waits or, if that pays, one that is opened.
    async fn open_if(
        &self,
        pays: fn(&LeaseFiles) -> bool,
        (root, run): (&BoxRoot, &str),
    ) -> Option<Ahead> {
        if check_run(run).is_err() || !is_synced(self.link.files()) {
            return None;
        }
        let program = program(self.link.settings.log_bytes_max);
        let job = format!("{}/jobs/{run}", root.records());
        if !self.link.settings.spare.is_zero() {
            let wanted = kind(&program);
            let handed = self.ask_keeper(&wanted);
            match tokio::time::timeout(HANDOVER_TIME_MAX, handed).await {
                Ok(Ok(Some(ahead))) => return ahead.begin(&job),
                other => tracing::debug!(?other, "no session waits"),
            }
        }
        if !pays(self.link.files()) {
            return None;
        }
        let place = [root.as_str().as_bytes()];
        // What else goes on takes little of a long way, and on a short one nothing does yet.
        self.opening(&kept(&program, When::Later), &place, Timing::Noted).await?.begin(&job)
    }

    async fn ask_keeper(&self, wanted: &str) -> io::Result<Option<Ahead>> {
        let mut keeper = self.link.post().visit().await?;
        keeper.write_all(format!("{HEAD} want {wanted}\n").as_bytes()).await?;
        let Some(handed) = Handed::take(&keeper).await? else { return Ok(None) };
        let Handed { name, mux, stdin, stdout, stderr } = handed;
        Ok(Some(Ahead { name, channel: Early::Waited { mux, keeper }, stdin, stdout, stderr }))
    }

    /// Has a session on its way for that run while a stream goes to a box that may have nothing yet: its program comes along.
    /// It does not wait for the box. `None` where none can be had.
    ///
    /// # Cancel safety
    /// A session that was asked for is given up.
    pub(crate) async fn open_beside(&self, (root, run): (&BoxRoot, &str)) -> Option<Ahead> {
        let program = program(self.link.settings.log_bytes_max);
        // Where it is kept is no matter: the stream brings it.
        let (script, args) = (keeping(&program, When::Later), [&program[..], b""]);
        let job = format!("{}/jobs/{run}", root.records());
        self.opening(&script, &args, Timing::Ignored).await?.begin(&job)
    }

    /// Asks for a session by that script, whose last argument is the session's name.
    async fn opening(&self, script: &[u8], args: &[&[u8]], timing: Timing) -> Option<Ahead> {
        let opening = async {
            let name = random_text(24).map_err(io::Error::other)?;
            let line = request(script, &[args, &[name.as_bytes()]].concat());
            self.requested(name, &line.map_err(io::Error::other)?, timing).await
        };
        match opening.await {
            Ok(ahead) => Some(ahead),
            Err(error) => {
                tracing::debug!(%error, "no session is opened beforehand");
                None
            }
        }
    }

    async fn requested(&self, name: String, line: &[u8], timing: Timing) -> io::Result<Ahead> {
        let pipe = || pipe_with(PipeFlags::CLOEXEC);
        let ((their_stdin, stdin), (stdout, their_stdout)) = (pipe()?, pipe()?);
        let (stderr, their_stderr) = pipe()?;
        widen(&stdout);
        let ends = [their_stdin, their_stdout, their_stderr];
        let began = Instant::now();
        let asked = Requested::from(self.link.control(), line, ends);
        // The process that is asked is on this machine, and has answered a moment ago.
        let asked = tokio::time::timeout(HANDOVER_TIME_MAX, asked).await??;
        let place = self.link.clone();
        let opening = tokio::spawn(async move {
            let mux = asked.answer().await?;
            match timing {
                Timing::Noted => place.took(began.elapsed()),
                Timing::Ignored => {}
            }
            Ok(mux)
        });
        Ok(Ahead { name, channel: Early::Opening(opening), stdin, stdout, stderr })
    }

    /// Whether the box is still reached and has no record of any attempt at that run.
    pub(crate) async fn is_untouched(&self, root: &BoxRoot, run: &str) -> bool {
        self.link.answers().await && matches!(self.job(root, run).await, Ok(JobState::Absent))
    }
}

impl Ahead {
    /// Has the session do what can be done while nothing is known but the directory of the run's record. `None` when it is
    /// gone.
    fn begin(self, job: &str) -> Option<Self> {
        let line = script::make_line(&self.name, job);
        // Nothing was written before, and a pipe takes as little as this at once.
        match rustix::io::write(&self.stdin, &line) {
            Ok(written) if written == line.len() => Some(self),
            other => {
                tracing::debug!(?other, "the session that was opened beforehand is gone");
                None
            }
        }
    }

    /// Has the session do what a request would: what precedes the command, all arguments, and what the wrapper is to read
    /// as its setup, if anything. `None` when nothing was started by that.
    pub(crate) async fn take(
        self,
        mode: Mode,
        args: &[&[u8]],
        setup: Option<&[u8]>,
    ) -> Option<Taken> {
        let text = script::request(&self.name, mode, setup.unwrap_or_default(), args);
        if text.len() > PARAMETERS_BYTES_MAX {
            return None;
        }
        let mut stdin = Writer::from_owned_fd(self.stdin).ok()?;
        let stdout = Receiver::from_owned_fd(self.stdout).ok()?;
        let stderr = Receiver::from_owned_fd(self.stderr).ok()?;
        // A session that does not take all of it has not got the last line, and starts nothing.
        if let Err(error) = stdin.write_all(&text).await {
            tracing::debug!(%error, "the session that was opened beforehand is gone");
            return None;
        }
        tracing::debug!("a session that was opened beforehand is used");
        Some(Taken { channel: Channel::Ahead(self.channel), stdin, stdout, stderr })
    }
}
