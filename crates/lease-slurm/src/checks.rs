//! Everything that would fail later, looked at beforehand. No job is made: a test-only submission uses up a number and
//! leaves nothing.

use std::time::Duration;

use lease_core::provider::{Check, Verdict};
use lease_core::{Clock, Timestamp};
use tokio::time::timeout;

use crate::config::{Contain, SlurmConfig};
use crate::desk::{self, Desk};
use crate::error::SlurmError;
use crate::partition;
use crate::report::{Part, Report};
use crate::submission::{self, Wall};
use crate::wish::Wish;

const PROGRAMS: &[&str] = &["sbatch", "squeue", "scancel", "scontrol", "sinfo", "timeout", "ssh"];

/// From here on, a release of a job that ignores signals takes longer than a person expects.
const KILL_WAIT_SECONDS_COMFORTABLE: u64 = 120;

/// What a person can do about a controller that is away.
const LOOK_AT_CONTROLLER: &str = "the people of the cluster know more, and the settings providers.slurm.login_host and slurm_conf say which cluster it is; run: scontrol ping";

/// How long one of Slurm's commands may take here, where a person waits for the answer.
const COMMAND_TIME_MAX: Duration = Duration::from_secs(10);

/// The same of everything together.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(28);

/// A difference of clocks that an answer which took long can have.
const SKEW_COMFORTABLE: Duration = Duration::from_secs(60);

/// A difference from which on leases end noticeably early or late.
const SKEW_MAX: Duration = Duration::from_secs(5 * 60);

/// Looks at everything.
pub(crate) async fn all(config: &SlurmConfig, desk: &Desk, clock: &dyn Clock) -> Vec<Check> {
    let wish = Wish::of_config(config);
    let options = submission::options(config, &wish, Wall::of(config, &wish, None));
    let words: Vec<&str> = options.iter().map(String::as_str).collect();
    let limit = config.command_deadline.min(COMMAND_TIME_MAX);
    let hurried = desk.within(limit);
    let before = clock.now();
    let report = match timeout(ANSWER_TIME_MAX, hurried.run(desk::DOCTOR, &words)).await {
        Ok(Ok(report)) => report,
        Ok(Err(error)) => {
            return vec![Check::new("commands", Verdict::Problem, advice(config, &error))];
        }
        Err(_elapsed) => {
            let why = format!("nothing was said within {ANSWER_TIME_MAX:?}");
            let error = SlurmError::Desk { desk: desk.name().to_owned(), why };
            return vec![Check::new("commands", Verdict::Problem, advice(config, &error))];
        }
    };
    let span = (before, clock.now());
    let mut checks =
        vec![Check::new("commands", Verdict::Ok, place(config, desk, &report)), programs(&report)];
    let controller = controller(&report, limit);
    let answers = controller.verdict == Verdict::Ok;
    checks.push(controller);
    // What only the controller knows is not asked of one that is away: that is one trouble, and not three.
    if answers {
        checks.extend(settings(&report));
        checks.push(partition_of(config, &report));
        checks.push(submission_of(&report, limit));
    }
    checks.push(directory(config, &report));
    checks.push(namespace(config, &report));
    checks.push(route(config));
    checks.extend(clock_of(config, desk, &report, span));
    checks
}

/// Whether the clock there agrees with ours, which showed `before` and `after` around the question. On this machine it is
/// the same clock.
fn clock_of(
    config: &SlurmConfig,
    desk: &Desk,
    report: &Report,
    (before, after): (Timestamp, Timestamp),
) -> Option<Check> {
    const NAME: &str = "clock";
    if config.login_host.is_none() && config.enter.is_empty() {
        return None;
    }
    let secs: u64 = report.fact("now")?.parse().ok()?;
    let theirs = Timestamp::from_millis(secs.saturating_mul(1000));
    let (ahead, behind) = (before.since(theirs), theirs.since(after));
    let (skew, side) = if ahead > behind { (ahead, "ahead of") } else { (behind, "behind") };
    let whose = desk.name();
    let verdict = match skew {
        skew if skew > SKEW_MAX => Verdict::Problem,
        skew if skew > SKEW_COMFORTABLE => Verdict::Warning,
        _ => return Some(Check::new(NAME, Verdict::Ok, format!("this clock agrees with {whose}"))),
    };
    let detail = format!(
        "this clock is {} s {side} the one of {whose}, so leases end at the wrong time; run: sudo timedatectl set-ntp true",
        skew.as_secs()
    );
    Some(Check::new(NAME, verdict, detail))
}

