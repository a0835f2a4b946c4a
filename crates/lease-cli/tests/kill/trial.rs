//! One kill in an installation of its own, and what is left after it.

use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use crate::attempt::{Attempt, Containment};
use crate::call::{Call, Thread};
use crate::installation::process::send;
use crate::installation::tracer::log_of;
use crate::installation::wait::closely;
use crate::installation::{
    ANSWER_WITHIN, CLEAN_WITHIN, Deadline, Installation, Process, SILENT_WITHIN, eventually,
};
use crate::moment::Moment;
use crate::neighbour::{Neighbour, Planted};
use crate::report::Verdict;

/// How long the client's command goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    Short,
    Long,
}

/// An installation in which a client is killed.
#[derive(Debug)]
pub(crate) struct Trial<'a> {
    installation: Installation,
    neighbour: &'a Neighbour,
    planted: Planted,
    label: String,
    /// When even the reaper has to be gone.
    silence: Deadline,
}

impl<'a> Trial<'a> {
    pub(crate) fn begin(neighbour: &'a Neighbour) -> Self {
        let mut installation = Installation::new();
        let planted = neighbour.plant(&mut installation);
        let (label, silence) = (String::new(), Deadline::after(SILENT_WITHIN));
        Self { installation, neighbour, planted, label, silence }
    }

    /// Kills, waits and looks.
    pub(crate) fn conduct(&mut self, attempt: &Attempt) -> Verdict {
        self.label = attempt.label();
        let containment = attempt.containment();
        let was_killed = match attempt {
            Attempt::Call(call) => self.kill_at_call(call),
            Attempt::Moment(moment, _) => self.kill_at_moment(moment, containment, false),
            Attempt::WithReaper(moment, _) => self.kill_at_moment(moment, containment, true),
        };
        let clean = Deadline::after(CLEAN_WITHIN);
        self.silence = Deadline::after(SILENT_WITHIN);
        let mut record_only = false;
        let left = if matches!(attempt, Attempt::WithReaper(..)) {
            self.clean_up(clean)
        } else {
            record_only = self.is_record_only(clean);
            if record_only { self.clean_up(clean) } else { self.installation.await_clean(clean) }
        };
        let left = left.and_then(|()| self.check_list());
        let foreign = self.planted.check().and_then(|()| self.neighbour.check());
        Verdict {
            group: attempt.group(),
            label: self.label.clone(),
            phase: was_killed.then(|| self.phase()),
            record_only,
            litter: self.installation.litter().len(),
            leak: left.err().map(|it| format!("{it}; it said: {}", self.said())),
            foreign: foreign.err(),
        }
    }

    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// Whether the reaper is gone too.
    pub(crate) fn is_silent(&self) -> bool {
        self.installation.processes().is_empty()
    }

    /// Whether the reaper should be gone by now.
    pub(crate) fn is_overdue(&self) -> bool {
        self.silence.is_over()
    }

    /// Waits until the reaper is gone.
    ///
    /// # Errors
    /// What still runs when it should not.
    pub(crate) fn await_silence(&self) -> Result<(), String> {
        eventually(self.silence, || self.is_silent()).map_err(|()| {
            let left: Vec<_> =
                self.installation.processes().iter().map(ToString::to_string).collect();
            left.join(", ")
        })
    }

    /// Runs the client under a tracer that kills it; `false` if it got to its end.
    fn kill_at_call(&self, call: &Call) -> bool {
        let mut tracer = call.tracer(&self.installation);
        if call.thread == Thread::Disk {
            // A reaper that the client starts would be killed at the same call.
            let mut reaper = self.installation.process("setsid");
            reaper
                .arg("--fork")
                .arg(self.installation.program())
                .args(["reaper", "run", "--detach"]);
            assert!(reaper.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success());
            let watches = || self.installation.is_watched();
            eventually(Deadline::after(ANSWER_WITHIN), watches).unwrap();
        }
        add_client(&mut tracer, &self.installation, call.containment, Length::Short);
        let mut tracer = self.start(&mut tracer);
        match call.thread {
            Thread::Main => self.wait(&mut tracer),
            Thread::Disk => self.wait_below(&mut tracer),
        }
    }

    /// Waits for the end of the client alone: a tracer that follows every process would follow the reaper to its end.
    fn wait_below(&self, tracer: &mut Child) -> bool {
        let (mut client, deadline) = (None, Deadline::after(ANSWER_WITHIN));
        eventually(deadline, || {
            client = self.client();
            client.is_some()
        })
        .unwrap();
        eventually(deadline, || self.client().is_none()).unwrap();
        send(tracer.id(), Signal::TERM);
        tracer.wait().unwrap();
        let log = fs::read_to_string(log_of(&self.installation)).unwrap();
        // The number is padded, so it is not compared as the start of a line.
        let client = client.unwrap().to_string();
        log.lines().filter_map(|it| it.split_once(' ')).any(|(process, what)| {
            process == client && what.trim_start().starts_with("+++ killed by SIG")
        })
    }

