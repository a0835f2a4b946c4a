//! What is asked of sbatch, and what its answer says about the world.

use std::time::Duration;

use lease_core::ErrorKind;

use crate::config::SlurmConfig;
use crate::error::SlurmError;
use crate::identity::{Home, Identity};
use crate::report::Part;
use crate::wish::Wish;

/// Slurm's words for a submission that made no job, from its `slurm_strerror`. They say what the class of the error is.
const REFUSALS: &[(&str, ErrorKind)] = &[
    ("Invalid partition name specified", ErrorKind::Invalid),
    ("Invalid account or account/partition combination specified", ErrorKind::Invalid),
    ("Invalid qos specification", ErrorKind::Invalid),
    ("Memory specification can not be satisfied", ErrorKind::Invalid),
    ("Requested node configuration is not available", ErrorKind::Invalid),
    ("Invalid generic resource (gres) specification", ErrorKind::Invalid),
    ("Invalid feature specification", ErrorKind::Invalid),
    ("Requested reservation is invalid", ErrorKind::Invalid),
    ("Requested reservation not usable now", ErrorKind::Capacity),
    ("Job dependency problem", ErrorKind::Invalid),
    ("Requested time limit is invalid (missing or exceeds some limit)", ErrorKind::Invalid),
    ("Requested time limit exceeds partition limit", ErrorKind::Invalid),
    ("Requested partition configuration not available now", ErrorKind::Capacity),
    ("More processors requested than permitted", ErrorKind::Invalid),
    ("Node count specification invalid", ErrorKind::Invalid),
    ("Job violates accounting/QOS policy", ErrorKind::Capacity),
    ("User's group not permitted to use this partition", ErrorKind::Denied),
    ("Access/permission denied", ErrorKind::Denied),
    ("Invalid wckey specification", ErrorKind::Invalid),
    ("Invalid license specification", ErrorKind::Invalid),
    ("Invalid node name specified", ErrorKind::Invalid),
    ("Invalid time-min specification", ErrorKind::Invalid),
    ("Invalid --nice value", ErrorKind::Invalid),
    ("Incompatible begin and deadline time specification", ErrorKind::Invalid),
    ("CPU count specification invalid", ErrorKind::Invalid),
    ("Invalid job array specification", ErrorKind::Invalid),
];

/// Everything for sbatch but the script and its arguments. The site's own options come first: the last one wins.
pub(crate) fn options(config: &SlurmConfig, wish: &Wish, wall: Wall) -> Vec<String> {
    let mut options = config.sbatch_args.clone();
    let mut put = |name: &str, value: Option<String>| {
        options.extend(value.map(|it| format!("--{name}={it}")));
    };
    put("account", wish.account.clone());
    put("partition", wish.partition.clone());
    put("qos", wish.qos.clone());
    put("cpus-per-task", wish.cpus.map(|it| it.to_string()));
    put("mem", wish.memory_mib.map(|it| format!("{it}M")));
    put("gres", wish.gres.clone());
    put("constraint", wish.constraint.clone());
    put("reservation", wish.reservation.clone());
    put("time", Some(wall.minutes.to_string()));
    if let Some(span) = wall.deadline {
        // A job that starts late gets a shorter limit, and one that cannot run any more leaves the queue.
        put("time-min", Some("1".to_owned()));
        put("deadline", Some(format!("now+{}seconds", span.as_secs())));
    }
    for fixed in [
        "--nodes=1",
        "--ntasks=1",
        "--no-requeue",
        "--export=NIL",
        "--kill-on-invalid-dep=yes",
        "--chdir=/",
    ] {
        options.push(fixed.to_owned());
    }
    options
}

/// What names the job and says whose it is.
pub(crate) fn identification(identity: &Identity, home: Home, directory: &str) -> Vec<String> {
    vec![
        "--parsable".to_owned(),
        format!("--job-name={}", identity.name),
        format!("--comment={}", identity.comment(home)),
        format!("--output={directory}/log"),
        "--open-mode=append".to_owned(),
    ]
}

/// How long a job may run, and until when it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wall {
    pub(crate) minutes: u64,
    pub(crate) deadline: Option<Duration>,
}

impl Wall {
    /// The wall time for a lease that ends in `left`: beyond it, so that the lease is given back in order.
    pub(crate) fn of(config: &SlurmConfig, wish: &Wish, left: Option<Duration>) -> Self {
        let minutes = |span: Duration| span.as_secs().div_ceil(60).max(1);
        match (wish.time, left) {
            (Some(time), _) => Self { minutes: minutes(time), deadline: None },
            (None, None) => Self { minutes: minutes(config.time), deadline: None },
            (None, Some(left)) => {
                let span = left + config.margin;
                Self { minutes: minutes(span), deadline: Some(span + config.margin) }
            }
        }
    }
}

/// The answer to a submission: the job's number, or an error that says whether there may be a job.
pub(crate) fn outcome(part: &Part) -> Result<u64, SlurmError> {
    if part.code == 0 {
        let number =
            part.stdout.lines().last().and_then(|it| it.split(';').next()?.trim().parse().ok());
        return number
            .ok_or_else(|| SlurmError::unclear("sbatch", format!("it printed {:?}", part.stdout)));
    }
    if let Some(kind) = refusal(&part.stderr) {
        return Err(SlurmError::Refused { kind, why: part.said() });
    }
    // sbatch reads its own options before it speaks to anybody, and says so with this code.
    let about_options = ["sbatch: error: ", "sbatch: unrecognized option", "sbatch: option "];
    if part.code == 255
        && !part.stderr.contains("submission failed")
        && about_options.iter().any(|it| part.stderr.contains(it))
    {
        return Err(SlurmError::Refused { kind: ErrorKind::Invalid, why: part.said() });
    }
    Err(SlurmError::unclear("sbatch", part.said()))
}

/// The class of a refusal that proves that no job was made.
fn refusal(stderr: &str) -> Option<ErrorKind> {
    // Where the last word on the submission is there, nothing else counts: a warning may stand before a timeout.
    let verdict =
        stderr.lines().rev().find_map(|it| it.split_once("Batch job submission failed: "));
    let said = match verdict {
        Some((_, said)) => said.trim(),
        None => stderr.lines().rev().find_map(|it| it.trim().strip_prefix("sbatch: error: "))?,
    };
    REFUSALS.iter().find(|(words, _)| said.starts_with(words)).map(|(_, kind)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_time_is_above_the_deadline_of_the_lease() {
        let (config, wish) = (SlurmConfig::new("/s"), Wish::default());
        let hour = Duration::from_secs(3600);
        let wall = Wall::of(&config, &wish, Some(hour));
        assert_eq!((wall.minutes, wall.deadline), (70, Some(hour + config.margin * 2)));
        assert_eq!(Wall::of(&config, &wish, None), Wall { minutes: 480, deadline: None });
        let asked = Wish { time: Some(Duration::from_secs(90)), ..Wish::default() };
        assert_eq!(Wall::of(&config, &asked, Some(hour)).minutes, 2);
    }

    #[test]
    fn what_the_provider_sets_wins_over_the_sites_own_options() {
        let mut config = SlurmConfig::new("/s");
        config.sbatch_args = vec!["--requeue".to_owned(), "--export=ALL".to_owned()];
        let options = options(&config, &Wish::default(), Wall { minutes: 1, deadline: None });
        let at = |word: &str| options.iter().position(|it| it == word).unwrap();
        assert!(at("--requeue") < at("--no-requeue") && at("--export=ALL") < at("--export=NIL"));
        assert!(!options.iter().any(|it| it.starts_with("--deadline")));
    }
}