fn advice(config: &SlurmConfig, error: &SlurmError) -> String {
    match &config.login_host {
        Some(host) => {
            format!("{error}; `ssh -o BatchMode=yes {host} true` must work without a question")
        }
        None => error.to_string(),
    }
}

fn place(config: &SlurmConfig, desk: &Desk, report: &Report) -> String {
    let (user, host) = (report.fact("user").unwrap_or("?"), report.fact("host").unwrap_or("?"));
    match config.login_host {
        Some(_) => {
            format!("Slurm's commands run on the login node {} ({host}) as {user}", desk.name())
        }
        None => format!("Slurm's commands run on {host} as {user}"),
    }
}

fn programs(report: &Report) -> Check {
    let is_missing = |name: &&&str| {
        report.fact(&format!("program_{name}")).is_none_or(|it| it.trim().is_empty())
    };
    let missing: Vec<_> = PROGRAMS.iter().filter(is_missing).copied().collect();
    if missing.is_empty() {
        return Check::new("programs", Verdict::Ok, "everything that is needed is on the PATH");
    }
    let why = format!(
        "{} is not on the PATH; set `path`, or `login_host` where Slurm is installed",
        missing.join(", ")
    );
    Check::new("programs", Verdict::Problem, why)
}

fn controller(report: &Report, limit: Duration) -> Check {
    match report.part("ping") {
        Ok(part) if part.code == 0 && part.stdout.contains(" is UP") => {
            Check::new("controller", Verdict::Ok, part.said())
        }
        Ok(part) if part.hung() => {
            let why = format!(
                "scontrol did not answer within {limit:?}, so the controller is down or out of reach; {LOOK_AT_CONTROLLER}"
            );
            Check::new("controller", Verdict::Problem, why)
        }
        Ok(part) => Check::new(
            "controller",
            Verdict::Problem,
            format!("the controller does not answer: {}; {LOOK_AT_CONTROLLER}", part.said()),
        ),
        Err(why) => Check::new("controller", Verdict::Problem, why),
    }
}

/// A value of `scontrol show config`.
pub(crate) fn setting<'c>(config: &'c Part, name: &str) -> Option<&'c str> {
    config.stdout.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == name).then(|| value.trim())
    })
}

fn settings(report: &Report) -> Vec<Check> {
    let Ok(config) = report.part("config") else { return Vec::new() };
    let mut checks = Vec::new();
    if config.code != 0 {
        return checks;
    }
    let get = |name: &str| setting(config, name);
    if let Some(version) = get("SLURM_VERSION") {
        checks.push(Check::new("version", Verdict::Ok, format!("Slurm {version}")));
    }
    if let Some(wait) = get("KillWait") {
        let seconds: Option<u64> = wait.split(' ').next().and_then(|it| it.parse().ok());
        let verdict = if seconds.is_some_and(|it| it <= KILL_WAIT_SECONDS_COMFORTABLE) {
            Verdict::Ok
        } else {
            Verdict::Warning
        };
        let detail = format!("KillWait is {wait}: a job that ignores signals takes so long to end");
        checks.push(Check::new("KillWait", verdict, detail));
    }
    if let Some(private) = get("PrivateData") {
        let detail = format!(
            "PrivateData is {private}: a user always sees the own jobs, which is all that is needed"
        );
        checks.push(Check::new("PrivateData", Verdict::Ok, detail));
    }
    if let Some(track) = get("ProctrackType") {
        let detail = if track.ends_with("cgroup") {
            format!("{track}: every process of a job ends with it")
        } else {
            format!(
                "{track}: Slurm loses processes that leave their parents; PID namespaces on the nodes matter here"
            )
        };
        checks.push(Check::new("ProctrackType", Verdict::Ok, detail));
    }
    if let Some(plugins) = get("JobSubmitPlugins").filter(|it| *it != "(null)") {
        let detail = format!(
            "{plugins} may change jobs; one that changes comments hides whose a job is, and such jobs are left alone"
        );
        checks.push(Check::new("JobSubmitPlugins", Verdict::Warning, detail));
    }
    checks
}

