//! Ending everything that somebody started, and nothing else.
//!
//! Two things make that harder than a loop over `kill`. A pid may pass to a foreign process between the look and
//! the signal, so signals go through a handle of the very process where the kernel has such handles. And a process
//! that forks faster than we read the table is never caught by killing one at a time, so a round halts everybody
//! first and kills when nobody new turns up.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::time::Duration;

use rustix::io::Errno;
use tokio::time::Instant;

use crate::identity::start_of;
use crate::table::{Process, ProcessState, ProcessTable};
use crate::{Pid, ProcessError, Signal, wait};

/// How long after a round of signals the table is read again; doubled each time up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(5);

/// The longest time between two looks.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// How often a round looks for newcomers before it kills those it has halted.
const FREEZE_PASSES_MAX: usize = 16;

/// How often an empty answer is asked again because somebody was born meanwhile.
const LOOKS_MAX: usize = 64;

/// How many looks in a row that show nobody new are believed. Whoever forks and ends while the table is read may be missing
/// from it, and on a busy machine, where that takes long, from two in a row.
const QUIET_LOOKS: usize = 2;

/// How patiently processes are ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndPolicy {
    /// How long they may take to end by themselves after `SIGTERM`. With zero they are asked and killed at once.
    pub term_grace: Duration,
    /// How long they are killed, and waited for, after that.
    pub kill_deadline: Duration,
}

impl Default for EndPolicy {
    /// Two seconds to end, ten to be killed.
    fn default() -> Self {
        Self { term_grace: Duration::from_secs(2), kill_deadline: Duration::from_secs(10) }
    }
}

/// What became of the processes that were selected.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct EndReport {
    /// Those that have ended, by ascending id.
    pub ended: Vec<Pid>,
    /// Those that have not.
    pub survivors: Vec<Survivor>,
}

/// A process that could not be ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Survivor {
    /// Its id.
    pub pid: Pid,
    /// Its argument vector, cut after 4 KiB.
    pub argv: Vec<OsString>,
    /// What kept it.
    pub why: Why,
}

/// What kept a process from being ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It runs as another user, and we may not signal it.
    NotPermitted,
    /// It waits in the kernel for something that no signal interrupts.
    Uninterruptible,
    /// It was killed and is still there, or newcomers kept coming until the time was over.
    StillRunning,
}

/// Ends every process that `select` names, now or while this goes on.
///
/// First they get `SIGTERM` and a grace, then rounds of `SIGSTOP` for all and `SIGKILL` for all, until nobody is
/// left or the time is over. What was selected once stays selected although its parent, by which it may have been
/// recognised, has ended. We ourselves, our ancestors and process 1 are never touched, whatever `select` says.
///
/// `select` sees a fresh table each time. A child that was started with a changed environment is found through
/// [`ProcessTable::with_descendants`] as long as its line of parents lives.
///
/// # Errors
///
/// When the process table cannot be read.
///
/// # Cancel safety
///
/// Dropping the future leaves the rest alive. It never leaves a process halted: those that a round halts it kills
/// before it waits.
pub async fn end_all(
    select: impl Fn(&ProcessTable) -> BTreeSet<Pid>,
    policy: EndPolicy,
) -> Result<EndReport, ProcessError> {
    let mut hunt = Hunt { select, seen: BTreeSet::new(), denied: BTreeSet::new() };
    if !hunt.ask(policy.term_grace).await? {
        hunt.kill(policy.kill_deadline).await?;
    }
    hunt.report()
}

struct Hunt<F> {
    select: F,
    /// Everybody who was ever selected, by id and start time.
    seen: BTreeSet<(Pid, u64)>,
    /// Those whom we may not signal.
    denied: BTreeSet<(Pid, u64)>,
}

