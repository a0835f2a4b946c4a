//! A whole lease: acquire, use, release; alone, beside others, and with everything that a site may configure.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use lease_core::engine::{By, Outcome, Release};
use lease_core::host::HostKey;
use lease_core::retry::{Bounds, Pace};
use lease_core::{Provider as _, Sighting, Spec};
use lease_process::{Limits, Program, output};

use crate::bench::Bench;
use crate::cluster::{Cluster, PATIENCE};

#[tokio::test]
async fn a_lease_runs_a_command_and_leaves_nothing() {
    let bench = Bench::new();
    let claim = bench.acquire().await;
    assert!(matches!(claim.usable().unwrap().host_key, HostKey::Pinned(_)));
    let said = bench.run(&claim, "echo $SLURM_JOB_ID $SLURMD_NODENAME; id -un; exit 7").await;
    let expect = format!("{} n1\n{}\n", bench.number(&claim).await, bench.cluster.user());
    let text = String::from_utf8(said.stdout).unwrap();
    assert_eq!((said.code, text.replace("n2", "n1")), (7, expect));
    bench.release(&claim).await;
    assert!(matches!(bench.inspect(&claim).await, Sighting::Absent));
    assert_eq!(bench.jobs(&claim).await, "");
    bench.assert_clean().await;
}

#[tokio::test]
async fn sixteen_leases_share_eight_processors() {
    let bench = Arc::new(Bench::new());
    let mut all = tokio::task::JoinSet::new();
    for number in 0..16 {
        let bench = Arc::clone(&bench);
        all.spawn(async move {
            let claim = bench.acquire().await;
            let said = bench.run(&claim, &format!("echo {number}")).await;
            assert_eq!(said.stdout, format!("{number}\n").into_bytes());
            bench.release(&claim).await;
        });
    }
    while let Some(done) = all.join_next().await {
        done.unwrap();
    }
    bench.assert_clean().await;
}

#[tokio::test]
async fn what_a_lease_asks_for_reaches_slurm() {
    let bench =
        Bench::with(Cluster::shared(), |config| config.sbatch_args = vec!["--nice=7".to_owned()]);
    let mut spec = Spec::new("slurm");
    spec.machine_type = Some("normal".to_owned());
    for (name, value) in [("cpus", "2"), ("memory_mib", "300"), ("gres", "gpu:1"), ("time", "180")]
    {
        spec.options.insert(name.to_owned(), value.into());
    }
    let claim = bench.try_acquire(spec).await.unwrap();
    let number = bench.number(&claim).await;
    let shown = bench.cluster.say(&["scontrol", "show", "job", &number]).await;
    for expect in
        ["NumCPUs=2", "MinMemoryNode=300M", "gpu:1", "TimeLimit=00:03:00", "Nice=7", "Requeue=0"]
    {
        assert!(shown.contains(expect), "{expect}: {shown}");
    }
    // Nobody but the box itself decides when it starts again.
    let requeued = bench.cluster.run(&["scontrol", "requeue", &number]).await;
    assert!(!requeued.status.success(), "{requeued:?}");
    bench.release(&claim).await;
    bench.assert_clean().await;
}

#[tokio::test]
async fn a_work_directory_on_the_node_is_removed() {
    let cluster = Cluster::shared();
    let root = cluster.path().join("home/scratch").display().to_string();
    let bench = Bench::with(cluster, |config| config.work_root = Some(root.clone()));
    let claim = bench.acquire().await;
    assert!(claim.usable().unwrap().root.starts_with(&root));
    let said = bench.run(&claim, "touch made && ls").await;
    assert_eq!(said.stdout, b"made\n");
    bench.release(&claim).await;
    assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
    bench.assert_clean().await;
}

#[tokio::test]
async fn a_wrapper_of_the_site_runs_the_server() {
    let cluster = Cluster::shared();
    let seen = cluster.path().join("home").join("wrapped").display().to_string();
    let script = format!("echo \"$1\" > {seen}; exec \"$@\"");
    let bench = Bench::with(cluster, |config| {
        config.wrapper = ["/bin/sh", "-c", &script, "site"].map(str::to_owned).to_vec();
    });
    let claim = bench.acquire().await;
    assert_eq!(fs::read_to_string(&seen).unwrap(), "/bin/sh\n");
    bench.release(&claim).await;
    bench.assert_clean().await;
}

