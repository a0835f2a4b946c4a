//! Two commands that want the same thing at the same time, brought together on purpose.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use rustix::process::Signal;

use crate::installation::process::send;
use crate::installation::{ANSWER_WITHIN, Deadline, Ended, Installation, eventually};

/// A command on a box that goes on until its standard input ends.
struct Held {
    child: Child,
    begun: PathBuf,
}

impl Held {
    fn start(installation: &Installation, arguments: &[&str]) -> Self {
        let begun = installation.root().join("begun");
        let mut command = installation.command(arguments);
        command.args(["--", "sh", "-c", ": > \"$0\"; read line; echo \"$line\""]).arg(&begun);
        let child = command.stdin(Stdio::piped()).spawn().unwrap();
        Self { child, begun }
    }

    fn await_begin(self) -> Self {
        eventually(Deadline::after(ANSWER_WITHIN), || self.begun.exists()).unwrap();
        self
    }

    fn let_go(mut self) -> Ended {
        // It may have been ended already; then nobody reads.
        drop(writeln!(self.child.stdin.take().unwrap(), "done"));
        Ended::wait(self.child)
    }
}

fn acquire(installation: &Installation, slug: &str) {
    let ended = installation.lease(["acquire", "--slug", slug]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
}

#[test]
fn of_two_acquires_with_one_slug_one_wins_and_the_other_names_the_holder() {
    let installation = Installation::new();
    let start = || installation.command(["acquire", "--slug", "twin", "--json"]).spawn().unwrap();
    let both = [start(), start()].map(Ended::wait);
    let [winner, loser] = if both[0].code == 0 {
        both
    } else {
        let [a, b] = both;
        [b, a]
    };
    assert_eq!((winner.code, loser.code), (0, 125), "{}\n{}", winner.stderr, loser.stderr);
    let lease: serde_json::Value = serde_json::from_slice(&winner.stdout).unwrap();
    let holder = lease["lease"]["id"].as_str().unwrap();
    assert!(loser.stderr.contains("twin") && loser.stderr.contains(holder), "{}", loser.stderr);
    assert!(loser.stderr.contains("nothing_created"), "{}", loser.stderr);
    assert_eq!(installation.leases().len(), 1);
    assert_eq!(installation.lease(["release", "twin"]).code, 0);
    installation.assert_clean();
}

#[test]
fn of_two_runs_on_one_lease_one_runs_and_the_other_hears_that_it_is_in_use() {
    let installation = Installation::new();
    acquire(&installation, "shared");
    let first = Held::start(&installation, &["run", "--id", "shared"]).await_begin();
    let second = installation.lease(["run", "--id", "shared", "--", "touch", "second"]);
    assert_eq!(second.code, 125);
    assert!(second.failure().contains("in use"), "{}", second.stderr);
    let first = first.let_go();
    assert_eq!(
        (first.code, first.stdout.as_slice()),
        (0, b"done\n".as_slice()),
        "{}",
        first.stderr
    );
    let third = installation.lease(["run", "--id", "shared", "--", "ls"]);
    assert_eq!((third.code, third.stdout.as_slice()), (0, b"a.txt\nsrc\n".as_slice()));
    assert_eq!(installation.lease(["release", "shared"]).code, 0);
    installation.assert_clean();
}

#[test]
fn a_release_during_a_run_ends_the_run_which_says_so() {
    let installation = Installation::new();
    acquire(&installation, "shared");
    for arguments in [&["run", "--id", "shared"][..], &["run", "--slug", "own"]] {
        let run = Held::start(&installation, arguments).await_begin();
        let slug = *arguments.last().unwrap();
        let release = installation.lease(["release", slug]);
        assert_eq!(release.code, 0, "{}", release.stderr);
        let begun = run.begun.clone();
        let run = Ended::wait(run.child);
        assert_eq!(run.code, 125, "{}", run.stderr);
        assert!(run.failure().contains("released while the command ran"), "{}", run.stderr);
        std::fs::remove_file(begun).unwrap();
    }
    installation.assert_clean();
}

#[test]
fn a_release_is_not_undone_by_a_command_that_makes_its_directory_anew() {
    let installation = Installation::new();
    for containment in ["contain=auto", "contain=scan"] {
        let begun = installation.root().join(containment);
        let script =
            "cd .; while :; do mkdir -p \"$PWD/deep/deeper\"; : > \"$0\"; done 2>/dev/null";
        let mut run = installation.command(["run", "--slug", "busy", "--option", containment]);
        let run = run.args(["--", "sh", "-c", script]).arg(&begun).spawn().unwrap();
        eventually(Deadline::after(ANSWER_WITHIN), || begun.exists()).unwrap();
        let release = installation.lease(["release", "busy"]);
        assert_eq!(release.code, 0, "{}", release.stderr);
        assert_eq!(Ended::wait(run).code, 125);
        installation.assert_clean();
    }
}

#[test]
fn a_cleanup_during_an_acquire_leaves_it_alone() {
    let installation = Installation::new();
    let client = installation.command(["acquire", "--slug", "slow"]).spawn().unwrap();
    let sent = || installation.journals().iter().any(|it| it.events.len() >= 3);
    eventually(Deadline::after(ANSWER_WITHIN), sent).unwrap();
    // Halted in the middle of it, and very much alive.
    send(client.id(), Signal::STOP);
    let before = installation.journals()[0].events.clone();
    let cleanup = installation.lease(["cleanup"]);
    assert_eq!(cleanup.code, 0, "{}", cleanup.stderr);
    assert_eq!(installation.journals()[0].events, before);
    send(client.id(), Signal::CONT);
    let acquire = Ended::wait(client);
    assert_eq!(acquire.code, 0, "{}", acquire.stderr);
    assert_eq!(installation.lease(["exec", "slow", "--", "true"]).code, 0);
    assert_eq!(installation.lease(["release", "slow"]).code, 0);
    installation.assert_clean();
}
