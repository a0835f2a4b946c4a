//! The records of past runs, so that `lease history` and `lease logs` need no server.
//!
//! ```text
//! STATE/runs/RUN/record.json        what ran where, when, for how long, and how it ended
//! STATE/runs/RUN/stdout             the first 4 MiB of standard output; `stderr` likewise
//! STATE/runs/RUN/stdout.N           the last segments of up to 4 MiB, once the first 4 MiB are full
//! ```
//!
//! What is written is on disk in order, so a killed recorder leaves a record without an end and everything up to then;
//! behind the first 4 MiB, and while output comes without a pause, up to a second before.
//! The newest 200 runs are kept.

mod junit;
mod stream;
mod writer;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lease_core::entropy::Entropy;
use lease_core::{OsEntropy, Timestamp};

use crate::document::{LiftedLimits, RecordedStream, RunRecord};
use crate::durable;
use crate::failure::Failure;

pub(crate) use junit::junit;
pub(crate) use writer::{RunStart, RunWriter};

/// The format of the records.
const FORMAT: u32 = 1;

/// How many runs are kept.
const RUNS_MAX: usize = 200;

const RECORD: &str = "record.json";
const RECORD_BYTES_MAX: u64 = 4 * 1024 * 1024;
const ALPHABET: &[u8; 32] = b"234567abcdefghijklmnopqrstuvwxyz";

/// The records of runs in a directory.
#[derive(Clone, Debug)]
pub(crate) struct Runs {
    directory: PathBuf,
}

/// Which of the two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Which {
    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// The recorded part of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// Its beginning.
    pub(crate) head: Vec<u8>,
    /// How many bytes were left out after the beginning.
    pub(crate) left_out_bytes: u64,
    /// Its end.
    pub(crate) tail: Vec<u8>,
}

impl From<&Recorded> for RecordedStream {
    fn from(recorded: &Recorded) -> Self {
        Self {
            head: String::from_utf8_lossy(&recorded.head).into_owned(),
            left_out_bytes: recorded.left_out_bytes,
            tail: String::from_utf8_lossy(&recorded.tail).into_owned(),
        }
    }
}

impl Runs {
    /// The records in `directory`; nothing is read or made yet.
    pub(crate) fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// Begins the record of a run, and forgets the oldest ones.
    pub(crate) fn begin(&self, start: RunStart, now: Timestamp) -> Result<RunWriter, Failure> {
        let id = draw_id(now)?;
        let path = self.directory.join(&id);
        durable::create_private_dir(&path)
            .map_err(|error| storage("record the run", &path, &error))?;
        let writer = RunWriter::begin(path, id, start, now)?;
        self.prune();
        Ok(writer)
    }

    /// The newest records. One that cannot be read is left out and hides none.
    pub(crate) fn list(&self, count: usize) -> Result<Vec<RunRecord>, Failure> {
        let ids = self.ids()?;
        Ok(ids.iter().rev().filter_map(|id| self.read(id).ok()).take(count).collect())
    }

    /// The record that `name` means: an id, its beginning, or `last`.
    pub(crate) fn find(&self, name: &str) -> Result<RunRecord, Failure> {
        let ids = self.ids()?;
        let meant: Vec<_> = match name {
            "last" => ids.last().into_iter().collect(),
            _ => ids.iter().filter(|id| is_meant(id, name)).collect(),
        };
        match meant.as_slice() {
            [id] => self.read(id),
            [] => Err(Failure::invalid(format!("no run {name:?} is recorded"), "lease history")
                .kind("not_found")),
            several => {
                let list: Vec<_> = several.iter().take(8).map(|id| id.as_str()).collect();
                let what = format!("{name:?} could be {} runs: {}", several.len(), list.join(", "));
                Err(Failure::invalid(what, "lease history"))
            }
        }
    }

    /// Records a run anew whose recorder is gone, from the first byte of its output on.
    pub(crate) fn again(&self, record: RunRecord) -> Result<RunWriter, Failure> {
        RunWriter::again(self.directory.join(&record.id), record)
    }

    /// Notes the end of a run whose recorder is gone. What it printed is recorded as far as that one came.
    pub(crate) fn ended(
        &self,
        record: &RunRecord,
        exit: u8,
        now: Timestamp,
    ) -> Result<(), Failure> {
        self.write(&RunRecord { exit: Some(exit), finished_at: Some(now.into()), ..record.clone() })
    }

    /// The newest run of a lease whose end is not recorded, or else its newest.
    pub(crate) fn of_lease(&self, lease: &str) -> Result<Option<RunRecord>, Failure> {
        let mut of_it = self.list(usize::MAX)?;
        of_it.retain(|it| it.lease == lease || it.slug == lease);
        let open = of_it.iter().position(|it| it.finished_at.is_none()).unwrap_or(0);
        Ok((open < of_it.len()).then(|| of_it.swap_remove(open)))
    }

