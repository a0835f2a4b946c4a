//! Ctrl-C and its relatives as something to wait for: the first asks the work to end in order, the second ends it.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;

/// The signals that ask the program to stop.
#[derive(Debug)]
pub(crate) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    heard: bool,
}

/// Which signal it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interrupt {
    /// What Ctrl-C sends.
    CtrlC,
    /// A request to end.
    Terminate,
    /// The terminal went away.
    Hangup,
}

impl Interrupts {
    /// Takes the signals over; from here on none of them ends the process by itself.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind).map_err(|error| Failure::tool(format!("listen for signals: {error}")))
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
            heard: false,
        })
    }

    /// Returns at the next of the signals. Dropping the wait loses none.
    pub(crate) async fn next(&mut self) -> Interrupt {
        let interrupt = tokio::select! {
            _ = self.interrupt.recv() => Interrupt::CtrlC,
            _ = self.terminate.recv() => Interrupt::Terminate,
            _ = self.hangup.recv() => Interrupt::Hangup,
        };
        self.heard = true;
        interrupt
    }

    /// Whether there was one.
    pub(crate) fn were_heard(&self) -> bool {
        self.heard
    }
}
