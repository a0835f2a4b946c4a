//! Running a command in the tree as it is now: in one request where the box holds what is known.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::task::JoinHandle;

use super::flow::{Answer, Flow};
use super::{Order, SyncReport};
use crate::box_root::BoxRoot;
use crate::error::{Result, SshError};
use crate::run::{Before, Command, Input, Outcome, Running, Sink, Sinks, Streams, carry};
use crate::session::Session;
use crate::spare::Ahead;

/// How much a login shell may say before ours does.
const NOISE_BYTES_MAX: usize = 64 * 1024;

/// A command that was started in the tree as it is.
#[derive(Debug)]
pub struct Started {
    running: Running,
    kept: Option<JoinHandle<Result<()>>>,
    report: SyncReport,
}

impl Started {
    /// What the sync did.
    pub fn report(&self) -> &SyncReport {
        &self.report
    }

    /// Copies the command's streams to its end, as [`Session::run_into`] does.
    ///
    /// # Errors
    /// As [`Session::run_into`].
    ///
    /// # Cancel safety
    /// As [`Session::run_into`].
    pub async fn carry<I, O, E>(self, stdin: I, sinks: &mut Sinks<O, E>) -> Result<Outcome>
    where
        I: AsyncRead + Unpin,
        O: AsyncWrite + Unpin,
        E: AsyncWrite + Unpin,
    {
        let outcome = carry(self.running, stdin, sinks).await;
        if let Some(kept) = self.kept
            && let Ok(Err(error)) = kept.await
        {
            // The next run asks the box.
            tracing::warn!(%error, "what the box holds is not written down");
        }
        outcome
    }
}

impl Session {
    /// Makes the box hold the tree and starts a command in it. The command sees the tree of the scan at its start.
    ///
    /// Where the box holds what is known and little has changed, this is one request. When the box does not say that the
    /// command has started, [`Started::carry`] says why.
    ///
    /// # Errors
    /// As [`sync`](crate::sync) and [`Session::start`].
    ///
    /// # Cancel safety
    /// As [`Session::start`]; a sync that was cancelled is repaired by the next one.
    pub async fn start_synced(
        &self,
        (root, run): (&BoxRoot, &str),
        order: Order<'_>,
        command: &Command,
    ) -> Result<Started> {
        let ahead = self.open_behind((root, run)).await;
        self.start_ahead((root, run), order, command, ahead).await
    }

    /// As [`Session::start_synced`], over a session of [`Session::open_ahead`] for the same run.
    ///
    /// # Errors
    /// As [`Session::start_synced`].
    ///
    /// # Cancel safety
    /// As [`Session::start_synced`].
    pub async fn start_ahead(
        &self,
        (root, run): (&BoxRoot, &str),
        order: Order<'_>,
        command: &Command,
        ahead: Option<Ahead>,
    ) -> Result<Started> {
        // The first look reads every file, and says nothing about the next.
        if order.mirror.known.is_some() {
            self.link.looked(order.scan.took());
        }
        let mut flow = Flow::new(self, root, order);
        (flow.run, flow.ahead) = (Some(run), ahead);
        loop {
            let step = flow.next(command.request_bytes()).await?;
            let streams = Streams { stdin: Input::Pipe, stdout: Sink::Pipe, stderr: Sink::Pipe };
            let before = Before {
                mode: step.mode(),
                belief: step.belief,
                ahead: flow.ahead.take(),
                args: &step.args,
                nonce: &step.nonce,
                look: step.look(),
            };
            let mut running = self.start_after((root, run), command, streams, Some(before)).await?;
            match answer(&mut running, &step.nonce).await? {
                Some(Answer::Started) => {
                    let known = flow.accepted(step);
                    // The tree is written down beside the command, whose output must not wait for it.
                    let mut mirror = flow.order.mirror.clone();
                    let kept = Some(tokio::task::spawn_blocking(move || mirror.keep(known)));
                    return Ok(Started { running, kept, report: flow.report });
                }
                Some(Answer::Refused(why)) => {
                    drop(running);
                    flow.refused(&why).await?;
                    if flow.trusts() && flow.ahead.is_none() {
                        flow.ahead = self.open_behind((root, run)).await;
                    }
                }
                // The session has died or the box does not keep the program, and no attempt has begun. At most the next one
                // does.
                None if running.is_ahead() && Box::pin(self.is_untouched(root, run)).await => {
                    drop(running);
                    flow.doubt();
                }
                // The record says why it was not started, or the connection is gone.
                None => return Ok(Started { running, kept: None, report: flow.report }),
            }
        }
    }
}

/// Waits for the line that the box answers with, and gives back what else came.
async fn answer(running: &mut Running, nonce: &str) -> Result<Option<Answer>> {
    let Some(mut stderr) = running.take_stderr() else { return Ok(None) };
    let mut said = Vec::new();
    let mut chunk = [0; 4096];
    let answer = loop {
        if let Some(answer) = Answer::take(&mut said, nonce) {
            break Some(answer);
        }
        let read = stderr.read(&mut chunk).await.map_err(|error| SshError::lost(&error))?;
        if read == 0 || said.len() > NOISE_BYTES_MAX {
            break None;
        }
        said.extend_from_slice(&chunk[..read]);
    };
    stderr.put_back(said);
    running.put_stderr_back(stderr);
    Ok(answer)
}
