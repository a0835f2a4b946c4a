//! A lease whose commands outlive their connection, and a command that shows what was lost or repeated.

use std::fs;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use crate::installation::process::contains;
use crate::installation::{
    ANSWER_WITHIN, Deadline, Ended, Installation, Process, entries, eventually, processes,
};

const LINES: usize = 1_200;

/// An installation with one lease that stays.
pub(crate) struct Place {
    pub(crate) installation: Installation,
}

impl Place {
    pub(crate) fn new(options: &[&str]) -> Self {
        Self::of(Installation::new(), options)
    }

    /// The same of an installation that was prepared.
    pub(crate) fn of(installation: Installation, options: &[&str]) -> Self {
        let named = ["acquire", "--slug", "named", "--option", "contain=scan"];
        let ended = installation.lease(named.iter().chain(options));
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        Self { installation }
    }

    /// The tree on the only box.
    pub(crate) fn work(&self) -> PathBuf {
        let boxes = entries(&self.installation.boxes());
        let mut roots = boxes.map(|it| it.join("root")).filter(|it| it.exists());
        roots.next().unwrap().join("work")
    }

    /// A client that runs the script, its standard output in a pipe.
    pub(crate) fn client(&self, script: &str) -> Child {
        let arguments = ["run", "--no-sync", "--id", "named", "--", "sh", "-c", script];
        let mut command = self.installation.command(arguments);
        command.stderr(Stdio::null()).spawn().unwrap()
    }

    pub(crate) fn last(&self) -> serde_json::Value {
        self.installation.json(&["history"])["runs"][0].clone()
    }

    /// The last run's id, once the box has its command.
    pub(crate) fn begun(&self) -> String {
        let started = || self.work().join("started").exists();
        eventually(Deadline::after(ANSWER_WITHIN), started).unwrap();
        self.last()["id"].as_str().unwrap().to_owned()
    }

    pub(crate) fn starts(&self) -> String {
        fs::read_to_string(self.work().join("started")).unwrap()
    }

    pub(crate) fn end(self) {
        assert_eq!(self.installation.lease(["release", "named"]).code, 0);
        self.installation.assert_clean();
    }
}

/// The processes that hold an installation's connections.
pub(crate) fn connections(installation: &Installation) -> Vec<Process> {
    let is_connection = |it: &[u8]| it.starts_with(b"ssh\0-F\0") && it.ends_with(b"\0");
    let root = installation.root().as_os_str().as_encoded_bytes();
    let mut found = processes();
    found.retain(|it| is_connection(&it.command_line) && contains(&it.command_line, root));
    assert!(!found.is_empty(), "no connection was found");
    found
}

/// Notes each start of itself, prints numbered lines on both streams, and pauses after so many of them.
pub(crate) fn numbered(pause_each: u64) -> String {
    format!(
        "echo x >>started; i=0; while [ $i -lt {LINES} ]; do echo \"out $i 0123456789abcdef\"; echo \"err $i\" >&2; \
         i=$((i+1)); [ $((i % {pause_each})) -ne 0 ] || sleep 0.02; done; printf end; exit 7"
    )
}

pub(crate) fn expected() -> (Vec<u8>, String) {
    let mut out: Vec<_> = (0..LINES).map(|it| format!("out {it} 0123456789abcdef\n")).collect();
    out.push("end".to_owned());
    let err: Vec<_> = (0..LINES).map(|it| format!("err {it}\n")).collect();
    (out.concat().into_bytes(), err.concat())
}

/// The lines that the command wrote to standard error, without what the program says there.
pub(crate) fn errors(ended: &Ended) -> String {
    let lines = ended.stderr.lines().filter(|it| it.starts_with("err "));
    lines.map(|it| format!("{it}\n")).collect::<Vec<_>>().concat()
}

/// Reads so many bytes, kills the client, and returns what it had passed on until then.
pub(crate) fn kill_after(mut client: Child, bytes: u64) -> Vec<u8> {
    let mut stdout = client.stdout.take().unwrap();
    let mut seen = Vec::new();
    stdout.by_ref().take(bytes).read_to_end(&mut seen).unwrap();
    client.kill().unwrap();
    stdout.read_to_end(&mut seen).unwrap();
    client.wait().unwrap();
    seen
}
