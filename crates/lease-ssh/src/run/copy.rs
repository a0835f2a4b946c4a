//! Running a command with its streams copied to and from the caller's.

use tokio::io::{AsyncRead, AsyncWrite};

use super::stream::pump;
use super::{Command, Input, Outcome, Sink, Streams};
use crate::box_root::BoxRoot;
use crate::error::Result;
use crate::session::Session;

impl Session {
    /// Runs a command to its end and copies its streams, byte for byte and with back pressure.
    ///
    /// The command's end ends the call, also when `stdin` has more to give. When `stdout` or `stderr` takes no more,
    /// the command finds its own stream closed, as in a local pipeline. Like `ssh` it waits for the end of the output,
    /// so a background process that keeps a stream open holds it up.
    ///
    /// # Errors
    /// As [`Session::start`] and [`Running::wait`](super::Running::wait).
    ///
    /// # Cancel safety
    /// As [`Running::wait`](super::Running::wait).
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
        let streams = Streams { stdin: Input::Pipe, stdout: Sink::Pipe, stderr: Sink::Pipe };
        let mut running = self.start(root, run, command, streams).await?;
        let (input, output, errors) =
            (running.take_stdin(), running.take_stdout(), running.take_stderr());
        let fed = async {
            if let Some(input) = input {
                pump(stdin, input).await;
            }
            // The end of the input is not the end of the command.
            std::future::pending::<Result<Outcome>>().await
        };
        let ended = async {
            let out = async {
                if let Some(output) = output {
                    pump(output, stdout).await;
                }
            };
            let err = async {
                if let Some(errors) = errors {
                    pump(errors, stderr).await;
                }
            };
            tokio::join!(running.wait(), out, err).0
        };
        tokio::select! {
            outcome = ended => outcome,
            outcome = fed => outcome,
        }
    }
}
