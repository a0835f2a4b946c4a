//! What a box started ends with it, and nobody else does.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use lease_core::{ErrorKind, Provider as _, Sighting};
use lease_local::Contain;
use lease_process::{EndPolicy, Program, Stream, spawn};

use crate::bench::{Bench, bearers, destroy, wait_for_bearers};

/// How many processes [`started`] starts that bear the word.
const STARTED: usize = 6;

/// Starts processes that try to stay, in the ways in which processes stay; `word` is the last argument of each.
fn started(root: &str, word: &str) -> String {
    let wait = "trap '' HUP TERM; while :; do sleep 1; done";
    format!(
        "cd \"{root}\"; \
         nohup sh -c \"{wait}\" {word} >/dev/null 2>&1 & \
         setsid sh -c \"{wait}\" {word} >/dev/null 2>&1 </dev/null & \
         (setsid sh -c \"{wait}\" {word} >/dev/null 2>&1 </dev/null &) & \
         (env -i PATH=\"$PATH\" setsid sh -c \"{wait}\" {word} >/dev/null 2>&1 </dev/null &) & \
         (cd / && exec sh -c \"{wait}\" {word}) >/dev/null 2>&1 & \
         exec sh -c \"{wait}\" {word}"
    )
}

async fn check_all_end(contain: Contain) {
    let bench = Bench::with(|config| config.contain = contain);
    let (mut lease, reach) = bench.make().await;
    let word = format!("word-{}", lease.recall().key());
    let program = bench.ssh(&reach, &started(&reach.root, &word));
    let connection = spawn(&program.stdout(Stream::Null).stderr(Stream::Null)).unwrap();
    // ssh itself has the script as one argument, so it is not among them.
    wait_for_bearers(&word, STARTED).await;
    bench.destroy(&mut lease).await.unwrap();
    assert_eq!(bearers(&word).len(), 0, "{contain:?}");
    assert!(!connection.wait().await.unwrap().success());
    bench.assert_clean();
}

#[tokio::test]
async fn everything_ends_in_a_search() {
    check_all_end(Contain::Scan).await;
}

#[tokio::test]
async fn everything_ends_with_a_namespace() {
    for contain in Bench::new().containments().await {
        check_all_end(contain).await;
    }
}

#[tokio::test]
async fn what_outlived_its_connection_ends_too() {
    let bench = Bench::with(|config| config.contain = Contain::Scan);
    let (mut lease, reach) = bench.make().await;
    let word = format!("word-{}", lease.recall().key());
    let script = format!("setsid sh -c 'sleep 1000; :' {word} >/dev/null 2>&1 </dev/null &");
    assert!(bench.run(&reach, &script).await.status.success());
    wait_for_bearers(&word, 1).await;
    bench.destroy(&mut lease).await.unwrap();
    assert_eq!(bearers(&word).len(), 0);
}

#[tokio::test]
async fn with_a_namespace_everything_ends_with_its_connection() {
    let probe = Bench::new();
    if !probe.containments().await.contains(&Contain::Namespace) {
        return;
    }
    let bench = Bench::with(|config| config.contain = Contain::Namespace);
    let (mut lease, reach) = bench.make().await;
    let word = format!("word-{}", lease.recall().key());
    let script =
        format!("setsid sh -c 'sleep 1000; :' {word} >/dev/null 2>&1 </dev/null & sleep 1000");
    let program = bench.ssh(&reach, &script).stdout(Stream::Null).stderr(Stream::Null);
    let connection = spawn(&program).unwrap();
    wait_for_bearers(&word, 1).await;
    connection.stop(EndPolicy::default().term_grace).await.unwrap();
    wait_for_bearers(&word, 0).await;
    bench.destroy(&mut lease).await.unwrap();
}

#[tokio::test]
async fn look_alikes_survive() {
    let bench = Bench::with(|config| config.contain = Contain::Scan);
    let (mut lease, reach) = bench.make().await;
    let (mut other, other_reach) = bench.make().await;
    let whole = Path::new(&reach.root).parent().unwrap().to_owned();
    let word = format!("foreign-{}", lease.recall().key());
    let file = |name: &str| whole.join(name).display().to_string();
    let loops = "while :; do sleep 1; done";
    let shell =
        || Program::new("/bin/sh").env("PATH", "/usr/bin:/bin").arg("-c").arg(loops).arg(&word);
    let look_alikes = [
        shell().args(["-i", "-f", &file("sshd_config"), "-E", &file("sshd.log")]),
        shell().arg(file("connect")),
        shell().cwd(&reach.root),
        shell().env("LEASE_BOX", "another"),
        shell().env("NOT_LEASE_BOX", lease.recall().key().as_str()),
    ];
    let count = look_alikes.len();
    let foreign: Vec<_> = look_alikes.iter().map(|it| spawn(it).unwrap()).collect();
    // The other box's processes are foreign to this one.
    let script = format!("setsid sh -c '{loops}' {word} >/dev/null 2>&1 </dev/null &");
    assert!(bench.run(&other_reach, &script).await.status.success());
    wait_for_bearers(&word, count + 1).await;
    bench.destroy(&mut lease).await.unwrap();
    assert_eq!(bearers(&word).len(), count + 1);
    for child in foreign {
        child.stop(EndPolicy::default().term_grace).await.unwrap();
    }
    assert_eq!(bearers(&word).len(), 1);
    bench.destroy(&mut other).await.unwrap();
    assert_eq!(bearers(&word).len(), 0);
    bench.assert_clean();
}