    /// Runs the client until the moment comes; `false` if it got to its end before that.
    fn kill_at_moment(&self, moment: &Moment, containment: Containment, reaper: bool) -> bool {
        let mut client = self.installation.process("env");
        add_client(&mut client, &self.installation, containment, moment.length);
        let mut client = self.start(&mut client);
        let come = closely(Deadline::after(ANSWER_WITHIN), || {
            (moment.has_come)(&self.installation) || client.try_wait().unwrap().is_some()
        });
        come.unwrap_or_else(|()| panic!("{}: it never came: {}", self.label, self.said()));
        if reaper {
            for process in self.installation.processes().iter().filter(|it| it.is_reaper()) {
                process.kill();
            }
        }
        drop(client.kill());
        self.wait(&mut client)
    }

    fn start(&self, command: &mut Command) -> Child {
        let file = |name: &str| File::create(self.installation.root().join(name)).unwrap();
        command.stdout(file("stdout")).stderr(file("stderr"));
        command.spawn().expect("`strace` is needed to kill a process at a system call")
    }

    /// Waits for the end; whether it was by a signal.
    fn wait(&self, child: &mut Child) -> bool {
        let mut status = None;
        let ended = eventually(Deadline::after(ANSWER_WITHIN), || {
            status = child.try_wait().unwrap();
            status.is_some()
        });
        ended.unwrap_or_else(|()| panic!("{}: it did not end: {}", self.label, self.said()));
        status.unwrap().signal().is_some()
    }

    fn client(&self) -> Option<u32> {
        let program = self.installation.program();
        let is_client = |it: &Process| {
            let mut words = it.command_line.split(|it| *it == 0);
            words.next() == Some(program.as_os_str().as_bytes()) && words.next() == Some(b"run")
        };
        Some(self.installation.processes().into_iter().find(is_client)?.pid)
    }

    /// Whether the client died after it wrote down that there would be a lease, and before a reaper watched or
    /// anything else was there. Waits until that can be told, or nothing is left.
    fn is_record_only(&self, deadline: Deadline) -> bool {
        let mut is = false;
        let told = eventually(deadline, || {
            let live: Vec<_> =
                self.installation.journals().into_iter().filter(|it| it.is_live).collect();
            let nothing_yet = live.iter().all(|it| it.events == ["opened"]);
            is = !live.is_empty() && nothing_yet && self.installation.processes().is_empty();
            is || self.installation.residue().is_empty()
        });
        told.is_ok() && is
    }

    /// Ends what is left with the one command for that. A connection that lost its other end needs a moment to notice.
    fn clean_up(&self, deadline: Deadline) -> Result<(), String> {
        let ended = self.installation.lease(["cleanup"]);
        if ended.code != 0 {
            return Err(format!("cleanup ended with {}: {}", ended.code, ended.stderr));
        }
        self.installation.await_clean(deadline).map_err(|left| format!("after cleanup: {left}"))
    }

    fn check_list(&self) -> Result<(), String> {
        let leases = self.installation.leases();
        if leases.is_empty() { Ok(()) } else { Err(format!("it lists {leases:?}")) }
    }

    /// What the client was doing, told by the journal that it left.
    fn phase(&self) -> &'static str {
        let journals = self.installation.journals();
        let Some(journal) = journals.first() else { return "open" };
        let by_client = journal.releasing.as_ref().is_some_and(|it| it.contains("of `lease run`"));
        match journal.has("ready") {
            _ if by_client => "release",
            true if self.installation.root().join("mark.begun").exists() => "run",
            true => "sync",
            false => "acquire",
        }
    }

    fn said(&self) -> String {
        let read = |name: &str| {
            fs::read_to_string(self.installation.root().join(name)).unwrap_or_default()
        };
        let log = fs::read_to_string(self.installation.state().join("reaper.log"));
        format!("{}{}", read("stderr"), log.unwrap_or_default()).replace('\n', " | ")
    }
}

/// Adds the client's words. Its command leaves a process behind, and so many files that removing them takes a while.
pub(crate) fn add_client(
    command: &mut Command,
    installation: &Installation,
    containment: Containment,
    length: Length,
) {
    let script = "setsid sleep 900 </dev/null >/dev/null 2>&1 & : > \"$0.begun\"; \
                  seq 2000 | xargs touch; echo hi; : > \"$0.done\"; exec sleep \"$1\"";
    let rest = if length == Length::Long { "60" } else { "0" };
    command.arg(installation.program()).args(["run", "--option", containment.option()]);
    command.args(["--", "sh", "-c", script]).arg(installation.root().join("mark")).arg(rest);
}
