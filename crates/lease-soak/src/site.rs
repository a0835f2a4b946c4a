//! One provider with one installation: leases are made there as planned, and at the end it is looked at what is left.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lease_core::retry::{Bounds, Pace};
use rustix::process::Signal;
use tokio::time::Instant;

use crate::house::{Ended, House};
use crate::judge::{Inventory, Verdict, judge};
use crate::memory::Memory;
use crate::place::{Place, open};
use crate::plan::{Kill, Life, Plan, Provider, Verb};
use crate::processes::reaper_below;
use crate::trouble::Trouble;

/// A lease that is there for the whole time, so that one reaper watches all others, and that nobody may end.
const ANCHOR: &str = "anchor";
/// How often somebody asks for the end of what is still leased by right, before it counts as stuck.
const RELEASES_MAX: usize = 4;
/// After how much of the settling time `lease cleanup` is run, as a person would.
const PATIENCE_PERCENT: u32 = 50;
/// Of so many leases some lose a client, and some meet harm.
const TELLING: usize = 100;
/// How long a client is believed to take before one of its kind came to its end.
const FIRST_GUESS_MS: u64 = 1500;

/// What was done.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// Leases that were begun.
    pub(crate) leases: usize,
    /// Clients that were killed.
    pub(crate) killed: usize,
    /// Clients that ended with 0.
    pub(crate) good: usize,
    /// Clients that said that they failed.
    pub(crate) failed: usize,
    /// Clients that did not end, or did what no client may do.
    pub(crate) problems: Vec<String>,
}

/// What came of all of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) provider: Provider,
    pub(crate) planned: usize,
    pub(crate) tally: Tally,
    pub(crate) harmed: usize,
    /// Leases whose records say that they were proven to be released.
    pub(crate) released: usize,
    pub(crate) memory: Memory,
    pub(crate) verdict: Verdict,
    /// What the reaper said last, where something is wrong.
    pub(crate) log: String,
}

impl Outcome {
    /// Everything that is wrong.
    pub(crate) fn findings(&self) -> Vec<String> {
        let mut found = self.verdict.findings();
        found.extend(self.memory.problem().map(|it| format!("reaper: {it}")));
        if self.tally.leases >= TELLING && (self.tally.killed == 0 || self.harmed == 0) {
            found.push("nobody was killed, or nothing went wrong: this proves nothing".to_owned());
        }
        found.into_iter().map(|it| format!("{}: {it}", self.provider)).collect()
    }
}

/// A provider with an installation.
pub(crate) struct Site {
    provider: Provider,
    planned: usize,
    house: House,
    place: Box<dyn Place>,
    before: Inventory,
    lives: Mutex<VecDeque<Life>>,
    tally: Mutex<Tally>,
    memory: Mutex<Memory>,
    /// How long a client of each kind takes that is not killed, in milliseconds.
    usual_ms: Mutex<BTreeMap<&'static str, u64>>,
    stop: AtomicBool,
}

impl Site {
    /// Sets everything up, and makes the lease that stays.
    pub(crate) async fn open(plan: Plan, root: PathBuf, program: &Path) -> Result<Self, Trouble> {
        let (house, place) = open(plan.provider, &root, program).await?;
        let site = Self {
            provider: plan.provider,
            planned: plan.lives.len(),
            before: place.inventory().await?,
            house,
            place,
            lives: Mutex::new(plan.lives.into()),
            tally: Mutex::default(),
            memory: Mutex::default(),
            usual_ms: Mutex::default(),
            stop: AtomicBool::new(false),
        };
        let words = ["-q", "acquire", "--slug", ANCHOR];
        match site.house.client(&words, ANCHOR, None).await? {
            Ended::Code(0, _) => Ok(site),
            failed @ (Ended::Code(..) | Ended::Killed | Ended::Stuck) => {
                site.close().await?;
                let provider = site.provider;
                Err(Trouble::other(format!("the first lease of {provider} failed: {failed:?}")))
            }
        }
    }

    /// How many leases are made at once: the more, the longer a client waits for something else than the processor.
    pub(crate) fn workers(&self) -> usize {
        match self.provider {
            Provider::Local | Provider::Slurm | Provider::External => 3,
            Provider::Hetzner | Provider::Fal => 5,
        }
    }

    /// Begins no further lease.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Makes leases until there is none left to make, or the time has come.
    pub(crate) async fn work(&self, until: Instant) -> Result<(), Trouble> {
        while Instant::now() < until && !self.stop.load(Ordering::Relaxed) {
            let Some(life) = lock(&self.lives).pop_front() else { break };
            lock(&self.tally).leases += 1;
            self.live(&life).await?;
        }
        Ok(())
    }

    /// One lease.
    async fn live(&self, life: &Life) -> Result<(), Trouble> {
        if let Some((harm, number)) = life.harm {
            self.place.harm(harm, number).await?;
        }
        let slug = format!("n{}", life.number);
        let (first, second) = match life.kill {
            Some(Kill::First(permille)) => (Some(permille), None),
            Some(Kill::Second(permille)) => (None, Some(permille)),
            None => (None, None),
        };
        match life.verb {
            Verb::Run => {
                let script = "cat a.txt src/b.txt >/dev/null; exec sleep 0.1";
                let words = ["-q", "run", "--slug", &slug, "--", "sh", "-c", script];
                self.client("run", &words, first.or(second)).await
            }
            Verb::AcquireRelease => {
                self.client("acquire", &["-q", "acquire", "--slug", &slug], first).await?;
                self.client("release", &["-q", "release", &slug], second).await
            }
        }
    }

