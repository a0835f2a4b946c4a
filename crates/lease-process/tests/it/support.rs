//! What the tests share: a random mark for everything one test starts, and waiting for the process table to agree.

use std::collections::BTreeSet;
use std::time::Duration;

use lease_process::{Pid, ProcessTable, Program, wait};

/// Longer than anything here takes on a busy machine; only a failing test waits that long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A variable that no other process has in its environment.
#[derive(Debug)]
pub(crate) struct Mark(String);

impl Mark {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self(
            directory
                .path()
                .file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .trim_start_matches('.')
                .to_owned(),
        )
    }

    pub(crate) fn put_on(&self, program: Program) -> Program {
        program.env("LEASE_TEST_MARK", &self.0).env("PATH", "/usr/local/bin:/usr/bin:/bin")
    }

    /// A shell that runs `script` and has the mark.
    pub(crate) fn shell(&self, script: &str) -> Program {
        self.put_on(Program::new("sh")).arg("-c").arg(script)
    }

    /// Everybody who has the mark and has not ended.
    pub(crate) fn bearers(&self) -> BTreeSet<Pid> {
        self.bearers_in(&ProcessTable::read().unwrap())
    }

    pub(crate) fn bearers_in(&self, table: &ProcessTable) -> BTreeSet<Pid> {
        let mark = format!("LEASE_TEST_MARK={}", self.0);
        table.select(|process| !process.state.has_ended() && process.has_env(&mark))
    }

    #[track_caller]
    pub(crate) fn wait_for(&self, count: usize) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let seen = wait::until(PATIENCE, POLL, || self.bearers().len() == count).await;
            assert!(seen, "{caller}: {:?} instead of {count} processes", self.bearers());
        }
    }
}

/// A failed test leaves nothing running either.
impl Drop for Mark {
    fn drop(&mut self) {
        for pid in
            self.bearers().into_iter().filter_map(|pid| rustix::process::Pid::from_raw(pid.get()))
        {
            // It may have ended by now.
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
        }
    }
}

const POLL: Duration = Duration::from_millis(10);
