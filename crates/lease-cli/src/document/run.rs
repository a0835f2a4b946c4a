//! Runs as JSON: on disk, and from `lease history` and `lease logs`.

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
}

/// How long each phase took, in milliseconds; a phase that did not happen is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(clippy::struct_field_names, reason = "the unit stands in the name, on disk too")]
pub(crate) struct RunPhases {
    /// Getting the box.
    pub(crate) acquire_ms: Option<u64>,
    /// Making its directory equal to the tree.
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
