//! What belongs to others: a living lease of another installation, and things that look like ours and are not.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use crate::installation::{Deadline, Installation, Process, entries, eventually, processes};

/// A directory named like a box that says nothing about itself.
const NAMELESS: &str = "lse-foreignforeignforeig-0";

/// Another installation with a living lease, on which a process runs.
#[derive(Debug)]
pub(crate) struct Neighbour {
    installation: Installation,
    worker: Child,
    /// The box, and the name it would have beside ours.
    home: PathBuf,
    nonce: String,
}

/// What was planted in an installation.
#[derive(Debug)]
pub(crate) struct Planted {
    process: Child,
    paths: Vec<PathBuf>,
    before: Vec<String>,
}

impl Neighbour {
    pub(crate) fn move_in() -> Self {
        let installation = Installation::new();
        let ended = installation.lease(["acquire", "--slug", "neighbour"]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let begun = installation.root().join("begun");
        let mut worker = installation.command(["exec", "neighbour", "--", "sh", "-c"]);
        let worker = worker.arg(": > \"$0\"; read line").arg(&begun).stdin(Stdio::piped());
        let worker = worker.spawn().unwrap();
        let soon = Deadline::after(crate::installation::ANSWER_WITHIN);
        eventually(soon, || begun.exists()).expect("the neighbour works");
        let home = entries(&installation.boxes()).find(|it| !it.ends_with(".root-id")).unwrap();
        let nonce = installation.journals()[0].nonces[0].clone();
        Self { installation, worker, home, nonce }
    }

    /// Puts things that look like ours into an installation: a box without marks, a copy of the neighbour's, and a
    /// process whose arguments are those of a connection and whose mark is the neighbour's.
    pub(crate) fn plant(&self, into: &mut Installation) -> Planted {
        let nameless = into.boxes().join(NAMELESS);
        let copy = into.boxes().join(self.home.file_name().unwrap());
        fs::create_dir_all(nameless.join("root")).unwrap();
        fs::create_dir_all(copy.join("root")).unwrap();
        for file in entries(&self.home).filter(|it| it.is_file()) {
            fs::copy(&file, copy.join(file.file_name().unwrap())).unwrap();
        }
        for dir in [&nameless, &copy] {
            fs::write(dir.join("root/precious"), "precious\n").unwrap();
        }
        fs::write(nameless.join("connect"), "read line\n").unwrap();
        // The program makes its directories private, and whoever made them first has to have done so.
        for dir in [into.state(), into.boxes()] {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).unwrap();
        }
        let mut process = into.process("/bin/sh");
        process.arg(nameless.join("connect")).env("LEASE_BOX", &self.nonce);
        let process = process.stdin(Stdio::piped()).spawn().unwrap();
        let paths = vec![nameless, copy];
        into.plant(paths.clone(), Some(process.id()));
        let before = paths.iter().flat_map(|it| look(it)).collect();
        Planted { process, paths, before }
    }

    /// Whether the lease still stands, seen from the outside.
    pub(crate) fn check(&self) -> Result<(), String> {
        if !self.home.join("box.json").exists() {
            return Err("the neighbour's box is damaged".to_owned());
        }
        let mine = |it: &Process| it.has_mark(&self.nonce) && it.names(self.installation.root());
        if processes().iter().any(mine) {
            return Ok(());
        }
        Err("the neighbour's process was ended".to_owned())
    }

    /// Asserts that the lease can be used as before.
    pub(crate) fn assert_untouched(mut self) {
        self.check().unwrap();
        writeln!(self.worker.stdin.take().unwrap(), "home time").unwrap();
        assert!(self.worker.wait().unwrap().success());
        let leases = self.installation.leases();
        assert_eq!((leases.len(), leases[0]["phase"].as_str()), (1, Some("ready")));
        let ended = self.installation.lease(["exec", "neighbour", "--", "echo", "here"]);
        assert_eq!((ended.code, ended.stdout.as_slice()), (0, b"here\n".as_slice()));
        assert_eq!(self.installation.lease(["release", "neighbour"]).code, 0);
        self.installation.assert_clean();
    }
}

impl Planted {
    /// Whether everything is as it was.
    pub(crate) fn check(&mut self) -> Result<(), String> {
        let now: Vec<String> = self.paths.iter().flat_map(|it| look(it)).collect();
        if now != self.before {
            return Err(format!("{:?} became {now:?}", self.before));
        }
        match self.process.try_wait().unwrap() {
            None => Ok(()),
            Some(status) => Err(format!("the look-alike process was ended: {status}")),
        }
    }
}

/// What the checks are checked with.
impl Planted {
    pub(crate) fn write(&mut self) {
        fs::write(self.paths[1].join("root/precious"), "precious\n").unwrap();
    }

    pub(crate) fn end_process(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Planted {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Whether this directory was planted.
pub(crate) fn is_planted(path: &Path) -> bool {
    path.join("root/precious").exists()
}

/// Every file below a directory with what changes when it is touched.
fn look(dir: &Path) -> Vec<String> {
    let mut seen = Vec::new();
    for path in entries(dir) {
        let meta = fs::symlink_metadata(&path).unwrap();
        let (inode, changed) = (meta.ino(), (meta.ctime(), meta.ctime_nsec()));
        seen.push(format!("{} {inode} {changed:?}", path.display()));
        if meta.is_dir() {
            seen.extend(look(&path));
        }
    }
    seen
}