/// Section 12, "`--export ALL`" and "J": what the caller has in its environment reaches neither Slurm nor the job.
#[tokio::test]
async fn the_environment_of_the_caller_reaches_nothing() {
    let hostile = [
        ("SQUEUE_USERS", "root"),
        ("SQUEUE_STATES", "FAILED"),
        ("SQUEUE_FORMAT", "%j"),
        ("SCANCEL_NAME", "other"),
        ("SCANCEL_USER", "root"),
        ("SCANCEL_STATE", "PENDING"),
        ("SBATCH_PARTITION", "closed"),
        ("SBATCH_EXPORT", "ALL"),
        ("SLURM_CLUSTERS", "elsewhere"),
        ("SLURM_CONF", "/nowhere/slurm.conf"),
        ("SLURM_TIME_FORMAT", "relative"),
        ("PLANTED", "planted-8812"),
    ];
    let bench = Bench::with(Cluster::shared(), |config| {
        config.environment.extend(hostile.map(|(name, value)| (name.to_owned(), value.to_owned())));
    });
    let claim = bench.acquire().await;
    let number = bench.number(&claim).await;
    let said =
        bench.run(&claim, "env; cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'").await;
    assert!(!String::from_utf8_lossy(&said.stdout).contains("planted-8812"));
    let script =
        format!("grep -r planted-8812 {0}/state {0}/spool", bench.cluster.path().display());
    let program = Program::new("/bin/sh").args(["-c", &script]);
    assert_eq!(output(&program, Limits::default()).await.unwrap().stdout, b"");
    bench.release(&claim).await;
    // A box that finds its intent gone may be faster than the cancel.
    let state = bench.cluster.state(&number).await;
    assert!(["CANCELLED", "COMPLETED"].contains(&state.as_str()), "{state}");
    bench.assert_clean().await;
}

/// Section 12, "published before sshd listens": whoever reads an endpoint can connect.
#[tokio::test]
async fn nothing_is_published_before_it_listens() {
    let cluster = Cluster::shared();
    let slow = cluster.path().join("home/slow-sshd").display().to_string();
    fs::write(&slow, "#!/bin/sh\nsleep 1\nexec /usr/sbin/sshd \"$@\"\n").unwrap();
    fs::set_permissions(&slow, fs::Permissions::from_mode(0o755)).unwrap();
    let bench = Bench::with(cluster, |config| config.sshd = Some(slow));
    let published = || {
        let directory = fs::read_dir(bench.shared_dir()).ok()?.next()?.ok()?.path();
        let text = fs::read_to_string(directory.join("endpoint")).ok()?;
        text.lines().find_map(|it| it.strip_prefix("port ")).map(|it| it.parse::<u16>().unwrap())
    };
    let mut acquiring = Box::pin(bench.acquire());
    let mut pace = Pace::start(
        Bounds::within(PATIENCE).paused(Duration::from_millis(5), Duration::from_millis(5)),
    );
    let port = loop {
        tokio::select! {
            claim = &mut acquiring => panic!("nothing was published: {claim:?}"),
            goes_on = pace.wait(None) => assert!(goes_on, "nothing is published"),
        }
        if let Some(port) = published() {
            break port;
        }
    };
    std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    bench.release(&acquiring.await).await;
    bench.assert_clean().await;
}

/// Section 12, "port chosen before binding".
#[tokio::test]
async fn a_port_that_somebody_has_is_not_taken_for_free() {
    let bound = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port));
    let (_theirs, port) = loop {
        let listener = bound(0).unwrap();
        let port = listener.local_addr().unwrap().port();
        if port < u16::MAX && bound(port + 1).is_ok() {
            break (listener, port);
        }
    };
    let bench = Bench::with(Cluster::shared(), |config| {
        (config.port_low, config.port_high) = (port, port + 1);
    });
    let claim = bench.acquire().await;
    assert_eq!(claim.usable().unwrap().port, port + 1);
    bench.release(&claim).await;
    bench.assert_clean().await;
}

/// Section 12, "G": the state directory is lost, or another machine looks.
#[tokio::test]
async fn a_job_without_a_record_is_found_by_its_marks() {
    let bench = Bench::new();
    let claim = bench.acquire().await;
    let engine = bench.without_memory();
    let listed = bench.provider.list().await.unwrap().items;
    let marks = listed[0].marks.clone().unwrap();
    assert_eq!(
        (listed.len(), &marks.lease, &marks.installation),
        (1, claim.lease(), claim.installation())
    );
    let release = Release::new(By::Person, "it has no record");
    // Without a record, nothing is called released.
    engine.release(claim.lease(), release.clone()).await.unwrap_err();
    assert!(!bench.jobs(&claim).await.is_empty());
    let adopted = engine.adopt("slurm", &Bench::id(&claim), None).await.unwrap();
    let outcome = engine.release(adopted.lease(), release).await.unwrap();
    assert!(matches!(outcome, Outcome::Released), "{outcome:?}");
    assert_eq!(bench.jobs(&claim).await, "");
    bench.assert_clean().await;
}
