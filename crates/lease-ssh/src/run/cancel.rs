//! Giving up a run that may be about to start: afterwards no attempt of it starts anything.

use std::time::Duration;

use super::job::{self, JobState};
use crate::box_root::BoxRoot;
use crate::error::{Result, SshError};
use crate::files::random_text;
use crate::session::Session;

const CANCEL: &[u8] =
    concat!(include_str!("alive.sh"), include_str!("cancel.sh"), include_str!("state.sh"))
        .as_bytes();
/// How long the box may take to answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

impl Session {
    /// Takes a run's guard, so that no request of it that still waits on the box or is on its way starts its command,
    /// and says what it found: [`JobState::Refused`] when the command was not started, and so never will be. When it was
    /// started before, that is left as it is, and [`Session::signal`] reaches it.
    ///
    /// # Errors
    /// When the box cannot be asked, or does not answer within ten seconds; then nothing is known.
    ///
    /// # Cancel safety
    /// After a cancelled call the guard may have been taken. Calling it again finds the same.
    pub async fn cancel(&self, root: &BoxRoot, run: &str) -> Result<JobState> {
        super::check_run(run)?;
        let (records, nonce) = (root.records(), random_text(16)?);
        let args = [records.as_bytes(), run.as_bytes(), nonce.as_bytes()];
        let asked = async {
            let record = job::answered(self, "cancelling a run", CANCEL, &args).await?;
            // Somebody is just writing the guard that was there.
            if record.started && record.nonce.is_none() {
                return self.job(root, run).await;
            }
            Ok(record.into())
        };
        let asked = tokio::time::timeout(ANSWER_TIME_MAX, asked).await;
        asked.unwrap_or_else(|_elapsed| {
            let detail = format!("the box did not say within {ANSWER_TIME_MAX:?} what it found");
            Err(SshError::Lost { detail })
        })
    }
}
