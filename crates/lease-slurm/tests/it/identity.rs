//! Whose a job is: lost answers, numbers that are given out again, double submissions, and jobs of somebody else.

use std::sync::Arc;

use lease_core::engine::Acquire;
use lease_core::journal::{Change, Disposition, Event, Intended, Opened};
use lease_core::spec::{Deadlines, Retention};
use lease_core::store::LeaseWriter;
use lease_core::store::memory::MemoryStore;
use lease_core::{
    Effect, ErrorKind, LeaseId, Nonce, OsEntropy, Owned, Provider as _, Sighting, Slug, Spec, Store,
};
use lease_testkit::sim::WallClock;

use crate::bench::Bench;
use crate::cluster::Cluster;
use crate::cluster::PATIENCE;
use crate::ending::until;
use lease_core::retry::{Bounds, Pace};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti test";

/// A recorded lease whose job is about to be submitted.
pub(crate) async fn intend(bench: &Bench) -> LeaseWriter {
    let spec = Spec::new("slurm");
    let template = bench.provider.plan(&spec).await.unwrap().remove(0).resources.remove(0);
    let lease = LeaseId::draw(&OsEntropy).unwrap();
    let intended = Intended {
        candidate: 0,
        kind: template.kind,
        disposition: Disposition::Own,
        name: lease.resource_name(0),
        nonce: Nonce::draw(&OsEntropy).unwrap(),
        request: template.request,
        public_key: KEY.to_owned(),
        id: None,
    };
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new().unwrap());
    let opened = Opened {
        lease,
        slug: Slug::draw_numbered(&OsEntropy).unwrap(),
        installation: store.installation().await.unwrap(),
        scope: bench.provider.scope().await.unwrap(),
        spec,
        owner: None,
        retention: Retention::UntilDeadline,
        deadlines: Deadlines::default(),
        purpose: "test".to_owned(),
    };
    let mut writer = LeaseWriter::open(store, Arc::new(WallClock), opened).await.unwrap();
    writer.append(&[Event::Intended(vec![intended])]).await.unwrap();
    writer
}

/// Passes the gate as a release would, and destroys.
pub(crate) async fn destroy(bench: &Bench, writer: &mut LeaseWriter) -> lease_core::Result<()> {
    let owned = own(bench, writer).await;
    bench.provider.destroy(&owned).await
}

/// Notes that the lease ends, and proves that its job is its own.
async fn own(bench: &Bench, writer: &mut LeaseWriter) -> Owned {
    if writer.claim().releasing().is_none() {
        let why = "the test is over".to_owned();
        writer.append(&[Event::Releasing { why, ends_keep: false }]).await.unwrap();
    }
    let id = writer.claim().resources()[0].id().unwrap().clone();
    let Sighting::Found(found) = bench.provider.inspect(&id).await.unwrap() else {
        panic!("{id} is not there")
    };
    let scope = lease_core::VerifiedScope::verify(bench.provider.as_ref(), writer.claim().scope())
        .await
        .unwrap();
    let ownership = bench.provider.descriptor().ownership;
    writer.own(0, &found, &scope, ownership).await.unwrap()
}

pub(crate) async fn note(writer: &mut LeaseWriter, change: Change) {
    writer.append(&[Event::Resource { index: 0, change }]).await.unwrap();
}

/// Section 12, "E1": the client dies between the submission and its record.
#[tokio::test]
async fn a_job_whose_answer_was_never_recorded_is_found_by_its_name() {
    let bench = Bench::new();
    let mut writer = intend(&bench).await;
    let intent = writer.send(0).await.unwrap();
    bench.provider.create(&intent).await.unwrap();
    note(&mut writer, Change::Lost { message: "the client was killed".to_owned() }).await;
    let Sighting::Found(found) = bench.provider.find(&intent).await.unwrap() else {
        panic!("nothing is found")
    };
    assert_eq!(found.marks.as_ref(), Some(intent.marks()));
    note(&mut writer, Change::Found { id: found.id }).await;
    destroy(&bench, &mut writer).await.unwrap();
    bench.assert_clean().await;
}

/// Section 12, "E2": acquiring again after a crash submits a second job there.
#[tokio::test]
async fn the_same_intent_is_submitted_once() {
    let bench = Bench::new();
    let mut writer = intend(&bench).await;
    let intent = writer.send(0).await.unwrap();
    let created = bench.provider.create(&intent).await.unwrap();
    let again = bench.provider.create(&intent).await.unwrap_err();
    assert_eq!((again.kind(), again.effect()), (ErrorKind::Conflict, Effect::Unknown));
    note(&mut writer, Change::Created { id: created.id }).await;
    let name = format!("--name={}", intent.name());
    assert_eq!(bench.cluster.say(&["squeue", "-h", &name, "-o", "%A"]).await.lines().count(), 1);
    destroy(&bench, &mut writer).await.unwrap();
    bench.assert_clean().await;
}

