//! Why the long run itself could not go on; what it found about leases is a verdict and not an error.

use lease_process::ProcessError;

/// What is missing or broken here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// A file could not be made or read.
    #[error("{0}")]
    File(#[from] std::io::Error),
    /// A process could not be run.
    #[error("{0}")]
    Process(#[from] ProcessError),
    /// The emulated machines could not be prepared.
    #[error("{0}")]
    Machines(#[from] lease_emulator::machine::MachineError),
    /// Something else, in words.
    #[error("{0}")]
    Other(String),
}

impl Trouble {
    pub(crate) fn other(what: impl Into<String>) -> Self {
        Self::Other(what.into())
    }
}