#[tokio::test]
async fn an_idle_connection_ends_without_a_long_wait() {
    for contain in Bench::new().containments().await {
        let bench = Bench::with(|config| config.contain = contain);
        let (mut lease, reach) = bench.make().await;
        // A master without a session: its server wrote a title over everything it could be known by.
        let program = bench.ssh(&reach, "-N").stdout(Stream::Null).stderr(Stream::Null);
        let words = program.argv().to_vec();
        let mut master =
            Program::new("ssh").env("PATH", "/usr/bin:/bin").env("SHELL", "/bin/sh").arg("-N");
        master = master.args(words[1..words.len() - 1].iter().cloned());
        let master = spawn(&master.stdout(Stream::Null).stderr(Stream::Null)).unwrap();
        let log = Path::new(&reach.root).parent().unwrap().join("sshd.log");
        let connect = reach.proxy[1].clone();
        wait_for_bearers(&connect, 1).await;
        let interval = std::time::Duration::from_millis(10);
        let accepted =
            || fs::read_to_string(&log).is_ok_and(|it| it.contains("Accepted publickey"));
        assert!(lease_process::wait::until(crate::bench::PATIENCE, interval, accepted).await);
        bench.destroy(&mut lease).await.unwrap();
        assert_eq!(bearers(&connect).len(), 0);
        assert!(!master.wait().await.unwrap().success());
        bench.assert_clean();
    }
}

#[tokio::test]
async fn what_links_lead_to_stays() {
    let bench = Bench::new();
    let (mut lease, reach) = bench.make().await;
    let foreign = bench.directory.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("precious"), "x").unwrap();
    symlink(&foreign, Path::new(&reach.root).join("link")).unwrap();
    let script = format!(
        "mkdir -p '{0}/a/b' && touch '{0}/a/b/c' && chmod 500 '{0}/a/b' '{0}/a'",
        reach.root
    );
    assert!(bench.run(&reach, &script).await.status.success());
    bench.destroy(&mut lease).await.unwrap();
    bench.assert_clean();
    assert_eq!(fs::read_to_string(foreign.join("precious")).unwrap(), "x");
}

#[tokio::test]
async fn a_box_that_lost_its_record_is_there_and_not_ours() {
    let bench = Bench::new();
    let (mut lease, reach) = bench.make().await;
    let record = Path::new(&reach.root).parent().unwrap().join("box.json");
    let text = fs::read(&record).unwrap();
    let id = lease.writer.claim().resources()[0].id().unwrap().clone();
    for (damage, is_listed) in
        [(None, false), (Some(&text[..20]), true), (Some(b"{}".as_slice()), true)]
    {
        fs::remove_file(&record).unwrap();
        if let Some(rest) = damage {
            fs::write(&record, rest).unwrap();
        }
        let Sighting::Found(found) = bench.provider.inspect(&id).await.unwrap() else {
            panic!("a damaged box is not absent")
        };
        assert_eq!(found.marks, None);
        let listed = bench.provider.list().await.unwrap();
        assert_eq!(listed.items.len(), usize::from(is_listed), "{damage:?}");
        let sighting = bench.provider.find(&lease.recall()).await.unwrap();
        assert_eq!(matches!(sighting, Sighting::Unclear(_)), is_listed, "{sighting:?}");
        fs::write(&record, &text).unwrap();
    }
    bench.destroy(&mut lease).await.unwrap();
    bench.assert_clean();
}

#[tokio::test]
async fn another_directory_is_another_scope() {
    let (one, two) = (Bench::new(), Bench::new());
    assert_ne!(one.provider.scope().await.unwrap(), two.provider.scope().await.unwrap());
    let (mut lease, _) = one.make().await;
    let verified =
        lease_core::VerifiedScope::verify(&two.provider, lease.writer.claim().scope()).await;
    assert_eq!(verified.unwrap_err().kind(), ErrorKind::ScopeChanged);
    destroy(&one.provider, &mut lease).await.unwrap();
}
