//! One kill at a cloud of its own, and what is left after it.

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use lease_emulator::{Cloud as _, LedgerEntry};

use crate::attempt::{Attempt, Life, Point, Reaper};
use crate::installation::tracer::{inject, tracer};
use crate::installation::{ANSWER_WITHIN, CLEAN_WITHIN, Deadline, eventually};
use crate::place::Place;
use crate::report::Verdict;
use crate::site::Site;
use crate::strike::{Client, Strike, end_reapers};

/// How long a machine may take until a login works.
const READY_WITHIN: &str = "30s";
/// How long a connection may take to notice that its other end is gone.
const NOTICED_WITHIN: Duration = Duration::from_secs(5);

/// A cloud with things of others in it, and an installation in which a client is killed.
pub(crate) struct Trial<C: Place> {
    pub(crate) site: Site<C>,
    before: Vec<LedgerEntry>,
}

/// How a lease ended that outlived its client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ending {
    /// Whether only a record was left, of a lease that had nothing yet, for the next command to end.
    pub(crate) record_only: bool,
    /// Whether the reaper needed more than the ten seconds that it should.
    pub(crate) is_late: bool,
    /// How often `lease cleanup` was run until it said that nothing was left.
    pub(crate) cleanups: usize,
}

impl<C: Place> Trial<C> {
    pub(crate) fn begin() -> Self {
        let site = C::open();
        C::plant(&site);
        let before = site.cloud.ledger().into_iter().filter(|it| it.foreign).collect();
        Self { site, before }
    }

    /// Makes what the life needs; says how many requests were served by then.
    pub(crate) fn prepare(&self, life: Life) -> usize {
        if life == Life::Release {
            let ended = self.site.lease(Life::Acquire.words());
            assert_eq!(ended.code, 0, "{}", ended.stderr);
        }
        self.site.cloud.trace().len()
    }

