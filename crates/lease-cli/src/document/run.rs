//! Runs as JSON: on disk, and from `lease history` and `lease logs`.

use lease_core::Owner;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;

/// What is recorded of one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct RunRecord {
    /// The format of the record on disk.
    pub(crate) v: u32,
    /// `run-` and 17 characters; a later run has a greater id.
    pub(crate) id: String,
    /// The command; bytes that are not UTF-8 are shown as U+FFFD.
    pub(crate) command: Vec<String>,
    /// The lease it ran on.
    pub(crate) lease: String,
    /// The lease's short name.
    pub(crate) slug: String,
    /// The provider.
    pub(crate) provider: String,
    /// When it began.
    pub(crate) started_at: Time,
    /// When it ended; absent while it runs, and when its recorder was killed.
    pub(crate) finished_at: Option<Time>,
    /// How long each phase took.
    pub(crate) phases: RunPhases,
    /// The exit code; absent while it runs, and when its recorder was killed.
    pub(crate) exit: Option<u8>,
    /// What it wrote to standard output.
    pub(crate) stdout: RunStreams,
    /// What it wrote to standard error.
    pub(crate) stderr: RunStreams,
    /// What kept the recorder from recording everything.
    pub(crate) recording_failed: Option<String>,
    /// The number of the process that records; meaningful while `finished_at` is absent.
    pub(crate) pid: u32,
    /// What tells that process from every other that ever had its number; absent in older records.
    #[serde(default)]
    pub(crate) process: Option<RecorderProcess>,
    /// The limits of the lease that were lifted for a detached run, and come back with its end.
    #[serde(default)]
    pub(crate) lifted: Option<LiftedLimits>,
}

/// A process of one boot of one machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct RecorderProcess {
    /// The machine it runs on.
    pub(crate) host: String,
    /// The boot of that machine.
    pub(crate) boot: String,
    /// When it started, in the kernel's own count.
    pub(crate) start: u64,
    /// The PID namespace that its number belongs to.
    pub(crate) pid_namespace: String,
}

/// Limits that a lease had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct LiftedLimits {
    /// The idle limit in milliseconds.
    pub(crate) idle_ms: u64,
    /// The end that the lease got instead, where it had none.
    pub(crate) end_added: Option<Time>,
}

impl RunRecord {
    /// The process that records, as the owner of a lease is written.
    pub(crate) fn owner(&self) -> Option<Owner> {
        let process = self.process.as_ref()?;
        Some(Owner {
            host: process.host.clone(),
            boot: process.boot.clone(),
            pid: self.pid,
            start: process.start,
            pid_namespace: process.pid_namespace.clone(),
        })
    }
}

impl From<Owner> for RecorderProcess {
    fn from(owner: Owner) -> Self {
        let Owner { host, boot, pid: _, start, pid_namespace } = owner;
        Self { host, boot, start, pid_namespace }
    }
}

/// How long each phase took, in milliseconds; a phase that did not happen is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(clippy::struct_field_names, reason = "the unit stands in the name, on disk too")]
pub(crate) struct RunPhases {
    /// Looking at the tree, beside other phases.
    #[serde(default)]
    pub(crate) scan_ms: Option<u64>,
    /// Getting the box.
    pub(crate) acquire_ms: Option<u64>,
    /// Logging in, or taking up the connection that is open.
    #[serde(default)]
    pub(crate) connect_ms: Option<u64>,
    /// Making its directory equal to the tree, until the command has started in it.
    pub(crate) sync_ms: Option<u64>,
    /// Running the command.
    pub(crate) run_ms: Option<u64>,
    /// Giving the box back.
    pub(crate) release_ms: Option<u64>,
}

/// How much of a stream was written and recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct RunStreams {
    /// How many bytes the command wrote.
    pub(crate) bytes: u64,
    /// Whether bytes in the middle were not recorded.
    pub(crate) truncated: bool,
}

/// How long the phases of a run took: one line on standard error, with `lease run --timings --json`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct TimingsDocument {
    #[schemars(extend("const" = Self::SCHEMA))]
    schema: &'static str,
    /// The run.
    run: String,
    /// Its phases; those that were side by side add up to more than was waited for.
    phases: RunPhases,
}

impl TimingsDocument {
    /// The schema's name.
    pub(crate) const SCHEMA: &'static str = "lease.timings/1";

    /// The document of a run.
    pub(crate) fn new(run: String, phases: RunPhases) -> Self {
        Self { schema: Self::SCHEMA, run, phases }
    }

    /// The phases that happened, in their order, for people.
    pub(crate) fn line(&self) -> String {
        let named = [
            ("scan", self.phases.scan_ms),
            ("acquire", self.phases.acquire_ms),
            ("connect", self.phases.connect_ms),
            ("sync", self.phases.sync_ms),
            ("command", self.phases.run_ms),
            ("release", self.phases.release_ms),
        ];
        let told = named.iter().filter_map(|(name, ms)| ms.map(|ms| format!("{name} {ms} ms")));
        format!("{}: {}", self.run, told.collect::<Vec<_>>().join(", "))
    }
}

/// `lease history`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct HistoryDocument {
    #[schemars(extend("const" = Self::SCHEMA))]
    schema: &'static str,
    /// The runs, the newest first.
    pub(crate) runs: Vec<RunRecord>,
}

impl HistoryDocument {
    /// The schema's name.
    pub(crate) const SCHEMA: &'static str = "lease.history/1";

    /// The document of these runs.
    pub(crate) fn new(runs: Vec<RunRecord>) -> Self {
        Self { schema: Self::SCHEMA, runs }
    }
}

/// `lease logs`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct LogsDocument {
    #[schemars(extend("const" = Self::SCHEMA))]
    schema: &'static str,
    /// The run.
    pub(crate) run: RunRecord,
    /// What was recorded of its standard output.
    pub(crate) stdout: Option<RecordedStream>,
    /// What was recorded of its standard error.
    pub(crate) stderr: Option<RecordedStream>,
}

impl LogsDocument {
    /// The schema's name.
    pub(crate) const SCHEMA: &'static str = "lease.logs/1";

    /// The document of a run.
    pub(crate) fn new(
        run: RunRecord,
        stdout: Option<RecordedStream>,
        stderr: Option<RecordedStream>,
    ) -> Self {
        Self { schema: Self::SCHEMA, run, stdout, stderr }
    }
}

/// What was recorded of a stream. Bytes that are not UTF-8 are shown as U+FFFD; `lease logs` prints them exactly.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct RecordedStream {
    /// Its beginning; all of it when nothing was left out.
    pub(crate) head: String,
    /// How many bytes were left out after the beginning.
    pub(crate) left_out_bytes: u64,
    /// Its end, when something was left out.
    pub(crate) tail: String,
}
