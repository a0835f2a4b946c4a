//! Running a command with its streams copied to and from the caller's.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use super::stream::{deliver, pump};
use super::{
    Command, Ending, Followed, Input, JobState, Outcome, Relays, Running, Sink, Sinks, Streams,
    Until,
};
use crate::box_root::BoxRoot;
use crate::error::{Result, SshError};
use crate::session::Session;

impl Session {
    /// Runs a command to its end and copies its streams, byte for byte and with back pressure.
    ///
    /// The command's end ends the call, also when `stdin` has more to give. When `stdout` or `stderr` takes no more,
    /// the command finds its own stream closed, as in a local pipeline. Like `ssh` it waits for the end of the output,
    /// so a background process that keeps a stream open holds it up.
    ///
    /// # Errors
    /// As [`Session::start`] and [`Running::wait`](Running::wait).
    ///
    /// # Cancel safety
    /// As [`Running::wait`](Running::wait).
    pub async fn run<I, O, E>(
        &self,
        (root, run): (&BoxRoot, &str),
        command: &Command,
        stdin: I,
        (stdout, stderr): (O, E),
    ) -> Result<Outcome>
    where
        I: AsyncRead + Unpin,
        O: AsyncWrite + Unpin,
        E: AsyncWrite + Unpin,
    {
        let mut sinks = Sinks::new(stdout, stderr);
        match self.run_into((root, run), command, stdin, &mut sinks).await? {
            Outcome::TransportLost { job: None, detail } => {
                self.after_loss(root, run, detail).await
            }
            outcome @ (Outcome::Finished(_) | Outcome::TransportLost { .. }) => Ok(outcome),
        }
    }

    /// As [`Session::run`], into sinks with which [`Session::take_up`] goes on after a lost connection. The box is not
    /// asked here what became of the command.
    ///
    /// # Errors
    /// As [`Session::run`].
    ///
    /// # Cancel safety
    /// As [`Session::run`].
    pub async fn run_into<I, O, E>(
        &self,
        (root, run): (&BoxRoot, &str),
        command: &Command,
        stdin: I,
        sinks: &mut Sinks<O, E>,
    ) -> Result<Outcome>
    where
        I: AsyncRead + Unpin,
        O: AsyncWrite + Unpin,
        E: AsyncWrite + Unpin,
    {
        let streams = Streams { stdin: Input::Pipe, stdout: Sink::Pipe, stderr: Sink::Pipe };
        match self.start(root, run, command, streams).await {
            Ok(running) => carry(running, stdin, sinks).await,
            // The request may have arrived all the same, which the box knows.
            Err(SshError::Lost { detail }) => Ok(Outcome::TransportLost { job: None, detail }),
            Err(error) => Err(error),
        }
    }
}

/// Copies the streams of a command that was started.
pub(crate) async fn carry<I, O, E>(
    mut running: Running,
    stdin: I,
    sinks: &mut Sinks<O, E>,
) -> Result<Outcome>
where
    I: AsyncRead + Unpin,
    O: AsyncWrite + Unpin,
    E: AsyncWrite + Unpin,
{
    let (session, root, run) = (running.session.clone(), running.root.clone(), running.run.clone());
    let beginning = Arc::clone(&running.beginning);
    let (session, root, run) = (&session, &root, run.as_str());
    let (input, output, errors) =
        (running.take_stdin(), running.take_stdout(), running.take_stderr());
    let fed = async {
        if let Some(input) = input {
            pump(stdin, input).await;
        }
        // The end of the input is not the end of the command.
        std::future::pending::<Result<Ending>>().await
    };
    let Sinks { stdout, stderr, .. } = &mut *sinks;
    let ended = async {
        let out = async {
            if let Some(output) = output {
                deliver(output, stdout, async || session.close_stream(root, run, "out").await)
                    .await;
            }
        };
        let err = async {
            if let Some(errors) = errors {
                deliver(errors, stderr, async || session.close_stream(root, run, "err").await)
                    .await;
            }
        };
        tokio::join!(running.ending(), out, err).0
    };
    let ending = tokio::select! {
        ending = ended => ending,
        ending = fed => ending,
    };
    sinks.is_begun |= beginning.is_seen();
    match ending {
        Ok(Ending::Code(code)) => Ok(Outcome::Finished(code)),
        Ok(Ending::Unrelayed(code)) => {
            // The connection is there and so is the log: only a relay on the box has ended.
            let how = (Relays::End, Until::End);
            let followed = Box::pin(session.follow((root, run), how, sinks)).await;
            match followed {
                Ok(Followed::Ended(code)) => Ok(Outcome::Finished(code)),
                Ok(Followed::Nothing(_)) => {
                    let detail = "the box stopped relaying the output".to_owned();
                    Ok(Outcome::TransportLost { job: Some(JobState::Finished(code)), detail })
                }
                Ok(Followed::Lost { detail }) => Ok(Outcome::TransportLost { job: None, detail }),
                Ok(Followed::Killed | Followed::Running) => {
                    let detail = "the box stopped relaying the output".to_owned();
                    Ok(Outcome::TransportLost { job: None, detail })
                }
                Err(error) => Ok(Outcome::TransportLost { job: None, detail: error.to_string() }),
            }
        }
        Ok(Ending::Broken(detail)) | Err(SshError::Lost { detail }) => {
            Ok(Outcome::TransportLost { job: None, detail })
        }
        Err(error) => Err(error),
    }
}
