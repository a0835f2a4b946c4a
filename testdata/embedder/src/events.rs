//! What the engine tells, as lines of this tool.

use std::sync::atomic::{AtomicUsize, Ordering};

use lease_core::LeaseId;
use lease_core::watch::{Notice, Observer};

/// Prints what is worth a line, and counts everything.
#[derive(Debug, Default)]
pub struct Events {
    count: AtomicUsize,
}

impl Events {
    /// How many events there were.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl Observer for Events {
    fn notice(&self, lease: &LeaseId, notice: &Notice<'_>) {
        self.count.fetch_add(1, Ordering::Relaxed);
        match notice {
            Notice::Opened { slug } => eprintln!("errand: {lease} is called {slug}"),
            Notice::Resource { kind, state } => eprintln!("errand: the {kind} is {state}"),
            Notice::Phase(phase) => eprintln!("errand: the lease is {phase}"),
            _ => {}
        }
    }
}
