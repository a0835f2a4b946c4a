//! How a box ends: what hides, what ignores signals, what ends by itself, and what ends a box that nobody wants.

use std::sync::Arc;
use std::time::Duration;

use lease_core::engine::Outcome;
use lease_core::proof::may_renew;
use lease_core::retry::{Bounds, Pace};
use lease_core::{Claim, Provider as _, Sighting, Status, VerifiedScope};
use lease_process::{Limits, ProcessTable, Program, output};
use lease_slurm::Contain;

use crate::bench::{Bench, bearers};
use crate::cluster::{Cluster, PATIENCE};

/// Waits until the condition holds.
macro_rules! until {
    ($what:literal, $condition:expr) => {{
        let mut pace = Pace::start(Bounds::within(PATIENCE));
        while !$condition {
            assert!(pace.wait(None).await, $what);
        }
    }};
}
pub(crate) use until;

/// Puts children of all kinds into the background, each with `word` among its arguments.
async fn leave_children(bench: &Bench, claim: &Claim, word: &str, lines: &[&str]) {
    let script = format!("{}\nexit 0", lines.join("\n").replace("SLEEP", &format!("sleep {word}")));
    assert_eq!(bench.run(claim, &script).await.code, 0);
    until!("the children do not start", bearers(word) >= lines.len());
}

const HIDING: &[&str] = &[
    "SLEEP </dev/null >/dev/null 2>&1 &",
    "nohup SLEEP </dev/null >/dev/null 2>&1 &",
    "setsid SLEEP </dev/null >/dev/null 2>&1 &",
    "(setsid SLEEP </dev/null >/dev/null 2>&1 &) &",
    "setsid sh -c 'trap \"\" TERM HUP; SLEEP & wait' </dev/null >/dev/null 2>&1 &",
];
const WITHOUT_ENVIRONMENT: &str = "env -i setsid SLEEP </dev/null >/dev/null 2>&1 &";

/// Section 12, "processes": a child that leaves its session survives the release there.
#[tokio::test]
async fn children_that_hide_end_with_a_namespace() {
    let bench = Bench::with(Cluster::shared(), |config| config.contain = Contain::Namespace);
    let claim = bench.acquire().await;
    let lines: Vec<_> = HIDING.iter().copied().chain([WITHOUT_ENVIRONMENT]).collect();
    leave_children(&bench, &claim, "31117", &lines).await;
    bench.release(&claim).await;
    until!("a child goes on", bearers("31117") == 0);
    bench.assert_clean().await;
}

#[tokio::test]
async fn children_that_hide_are_searched_for_without_a_namespace() {
    let bench = Bench::with(Cluster::shared(), |config| config.contain = Contain::Scan);
    let claim = bench.acquire().await;
    leave_children(&bench, &claim, "31118", HIDING).await;
    bench.release(&claim).await;
    until!("a child goes on", bearers("31118") == 0);
    bench.assert_clean().await;
}

/// Slurm may signal a box that has just begun to end by itself.
#[tokio::test]
async fn a_signal_in_the_middle_of_the_search_ends_no_part_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    std::fs::write(at("job.sh"), include_str!("../../src/scripts/job.sh")).unwrap();
    std::fs::write(at("intent"), "n-31122\n").unwrap();
    // Without ports for its server the box ends at once.
    std::fs::write(at("settings"), format!("root={}\ncontain=scan\n", at("root").display()))
        .unwrap();
    std::fs::create_dir(at("bin")).unwrap();
    let grep = "#!/bin/sh\nmkdir \"$HERE/signalled\" 2>/dev/null && kill -s TERM 0\nexec /bin/grep \"$@\"\n";
    std::fs::write(at("bin/grep"), grep).unwrap();
    let script = "chmod 755 bin/grep; export HERE=$PWD PATH=$PWD/bin:$PATH
        LEASE_BOX=n-31122 setsid sleep 31122 </dev/null >/dev/null 2>&1 &
        until /bin/grep -qz 31122 /proc/$!/cmdline; do sleep 0.05; done
        exec setsid -w sh job.sh \"$PWD\" n-31122 guard >/dev/null 2>&1";
    let program = Program::new("/bin/sh").args(["-c", script]).cwd(directory.path());
    output(&program, Limits::default()).await.unwrap();
    assert!(at("signalled").exists(), "nobody searched");
    assert_eq!(bearers("31122"), 0, "a child goes on");
}

