//! Clients and adapters that end at the wrong moment: nothing is forgotten, and nothing is left running.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lease_core::engine::{Left, Outcome};
use lease_core::store::LeaseWriter;
use lease_core::store::fs::FsStore;
use lease_core::{Effect, ErrorKind, Provider, Sighting};
use lease_external::{ExternalConfig, ExternalProvider, Identity, Listener, Unheard};
use lease_process::{Pid, ProcessTable, Program, Signal, Stream, spawn, wait};
use lease_testkit::sim::WallClock;

use crate::bench::{Bench, PATH, PATIENCE, SHOWN, lose, path, quick, write_program};

const INTERVAL: Duration = Duration::from_millis(10);

/// Everybody whose arguments contain `word` and who has not ended.
fn bearers(word: &str) -> BTreeSet<Pid> {
    let table = ProcessTable::read().unwrap();
    let bears = |it: &std::ffi::OsString| it.to_string_lossy() == word;
    table.select(|it| !it.state.has_ended() && it.argv().iter().any(bears))
}

/// A number of seconds that nobody else sleeps for.
fn unique_seconds() -> String {
    let mut bytes = [0; 4];
    lease_core::Entropy::fill(&lease_core::OsEntropy, &mut bytes).unwrap();
    format!("9{:010}", u32::from_le_bytes(bytes))
}

#[tokio::test]
async fn i3_what_a_dead_client_acquired_is_found_by_the_list_and_released() {
    let bench = Bench::new();
    let mut writer = bench.intend().await;
    bench.create(&mut writer).await.1.unwrap();
    assert!(bench.has("exists"));
    let lease = writer.claim().lease().clone();
    // The record ends with `sent`: the client died before it wrote the answer down.
    drop(writer);
    assert!(matches!(bench.release(&lease).await, Outcome::Released));
    assert!(!bench.has("exists"));
    assert_eq!((bench.asked("acquire"), bench.live().await), (1, 0));
}

#[tokio::test]
async fn i3_an_unusable_answer_is_given_back_even_when_the_first_release_fails() {
    let bench = Bench::new();
    bench.misbehave("acquire", "no JSON");
    bench.misbehave("release", "no JSON either");
    // The release heals itself after it was asked once.
    bench.put("release.script", "rm \"$dir/release.stdout\"; exit 7\n");
    let outcome = bench.acquire().await;
    // The list still showed the machine, and it can be used: that is what a search is for.
    let claim = outcome.unwrap();
    assert!(bench.has("exists"));
    assert!(matches!(bench.release(claim.lease()).await, Outcome::Released));
    assert!(!bench.has("exists") && bench.live().await == 0);
}

#[tokio::test]
async fn i3_while_the_list_fails_the_record_stays() {
    let bench = Bench::new();
    let mut writer = bench.intend().await;
    bench.create(&mut writer).await.1.unwrap();
    let (intent, lease) = (writer.recall(0).unwrap(), writer.claim().lease().clone());
    lose(&mut writer).await;
    drop(writer);
    bench.misbehave("list", "");
    let sighting = bench.provider.find(&intent).await.unwrap();
    assert!(matches!(sighting, Sighting::Unclear(_)), "{sighting:?}");
    assert_eq!(bench.live().await, 1);
    bench.behave("list");
    assert!(matches!(bench.release(&lease).await, Outcome::Released));
    assert!(!bench.has("exists"));
}

