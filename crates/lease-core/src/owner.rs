//! Who a lease was opened by, as data that another process can check after a crash.

use serde::{Deserialize, Serialize};

/// A process, named so that a reused process number cannot be taken for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Owner {
    /// The machine's name, for people.
    pub host: String,
    /// The kernel's id of the boot the process belongs to.
    pub boot: String,
    /// The process number.
    pub pid: u32,
    /// When the process started, in the kernel's own unit; with `boot` and `pid` it names one process for ever.
    pub start: u64,
    /// The PID namespace that `pid` belongs to; empty where the system has none.
    #[serde(default)]
    pub pid_namespace: String,
}

/// Whether an owner still runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Liveness {
    /// It runs.
    Alive,
    /// It is proven to have ended.
    Dead,
    /// It cannot be told from here; whoever asks must wait for a deadline instead.
    Unknown,
}
