//! What all the runs came to, as a part of a document. It holds no timings, so that it can be compared with another one.

use std::fmt::{self, Write as _};

use crate::backend::Vendor;
use crate::fault;
use crate::life::Life;
use crate::matrix::{Kill, Tally};
use crate::mutant::Mutant;
use crate::notes::Rule;
use crate::{fal, hetzner, stage};

/// Everything that was run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) tallies: Vec<(Vendor, Life, Tally)>,
    pub(crate) kills: Vec<(Vendor, Mutant, Option<Kill>)>,
}

impl Report {
    /// What went wrong, in words.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (vendor, life, tally) in &self.tallies {
            let shown = tally.failures.iter().map(|(_, what)| format!("{vendor}, {life}: {what}"));
            problems.extend(shown);
            let kinds = tally.failed_with.iter();
            problems
                .extend(kinds.map(|(what, count)| format!("{vendor}, {life}: {count} x {what}")));
            if tally.failed > 0 || tally.singles == 0 {
                problems.push(format!("{vendor}, {life}: {} runs went wrong", tally.failed));
            }
            if tally.fired != tally.singles + 2 * tally.pairs {
                problems.push(format!("{vendor}, {life}: not every planned fault happened"));
            }
        }
        let survived = self.kills.iter().filter(|(_, _, kill)| kill.is_none());
        problems.extend(survived.map(|(vendor, it, _)| format!("{vendor}: {it}: survived")));
        problems
    }

    /// Writes it where the documentation takes it from.
    pub(crate) fn write_to(&self, path: &std::path::Path) {
        std::fs::write(path, self.to_string()).unwrap();
    }

    fn of(&self, vendor: Vendor) -> impl Iterator<Item = (Life, &Tally)> {
        self.tallies.iter().filter(move |it| it.0 == vendor).map(|it| (it.1, &it.2))
    }

    fn numbers(&self, text: &mut String, vendor: Vendor) -> fmt::Result {
        let sum = |of: fn(&Tally) -> usize| self.of(vendor).map(|(_, it)| of(it)).sum::<usize>();
        let broken = |rule: Rule| -> usize {
            self.of(vendor).map(|(_, it)| it.rules.get(&rule).copied().unwrap_or_default()).sum()
        };
        let killed = self.kills.iter().filter(|it| it.0 == vendor && it.2.is_some()).count();
        let bugs = self.kills.iter().filter(|it| it.0 == vendor).count();
        writeln!(text, "| what | number |\n|---|---:|")?;
        for (what, number) in [
            ("requests of the runs without faults", sum(|it| it.requests)),
            ("runs with one fault", sum(|it| it.singles)),
            ("runs with two faults", sum(|it| it.pairs)),
            ("faults that were planned", sum(|it| it.singles + 2 * it.pairs)),
            ("faults that happened where they were planned", sum(|it| it.fired)),
            ("runs that went wrong", sum(|it| it.failed)),
            ("resources leaked", broken(Rule::Leaked)),
            ("foreign resources destroyed", broken(Rule::Foreign)),
            ("two machines at once for one lease", broken(Rule::Second)),
            ("creates without an intent", broken(Rule::NoIntent)),
            ("destroyed or forgotten out of order", broken(Rule::OutOfOrder)),
            ("promises broken", broken(Rule::Promise)),
            ("loops without an end", broken(Rule::Unbounded)),
            ("runs in which a person had to help", sum(|it| it.helped)),
            (
                "runs in which something landed after its lease was over, and was found",
                sum(|it| it.came_back),
            ),
        ] {
            writeln!(text, "| {what} | {number} |")?;
        }
        writeln!(text, "| seeded bugs noticed | {killed} of {bugs} |\n")
    }

    fn lives(&self, text: &mut String, vendor: Vendor) -> fmt::Result {
        writeln!(text, "| life | requests | singles | pairs | helped by a person | went wrong |")?;
        writeln!(text, "|---|---:|---:|---:|---:|---:|")?;
        for (life, it) in self.of(vendor) {
            let Tally { requests, singles, pairs, helped, failed, .. } = it;
            writeln!(text, "| {life} | {requests} | {singles} | {pairs} | {helped} | {failed} |")?;
        }
        writeln!(text)
    }

    fn requests(&self, text: &mut String, vendor: Vendor) -> fmt::Result {
        let count = |wanted: &str| -> usize {
            self.of(vendor).map(|(_, it)| it.planned_at.get(wanted).copied().unwrap_or(0)).sum()
        };
        let mut kinds: Vec<&String> =
            self.of(vendor).flat_map(|it| it.1.planned_at.keys()).collect();
        kinds.sort();
        kinds.dedup();
        writeln!(text, "| request | faults planned there |\n|---|---:|")?;
        for kind in kinds {
            writeln!(text, "| `{kind}` | {} |", count(kind))?;
        }
        writeln!(text, "\n| fault | planned |\n|---|---:|")?;
        for fault in fault::ALL {
            let planned =
                self.of(vendor).map(|(_, it)| it.planned_as.get(&fault).copied().unwrap_or(0));
            match planned.sum::<usize>() {
                0 => {}
                planned => writeln!(text, "| {fault} | {planned} |")?,
            }
        }
        writeln!(text)
    }

    fn helped(&self, text: &mut String, vendor: Vendor) -> fmt::Result {
        for (life, it) in self.of(vendor) {
            for (fault, count) in &it.helped_with {
                writeln!(
                    text,
                    "* Helped by a person: {life}, {fault}: {count}. No login can prove the machine to be the lease's; the \
                     lease stays listed until somebody removes the machine by hand."
                )?;
            }
        }
        writeln!(text)
    }

    fn bugs(&self, text: &mut String, vendor: Vendor) -> fmt::Result {
        writeln!(text, "| seeded bug | noticed in | with | by |\n|---|---|---|---|")?;
        for (_, mutant, kill) in self.kills.iter().filter(|it| it.0 == vendor) {
            match kill {
                Some(Kill { life, faults, complaint }) => {
                    let rule = complaint.split(':').next().unwrap_or(complaint);
                    writeln!(text, "| {mutant} | {life} | {faults} | {rule} |")?;
                }
                None => writeln!(text, "| {mutant} | **survived** | | |")?,
            }
        }
        writeln!(text)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = HEAD.to_owned();
        for vendor in [Vendor::Fal, Vendor::Hetzner] {
            writeln!(text, "### {vendor}\n")?;
            self.numbers(&mut text, vendor)?;
            self.lives(&mut text, vendor)?;
            self.requests(&mut text, vendor)?;
            self.helped(&mut text, vendor)?;
            self.bugs(&mut text, vendor)?;
        }
        text.push_str(RULES);
        assumptions(&mut text)?;
        let problems = self.problems();
        if !problems.is_empty() {
            writeln!(text, "\n### Went wrong\n")?;
            for problem in problems {
                writeln!(text, "* {problem}")?;
            }
        }
        f.write_str(text.trim_end())?;
        f.write_str("\n")
    }
}