    /// One client, which is killed after so many thousandths of the usual time.
    async fn client(
        &self,
        kind: &'static str,
        words: &[&str],
        permille: Option<u64>,
    ) -> Result<(), Trouble> {
        let usual = lock(&self.usual_ms).get(kind).copied().unwrap_or(FIRST_GUESS_MS);
        let killed_after = permille.map(|it| Duration::from_millis(usual * it / 1000));
        let began = Instant::now();
        let name = format!("{kind}-{}", words.join("_").replace(['/', ' ', '>'], "-"));
        let ended = self.house.client(words, &name, killed_after).await?;
        if matches!(ended, Ended::Code(0, _)) {
            let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            // It follows the machine, which others use too, and no single client.
            lock(&self.usual_ms).insert(kind, (usual * 7 + took) / 8);
        }
        lock(&self.tally).count(words, ended);
        Ok(())
    }

    /// Looks at the reaper's memory.
    pub(crate) fn look_at_reaper(&self) {
        if let Some((pid, kib)) = reaper_below(self.house.root()) {
            lock(&self.memory).add(pid, kib);
        }
    }

    /// How far it is, in words.
    pub(crate) fn progress(&self) -> String {
        let tally = lock(&self.tally);
        format!(
            "{} {}/{} ({} killed, {} harmed)",
            self.provider,
            tally.leases,
            self.planned,
            tally.killed,
            self.place.harmed()
        )
    }

    /// Gives back what is still leased by right, waits until nothing is left, and judges what is.
    pub(crate) async fn finish(&self, patience: Duration) -> Result<Outcome, Trouble> {
        self.place.cure().await?;
        let memory = lock(&self.memory).clone();
        self.give_back().await?;
        let mut pace = Pace::start(
            Bounds::within(patience).paused(Duration::from_millis(500), Duration::from_secs(2)),
        );
        let mut cleaned = false;
        let mut verdict = self.look().await?;
        while !verdict.is_clean() && verdict.foreign.is_empty() && pace.wait(None).await {
            verdict = self.look().await?;
            if !cleaned && pace.elapsed() > patience * PATIENCE_PERCENT / 100 {
                cleaned = true;
                self.house.client(&["-q", "cleanup"], "cleanup", None).await?;
            }
        }
        let mut tally = lock(&self.tally).clone();
        verdict.stuck.append(&mut tally.problems);
        let log = if verdict.is_clean() { String::new() } else { self.house.log_tail() };
        Ok(Outcome {
            provider: self.provider,
            planned: self.planned,
            harmed: self.place.harmed(),
            released: self.house.released(),
            tally,
            memory,
            verdict,
            log,
        })
    }

    /// The lease that stayed is given back by its name, which fails if anybody ended it, and then all others: an acquire
    /// that was killed when the lease was ready, and a release that failed, leave one that is there by right.
    async fn give_back(&self) -> Result<(), Trouble> {
        let anchor = self.house.client(&["-q", "release", ANCHOR], ANCHOR, None).await?;
        if !matches!(anchor, Ended::Code(0, _)) {
            let what = format!("the lease that nobody may end cannot be released: {anchor:?}");
            lock(&self.tally).problems.push(what);
        }
        for _ in 0..RELEASES_MAX {
            if self.house.records().is_empty() {
                break;
            }
            self.house.client(&["-q", "release", "--all"], "release-all", None).await?;
        }
        Ok(())
    }

    async fn look(&self) -> Result<Verdict, Trouble> {
        Ok(judge(&self.before, &self.place.inventory().await?, &self.house.left()))
    }

    /// Ends the provider and whatever is left of the installation.
    pub(crate) async fn close(&self) -> Result<(), Trouble> {
        let closed = self.place.close().await;
        self.house.processes().iter().for_each(|it| it.send(Signal::KILL));
        closed
    }
}

impl Tally {
    fn count(&mut self, words: &[&str], ended: Ended) {
        match ended {
            Ended::Killed => self.killed += 1,
            Ended::Code(0, _) => self.good += 1,
            Ended::Code(code, said) => {
                self.failed += 1;
                // The tool's own failures say what to do next; a command that fails has another code, and none does here.
                let is_told = code == 125 && said.contains("; run: ") || code == 130;
                if !is_told || said.contains("panicked") {
                    self.problems.push(format!("{words:?} ended with {code}: {}", said.trim()));
                }
            }
            Ended::Stuck => self.problems.push(format!("{words:?} did not end")),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_hangs_or_panics_is_a_problem_and_one_that_says_what_to_do_is_not() {
        let mut tally = Tally::default();
        let told = "lease: it cannot be reached; run: lease cleanup\n".to_owned();
        tally.count(&["run"], Ended::Code(0, String::new()));
        tally.count(&["run"], Ended::Killed);
        tally.count(&["run"], Ended::Code(125, told.clone()));
        assert_eq!((tally.good, tally.killed, tally.failed), (1, 1, 1));
        assert!(tally.problems.is_empty(), "{tally:?}");
        tally.count(&["run"], Ended::Stuck);
        tally.count(&["run"], Ended::Code(101, "panicked".to_owned()));
        tally.count(&["run"], Ended::Code(125, "panicked; run: x".to_owned()));
        assert_eq!(tally.problems.len(), 3, "{tally:?}");
    }
}
