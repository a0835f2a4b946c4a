//! Recording a run while it goes on. Recording never disturbs the run: what fails is noted in the record.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use lease_core::{Claim, Timestamp};

use super::stream::StreamWriter;
use super::{FORMAT, RECORD, Which, storage};
use crate::document::{LiftedLimits, RecorderProcess, RunPhases, RunRecord, RunStreams};
use crate::durable;
use crate::failure::Failure;

/// What is known of a run when it begins.
#[derive(Clone, Debug)]
pub(crate) struct RunStart {
    /// The command and its arguments.
    pub(crate) command: Vec<OsString>,
    /// The lease.
    pub(crate) lease: String,
    /// The lease's short name.
    pub(crate) slug: String,
    /// The provider.
    pub(crate) provider: String,
}

impl RunStart {
    /// A run of `command` on the box of `claim`.
    pub(crate) fn of(claim: &Claim, command: &[OsString]) -> Self {
        Self {
            command: command.to_vec(),
            lease: claim.lease().to_string(),
            slug: claim.slug().to_string(),
            provider: claim.provider().to_owned(),
        }
    }
}

/// The record of a run that goes on.
#[derive(Debug)]
pub(crate) struct RunWriter {
    directory: PathBuf,
    record: RunRecord,
    stdout: StreamWriter,
    stderr: StreamWriter,
}

impl RunWriter {
    pub(super) fn begin(
        directory: PathBuf,
        id: String,
        start: RunStart,
        now: Timestamp,
    ) -> Result<Self, Failure> {
        let record = RunRecord {
            v: FORMAT,
            id,
            command: start.command.iter().map(|it| it.to_string_lossy().into_owned()).collect(),
            lease: start.lease,
            slug: start.slug,
            provider: start.provider,
            started_at: now.into(),
            finished_at: None,
            phases: RunPhases::default(),
            exit: None,
            stdout: RunStreams::default(),
            stderr: RunStreams::default(),
            recording_failed: None,
            pid: std::process::id(),
            process: ourselves(),
            lifted: None,
        };
        let create = |name| StreamWriter::create(&directory, name);
        let (stdout, stderr) = (create("stdout"), create("stderr"));
        let stdout = stdout.map_err(|error| storage("record the run", &directory, &error))?;
        let stderr = stderr.map_err(|error| storage("record the run", &directory, &error))?;
        let writer = Self { directory, record, stdout, stderr };
        writer.save()?;
        Ok(writer)
    }

    /// Records a run anew that another process recorded in part: its output from the first byte on.
    pub(super) fn again(directory: PathBuf, record: RunRecord) -> Result<Self, Failure> {
        let failed = |error| storage("record the run", &directory, &error);
        for entry in std::fs::read_dir(&directory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.file_name().is_some_and(|it| it != RECORD) {
                std::fs::remove_file(&path).map_err(failed)?;
            }
        }
        let stdout = StreamWriter::create(&directory, "stdout").map_err(failed)?;
        let stderr = StreamWriter::create(&directory, "stderr").map_err(failed)?;
        let (pid, process) = (std::process::id(), ourselves());
        let record = RunRecord { pid, process, recording_failed: None, ..record };
        let writer = Self { directory, record, stdout, stderr };
        writer.save()?;
        Ok(writer)
    }

    /// The record as it stands.
    pub(crate) fn record(&self) -> &RunRecord {
        &self.record
    }

    /// Records which limits of the lease are lifted for the run, before they are.
    pub(crate) fn lift(&mut self, lifted: Option<LiftedLimits>) -> Result<(), Failure> {
        self.record.lifted = lifted;
        self.save()
    }

    /// The run's id.
    pub(crate) fn id(&self) -> &str {
        &self.record.id
    }

    /// Records what the command wrote to standard output.
    pub(crate) fn stdout(&mut self, bytes: &[u8]) {
        record(&mut self.stdout, bytes, &mut self.record.recording_failed);
    }

    /// Records what the command wrote to standard error.
    pub(crate) fn stderr(&mut self, bytes: &[u8]) {
        record(&mut self.stderr, bytes, &mut self.record.recording_failed);
    }

    /// Has on disk what is recorded of a stream, while nothing more of it comes.
    pub(crate) fn keep(&mut self, which: Which) {
        let stream = match which {
            Which::Stdout => &mut self.stdout,
            Which::Stderr => &mut self.stderr,
        };
        if self.record.recording_failed.is_none()
            && let Err(error) = stream.keep()
        {
            self.record.recording_failed = Some(note(&error));
        }
    }

    /// Says why nothing of the output is recorded.
    pub(crate) fn unrecorded(&mut self, why: &str) {
        self.record.recording_failed = Some(why.to_owned());
    }

    /// The phases, to be filled in as they end.
    pub(crate) fn phases(&mut self) -> &mut RunPhases {
        &mut self.record.phases
    }

    /// Records the exit code as soon as it is known, before the box is released.
    pub(crate) fn exited(&mut self, exit: u8) -> Result<(), Failure> {
        self.record.exit = Some(exit);
        self.save()
    }

    /// Ends the record.
    pub(crate) fn finish(mut self, now: Timestamp) -> Result<RunRecord, Failure> {
        self.keep(Which::Stdout);
        self.keep(Which::Stderr);
        self.record.finished_at = Some(now.into());
        self.record.stdout = self.stdout.summary();
        self.record.stderr = self.stderr.summary();
        self.save()?;
        Ok(self.record)
    }

    fn save(&self) -> Result<(), Failure> {
        let path = self.directory.join(RECORD);
        let bytes = serde_json::to_vec(&self.record)
            .map_err(|error| Failure::tool(format!("record the run: {error}")))?;
        durable::replace(&path, &bytes).map_err(|error| storage("record the run", &path, &error))
    }
}

fn record(stream: &mut StreamWriter, bytes: &[u8], failed: &mut Option<String>) {
    if failed.is_some() {
        stream.count(bytes);
    } else if let Err(error) = stream.write(bytes) {
        *failed = Some(note(&error));
    }
}

/// Where the kernel does not say who we are, nobody can tell later whether we live.
fn ourselves() -> Option<RecorderProcess> {
    crate::reaper::owner().ok().map(Into::into)
}

fn note(error: &io::Error) -> String {
    format!("recording stopped: {error}")
}