fn assumptions(text: &mut String) -> fmt::Result {
    writeln!(
        text,
        "* Times, in short for the sake of the runs: fal settles in {:?}, a create lands within {:?}, is repeated for {:?} and \
         remembered for {:?}; it lags by {:?} and is ready after {:?}. Hetzner settles in {:?}, a create lands within {:?}; it \
         lags by {:?} and an action runs for {:?}. What lands late lands after {:?}, when nobody waits for it after {:?}, an \
         outage lasts {:?}, a key is another account's for {:?}, and a login is waited for {:?}.",
        fal::SETTLE,
        fal::LANDING,
        fal::REPLAY_WINDOW,
        fal::REMEMBERED,
        fal::LAG,
        fal::READY_AFTER,
        hetzner::SETTLE,
        hetzner::LANDING,
        hetzner::LAG,
        hetzner::ACTION,
        fault::LATE,
        fault::OVERDUE,
        fault::DOWN,
        fault::MOVED,
        stage::READY_TIMEOUT,
    )
}

const HEAD: &str = "\
## The cloud providers, over their wire

The real engine and the real providers against the emulated clouds, with a fault at every HTTP request of a lease's life, \
and a second one at every later request of the run that the first led to. Strangers' machines stand beside, with our name \
prefix, our labels and other nonces, of other installations, and in other accounts. Then new processes observe, plan and \
execute until no lease is left, and the emulator's ledger decides.

";

const RULES: &str = "\
### Rules and assumptions

* All singles are run of every life, and all ordered pairs of the first life of each provider. In the two lives whose \
  client is found late, the first fault is a death.
* A read that is lost and one whose answer is lost are the same, as is a client that dies around a read. Late and doubled \
  delivery, and errors after the effect, are planned for what changes something. An empty answer cannot be cut off.
* In pairs one of each class that the client takes for the same is run: to who reads, a server in trouble and an answer \
  that hangs, cannot be read or asks to wait are a connection that was lost. The singles are run of each.
* A key that moves to another account is a single fault, and does so at a read: nobody can help it when a create is sent \
  or lands right after the look that showed the right account.
* A create that fal accepts late is accepted while its idempotency key is remembered for each repetition: what is late is \
  late by less than the difference between the two windows. Nothing a client can do prevents a second machine otherwise.
* fal remembers a create from its arrival on, for the workspace; Hetzner's names are unique in a project at every moment. \
  Both are documented, and emulated.
";