fn partition_of(config: &SlurmConfig, report: &Report) -> Check {
    let problem = |why: String| Check::new("partition", Verdict::Problem, why);
    let part = match report.part("sinfo") {
        Ok(part) => part,
        Err(why) => return problem(why),
    };
    let partitions = match partition::partitions(part) {
        Ok(partitions) => partitions,
        Err(error) => return problem(error.to_string()),
    };
    let is_it = |it: &&partition::Partition| {
        config.partition.as_ref().map_or(it.is_default, |name| *name == it.name)
    };
    // Several partitions may be named; sbatch judges those.
    if config.partition.as_ref().is_some_and(|it| it.contains(',')) {
        return Check::new(
            "partition",
            Verdict::Ok,
            "several partitions are configured; Slurm chooses",
        );
    }
    match partitions.iter().find(is_it) {
        None => {
            let names: Vec<_> = partitions.iter().map(|it| it.name.as_str()).collect();
            let wanted = config.partition.as_deref().unwrap_or("the default one");
            problem(format!("there is no partition {wanted}; there is {}", names.join(", ")))
        }
        Some(it) if !it.is_up => {
            problem(format!("partition {} is not up, so a job would wait for ever", it.name))
        }
        Some(it) => {
            let detail = format!(
                "partition {} is up: {} nodes, at most {}",
                it.name, it.nodes, it.time_limit
            );
            Check::new("partition", Verdict::Ok, detail)
        }
    }
}

fn submission_of(report: &Report, limit: Duration) -> Check {
    match report.part("test") {
        Ok(part) if part.code == 0 => Check::new("submission", Verdict::Ok, part.said()),
        Ok(part) if part.hung() => {
            let why = format!("sbatch did not answer within {limit:?}; Slurm is slow");
            Check::new("submission", Verdict::Warning, why)
        }
        Ok(part) => Check::new(
            "submission",
            Verdict::Problem,
            format!("Slurm would refuse the job: {}", part.said()),
        ),
        Err(why) => Check::new("submission", Verdict::Problem, why),
    }
}

fn directory(config: &SlurmConfig, report: &Report) -> Check {
    const NAME: &str = "shared directory";
    let path = &config.shared_dir;
    let problem = |why: String| Check::new(NAME, Verdict::Problem, why);
    let exists = report.part("shared").is_ok_and(|it| it.code == 0);
    if !exists {
        return if report.says("parent_writable") {
            Check::new(NAME, Verdict::Ok, format!("{path} is made by the first lease"))
        } else {
            problem(format!(
                "{path} is not there and cannot be made; make it, on a file system that all nodes have"
            ))
        };
    }
    if !report.says("writable") {
        return problem(format!("{path} cannot be written to"));
    }
    let mode = report.fact("mode").unwrap_or_default();
    if !mode.ends_with("00") {
        let why = format!("{path} has mode {mode}: others see the names of leases; `chmod 700` it");
        return Check::new(NAME, Verdict::Warning, why);
    }
    let told = report.fact("filesystem").unwrap_or_default().split_once(' ');
    let detail = told
        .map_or_else(String::new, |(device, free)| format!(" on {device} with {free} KiB free"));
    Check::new(
        NAME,
        Verdict::Ok,
        format!("{path} is writable{detail}; that the nodes see it, only a job can show"),
    )
}

fn namespace(config: &SlurmConfig, report: &Report) -> Check {
    const NAME: &str = "containment";
    let can = report.part("namespace").is_ok_and(|it| it.code == 0);
    let (verdict, detail) = match (config.contain, can) {
        (Contain::Scan, _) => (
            Verdict::Ok,
            "the process table of the node is searched when a box ends, as configured",
        ),
        (Contain::Auto | Contain::Namespace, true) => (
            Verdict::Ok,
            "PID namespaces work here; each node decides for itself whether it makes one",
        ),
        (Contain::Auto, false) => (
            Verdict::Warning,
            "no PID namespaces here; if the nodes are alike, processes that hide are left to Slurm's process tracking",
        ),
        (Contain::Namespace, false) => (
            Verdict::Warning,
            "no PID namespaces here; if the nodes are alike, no box starts: configure `contain: auto`",
        ),
    };
    Check::new(NAME, verdict, detail)
}

fn route(config: &SlurmConfig) -> Check {
    let detail = match config.jump() {
        Some(host) => format!("nodes are reached through {host}"),
        None => "nodes are reached directly, by the name they call themselves or by `host_map`"
            .to_owned(),
    };
    Check::new("route", Verdict::Ok, detail)
}
