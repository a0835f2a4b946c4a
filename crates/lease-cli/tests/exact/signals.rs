//! Ctrl-C and its relatives end the remote command, then the lease.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use rustix::process::Signal;

use crate::installation::process::send;
use crate::installation::{ANSWER_WITHIN, Deadline, Ended, Installation, eventually, processes};

/// A client in its own process group whose command runs.
struct Running {
    installation: Installation,
    client: Child,
    said: PathBuf,
}

impl Running {
    /// `trap` is what the command does about signals.
    fn start(trap: &str) -> Self {
        let installation = Installation::new();
        let (begun, said) = (installation.root().join("begun"), installation.root().join("said"));
        let script = format!("{trap} : > \"$0\"; while :; do sleep 0.05; done");
        let mut client = installation.command(["run", "--", "sh", "-c"]);
        client.arg(script).arg(&begun).stderr(std::fs::File::create(&said).unwrap());
        let client = client.stdin(Stdio::null()).process_group(0).spawn().unwrap();
        let it = Self { installation, client, said };
        eventually(Deadline::after(ANSWER_WITHIN), || begun.exists()).unwrap();
        assert!(it.command_runs());
        it
    }

    /// Whether the command is among the processes of the machine.
    fn command_runs(&self) -> bool {
        let begun = self.installation.root().join("begun");
        let word = begun.as_os_str().as_encoded_bytes();
        let is_it =
            |it: &[u8]| it.starts_with(b"sh\0-c\0") && it.ends_with(&[word, b"\0"].concat());
        processes().iter().any(|it| is_it(&it.command_line))
    }

    fn signal(&self, signal: Signal) {
        send(self.client.id(), signal);
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.said).unwrap()
    }

    fn end(self) -> (Ended, Installation, String) {
        let said = self.said.clone();
        let ended = Ended::wait(self.client);
        (ended, self.installation, std::fs::read_to_string(said).unwrap())
    }
}

#[track_caller]
fn check(signal: Signal) {
    // The code is the command's own: it heard the same signal.
    let code = 128 + signal.as_raw();
    let run = Running::start("");
    run.signal(signal);
    let (ended, installation, said) = run.end();
    assert_eq!(ended.code, code, "{said}");
    // It was released before the client ended, not by the reaper later.
    assert_eq!(installation.residue(), Vec::<String>::new(), "{said}");
    assert_eq!(
        installation.journals()[0].releasing.as_deref(),
        Some("the command of `lease run` ended")
    );
    installation.assert_clean();
}

#[test]
fn an_interrupt_ends_the_command_and_the_lease() {
    check(Signal::INT);
}

#[test]
fn a_request_to_end_does_the_same() {
    check(Signal::TERM);
}

#[test]
fn a_terminal_that_goes_away_does_the_same() {
    check(Signal::HUP);
}

#[test]
fn the_command_hears_the_signal_and_may_finish() {
    let run = Running::start("trap 'echo heard; exit 0' INT;");
    run.signal(Signal::INT);
    let (ended, installation, said) = run.end();
    assert_eq!(ended.stdout, b"heard\n", "{said}");
    installation.assert_clean();
}

#[test]
fn a_second_interrupt_leaves_at_once_and_the_reaper_finishes() {
    let run = Running::start("trap '' INT;");
    run.signal(Signal::INT);
    eventually(Deadline::after(ANSWER_WITHIN), || run.said().contains("interrupted")).unwrap();
    run.signal(Signal::INT);
    let (ended, installation, said) = run.end();
    assert_eq!(ended.code, 130, "{said}");
    installation.assert_clean();
    let why = installation.journals()[0].releasing.clone().unwrap();
    assert!(why.contains("its owner ended"), "{why}");
}

#[test]
fn an_interrupt_before_the_command_releases_too() {
    let installation = Installation::new();
    let client =
        installation.command(["run", "--", "sleep", "60"]).process_group(0).spawn().unwrap();
    let is_opened = || !installation.journals().is_empty();
    eventually(Deadline::after(ANSWER_WITHIN), is_opened).unwrap();
    send(client.id(), Signal::INT);
    let ended = Ended::wait(client);
    assert_eq!(ended.code, 130, "{}", ended.stderr);
    assert!(ended.failure().contains("interrupted"), "{}", ended.stderr);
    installation.assert_clean();
}
