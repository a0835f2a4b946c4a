//! `lease watch`.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use rustix::process::Signal;

use crate::installation::process::send;
use crate::installation::{ANSWER_WITHIN, Deadline, Ended, Installation, eventually};

/// A watch whose command notes what it saw outside of the tree, and then does what `then` says.
struct Watching {
    installation: Installation,
    client: Child,
}

impl Watching {
    fn start(options: &[&str], then: &str) -> Self {
        let installation = Installation::new();
        fs::write(installation.tree().join(".gitignore"), "ignored\n").unwrap();
        fs::write(installation.tree().join("ignored"), "0").unwrap();
        let script = format!("cat a.txt >>\"$0\"; {then}");
        let mut command = installation.command(["watch"].iter().chain(options));
        command.args(["--", "sh", "-c", &script]).arg(installation.root().join("seen"));
        command.stderr(fs::File::create(installation.root().join("said")).unwrap());
        let client = command.stdin(Stdio::null()).process_group(0).spawn().unwrap();
        Self { installation, client }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.installation.root().join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.at(name)).unwrap_or_default()
    }

    /// Waits until the runs have seen this.
    #[track_caller]
    fn saw(&self, expected: &str) {
        let within = Deadline::after(ANSWER_WITHIN);
        let has = || self.text("seen") == expected;
        assert!(eventually(within, has).is_ok(), "{:?}: {}", self.text("seen"), self.text("said"));
    }

    /// Waits until so many runs have ended and the tree is watched.
    #[track_caller]
    fn waits(&self, times: usize) {
        self.says("waiting for a change", times);
    }

    /// How often it has said this.
    fn said(&self, words: &str) -> usize {
        self.text("said").matches(words).count()
    }

    /// Waits until it has said this so often.
    #[track_caller]
    fn says(&self, words: &str, times: usize) {
        let within = Deadline::after(ANSWER_WITHIN);
        let has = || self.said(words) >= times;
        assert!(eventually(within, has).is_ok(), "{words} {times}: {}", self.text("said"));
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.installation.tree().join(name), content).unwrap();
    }

    /// Interrupts the watch; its code, and that nothing is left.
    fn end(self) -> i32 {
        send(self.client.id(), Signal::INT);
        let ended = Ended::wait(self.client);
        assert_eq!(self.installation.residue(), Vec::<String>::new());
        self.installation.assert_clean();
        assert_eq!(self.installation.journals().len(), 1, "it was leased once");
        ended.code
    }
}

#[test]
fn a_change_of_the_tree_runs_the_command_again_and_of_an_ignored_file_does_not() {
    let it = Watching::start(&["-vv"], "exit 5");
    it.waits(1);
    it.saw("a\n");
    // A file that is ignored, or is written as it was, is no change; the next one is seen all the same.
    for (name, content) in [("ignored", "1"), ("a.txt", "a\n")] {
        let looks = it.said("what has changed is not the tree");
        it.write(name, content);
        it.says("what has changed is not the tree", looks + 1);
    }
    assert_eq!(it.said("waiting for a change"), 1);
    it.write("a.txt", "b\n");
    it.waits(2);
    it.saw("a\nb\n");
    it.write("src/c.txt", "new\n");
    it.waits(3);
    fs::remove_file(it.installation.tree().join("src/c.txt")).unwrap();
    it.waits(4);
    it.saw("a\nb\nb\nb\n");
    let runs = it.installation.json(&["history"])["runs"].as_array().unwrap().clone();
    assert!(runs.len() == 4 && runs.iter().all(|it| it["exit"] == 5), "{runs:?}");
    assert_eq!(it.end(), 130);
}

#[test]
fn a_change_while_the_command_runs_waits_for_its_end() {
    let it = Watching::start(&[], "while [ ! -e \"$0.go\" ]; do sleep 0.02; done");
    it.saw("a\n");
    it.write("a.txt", "b\n");
    fs::write(it.at("seen.go"), "").unwrap();
    it.waits(2);
    it.saw("a\nb\n");
    assert_eq!(it.end(), 130);
}

#[test]
fn a_change_ends_the_command_where_that_is_asked_for() {
    let it = Watching::start(
        &["--restart"],
        "trap 'echo ended >>\"$0\"; exit 1' TERM; while :; do sleep 0.02; done",
    );
    it.saw("a\n");
    it.write("a.txt", "b\n");
    it.saw("a\nended\nb\n");
    // An interrupt ends the command, and then the watch; the code is the command's.
    let code = it.end();
    assert_eq!(code, 130);
}

#[test]
fn a_watch_on_a_lease_leaves_it() {
    let it = crate::leased::Leased::new();
    let seen = it.0.root().join("seen");
    let mut command = it.0.command(["watch", "--id", "demo", "--", "sh", "-c"]);
    command.arg("cat a.txt >>\"$0\"; sleep 60").arg(&seen).stderr(Stdio::null());
    let client = command.process_group(0).spawn().unwrap();
    let has_begun = || fs::read_to_string(&seen).is_ok_and(|it| it == "a\n");
    eventually(Deadline::after(ANSWER_WITHIN), has_begun).unwrap();
    let busy = it.0.lease(["run", "--id", "demo", "--", "true"]);
    assert!(busy.failure().contains("in use"), "{}", busy.stderr);
    send(client.id(), Signal::INT);
    assert_eq!(Ended::wait(client).code, 130);
    assert_eq!(it.0.leases().len(), 1);
    it.end();
}