#[tokio::test]
async fn an_adapter_that_lists_no_marks_is_told_and_loses_nothing() {
    let bench = Bench::new();
    bench.put("listed", r#"{"leaseId":"@LEASE@","status":"ready"}"#);
    let failure = bench.acquire().await.unwrap_err();
    assert!(failure.error.to_string().contains("`identity`"), "{}", failure.error);
    assert_eq!(failure.left, Left::Released);
    assert!(!bench.has("exists") && bench.live().await == 0);
}

#[tokio::test]
async fn an_acquire_whose_client_is_gone_is_waited_for() {
    let bench = Bench::new();
    let mut writer = bench.intend().await;
    let intent = writer.send(0).await.unwrap();
    let (seconds, started) = (unique_seconds(), bench.directory.path().join("started"));
    let script = format!(": >'{}'; exec sleep {seconds}\n", started.display());
    bench.misbehave("acquire", "");
    bench.put("acquire.script", script);
    // An adapter as a client leaves it that was killed: started with the mark, and nobody waits for it.
    let name = bench.directory.path().join("leaseId");
    let program = Program::new(path(&bench.directory.path().join("replay")))
        .arg(path(bench.directory.path()))
        .env("PATH", PATH)
        .env("LEASE_EXTERNAL_ACQUIRE", wire_id(&bench, &intent).await)
        .stdout(Stream::Null)
        .stderr(Stream::Null);
    let request = bench.directory.path().join("request");
    fs::write(&request, r#"{"operation":"acquire"}"#).unwrap();
    let input = Arc::new(fs::File::open(&request).unwrap());
    let orphan = spawn(&program.stdin(lease_process::Input::File(input))).unwrap();
    assert!(wait::until(PATIENCE, INTERVAL, || started.exists() && name.exists()).await);
    let sighting = bench.provider.find(&intent).await.unwrap();
    let Sighting::Unclear(error) = sighting else { panic!("{sighting:?}") };
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.to_string().contains(&format!("kill {}", orphan.pid())), "{error}");
    orphan.stop(Duration::ZERO).await.unwrap();
    let sighting = bench.provider.find(&intent).await.unwrap();
    assert!(!matches!(sighting, Sighting::Unclear(_)), "{sighting:?}");
    assert!(bearers(&seconds).is_empty());
}

/// The lease id on the wire, as the adapter was told it.
async fn wire_id(bench: &Bench, intent: &lease_core::Intent) -> String {
    let probe = Bench::of(
        tempfile::tempdir().unwrap(),
        {
            let mut config = ExternalConfig::command([
                path(&bench.directory.path().join("replay")),
                path(bench.directory.path()),
            ]);
            quick(&mut config);
            config
        },
        Arc::clone(&bench.store),
    );
    let kept = fs::read(bench.directory.path().join("acquire.stdout")).unwrap();
    bench.behave("acquire");
    probe.provider.create(intent).await.unwrap();
    let id = fs::read_to_string(bench.directory.path().join("leaseId")).unwrap();
    bench.take("exists");
    bench.put("acquire.stdout", kept);
    id
}

#[tokio::test]
async fn a_late_adapter_is_ended_with_everything_it_started() {
    let bench = Bench::with(|config| config.acquire_deadline = Duration::from_secs(1));
    let seconds = unique_seconds();
    bench.misbehave("acquire", SHOWN);
    bench.put("acquire.script", format!("sleep {seconds} & sleep {seconds} & wait\n"));
    let failure = bench.acquire().await.unwrap_err();
    assert_eq!(failure.error.kind(), ErrorKind::Timeout);
    assert_eq!(failure.left, Left::Released);
    assert!(wait::until(PATIENCE, INTERVAL, || bearers(&seconds).is_empty()).await);
    assert!(!bench.has("exists"));
}

#[tokio::test]
async fn a_child_that_outlives_its_parent_is_ended_with_the_answer() {
    let bench = Bench::new();
    let seconds = unique_seconds();
    let answer = format!(r#"{{"protocolVersion":1,"lease":{SHOWN}}}"#);
    bench.misbehave("acquire", answer);
    bench.put("acquire.script", format!("sleep {seconds} &\n"));
    let claim = bench.acquire().await.unwrap();
    assert!(wait::until(PATIENCE, INTERVAL, || bearers(&seconds).is_empty()).await);
    assert!(matches!(bench.release(claim.lease()).await, Outcome::Released));
}

#[tokio::test]
async fn a_dropped_create_takes_the_adapter_with_it_and_the_list_finds_the_rest() {
    let bench = Bench::new();
    let seconds = unique_seconds();
    bench.misbehave("acquire", SHOWN);
    bench.put("acquire.script", format!("exec sleep {seconds}\n"));
    let mut writer = bench.intend().await;
    let intent = writer.send(0).await.unwrap();
    {
        let create = bench.provider.create(&intent);
        let begun = wait::until(PATIENCE, INTERVAL, || bearers(&seconds).len() == 1);
        tokio::select! {
            created = create => panic!("{created:?}"),
            begun = begun => assert!(begun),
        }
    }
    assert!(wait::until(PATIENCE, INTERVAL, || bearers(&seconds).is_empty()).await);
    assert!(bench.has("exists"));
    let lease = writer.claim().lease().clone();
    drop(writer);
    assert!(matches!(bench.release(&lease).await, Outcome::Released));
    assert!(!bench.has("exists"));
}

#[tokio::test]
async fn a_killed_adapter_leaves_an_unknown_outcome() {
    let bench = Bench::new();
    let seconds = unique_seconds();
    bench.misbehave("acquire", SHOWN);
    bench.put("acquire.script", format!("exec sleep {seconds}\n"));
    let mut writer = bench.intend().await;
    let intent = writer.send(0).await.unwrap();
    let killer = async {
        assert!(wait::until(PATIENCE, INTERVAL, || bearers(&seconds).len() == 1).await);
        for pid in bearers(&seconds) {
            let program = Program::new("kill").arg("-KILL").arg(pid.to_string()).env("PATH", PATH);
            lease_process::output(&program, lease_process::Limits::default()).await.unwrap();
        }
    };
    let (created, ()) = tokio::join!(bench.provider.create(&intent), killer);
    let error = created.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::Unknown));
    assert!(error.to_string().contains("signal 9"), "{error}");
    // What the killed acquire had made was given back by what it was asked for.
    assert!(!bench.has("exists"));
}