    /// The runs of a lease whose end is not recorded, the newest first.
    pub(crate) fn open(&self, lease: &str) -> Result<Vec<RunRecord>, Failure> {
        let mut open = self.list(usize::MAX)?;
        open.retain(|it| it.lease == lease && it.finished_at.is_none());
        Ok(open)
    }

    /// The limits of a lease that were lifted for a run whose end is not recorded.
    pub(crate) fn lifted(&self, lease: &str) -> Result<Option<LiftedLimits>, Failure> {
        Ok(self.open(lease)?.into_iter().find_map(|it| it.lifted))
    }

    /// Forgets what was lifted for the open runs of a lease: a person has said what its limits are to be.
    pub(crate) fn forget_lifted(&self, lease: &str) -> Result<(), Failure> {
        for record in self.open(lease)?.into_iter().filter(|it| it.lifted.is_some()) {
            self.write(&RunRecord { lifted: None, ..record })?;
        }
        Ok(())
    }

    /// Whether the limits that were lifted for a run are also lifted for another that goes on.
    pub(crate) fn needs_lifted(&self, than: &RunRecord) -> bool {
        let others = self.open(&than.lease);
        others.is_ok_and(|it| it.iter().any(|it| it.id != than.id && it.lifted.is_some()))
    }

    /// What was recorded of a stream.
    pub(crate) fn stream(&self, record: &RunRecord, which: Which) -> Result<Recorded, Failure> {
        let path = self.directory.join(&record.id);
        let written = match which {
            Which::Stdout => record.stdout.bytes,
            Which::Stderr => record.stderr.bytes,
        };
        let known = record.finished_at.as_ref().map(|_| written);
        stream::read(&path, which.name(), known)
            .map_err(|error| storage("read the run", &path, &error))
    }

    fn write(&self, record: &RunRecord) -> Result<(), Failure> {
        let path = self.directory.join(&record.id).join(RECORD);
        let bytes = serde_json::to_vec(record)
            .map_err(|error| Failure::tool(format!("record the run: {error}")))?;
        durable::replace(&path, &bytes).map_err(|error| storage("record the run", &path, &error))
    }

    fn read(&self, id: &str) -> Result<RunRecord, Failure> {
        let path = self.directory.join(id).join(RECORD);
        let bytes = durable::read_bounded(&path, RECORD_BYTES_MAX);
        let bytes = bytes.map_err(|error| storage("read the run", &path, &error))?;
        let record: RunRecord = serde_json::from_slice(&bytes).map_err(|error| {
            Failure::tool(format!("{} is not the record of a run: {error}", path.display()))
                .kind("corrupt")
        })?;
        if record.v != FORMAT || record.id != id {
            let what = format!(
                "{} has format {}, and this program reads {FORMAT}",
                path.display(),
                record.v
            );
            return Err(Failure::tool(what).kind("newer_format"));
        }
        Ok(record)
    }

    /// All ids, the oldest first.
    fn ids(&self) -> Result<Vec<String>, Failure> {
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(storage("list the runs", &self.directory, &error)),
        };
        let names = entries.filter_map(|it| it.ok()?.file_name().into_string().ok());
        let mut ids: Vec<_> = names.filter(|it| it.starts_with("run-")).collect();
        ids.sort();
        Ok(ids)
    }

    /// Forgets what is beyond the newest runs. A run that goes on for so long is among the oldest, so those that have
    /// not ended stay until they are twice as old.
    fn prune(&self) {
        let Ok(ids) = self.ids() else { return };
        for (age, id) in ids.iter().rev().enumerate().skip(RUNS_MAX) {
            let ended = self.read(id).map_or(true, |it| it.finished_at.is_some());
            if ended || age >= 2 * RUNS_MAX {
                drop(fs::remove_dir_all(self.directory.join(id)));
            }
        }
    }
}

fn is_meant(id: &str, name: &str) -> bool {
    id == name
        || (name.len() >= 3
            && (id.starts_with(name)
                || id.strip_prefix("run-").is_some_and(|it| it.starts_with(name))))
}

/// An id whose order is the order of time: ten characters of milliseconds and seven of chance.
fn draw_id(now: Timestamp) -> Result<String, Failure> {
    let mut chance = [0_u8; 7];
    OsEntropy.fill(&mut chance)?;
    let digit = |bits: u64| char::from(ALPHABET[usize::try_from(bits % 32).unwrap_or(0)]);
    let time = (0..10).rev().map(|place| digit(now.as_millis() >> (5 * place)));
    let rest = chance.iter().map(|it| digit(u64::from(*it)));
    Ok(format!("run-{}", time.chain(rest).collect::<String>()))
}

fn storage(doing: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::tool(format!("{doing}: {}: {error}", path.display())).kind("storage")
}

#[cfg(test)]
mod tests;
