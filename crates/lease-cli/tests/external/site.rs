//! An installation that is configured for an adapter, and the adapter's directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::installation::{CLEAN_WITHIN, Deadline, Ended, Installation, eventually};

/// Spans that are short enough for a test and long enough for a process to be seen.
pub(crate) const QUICK: &str = "    settle: 100ms\n    landing: 300ms\n";

/// How long a machine may take until a login works.
const READY_WITHIN: &str = "30s";

/// An installation with an adapter.
pub(crate) struct Site {
    pub(crate) installation: Installation,
}

impl Site {
    pub(crate) fn new() -> Self {
        let installation = Installation::new();
        let site = Self { installation };
        fs::create_dir_all(site.at("adapter")).unwrap();
        fs::create_dir_all(site.at("work")).unwrap();
        site
    }

    /// An installation that is configured for the adapter whose machines are servers.
    pub(crate) fn machines() -> Self {
        let site = Self::new();
        site.configure(&site.settings(&adapter("machines.py")));
        site
    }

    /// The settings for the adapter whose machines are servers, as lines below `external`.
    pub(crate) fn settings(&self, program: &Path) -> String {
        format!(
            "    command: {}\n    config:\n      state: {}\n      work_root: {}\n{QUICK}",
            program.display(),
            self.at("adapter").display(),
            self.at("work").display()
        )
    }

    /// A path in the installation's directory.
    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.installation.root().join(name)
    }

    /// Writes the user's configuration with these lines below `external`.
    pub(crate) fn configure(&self, lines: &str) {
        let directory = self.at("home/.config/lease");
        fs::create_dir_all(&directory).unwrap();
        let text = format!("provider: external\nproviders:\n  external:\n{lines}");
        fs::write(directory.join("config.yaml"), text).unwrap();
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = self.installation.command(words);
        command.env("LEASE_READY_TIMEOUT", READY_WITHIN);
        command
    }

    pub(crate) fn lease(&self, words: &[&str]) -> Ended {
        Ended::of(&self.command(words).output().unwrap())
    }

    /// Runs a command on a new lease and asserts that tree, output, exit code and the end are as they should be.
    #[track_caller]
    pub(crate) fn check_run(&self) {
        let line = "cat a.txt src/b.txt; pwd; echo oops >&2; exit 7";
        let ended = self.lease(&["run", "--", "sh", "-c", line]);
        assert_eq!(ended.code, 7, "{}", ended.stderr);
        let said = String::from_utf8(ended.stdout).unwrap();
        assert!(said.starts_with("a\nb\n/"), "{said}");
        assert!(ended.stderr.contains("oops\n"), "{}", ended.stderr);
        self.assert_clean();
    }

    /// What the adapter that serves machines still has.
    pub(crate) fn left(&self) -> Vec<PathBuf> {
        crate::installation::entries(&self.at("adapter/machines")).collect()
    }

    /// Asserts that soon nothing is left at the adapter and here.
    #[track_caller]
    pub(crate) fn assert_clean(&self) {
        let clean = || self.left().is_empty() && self.installation.residue().is_empty();
        let is_clean = eventually(Deadline::after(CLEAN_WITHIN * 3), clean).is_ok();
        let log = fs::read_to_string(self.installation.state().join("reaper.log"));
        assert!(
            is_clean,
            "left: {:?} {:?}\n{}",
            self.left(),
            self.installation.residue(),
            log.unwrap_or_default()
        );
        assert_eq!(self.installation.leases(), Vec::<serde_json::Value>::new());
    }

    /// What the adapter was asked and did.
    pub(crate) fn log(&self) -> Vec<String> {
        let text = fs::read_to_string(self.at("adapter/log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

/// An adapter of these tests.
pub(crate) fn adapter(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/external/adapters").join(name)
}

/// The root of the repository.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}