/// A submission that was dropped half-way is found, or proven not to have happened.
#[tokio::test]
async fn a_dropped_submission_is_found_or_nothing() {
    for milliseconds in [2, 10, 30] {
        let bench = Bench::with(Cluster::shared(), |config| {
            config.landing = std::time::Duration::from_secs(3);
        });
        let mut writer = intend(&bench).await;
        let intent = writer.send(0).await.unwrap();
        let span = std::time::Duration::from_millis(milliseconds);
        let dropped = tokio::time::timeout(span, bench.provider.create(&intent)).await;
        note(&mut writer, Change::Lost { message: format!("{dropped:?}") }).await;
        let mut pace = Pace::start(Bounds::within(PATIENCE));
        loop {
            match bench.provider.find(&intent).await.unwrap() {
                Sighting::Found(found) => {
                    note(&mut writer, Change::Found { id: found.id }).await;
                    // The withdrawal is news in the directory, so a submission without an answer is waited for once more.
                    let owned = own(&bench, &mut writer).await;
                    while let Err(error) = bench.provider.destroy(&owned).await {
                        assert_eq!(error.effect(), Effect::Unknown, "{error}");
                        assert!(pace.wait(None).await, "{error}");
                    }
                    break;
                }
                Sighting::Absent => break,
                Sighting::Unclear(_) => assert!(pace.wait(None).await, "it stays unclear"),
                Sighting::Suspects(_) => panic!("there are marks"),
            }
        }
        bench.assert_clean().await;
    }
}

/// A second start of the same job, or a second job of the same name, does not become a box.
#[tokio::test]
async fn only_one_start_becomes_the_box() {
    let bench = Bench::new();
    let claim = bench.acquire().await;
    let directory = bench.shared_dir().join(Bench::id(&claim).as_str());
    let (script, nonce) = (directory.join("job.sh"), claim.resources()[0].intended().nonce.clone());
    let before = std::fs::read_to_string(directory.join("endpoint")).unwrap();
    let words = [
        "sbatch",
        "--parsable",
        "--output=/dev/null",
        script.to_str().unwrap(),
        directory.to_str().unwrap(),
        nonce.as_str(),
    ];
    let second = bench.cluster.say(&words).await;
    until!("the second one goes on", bench.cluster.state(&second).await == "COMPLETED");
    assert_eq!(std::fs::read_to_string(directory.join("endpoint")).unwrap(), before);
    assert_eq!(bench.run(&claim, "echo in").await.stdout, b"in\n");
    bench.release(&claim).await;
    bench.assert_clean().await;
}

/// Section 12, "I": the controller forgets a job and gives its number to the next one.
#[tokio::test]
async fn a_foreign_job_that_got_the_number_survives() {
    let bench = Bench::with(Arc::new(Cluster::start(&["NODES=1"])), |config| {
        config.sbatch_args = vec!["--begin=now+1hour".to_owned()];
    });
    // A first job, so that its state is saved and the next one's is not yet.
    let first = bench.cluster.plant("first").await;
    let mut acquiring = Box::pin(bench.engine.acquire(Acquire::new(Spec::new("slurm"))));
    let number = loop {
        tokio::select! {
            biased;
            failed = &mut acquiring => panic!("{failed:?}"),
            said = bench.cluster.say(&["squeue", "-h", "-t", "PD", "-o", "%A %j"]) => {
                let ours = said.lines().find_map(|it| it.split_once(" lse-"));
                if let Some((number, _)) = ours {
                    break number.to_owned();
                }
            }
        }
    };
    drop(acquiring);
    bench.cluster.order("kill slurmctld");
    bench.cluster.order("start slurmctld");
    let (_, claim) = bench.only_claim().await;
    let mut foreign = bench.cluster.plant("precious").await;
    // If the state was saved in time, nothing was forgotten, and the two live side by side.
    if bench.jobs(&claim).await.is_empty() {
        assert_eq!(foreign, number, "{first} was saved");
        foreign = number;
    }
    bench.release(&claim).await;
    let state = bench.cluster.state(&foreign).await;
    assert!(["PENDING", "RUNNING"].contains(&state.as_str()), "the foreign job is {state}");
    bench.assert_clean().await;
}

/// Section 12, "N": an id is a name and never a path.
#[tokio::test]
async fn an_id_that_is_a_path_is_nobodys() {
    let bench = Bench::new();
    let claim = bench.acquire().await;
    for id in ["..", ".", "../..", "a/../b", "1", "lse-../x.y.z"] {
        let sighting = bench.provider.inspect(&id.parse().unwrap()).await.unwrap();
        assert!(matches!(sighting, Sighting::Absent), "{id}: {sighting:?}");
    }
    assert_eq!(bench.run(&claim, "echo in").await.stdout, b"in\n");
    bench.release(&claim).await;
    bench.assert_clean().await;
}