impl<F: Fn(&ProcessTable) -> BTreeSet<Pid>> Hunt<F> {
    /// Sends `SIGTERM` once to each; says whether nobody is left.
    async fn ask(&mut self, grace: Duration) -> Result<bool, ProcessError> {
        let end = Instant::now() + grace;
        let mut asked = BTreeSet::new();
        let mut pause = PAUSE_MIN;
        loop {
            let alive = self.look().await?;
            if alive.is_empty() {
                return Ok(true);
            }
            for process in &alive {
                if asked.insert(key(process)) {
                    self.deliver(process, Signal::Terminate);
                    // A halted process handles nothing before it goes on, and the others do not mind.
                    self.deliver(process, Signal::Continue);
                }
            }
            let now = Instant::now();
            if now >= end {
                return Ok(false);
            }
            wait::pause(pause.min(end - now)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn kill(&mut self, deadline: Duration) -> Result<(), ProcessError> {
        let end = Instant::now() + deadline;
        let mut pause = PAUSE_MIN;
        loop {
            let alive = self.freeze()?;
            for process in &alive {
                self.deliver(process, Signal::Kill);
            }
            let is_denied = |process: &Process| self.denied.contains(&key(process));
            let is_done = if alive.is_empty() {
                self.look().await?.is_empty()
            } else {
                alive.iter().all(is_denied)
            };
            if is_done || Instant::now() >= end {
                return Ok(());
            }
            wait::pause(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Halts everybody until no newcomer is found; returns who is there.
    fn freeze(&mut self) -> Result<Vec<Process>, ProcessError> {
        let mut halted = BTreeSet::new();
        let mut alive = self.look_at(&ProcessTable::read()?);
        for _ in 0..FREEZE_PASSES_MAX {
            let newcomers: Vec<&Process> =
                alive.iter().filter(|process| halted.insert(key(process))).collect();
            if newcomers.is_empty() {
                break;
            }
            for process in newcomers {
                self.deliver(process, Signal::Stop);
            }
            alive = self.look_at(&ProcessTable::read()?);
        }
        Ok(alive)
    }

    /// Returns those that were ever selected and have not ended.
    ///
    /// "Nobody" is said only if nobody was born while we looked, or was just being replaced by another program: a
    /// process that forks and exits all the time would otherwise slip through between its two pids, and one in the
    /// middle of an exec has no environment to be known by. A machine that is never quiet is asked [`LOOKS_MAX`]
    /// times.
    async fn look(&mut self) -> Result<Vec<Process>, ProcessError> {
        let mut table = ProcessTable::read()?;
        let mut quiet_looks = 0;
        for _ in 0..LOOKS_MAX {
            let was_starting = table.iter().any(Process::is_starting);
            let alive = self.look_at(&table);
            if !alive.is_empty() {
                return Ok(alive);
            }
            let after = ProcessTable::read()?;
            let is_known = |process: &Process| {
                table.get(process.pid).is_some_and(|old| key(old) == key(process))
            };
            let is_quiet = !was_starting
                && after.iter().all(|process| process.state.has_ended() || is_known(process));
            quiet_looks = if is_quiet { quiet_looks + 1 } else { 0 };
            if quiet_looks == QUIET_LOOKS {
                break;
            }
            table = after;
            wait::pause(PAUSE_MIN).await;
        }
        Ok(Vec::new())
    }

    fn look_at(&mut self, table: &ProcessTable) -> Vec<Process> {
        let mut untouchable = table.with_ancestors(Pid::current());
        untouchable.extend(Pid::new(1));
        let is_alive =
            |process: &&Process| !process.state.has_ended() && !untouchable.contains(&process.pid);
        let selected = (self.select)(table);
        self.seen
            .extend(selected.iter().filter_map(|pid| table.get(*pid)).filter(is_alive).map(key));
        table
            .iter()
            .filter(is_alive)
            .filter(|process| self.seen.contains(&key(process)))
            .cloned()
            .collect()
    }

    fn deliver(&mut self, process: &Process, signal: Signal) {
        if let Err(Errno::PERM) = send(process, signal) {
            self.denied.insert(key(process));
        }
    }

    fn report(mut self) -> Result<EndReport, ProcessError> {
        let survivors = self.look_at(&ProcessTable::read()?);
        let left: BTreeSet<Pid> = survivors.iter().map(|process| process.pid).collect();
        let ended =
            self.seen.iter().map(|(pid, _start)| *pid).filter(|pid| !left.contains(pid)).collect();
        let survivors = survivors.into_iter().map(|process| {
            let why = match process.state {
                _ if self.denied.contains(&key(&process)) => Why::NotPermitted,
                ProcessState::Uninterruptible => Why::Uninterruptible,
                ProcessState::Active | ProcessState::Stopped | ProcessState::Zombie => {
                    Why::StillRunning
                }
            };
            Survivor { pid: process.pid, argv: process.argv(), why }
        });
        Ok(EndReport { ended, survivors: survivors.collect() })
    }
}

fn key(process: &Process) -> (Pid, u64) {
    (process.pid, process.start)
}

/// Signals the very process. That it is gone is an `Errno::SRCH`.
fn send(process: &Process, signal: Signal) -> Result<(), Errno> {
    let pid = process.pid.sys().ok_or(Errno::SRCH)?;
    #[cfg(target_os = "linux")]
    if let Ok(handle) = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()) {
        // The handle cannot pass to another process; what is left to check is whom it was opened for.
        same(process)?;
        match rustix::process::pidfd_send_signal(handle, signal.sys()) {
            // An old container runtime forbids what it does not know; then the older call has to do.
            Err(Errno::NOSYS | Errno::PERM) => {}
            sent => return sent,
        }
    }
    same(process)?;
    rustix::process::kill_process(pid, signal.sys())
}

fn same(process: &Process) -> Result<(), Errno> {
    match start_of(process.pid) {
        Ok(Some(start)) if start == process.start => Ok(()),
        _ => Err(Errno::SRCH),
    }
}