#[tokio::test]
async fn an_adapter_that_is_not_there_changed_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = ExternalConfig::command([path(&directory.path().join("nothing"))]);
    quick(&mut config);
    let store = Arc::new(lease_core::store::memory::MemoryStore::new().unwrap());
    let bench = Bench::of(directory, config, store);
    let mut writer = bench.intend().await;
    let error = bench.create(&mut writer).await.1.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Invalid, Effect::None), "{error}");
}

/// Remembers what it hears.
#[derive(Debug, Default)]
struct Ear(Mutex<Vec<u8>>);

impl Listener for Ear {
    fn heard(&self, bytes: &[u8]) {
        self.0.lock().unwrap().extend_from_slice(bytes);
    }
}

#[tokio::test]
async fn what_an_adapter_writes_for_people_is_heard_while_it_works() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("adapter");
    let (go, heard) = (directory.path().join("go"), Arc::new(Ear::default()));
    let script = format!(
        "#!/bin/sh\necho waiting >&2\nwhile [ ! -e '{}' ]; do sleep 0.05; done\n\
         echo '{{\"protocolVersion\":1,\"leases\":[]}}'\n",
        go.display()
    );
    write_program(&program, &script);
    let mut config = ExternalConfig::command([path(&program)]);
    quick(&mut config);
    let clock = Arc::new(WallClock);
    let listener: Arc<dyn Listener> = Arc::<Ear>::clone(&heard);
    let provider = ExternalProvider::open(config, clock, listener).unwrap();
    let release = async {
        let is_heard = || heard.0.lock().unwrap().as_slice() == b"waiting\n";
        assert!(wait::until(PATIENCE, INTERVAL, is_heard).await);
        fs::write(&go, "").unwrap();
    };
    let (listed, ()) = tokio::join!(provider.list(), release);
    assert_eq!(listed.unwrap().items.len(), 0);
}

#[tokio::test]
async fn another_configuration_is_another_account_unless_it_is_named() {
    let scope = async |size: u64, account: Option<&str>| {
        let mut config = ExternalConfig::command(["/bin/true", "--pool", "a"]);
        config.config.insert("size".to_owned(), size.into());
        config.account = account.map(str::to_owned);
        let provider = ExternalProvider::open(config, Arc::new(WallClock), Arc::new(Unheard));
        provider.unwrap().scope().await.unwrap()
    };
    assert_ne!(scope(1, None).await, scope(2, None).await);
    assert_eq!(scope(1, Some("pool")).await, scope(2, Some("pool")).await);
    let shown = scope(1, None).await;
    assert!(shown.endpoint.contains('#') && !shown.endpoint.contains("pool"), "{shown}");
}

