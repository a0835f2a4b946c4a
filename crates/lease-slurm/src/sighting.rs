//! What the queue, the job's directory and a knock at its sshd prove together.
//!
//! Slurm's word and what is on the node are two things: a job may be final in Slurm's books while its processes run on a
//! node that Slurm lost. So a job is gone only when the queue shows none of it, its directory is gone, and, before that
//! directory is removed, its sshd does not answer.

use std::time::Duration;

use lease_core::{Reach, Status};

use crate::config::SlurmConfig;
use crate::endpoint::Endpoint;
use crate::error::SlurmError;
use crate::identity::{Home, Identity};
use crate::pulse::Pulse;
use crate::queue::{self, Row, Standing};
use crate::report::Report;

/// How long after the end that a box set itself it is called dead although its node cannot be asked. Clocks of a
/// cluster differ by seconds.
const BEYOND_ITS_END: Duration = Duration::from_secs(900);

/// What was seen of one job.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// The jobs with our name and marks that still hold, or may still get, an allocation.
    pub(crate) live: Vec<Row>,
    /// Those with our name and marks that Slurm's books are closed on, while Slurm remembers them.
    pub(crate) ended: Vec<Row>,
    /// The job's directory, if it is there.
    pub(crate) paper: Option<Paper>,
    /// The time on the desk, in seconds since the Unix epoch.
    pub(crate) now: u64,
}

/// What a job's directory says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Paper {
    /// The intent is there: the job is wanted.
    pub(crate) is_wanted: bool,
    /// sbatch answered with a number.
    pub(crate) is_submitted: bool,
    /// A start of the job claimed to be the box.
    pub(crate) is_claimed: bool,
    /// What sbatch said on standard error.
    pub(crate) said: Option<String>,
    /// Why the box gave up.
    pub(crate) failed: Option<String>,
    /// What the box published.
    pub(crate) endpoint: Option<Result<Endpoint, String>>,
    /// When something in the directory changed last, in seconds since the Unix epoch.
    pub(crate) changed: u64,
}

/// What was concluded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// Nothing of it is there.
    Absent,
    /// It is there.
    There(Status, Option<Reach>),
    /// It cannot be told.
    Unclear(String),
    /// It depends on whether this endpoint still answers.
    Knock(Endpoint),
}

impl Seen {
    /// Reads what `look.sh` answered.
    ///
    /// # Errors
    /// When any part of it is not a definite answer.
    pub(crate) fn read(
        report: &Report,
        home: Home,
        identity: &Identity,
    ) -> Result<Self, SlurmError> {
        let lacking = |why: String| SlurmError::unclear("the script", why);
        let rows = queue::rows(report.part("squeue").map_err(lacking)?)?;
        let ours = rows.into_iter().filter(|it| it.identity(home).as_ref() == Some(identity));
        let (ended, live) = ours.partition(|it| it.standing() == Standing::Final);
        let now = report.fact("now").and_then(|it| it.parse().ok());
        let now = now.ok_or_else(|| lacking("the answer lacks the time".to_owned()))?;
        let directory = identity.directory();
        let paper = if listing(report)?.iter().any(|it| *it == directory) {
            Some(Paper::read(report, identity)?)
        } else {
            None
        };
        Ok(Self { live, ended, paper, now })
    }

    /// Draws the conclusion. Without a knock, `pulse` is `None`.
    pub(crate) fn judge(&self, config: &SlurmConfig, pulse: Option<&Pulse>) -> Judgement {
        match (&self.paper, self.live.is_empty()) {
            (None, true) => Judgement::Absent,
            (None, false) => self.going("its directory is gone"),
            (Some(paper), false) if !paper.is_wanted => self.going("it is not wanted any more"),
            (Some(paper), false) => self.judge_live(config, paper),
            (Some(paper), true) => self.judge_ended(config, paper, pulse),
        }
    }

    /// A job that is to go: only one that Slurm is ending needs no other call.
    fn going(&self, why: &str) -> Judgement {
        if self.live.iter().all(|it| it.standing() == Standing::Ending) {
            return Judgement::There(Status::Stopping, None);
        }
        Judgement::There(
            Status::Failed { why: format!("{why}, and Slurm calls it {}", self.states()) },
            None,
        )
    }

