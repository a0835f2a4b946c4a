//! A command that shows what was lost or repeated, and a sink that shows how much has come.

use std::fmt::Write as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use lease_ssh::{BoxRoot, Command, Outcome, Relays, Session, Sinks};
use tokio::io::AsyncWrite;
use tokio::sync::watch;

/// A job: its run id, how many lines it prints on each stream, and after how many it pauses for a tenth of a second.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) run: String,
    pub(crate) lines: u64,
    pub(crate) pause_each: u64,
}

impl Job {
    /// It notes each start of itself in a file with the run's name, and ends with 7.
    pub(crate) fn command(&self) -> Command {
        let Self { run, lines, pause_each } = self;
        let script = format!(
            "echo x >>{run}; i=0; while [ $i -lt {lines} ]; do echo \"out $i 0123456789abcdef\"; echo \"err $i\" >&2; \
             i=$((i+1)); [ $((i % {pause_each})) -ne 0 ] || sleep 0.1; done; printf end; printf '\\0\\377' >&2; exit 7"
        );
        Command::new(["sh", "-c", &script])
    }

    pub(crate) fn expected(&self) -> (Vec<u8>, Vec<u8>) {
        let (mut out, mut err) = (String::new(), String::new());
        for number in 0..self.lines {
            writeln!(out, "out {number} 0123456789abcdef").unwrap();
            writeln!(err, "err {number}").unwrap();
        }
        let mut err = err.into_bytes();
        err.extend([0, 0xff]);
        ((out + "end").into_bytes(), err)
    }

    /// Runs it to its end, over as many connections as it takes.
    pub(crate) async fn carried(
        &self,
        session: &Session,
        root: &BoxRoot,
        sinks: &mut Sinks<&mut Seen, &mut Seen>,
    ) -> Outcome {
        let place = (root, self.run.as_str());
        let none = tokio::io::empty();
        let outcome = session.run_into(place, &self.command(), none, sinks).await.unwrap();
        if matches!(outcome, Outcome::TransportLost { job: None, .. }) {
            return session.take_up(place, Relays::End, sinks).await.unwrap();
        }
        outcome
    }
}

/// A sink that tells how much it has.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) bytes: Vec<u8>,
    pub(crate) count: watch::Sender<usize>,
}

impl Seen {
    pub(crate) fn new() -> Self {
        Self { bytes: Vec::new(), count: watch::Sender::new(0) }
    }

    /// What differs from what was expected, in words.
    pub(crate) fn difference(&self, expected: &[u8]) -> String {
        let same = |(one, other): &(&u8, &u8)| one == other;
        let at = self.bytes.iter().zip(expected).take_while(same).count();
        format!("{} of {} bytes, different from {at} on", self.bytes.len(), expected.len())
    }
}

impl AsyncWrite for Seen {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.bytes.extend_from_slice(bytes);
        self.count.send_replace(self.bytes.len());
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
