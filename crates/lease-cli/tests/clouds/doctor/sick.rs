//! A machine that can be broken: programs are missing or replaced in a `PATH` of links, and disks are mounted where only
//! one program sees them. The machine of the test itself stays as it is.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::cloud::Project;
use crate::installation::{Ended, Installation};

const PROGRAMS: [&str; 4] = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin"];

/// The code of a shell that was not allowed to plant its fault.
const NOT_PLANTED: i32 = 99;

/// An installation that has been used once, so that all of its directories are there.
pub(super) struct Sick {
    installation: Installation,
}

/// What `doctor` said.
#[must_use = "look at what was found"]
pub(super) struct Diagnosis {
    pub(super) code: i32,
    /// Both streams.
    pub(super) text: String,
    stdout: String,
    stderr: String,
}

impl Sick {
    pub(super) fn new() -> Self {
        let sick = Self { installation: Installation::new() };
        fs::create_dir(sick.at("bin")).unwrap();
        fs::create_dir_all(sick.at("home/.config/lease")).unwrap();
        for name in ["state", "state/runs", "state/keys"] {
            fs::DirBuilder::new().mode(0o700).create(sick.at(name)).unwrap();
        }
        let listed = sick.installation.lease(["list"]);
        assert_eq!(listed.code, 0, "{}", listed.stderr);
        sick
    }

    /// A path in this installation.
    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.installation.root().join(name)
    }

    /// Where programs are found: those that were replaced, and the machine's own as long as none was taken away.
    pub(super) fn path(&self) -> String {
        let own = self.at("bin").display().to_string();
        if self.at("bin/sh").exists() { own } else { format!("{own}:{}", PROGRAMS.join(":")) }
    }

    /// Takes a program away: from now on, programs are found by links only.
    pub(super) fn remove(&self, program: &str) {
        let bin = self.at("bin");
        for path in PROGRAMS.iter().flat_map(|it| crate::installation::entries(Path::new(it))) {
            let link = bin.join(path.file_name().unwrap());
            if fs::symlink_metadata(&link).is_err() {
                symlink(&path, link).unwrap();
            }
        }
        fs::remove_file(bin.join(program)).unwrap();
    }

    /// Puts a shell script in the place of a program.
    pub(super) fn replace(&self, program: &str, script: &str) {
        let path = self.at("bin").join(program);
        drop(fs::remove_file(&path));
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Writes the user's configuration.
    pub(super) fn configure(&self, text: &str) {
        fs::write(self.at("home/.config/lease/config.yaml"), text).unwrap();
    }

    /// Puts the key of a lease there, as private as a real one.
    pub(super) fn plant_key(&self) {
        let directory = self.at("state/keys/lse-aaaaaaaaaaaaaaaaaaaa");
        fs::DirBuilder::new().mode(0o700).create(&directory).unwrap();
        let key = directory.join("id_ed25519");
        fs::write(&key, "a key\n").unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub(super) fn doctor(&self) -> Diagnosis {
        self.diagnosed(self.installation.command(["doctor"]))
    }

    /// With the credential of a project.
    pub(super) fn doctor_with(&self, project: &Project) -> Diagnosis {
        self.doctor_where("HCLOUD_TOKEN", OsStr::new(project.token()))
    }

    /// With another variable.
    pub(super) fn doctor_where(&self, name: &str, value: &OsStr) -> Diagnosis {
        let mut command = self.installation.command(["doctor"]);
        command.env(name, value);
        self.diagnosed(command)
    }

    /// In a mount namespace of its own, in which a shell script planted its fault.
    #[track_caller]
    pub(super) fn doctor_after(&self, script: &str) -> Diagnosis {
        let mut command = self.installation.process("unshare");
        command.args(["--mount", "--propagation", "private"]);
        if !rustix::process::geteuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        let script = format!("(set -e; {script}) || exit {NOT_PLANTED}; exec \"$0\" doctor");
        command.args(["/bin/sh", "-c", &script]).arg(self.installation.program());
        let found = self.diagnosed(command);
        let planted = found.code == 0 || found.code == 1;
        assert!(
            planted && found.code != NOT_PLANTED,
            "this test has to mount in a namespace of its own, as root or in a user namespace: {found}"
        );
        found
    }

    fn diagnosed(&self, mut command: Command) -> Diagnosis {
        let ended = Ended::of(&command.env("PATH", self.path()).output().unwrap());
        let stdout = String::from_utf8(ended.stdout).unwrap();
        let text = format!("{stdout}{}", ended.stderr);
        Diagnosis { code: ended.code, text, stdout, stderr: ended.stderr }
    }
}

impl Diagnosis {
    /// Where a verdict was given, as group and name.
    pub(super) fn at(&self, verdict: &str) -> Vec<String> {
        let lines = self.stdout.lines().filter_map(|it| it.strip_prefix(verdict));
        lines.filter_map(|it| Some(it.trim_start().split_once("  ")?.0.to_owned())).collect()
    }

    /// The line about something.
    #[track_caller]
    pub(super) fn line(&self, at: &str) -> &str {
        let about =
            |it: &&str| it.split_once(' ').is_some_and(|it| it.1.trim_start().starts_with(at));
        self.stdout.lines().find(about).unwrap_or_else(|| panic!("nothing about {at}: {self}"))
    }

    /// The last line on standard error.
    pub(super) fn last(&self) -> &str {
        self.stderr.lines().last().unwrap_or_default()
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit code {}\n{}", self.code, self.text)
    }
}