/// The out-of-memory killer, the end of `KillWait` and an operator may all kill the script before it can tidy up.
#[tokio::test]
async fn a_guard_that_is_killed_takes_the_box_with_it() {
    let bench = Bench::with(Cluster::shared(), |config| config.contain = Contain::Namespace);
    let claim = bench.acquire().await;
    let lines: Vec<_> = HIDING.iter().copied().chain([WITHOUT_ENVIRONMENT]).collect();
    leave_children(&bench, &claim, "31119", &lines).await;
    let directory = bench.shared_dir().join(Bench::id(&claim).as_str());
    let guards = ProcessTable::read().unwrap().select(|it| {
        let argv = it.argv();
        argv.iter().any(|arg| *arg == directory) && argv.last().is_some_and(|arg| arg == "guard")
    });
    assert_eq!(guards.len(), 1, "{guards:?}");
    for guard in guards {
        let pid = rustix::process::Pid::from_raw(guard.get()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
    until!("a child goes on", bearers("31119") == 0);
    until!("it is called running", matches!(bench.status(&claim).await, Status::Failed { .. }));
    bench.release(&claim).await;
    bench.assert_clean().await;
}

/// Section 12, "release returns while the job is COMPLETING".
#[tokio::test]
async fn a_release_is_over_when_the_job_is() {
    let bench = Bench::with(Cluster::shared(), |config| config.contain = Contain::Scan);
    let claim = bench.acquire().await;
    let number = bench.number(&claim).await;
    bench.release(&claim).await;
    let state = bench.cluster.state(&number).await;
    assert!(["CANCELLED", "COMPLETED"].contains(&state.as_str()), "{state}");
    bench.assert_clean().await;
}

#[tokio::test]
async fn a_box_that_is_not_wanted_any_more_ends_by_itself() {
    let bench = Bench::new();
    let claim = bench.acquire().await;
    let number = bench.number(&claim).await;
    let intent = bench.shared_dir().join(Bench::id(&claim).as_str()).join("intent");
    std::fs::remove_file(intent).unwrap();
    until!("the job goes on", bench.cluster.state(&number).await == "COMPLETED");
    bench.release(&claim).await;
    bench.assert_clean().await;
}

#[tokio::test]
async fn a_box_ends_by_itself_after_the_deadline_of_its_lease() {
    let bench = Bench::with(Cluster::shared(), |config| config.margin = Duration::from_secs(1));
    let claim = bench.acquire().await;
    let number = bench.number(&claim).await;
    let Sighting::Found(shown) = bench.inspect(&claim).await else { panic!("it is not there") };
    let scope = VerifiedScope::verify(bench.provider.as_ref(), claim.scope()).await.unwrap();
    let held = may_renew(&claim, 0, &shown, &scope).unwrap();
    // The deadline passed long ago.
    bench.provider.renew(&held, Some(lease_core::Timestamp::from_millis(1_000))).await.unwrap();
    until!("the job goes on", bench.cluster.state(&number).await == "COMPLETED");
    let status = bench.status(&claim).await;
    assert!(matches!(status, Status::Failed { .. }), "{status:?}");
    bench.release(&claim).await;
    bench.assert_clean().await;
}

#[tokio::test]
async fn a_job_at_its_time_limit_is_not_called_running() {
    let bench = Bench::new();
    let claim = bench.acquire().await;
    let number = bench.number(&claim).await;
    let update = format!("JobId={number}");
    // Slurm looks at limits every half minute.
    bench.cluster.say(&["scontrol", "update", &update, "EndTime=now+1"]).await;
    until!("the job goes on", bench.cluster.state(&number).await == "TIMEOUT");
    let status = bench.status(&claim).await;
    let Status::Failed { why } = status else { panic!("{status:?}") };
    assert!(why.contains("TIMEOUT"), "{why}");
    bench.release(&claim).await;
    bench.assert_clean().await;
}

/// Section 12, "H": Slurm loses a node, its books are closed, and the processes run on.
#[tokio::test]
async fn a_lost_node_is_not_a_released_job() {
    let cluster = Arc::new(Cluster::start(&["NODES=1", "SLURMD_TIMEOUT=3"]));
    let bench = Bench::with(cluster, |config| config.watch = Duration::from_secs(2));
    let claim = bench.acquire().await;
    let number = bench.number(&claim).await;
    bench.cluster.order("kill n1");
    until!("the node is not lost", bench.cluster.state(&number).await == "NODE_FAIL");
    let status = bench.status(&claim).await;
    let Status::Failed { why } = status else { panic!("{status:?}") };
    assert!(why.contains("NODE_FAIL") && why.contains("its sshd on n1 still answers"), "{why}");
    // The box ends by itself, as its intent is withdrawn; that is what the release waits for.
    let outcome = bench.try_release(&claim).await;
    assert!(matches!(outcome, Outcome::Released), "{outcome:?}");
    assert!(matches!(bench.inspect(&claim).await, Sighting::Absent));
    bench.assert_clean().await;
}