#[tokio::test]
async fn i12_a_credential_that_an_adapter_prints_stands_in_no_error() {
    for (operation, status) in [("acquire", 1), ("acquire", 0), ("list", 1), ("list", 0)] {
        let bench = Bench::with(|config| {
            config.environment.push(("CLOUD_TOKEN".to_owned(), "planted-7d31".to_owned()));
            config.config.insert("password".to_owned(), "planted-55aa".into());
        });
        bench.misbehave(operation, r#"{"error":"bad token planted-7d31 or planted-55aa"}"#);
        bench.put(&format!("{operation}.exit"), status.to_string());
        bench.put(&format!("{operation}.stderr"), "tried planted-7d31 and planted-55aa\n");
        let said = if operation == "acquire" {
            bench.acquire().await.unwrap_err().error.to_string()
        } else {
            bench.provider.list().await.unwrap_err().to_string()
        };
        assert!(said.contains("token") || said.contains("tried"), "{said}");
        assert!(!said.contains("planted"), "{said}");
    }
}

#[tokio::test]
async fn what_only_an_answer_could_identify_is_kept_on_record_when_the_answer_is_lost() {
    let bench = Bench::with(|config| config.identity = Identity::Answered);
    bench.put("listed", r#"{"leaseId":"@LEASE@","status":"ready"}"#);
    let mut writer = bench.intend().await;
    bench.create(&mut writer).await.1.unwrap();
    let lease = writer.claim().lease().clone();
    drop(writer);
    let outcome = bench.release(&lease).await;
    assert_eq!(matches!(outcome, Outcome::Released), !bench.has("exists"), "{outcome:?}");
    assert_eq!(bench.live().await, usize::from(bench.has("exists")));
}

/// Where the victim of the test below finds out in which directory it has to work.
const VICTIM: &str = "LEASE_EXTERNAL_TEST_DIRECTORY";

/// An engine over a directory that outlives the process, with an adapter that waits for the file `go`.
fn lasting(directory: &Path) -> Bench {
    let store = Arc::new(FsStore::open(directory.join("state")).unwrap());
    let mut config = ExternalConfig::command([path(&directory.join("replay")), path(directory)]);
    quick(&mut config);
    Bench::of(tempfile::tempdir().unwrap(), config, store)
}

/// Acquires; whoever starts this program for it kills it on the way. By itself it comes to a good end.
#[tokio::test]
async fn the_victim_acquires() {
    #[expect(clippy::disallowed_methods, reason = "it is how one test talks to itself")]
    let given = std::env::var_os(VICTIM).map(PathBuf::from);
    let own = Bench::new();
    let directory = given.clone().unwrap_or_else(|| own.directory.path().to_owned());
    let bench = lasting(&directory);
    let claim = bench.acquire().await.unwrap();
    assert!(matches!(bench.release(claim.lease()).await, Outcome::Released));
    assert!(given.is_none() && !own.has("exists"));
}

#[tokio::test]
async fn i3_a_client_killed_during_its_acquire_is_followed_up_by_whoever_comes_next() {
    let scene = Bench::new();
    let answer = format!(r#"{{"protocolVersion":1,"lease":{SHOWN}}}"#);
    scene.misbehave("acquire", answer);
    scene.put(
        "acquire.script",
        ": >\"$dir/started\"; while [ ! -e \"$dir/go\" ]; do sleep 0.05; done\n",
    );
    let program = Program::new(std::env::current_exe().unwrap())
        .args(["--exact", "ending::the_victim_acquires", "--test-threads=1"])
        .env(VICTIM, scene.directory.path())
        .env("TMPDIR", scene.directory.path())
        .env("PATH", PATH)
        .stdout(Stream::Null)
        .stderr(Stream::Null);
    let client = spawn(&program).unwrap();
    assert!(wait::until(PATIENCE, INTERVAL, || scene.has("started")).await);
    client.signal(Signal::Kill).unwrap();
    client.wait().await.unwrap();

    let next = lasting(scene.directory.path());
    let (lease, _) = next.store.names().await.unwrap().remove(0);
    let store = Arc::clone(&next.store);
    let writer = LeaseWriter::load(store, Arc::new(WallClock), &lease).await.unwrap();
    let intent = writer.recall(0).unwrap();
    drop(writer);
    let sighting = next.provider.find(&intent).await.unwrap();
    let Sighting::Unclear(error) = sighting else { panic!("{sighting:?}") };
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    scene.put("go", "");
    // While the adapter finishes, the release waits for it; then the list shows what it made.
    assert!(matches!(next.release(&lease).await, Outcome::Released));
    assert!(!scene.has("exists"));
    assert_eq!((scene.asked("acquire"), next.live().await), (1, 0));
}