    fn judge_live(&self, config: &SlurmConfig, paper: &Paper) -> Judgement {
        let starting =
            |why: String| Judgement::There(Status::Starting { waiting_for: Some(why) }, None);
        let failed = |why: String| Judgement::There(Status::Failed { why }, None);
        let running = self.live.iter().find(|it| it.standing() == Standing::Running);
        if let Some(why) = &paper.failed {
            return failed(why.clone());
        }
        if let Some(row) = running {
            return match &paper.endpoint {
                // An endpoint of another start of the job is not where the job is.
                Some(Ok(endpoint)) if endpoint.job == row.number => {
                    Judgement::There(Status::Running, Some(endpoint.reach(config)))
                }
                Some(Err(why)) => failed(why.clone()),
                Some(Ok(_)) | None => {
                    starting(format!("job {} sets itself up on {}", row.number, row.nodes))
                }
            };
        }
        if let Some(row) = self.live.iter().find(|it| it.standing() == Standing::Waiting) {
            let told = format!("job {} is {} ({})", row.number, row.state, row.reason);
            return if queue::never_resolves(&row.reason) {
                failed(format!("{told}, and that does not change by waiting"))
            } else {
                starting(told)
            };
        }
        if self.live.iter().any(|it| it.standing() == Standing::Halted) {
            return failed(format!("the job is {}", self.states()));
        }
        Judgement::There(Status::Stopping, None)
    }

    fn judge_ended(&self, config: &SlurmConfig, paper: &Paper, pulse: Option<&Pulse>) -> Judgement {
        let told = match (&paper.said, self.ended.is_empty()) {
            (_, false) => format!("the job is {}", self.states()),
            (Some(said), true) if !paper.is_submitted => {
                format!("Slurm does not know the job, and sbatch said: {said}")
            }
            (_, true) => "Slurm does not know the job".to_owned(),
        };
        let landed = paper.is_submitted || paper.is_claimed || !self.ended.is_empty();
        if !landed && self.now.saturating_sub(paper.changed) < config.landing.as_secs() {
            return Judgement::Unclear(
                "the submission was not answered, and the job may still appear".to_owned(),
            );
        }
        let gone = || {
            let why =
                paper.failed.as_ref().map_or_else(|| told.clone(), |why| format!("{told}: {why}"));
            Judgement::There(
                Status::Failed { why: format!("{why}; only its directory is left") },
                None,
            )
        };
        let Some(Ok(endpoint)) = &paper.endpoint else { return gone() };
        match pulse {
            None => Judgement::Knock(endpoint.clone()),
            Some(Pulse::Dead) => gone(),
            Some(Pulse::Alive) => {
                let why = format!("{told}, and its sshd on {} still answers", endpoint.node);
                Judgement::There(Status::Failed { why }, None)
            }
            Some(Pulse::Unknown(_))
                if self.now > endpoint.ends_at.saturating_add(BEYOND_ITS_END.as_secs()) =>
            {
                gone()
            }
            Some(Pulse::Unknown(why)) => {
                Judgement::Unclear(format!("{told}, and {} cannot be asked: {why}", endpoint.node))
            }
        }
    }

    fn states(&self) -> String {
        let rows = if self.live.is_empty() { &self.ended } else { &self.live };
        let told: Vec<_> = rows.iter().map(|it| format!("{} ({})", it.state, it.reason)).collect();
        told.join(" and ")
    }
}

impl Paper {
    fn read(report: &Report, identity: &Identity) -> Result<Self, SlurmError> {
        let unreadable =
            |why: String| SlurmError::Shared { doing: "reading", path: identity.directory(), why };
        let files = report.part("files").map_err(unreadable)?;
        if files.code != 0 {
            return Err(unreadable(files.said()));
        }
        let has = |name: &str| files.stdout.lines().any(|it| it == name);
        let content = |name: &str, part: &str| match report.part(part) {
            // A file that was listed and is gone a moment later is not there.
            Ok(part) => Ok((part.code == 0 && has(name)).then(|| part.stdout.clone())),
            Err(why) => Err(unreadable(why)),
        };
        let changed = report.part("changed").map_err(unreadable)?.stdout.trim().parse();
        Ok(Self {
            is_wanted: has("intent"),
            is_submitted: has("submitted"),
            is_claimed: has("claim"),
            said: content("submitted.said", "said")?
                .map(|it| it.trim().replace('\n', "; "))
                .filter(|it| !it.is_empty()),
            failed: content("failed", "failed")?,
            endpoint: content("endpoint", "endpoint")?
                .map(|it| Endpoint::parse(&it, &identity.marks.nonce)),
            changed: changed.map_err(|_| unreadable("its age cannot be told".to_owned()))?,
        })
    }
}

