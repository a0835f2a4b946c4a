//! What squeue says: rows, states, and the reasons why a job waits.
//!
//! Observed on 22.05; the words are the same from 20.11 to 26.05 by Slurm's source. JSON is not asked for: in 22.05 it
//! ignores every filter and calls a failure an empty list.

use crate::error::SlurmError;
use crate::identity::{Home, Identity};
use crate::report::Part;

const FIELDS: usize = 7;

/// A job as a row of the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// The job's number: a hint, never an identity.
    pub(crate) number: u64,
    pub(crate) state: String,
    pub(crate) reason: String,
    pub(crate) nodes: String,
    pub(crate) name: String,
    pub(crate) comment: String,
}

/// What a state means for an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It waits for its turn.
    Waiting,
    /// It runs.
    Running,
    /// It is on its way out.
    Ending,
    /// It exists, and does not go on by itself.
    Halted,
    /// Slurm's books are closed on it.
    Final,
}

impl Row {
    /// Whose job it is, if it is one of this tool.
    pub(crate) fn identity(&self, home: Home) -> Option<Identity> {
        Identity::of_job(home, &self.name, &self.comment)
    }

    pub(crate) fn standing(&self) -> Standing {
        standing(&self.state)
    }
}

/// The rows of a queue. An error is no answer; no rows are an answer only without an error and without a word.
pub(crate) fn rows(part: &Part) -> Result<Vec<Row>, SlurmError> {
    if part.code != 0 || !part.stderr.trim().is_empty() {
        return Err(SlurmError::unclear("squeue", part.said()));
    }
    let mut rows: Vec<Row> = Vec::new();
    for line in part.stdout.lines() {
        match (row(line), rows.last_mut()) {
            (Some(row), _) => rows.push(row),
            // A comment of somebody else may have several lines; ours has one.
            (None, Some(previous)) => {
                previous.comment.push('\n');
                previous.comment.push_str(line);
            }
            (None, None) => {
                return Err(SlurmError::unclear("squeue", format!("it printed {line:?}")));
            }
        }
    }
    Ok(rows)
}

fn row(line: &str) -> Option<Row> {
    let mut fields = line.splitn(FIELDS, '|');
    if fields.next()? != "J" {
        return None;
    }
    let number = fields.next()?.parse().ok()?;
    let mut text = || fields.next().map(str::to_owned);
    Some(Row {
        number,
        state: text()?,
        reason: text()?,
        nodes: text()?,
        name: text()?,
        comment: text()?,
    })
}

/// What a state means. A word that is not known is a job that exists.
pub(crate) fn standing(state: &str) -> Standing {
    match state {
        "PENDING" | "CONFIGURING" | "REQUEUED" | "REQUEUE_FED" | "STAGE_OUT" => Standing::Waiting,
        "COMPLETING" => Standing::Ending,
        "REQUEUE_HOLD" | "SPECIAL_EXIT" | "SUSPENDED" | "STOPPED" => Standing::Halted,
        "BOOT_FAIL" | "CANCELLED" | "COMPLETED" | "DEADLINE" | "FAILED" | "NODE_FAIL"
        | "OUT_OF_MEMORY" | "PREEMPTED" | "REVOKED" | "TIMEOUT" => Standing::Final,
        // RUNNING, RESIZING, SIGNALING, and whatever a later version adds.
        _ => Standing::Running,
    }
}

/// Whether a job that waits for this reason will wait until somebody changes something.
///
/// The list is from Slurm's source (`job_reason_string`); those of the first group were seen on 22.05.
pub(crate) fn never_resolves(reason: &str) -> bool {
    let reason = reason.trim_start_matches('(').trim_end_matches(')');
    let reason = reason.split(':').next().unwrap_or(reason).trim();
    if reason.starts_with("launch failed requeued held") {
        return true;
    }
    // A limit on one job is not lifted by other jobs ending.
    let about_one_job = (reason.starts_with("QOS") || reason.starts_with("Assoc"))
        && (reason.contains("PerJob")
            || reason.contains("Min")
            || reason.contains("MaxWallDuration"));
    about_one_job
        || matches!(
            reason,
            "PartitionDown"
                | "PartitionConfig"
                | "PartitionNodeLimit"
                | "PartitionTimeLimit"
                | "DependencyNeverSatisfied"
                | "JobHeldUser"
                | "JobHeldAdmin"
                | "BadConstraints"
                | "PartitionInactive"
                | "AccountNotAllowed"
                | "QOSNotAllowed"
                | "InvalidAccount"
                | "InvalidQOS"
                | "ReservationDeleted"
                | "DeadLine"
                | "JobLaunchFailure"
                | "JobHoldMaxRequeue"
                | "SystemFailure"
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(stdout: &str) -> Part {
        Part { code: 0, stdout: stdout.to_owned(), stderr: String::new() }
    }

    #[test]
    fn special_exit_is_a_job_that_exists() {
        assert_eq!(standing("SPECIAL_EXIT"), Standing::Halted);
        assert_eq!(standing("A_STATE_OF_TOMORROW"), Standing::Running);
        assert_eq!(standing("NODE_FAIL"), Standing::Final);
    }

    #[test]
    fn a_comment_of_several_lines_cannot_forge_a_row() {
        let mine = "J|7|RUNNING|None|n1|lse-x|lease1:a";
        let said = format!("J|1|RUNNING|None|n1|precious|x\nJ|1\n|2|\n{mine}|with|bars");
        let rows = rows(&answer(&said)).unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].comment, "x\nJ|1\n|2|");
        assert_eq!((rows[1].number, rows[1].comment.as_str()), (7, "lease1:a|with|bars"));
        super::rows(&answer("slurm is well")).unwrap_err();
    }
}
