//! One random command, and whether its end makes sense whatever the others did meanwhile.

use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use crate::chance::Chance;
use crate::installation::{ANSWER_WITHIN, Deadline, Ended, Installation, eventually};

const SLUGS: [&str; 4] = ["amber", "birch", "cedar", "dune"];
/// Each as often as it stands here. What makes leases comes more often than what ends them.
const VERBS: [&str; 20] = [
    "acquire", "acquire", "acquire", "acquire", "run-id", "run-id", "run-id", "run-id", "run",
    "run-new", "sync", "sync", "release", "release", "release", "touch", "list", "show", "cleanup",
    "keep",
];
/// The longest that a client lives that is going to be killed; an acquire takes about as long.
const LIFE_MS_MAX: u64 = 600;

/// What came of one command.
#[derive(Debug)]
pub(crate) struct Done {
    verb: &'static str,
    outcome: Outcome,
    pub(crate) problem: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Good,
    Refused,
    Killed,
}

/// How often each command came to which end.
#[derive(Debug, Default)]
pub(crate) struct Tally(BTreeMap<&'static str, BTreeMap<Outcome, usize>>);

/// Does something and judges it.
pub(crate) fn act(installation: &Installation, chance: &mut Chance) -> Done {
    let (verb, slug) = (chance.one_of(&VERBS), chance.one_of(&SLUGS));
    let words = words(verb, slug);
    let is_long = ["acquire", "run", "run-id", "run-new", "release"].contains(&verb);
    let is_victim = is_long && chance.below(3) == 0;
    let life = is_victim.then(|| Duration::from_millis(chance.below(LIFE_MS_MAX)));
    let (ended, was_killed) = run(installation, &words, life);
    let problem = if was_killed { None } else { judge(verb, &ended).err() };
    let problem = problem.map(|it| format!("{words:?} ended with {}: {it}", ended.code));
    let outcome = match ended.code {
        _ if was_killed => Outcome::Killed,
        0 => Outcome::Good,
        _ => Outcome::Refused,
    };
    Done { verb, outcome, problem }
}

fn words(verb: &'static str, slug: &'static str) -> Vec<&'static str> {
    match verb {
        "acquire" => vec!["acquire", "--slug", slug],
        "run-id" => vec!["run", "--id", slug, "--", "sh", "-c", "cat a.txt; echo out"],
        "run" => vec!["run", "--slug", slug, "--", "sh", "-c", "cat a.txt; echo out"],
        "run-new" => vec!["run", "--", "sh", "-c", "cat a.txt; echo out"],
        "cleanup" => vec!["cleanup"],
        "list" => vec!["list", "--json"],
        "sync" => vec!["sync", slug],
        verb => vec![verb, slug],
    }
}

/// Runs a command to its end, or kills it after some time. The second value says whether it was killed.
fn run(installation: &Installation, words: &[&str], life: Option<Duration>) -> (Ended, bool) {
    let mut child = installation.command(words).spawn().unwrap();
    let patience = Deadline::after(life.unwrap_or(ANSWER_WITHIN));
    let is_over = eventually(patience, || child.try_wait().unwrap().is_some());
    if is_over.is_err() {
        assert!(life.is_some(), "{words:?} does not end");
        child.kill().unwrap();
    }
    let output = child.wait_with_output().unwrap();
    (Ended::of(&output), output.status.signal().is_some())
}

fn judge(verb: &str, ended: &Ended) -> Result<(), String> {
    match ended.code {
        0 if verb.starts_with("run") && ended.stdout != b"a\nout\n" => {
            Err(format!("it printed {:?}", String::from_utf8_lossy(&ended.stdout)))
        }
        0 if verb == "list" => {
            let list: serde_json::Value =
                serde_json::from_slice(&ended.stdout).map_err(|it| it.to_string())?;
            let none = list["unreadable"] == serde_json::json!([]);
            none.then_some(()).ok_or_else(|| format!("unreadable: {}", list["unreadable"]))
        }
        0 => Ok(()),
        125 if verb == "list" => Err(ended.stderr.clone()),
        125 => {
            let told = ended.stderr.lines().any(|it| it.contains("; run: lease "));
            let broken = ["panicked", "corrupt"];
            let is_sound = told && !broken.iter().any(|it| ended.stderr.contains(it));
            is_sound.then_some(()).ok_or_else(|| ended.stderr.clone())
        }
        _ => Err(ended.stderr.clone()),
    }
}

impl Tally {
    pub(crate) fn count(&mut self, done: &Done) {
        *self.0.entry(done.verb).or_default().entry(done.outcome).or_default() += 1;
    }

    /// Asserts that the commands met: each verb succeeded, and many were killed and refused.
    pub(crate) fn assert_varied(&self) {
        let of = |outcome| self.0.values().filter_map(|it| it.get(&outcome)).sum::<usize>();
        assert!(self.0.values().all(|it| it.contains_key(&Outcome::Good)), "{self}");
        assert!(of(Outcome::Killed) >= 15 && of(Outcome::Refused) >= 50, "{self}");
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(verb, ends)| writeln!(f, "{verb}: {ends:?}"))
    }
}