    /// Adds the client's words and its surroundings.
    pub(crate) fn words<'a>(&self, life: Life, command: &'a mut Command) -> &'a mut Command {
        let (variable, credential) = &self.site.credential;
        command.arg(self.site.installation.program()).args(life.words());
        command.env(variable, credential).env("LEASE_READY_TIMEOUT", READY_WITHIN)
    }

    /// Kills, waits and looks.
    pub(crate) fn conduct(&self, attempt: &Attempt) -> Verdict {
        let was_killed = self.kill(attempt);
        let mut ending = Ending::default();
        let left = self.finish(attempt, &mut ending).and_then(|()| self.look());
        self.site.assert_no_secret();
        self.verdict(attempt, was_killed, ending, left)
    }

    /// What all this came to.
    pub(crate) fn verdict(
        &self,
        attempt: &Attempt,
        was_killed: bool,
        ending: Ending,
        left: Result<(), String>,
    ) -> Verdict {
        Verdict {
            provider: attempt.provider,
            group: attempt.group(),
            label: attempt.label(),
            was_killed,
            ending,
            machines: self.machines().len(),
            leak: left.err().map(|it| format!("{it}; it said: {}", self.said())),
            foreign: self.foreign().err(),
            second: self.second().err(),
        }
    }

    /// Runs the client until it is killed, and the reaper with it if it is to die; `false` if it got to its end.
    pub(crate) fn kill(&self, attempt: &Attempt) -> bool {
        self.prepare(attempt.life);
        let installation = &self.site.installation;
        let client = Arc::<Client>::default();
        let mut command = match &attempt.point {
            Point::Request(number, stage) => {
                let strike = Strike { number: *number, stage: *stage, reaper: attempt.reaper };
                strike.prepare(&self.site.cloud, &client, installation);
                installation.process("env")
            }
            Point::Call { name, number, side } => {
                let mut tracer = tracer(installation);
                inject(&mut tracer, name, *number, *side);
                tracer
            }
        };
        client.start(self.words(attempt.life, &mut command), installation);
        let was_killed = client.was_killed();
        if attempt.reaper == Reaper::Dies {
            end_reapers(installation.root());
        }
        was_killed
    }

    /// Waits until the lease is given back, by whomever that is up to.
    fn finish(&self, attempt: &Attempt, ending: &mut Ending) -> Result<(), String> {
        if self.lives_on(attempt.life) {
            let ended = self.site.lease(Life::Release.words());
            return if ended.code == 0 { Ok(()) } else { Err(ended.stderr) };
        }
        if attempt.reaper == Reaper::Lives {
            let soon = Deadline::after(CLEAN_WITHIN);
            ending.record_only = self.await_reaper()?;
            ending.is_late = soon.is_over();
            if !ending.record_only {
                return Ok(());
            }
        }
        self.clean_up(ending)
    }

    /// Whether the lease is there by right: it was ready, and nobody asked for its end before the client died.
    fn lives_on(&self, life: Life) -> bool {
        let journals = self.site.installation.journals();
        let mut open = journals.iter().filter(|it| it.is_live);
        life != Life::Run && open.any(|it| it.has("ready") && !it.has("releasing"))
    }

    /// Waits for the reaper to end everything, for as long as it may take. `true` if there is none to wait for, because
    /// the client died before it was started or anything else was there.
    fn await_reaper(&self) -> Result<bool, String> {
        let mut record_only = false;
        let told = eventually(Deadline::after(ANSWER_WITHIN), || {
            let journals = self.site.installation.journals();
            let mut live = journals.iter().filter(|it| it.is_live).peekable();
            let nothing_yet = live.peek().is_some() && live.all(|it| it.events == ["opened"]);
            record_only = nothing_yet && self.site.installation.processes().is_empty();
            record_only || self.is_clean()
        });
        told.map(|()| record_only).map_err(|()| self.left())
    }

    /// Runs the one command for that until it says that nothing is left.
    fn clean_up(&self, ending: &mut Ending) -> Result<(), String> {
        let deadline = Deadline::after(ANSWER_WITHIN);
        let mut said = String::new();
        let done = eventually(deadline, || {
            ending.cleanups += 1;
            let ended = self.site.lease(&["cleanup", "--json"]);
            said = format!("{} {}", String::from_utf8_lossy(&ended.stdout), ended.stderr);
            ended.code == 0 && says_nothing_is_left(&ended.stdout)
        });
        done.map_err(|()| format!("cleanup ends with: {said}"))
    }

    /// Whether soon nothing of ours is left: at the cloud, on its machines, and here.
    pub(crate) fn look(&self) -> Result<(), String> {
        // A connection that lost its other end needs a moment to notice.
        let is_clean = eventually(Deadline::after(NOTICED_WITHIN), || self.is_clean()).is_ok();
        if is_clean && self.site.installation.leases().is_empty() {
            return Ok(());
        }
        Err(self.left())
    }

    fn left(&self) -> String {
        let (ours, here) = (self.site.ours(), self.site.installation.residue());
        let machines = self.site.machines.ids();
        let leases = self.site.installation.leases();
        format!("left: {ours:?}; {here:?}; machines {machines:?}; leases {leases:?}")
    }

    fn is_clean(&self) -> bool {
        self.site.ours().is_empty()
            && self.site.machines.ids().is_empty()
            && self.site.installation.residue().is_empty()
    }

    /// Whether everything of others is as it was.
    pub(crate) fn foreign(&self) -> Result<(), String> {
        let mut now = self.site.cloud.ledger();
        now.retain(|it| it.foreign);
        if now == self.before {
            return Ok(());
        }
        Err(format!("{:?} became {now:?}", self.before))
    }

    /// Whether there was never more than one machine of ours at a time.
    pub(crate) fn second(&self) -> Result<(), String> {
        let machines = self.machines();
        let together = |one: &LedgerEntry, other: &LedgerEntry| {
            let ends = |it: &LedgerEntry| it.gone.unwrap_or(Duration::MAX);
            one.born < ends(other) && other.born < ends(one)
        };
        let pairs = machines
            .iter()
            .enumerate()
            .flat_map(|(at, one)| machines.iter().skip(at + 1).map(move |other| (one, other)));
        match pairs.into_iter().find(|(one, other)| together(one, other)) {
            None => Ok(()),
            Some(pair) => Err(format!("{pair:?}")),
        }
    }

    /// The machines that were ever made for us.
    fn machines(&self) -> Vec<LedgerEntry> {
        let mut machines = self.site.cloud.ledger();
        machines.retain(|it| !it.foreign && it.kind == C::MACHINE);
        machines
    }

    fn said(&self) -> String {
        let root = self.site.installation.root();
        let read = |name: &str| fs::read_to_string(root.join(name)).unwrap_or_default();
        format!("{}{}", read("stderr"), read("state/reaper.log")).replace('\n', " | ")
    }
}

/// Whether an answer of `lease cleanup` has neither done anything nor left anything of ours to do.
fn says_nothing_is_left(answer: &[u8]) -> bool {
    let document: serde_json::Value = serde_json::from_slice(answer).unwrap();
    let steps = document["steps"].as_array().unwrap();
    let ours = |it: &serde_json::Value| it["action"] != "unclaimed";
    document["done"] == serde_json::json!([]) && !steps.iter().any(ours)
}
