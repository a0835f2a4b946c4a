//! Interrupts that come while the connection or the box makes us wait: what is said is what happens, and nobody waits for
//! ever.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use rustix::process::Signal;

use crate::installation::process::send;
use crate::installation::{
    ANSWER_WITHIN, Deadline, Ended, Installation, Process, eventually, processes,
};
use crate::place::{Place, connections};

/// A lease whose box unpacks nothing while there is a file `hold`, and says so with a file `reached`.
struct Slow {
    place: Place,
    hold: PathBuf,
    reached: PathBuf,
    said: PathBuf,
}

impl Slow {
    fn new() -> Self {
        let installation = Installation::new();
        let at = |name: &str| installation.root().join(name);
        let (hold, reached, said) = (at("hold"), at("reached"), at("said"));
        fs::create_dir(at("bin")).unwrap();
        let tar = format!(
            "#!/bin/sh\nif [ -e {hold} ]; then : >{reached}; while [ -e {hold} ]; do sleep 0.05; done; fi\n\
             PATH=/usr/bin:/bin exec tar \"$@\"\n",
            hold = hold.display(),
            reached = reached.display()
        );
        fs::write(at("bin/tar"), tar).unwrap();
        fs::set_permissions(at("bin/tar"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir_all(at("home/.config/lease")).unwrap();
        let text = format!(
            "providers:\n  local:\n    environment: {{PATH: \"{}:/usr/local/bin:/usr/bin:/bin\"}}\n",
            at("bin").display()
        );
        fs::write(at("home/.config/lease/config.yaml"), text).unwrap();
        let place = Place::of(installation, &[]);
        assert_eq!(place.installation.lease(["run", "--id", "named", "--", "true"]).code, 0);
        Self { place, hold, reached, said }
    }

    /// A client whose command waits for a changed file to be unpacked.
    fn waiting(&self) -> (Child, String) {
        fs::write(self.place.installation.tree().join("a.txt"), "changed\n").unwrap();
        fs::write(&self.hold, "").unwrap();
        let arguments = ["run", "--id", "named", "--", "sh", "-c", "echo x >>started"];
        let mut command = self.place.installation.command(arguments);
        command.stderr(fs::File::create(&self.said).unwrap()).stdin(Stdio::null());
        let client = command.spawn().unwrap();
        eventually(Deadline::after(ANSWER_WITHIN), || self.reached.exists()).unwrap();
        (client, self.place.last()["id"].as_str().unwrap().to_owned())
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap()
    }

    /// Lets the box go on, and waits until the request has come to its end there.
    fn settle(&self, run: &str) {
        fs::remove_file(&self.hold).unwrap();
        let is_of_it = |it: &[u8]| it.windows(run.len()).any(|at| at == run.as_bytes());
        let is_over = || !processes().iter().any(|it| is_of_it(&it.command_line));
        eventually(Deadline::after(ANSWER_WITHIN), is_over).unwrap();
    }
}

fn send_all(processes: &[Process], signal: Signal) {
    for it in processes {
        send(it.pid, signal);
    }
}

#[test]
fn a_command_that_was_interrupted_while_the_box_made_it_wait_never_starts() {
    let slow = Slow::new();
    let (client, run) = slow.waiting();
    send(client.id(), Signal::INT);
    let ended = Ended::wait(client);
    assert_eq!(ended.code, 130, "{}", slow.said());
    assert!(slow.said().contains("interrupted before the command started"), "{}", slow.said());
    slow.settle(&run);
    assert!(!slow.place.work().join("started").exists(), "it was said that it never starts");
    // The next one finds the tree as it is.
    let next = slow.place.installation.lease(["run", "--id", "named", "--", "cat", "a.txt"]);
    assert_eq!((next.code, next.stdout.as_slice()), (0, &b"changed\n"[..]), "{}", next.stderr);
    slow.place.end();
}

#[test]
fn a_second_interrupt_does_not_wait_for_a_connection_that_carries_nothing() {
    let slow = Slow::new();
    let (client, run) = slow.waiting();
    let frozen = connections(&slow.place.installation);
    send_all(&frozen, Signal::STOP);
    send(client.id(), Signal::INT);
    let is_told = || slow.said().contains("interrupted; ending the command");
    eventually(Deadline::after(ANSWER_WITHIN), is_told).unwrap();
    send(client.id(), Signal::INT);
    let ended = Ended::wait(client);
    send_all(&frozen, Signal::CONT);
    assert_eq!(ended.code, 130, "{}", slow.said());
    let said = slow.said();
    assert!(said.contains("interrupted twice; the command may still run on the box"), "{said}");
    slow.settle(&run);
    slow.place.end();
}

#[test]
fn a_connection_that_carries_nothing_holds_no_interrupt_up() {
    let place = Place::new(&[]);
    let said = place.installation.root().join("said");
    let script = "echo x >>started; while :; do sleep 0.05; done";
    let words = ["run", "--no-sync", "--id", "named", "--", "sh", "-c", script];
    let mut command = place.installation.command(words);
    let mut client = command.stderr(fs::File::create(&said).unwrap()).spawn().unwrap();
    place.begun();
    let frozen = connections(&place.installation);
    send_all(&frozen, Signal::STOP);
    send(client.id(), Signal::INT);
    let mut status = None;
    let ended = eventually(Deadline::after(ANSWER_WITHIN), || {
        status = client.try_wait().unwrap();
        status.is_some()
    });
    send_all(&frozen, Signal::CONT);
    if ended.is_err() {
        client.kill().unwrap();
    }
    let said = fs::read_to_string(said).unwrap();
    assert_eq!(status.and_then(|it| it.code()), Some(130), "{said}");
    assert!(said.contains("so the command may still run there"), "{said}");
    place.end();
}