/// The names in the shared directory. That it is missing is an answer only where the directory above shows that.
pub(crate) fn listing(report: &Report) -> Result<Vec<&str>, SlurmError> {
    let unreadable = |why: String| SlurmError::Shared {
        doing: "listing",
        path: "the shared directory".to_owned(),
        why,
    };
    let shared = report.part("shared").map_err(unreadable)?;
    if shared.code == 0 {
        return Ok(shared.stdout.lines().collect());
    }
    let parent = report.part("parent").map_err(unreadable)?;
    let name = report.fact("shared_name").unwrap_or_default();
    let is_missing =
        parent.code == 0 && !name.is_empty() && !parent.stdout.lines().any(|it| it == name);
    if is_missing { Ok(Vec::new()) } else { Err(unreadable(shared.said())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000;

    fn row(number: u64, state: &str, reason: &str) -> Row {
        Row {
            number,
            state: state.to_owned(),
            reason: reason.to_owned(),
            nodes: "n1".to_owned(),
            name: String::new(),
            comment: String::new(),
        }
    }

    fn endpoint(job: u64) -> Endpoint {
        Endpoint {
            job,
            node: "n1".to_owned(),
            host: "vm".to_owned(),
            port: 2222,
            user: "ann".to_owned(),
            root: "/s/work".to_owned(),
            ends_at: NOW + 100,
            host_key: "ssh-ed25519 AAAA".to_owned(),
        }
    }

    fn wanted() -> Paper {
        Paper { is_wanted: true, is_submitted: true, changed: NOW - 500, ..Paper::default() }
    }

    fn published(job: u64) -> Paper {
        Paper { is_claimed: true, endpoint: Some(Ok(endpoint(job))), ..wanted() }
    }

    #[track_caller]
    fn judge(rows: &[Row], paper: Option<Paper>, pulse: Option<&Pulse>) -> Judgement {
        let (ended, live) =
            rows.iter().cloned().partition(|it: &Row| it.standing() == Standing::Final);
        Seen { live, ended, paper, now: NOW }.judge(&SlurmConfig::new("/s"), pulse)
    }

    #[track_caller]
    fn failed(judgement: &Judgement) -> &str {
        match judgement {
            Judgement::There(Status::Failed { why }, None) => why,
            Judgement::Absent
            | Judgement::There(..)
            | Judgement::Unclear(_)
            | Judgement::Knock(_) => panic!("{judgement:?}"),
        }
    }

    #[test]
    fn only_no_row_and_no_directory_is_absence() {
        assert_eq!(judge(&[], None, None), Judgement::Absent);
        assert_eq!(judge(&[row(1, "CANCELLED", "None")], None, None), Judgement::Absent);
        for state in [
            "PENDING",
            "CONFIGURING",
            "RUNNING",
            "SUSPENDED",
            "STOPPED",
            "COMPLETING",
            "RESIZING",
            "REQUEUED",
            "REQUEUE_HOLD",
            "REQUEUE_FED",
            "SPECIAL_EXIT",
            "SIGNALING",
            "STAGE_OUT",
            "TOMORROW",
        ] {
            assert_ne!(judge(&[row(1, state, "None")], None, None), Judgement::Absent, "{state}");
        }
    }

    #[test]
    fn a_job_runs_where_its_own_endpoint_is() {
        let there = judge(&[row(7, "RUNNING", "None")], Some(published(7)), None);
        assert!(matches!(there, Judgement::There(Status::Running, Some(_))), "{there:?}");
        // An endpoint of an earlier job of that name is nobody's.
        let other = judge(&[row(8, "RUNNING", "None")], Some(published(7)), None);
        assert!(matches!(other, Judgement::There(Status::Starting { .. }, None)), "{other:?}");
    }

    #[test]
    fn an_endpoint_without_a_job_is_never_ready() {
        for state in [
            "FAILED",
            "CANCELLED",
            "NODE_FAIL",
            "TIMEOUT",
            "OUT_OF_MEMORY",
            "PREEMPTED",
            "BOOT_FAIL",
            "DEADLINE",
        ] {
            let rows = [row(7, state, "None")];
            assert_eq!(
                judge(&rows, Some(published(7)), None),
                Judgement::Knock(endpoint(7)),
                "{state}"
            );
            let alive = judge(&rows, Some(published(7)), Some(&Pulse::Alive));
            assert!(failed(&alive).contains("still answers"), "{alive:?}");
            let dead = judge(&rows, Some(published(7)), Some(&Pulse::Dead));
            assert!(
                failed(&dead).contains(state) && failed(&dead).contains("only its directory"),
                "{dead:?}"
            );
        }
    }

    #[test]
    fn a_node_that_cannot_be_asked_keeps_the_lease_until_the_box_must_have_ended() {
        let unknown = Pulse::Unknown("Connection timed out".to_owned());
        let rows = [row(7, "NODE_FAIL", "NodeDown")];
        assert!(matches!(judge(&rows, Some(published(7)), Some(&unknown)), Judgement::Unclear(_)));
        let mut long_over = endpoint(7);
        long_over.ends_at = NOW - BEYOND_ITS_END.as_secs() - 1;
        let paper = Paper { endpoint: Some(Ok(long_over)), ..published(7) };
        failed(&judge(&rows, Some(paper), Some(&unknown)));
    }

    #[test]
    fn a_submission_without_an_answer_is_unclear_until_it_must_have_landed() {
        let young = Paper { is_submitted: false, changed: NOW - 5, ..wanted() };
        assert!(matches!(judge(&[], Some(young.clone()), None), Judgement::Unclear(_)));
        // A row, a note or a claim says that it landed.
        failed(&judge(&[row(1, "FAILED", "BadConstraints")], Some(young.clone()), None));
        failed(&judge(&[], Some(Paper { is_submitted: true, ..young.clone() }), None));
        failed(&judge(&[], Some(Paper { is_claimed: true, ..young.clone() }), None));
        failed(&judge(&[], Some(Paper { changed: NOW - 61, ..young.clone() }), None));
        // A clock that is behind makes it wait, never forget.
        assert!(matches!(
            judge(&[], Some(Paper { changed: NOW + 99, ..young }), None),
            Judgement::Unclear(_)
        ));
    }

    #[test]
    fn what_sbatch_said_is_told_when_there_is_no_job() {
        let said = Some("sbatch: error: foo can't be reached now".to_owned());
        let refused = Paper { is_submitted: false, said: said.clone(), ..wanted() };
        let why = judge(&[], Some(refused), None);
        assert!(
            failed(&why).contains("sbatch said: sbatch: error: foo can't be reached"),
            "{why:?}"
        );
        // Beside an answer, it was only a remark.
        let why = judge(&[], Some(Paper { said, ..wanted() }), None);
        assert!(!failed(&why).contains("sbatch said"), "{why:?}");
    }

    #[test]
    fn a_withdrawn_job_is_going_only_when_slurm_ends_it() {
        let withdrawn = || Some(Paper { is_wanted: false, ..published(7) });
        let completing = judge(&[row(7, "COMPLETING", "None")], withdrawn(), None);
        assert_eq!(completing, Judgement::There(Status::Stopping, None));
        // Somebody's cancel was lost: it has to be sent again.
        for state in ["RUNNING", "PENDING", "SPECIAL_EXIT"] {
            failed(&judge(&[row(7, state, "None")], withdrawn(), None));
        }
    }

    #[test]
    fn a_wait_says_its_reason_and_a_hopeless_one_fails() {
        let waiting = judge(&[row(7, "PENDING", "Resources")], Some(wanted()), None);
        assert!(
            matches!(&waiting, Judgement::There(Status::Starting { waiting_for: Some(why) }, None)
            if why.contains("Resources")),
            "{waiting:?}"
        );
        let hopeless = judge(&[row(7, "PENDING", "PartitionDown")], Some(wanted()), None);
        assert!(failed(&hopeless).contains("PartitionDown"));
        failed(&judge(&[row(7, "SPECIAL_EXIT", "None")], Some(wanted()), None));
        let gave_up = Paper { failed: Some("there is no sshd on n1".to_owned()), ..wanted() };
        assert_eq!(
            failed(&judge(&[row(7, "RUNNING", "None")], Some(gave_up), None)),
            "there is no sshd on n1"
        );
    }
}
