//! Changes lease-core in one place at a time, and asks its tests whether they notice: what they do not is judged in writing.
//!
//! A whole run takes most of a day on a small machine, so it can be done in shards and taken up again. What came of it is
//! in the target directory; what it says of each survivor is in `docs/mutants.md`, and one that is not there is a failure.
//!
//! The tests of lease-core itself take a second and notice most; only what they leave is shown to those of lease-testkit,
//! in whose simulated world the engine is tested, and which take half a minute.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::machine::{Call, cargo, repository_root, say};
use crate::quickstart::target_directory;

/// The program, and the version that the lists of `docs/mutants.md` were made with.
const TOOL: &str = "cargo-mutants";
const VERSION: &str = "27.1.0";
const SOURCE: &str = "crates/lease-core/src/";
const JUDGED: &str = "docs/mutants.md";
/// Where cargo-mutants says what an earlier run has settled.
const EARLIER: &str = "previously_caught.txt";
/// Whose tests are asked, the quick ones first.
const TESTED_BY: [&str; 2] = ["lease-core", "lease-testkit"];

/// What a person asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wish<'w> {
    /// `K/N`.
    shard: Option<&'w str>,
    again: Again,
    /// Files or directories below [`SOURCE`]; all of it when empty.
    modules: Vec<&'w str>,
}

/// Whether what an earlier run has settled is done again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Again {
    #[default]
    Everything,
    WhatIsLeft,
}

/// What came of the mutants so far.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcomes {
    caught: Vec<String>,
    missed: Vec<String>,
    timed_out: Vec<String>,
    unviable: Vec<String>,
}

/// Runs what the words after `mutants` ask for.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    let mut wish = read(words)?;
    let root = repository_root()?;
    let target = target_directory(&root)?;
    let program = tool(&target)?;
    let place = target.join("mutants");
    fs::create_dir_all(&place)?;
    // The copies that are mutated share what was built of others, and touch nothing of ours.
    let build = place.join("build").display().to_string();
    for tested_by in TESTED_BY {
        let call = Call::new(&program).args(arguments(&wish, &place, tested_by)).within(&root);
        say(format_args!("$ {call}"));
        forget(&root, &build)?;
        let ended = call.env("CARGO_TARGET_DIR", &build).env("CARGO_INCREMENTAL", "1").shown()?;
        // 2 and 3 say that something survived or took too long, which is judged here.
        if ![Some(0), Some(2), Some(3)].contains(&ended) {
            bail!("{TOOL} could not do its work, see {}", place.join("mutants.out").display());
        }
        wish.again = Again::WhatIsLeft;
    }
    let outcomes = Outcomes::read(&place.join("mutants.out"))?;
    let judged = fs::read_to_string(root.join(JUDGED)).context(JUDGED)?;
    say(outcomes.summary());
    let findings = outcomes.against(&judged);
    for finding in &findings {
        say(finding);
    }
    if !findings.is_empty() {
        bail!("{} mutants are not as {JUDGED} says", findings.len());
    }
    Ok(())
}

/// Removes what was built of our crates: it may be of a mutant, and a copy of this tree would look older than it.
fn forget(root: &Path, build: &str) -> Result<()> {
    let crates = TESTED_BY.iter().flat_map(|it| ["--package", it]);
    let call = cargo().args(["clean", "--quiet", "--target-dir", build]).args(crates);
    call.within(root).run()
}

fn read<'w>(words: &[&'w str]) -> Result<Wish<'w>> {
    let mut wish = Wish::default();
    let mut words = words.iter().copied();
    while let Some(word) = words.next() {
        match word {
            "--shard" => {
                let shard = words.next().filter(|it| is_shard(it));
                wish.shard = Some(shard.context("--shard wants K/N, with K from 0 and below N")?);
            }
            "--iterate" => wish.again = Again::WhatIsLeft,
            flag if flag.starts_with('-') => bail!("there is no {flag}: --shard K/N, --iterate"),
            module => wish.modules.push(module),
        }
    }
    Ok(wish)
}

fn is_shard(word: &str) -> bool {
    let parts = word.split_once('/').map(|(k, n)| (k.parse::<u32>(), n.parse::<u32>()));
    matches!(parts, Some((Ok(k), Ok(n))) if k < n)
}

fn arguments(wish: &Wish<'_>, place: &Path, tested_by: &str) -> Vec<String> {
    let place = place.display().to_string();
    let words = ["mutants", "--package", "lease-core", "--no-shuffle", "--jobs", "1"];
    let words = words.into_iter().chain(["--output", &place, "--test-package", tested_by]);
    let mut words: Vec<String> = words.map(str::to_owned).collect();
    if let Some(shard) = wish.shard {
        words.extend(["--shard".to_owned(), shard.to_owned()]);
    }
    if wish.again == Again::WhatIsLeft {
        words.push("--iterate".to_owned());
    }
    for module in &wish.modules {
        for end in [".rs", "/**/*.rs"] {
            words.extend(["--file".to_owned(), format!("{SOURCE}{module}{end}")]);
        }
    }
    words
}

/// The program in the target directory, installed when it is not there in the version that is wanted.
fn tool(target: &Path) -> Result<String> {
    let place = target.join("tools");
    let program = place.join("bin").join(TOOL).display().to_string();
    let version = Call::new(&program).args(["mutants", "--version"]).outcome();
    if !version.is_ok_and(|it| it.stdout.trim() == format!("{TOOL} {VERSION}")) {
        let directory = place.display().to_string();
        let words = ["install", TOOL, "--locked", "--version", VERSION, "--root", &directory];
        let build = place.join("build");
        cargo().args(words).env("CARGO_TARGET_DIR", build.display().to_string()).run()?;
        // It is large, and of no use for anything else.
        fs::remove_dir_all(build)?;
    }
    Ok(program)
}

impl Outcomes {
    fn read(directory: &Path) -> Result<Self> {
        let lines = |name: &str| -> Result<Vec<String>> {
            let path = directory.join(name);
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            Ok(text.lines().map(str::to_owned).collect())
        };
        let mut caught = lines("caught.txt")?;
        // What an earlier run settled, with what does not compile.
        if directory.join(EARLIER).exists() {
            caught.extend(lines(EARLIER)?);
        }
        Ok(Self {
            caught,
            missed: lines("missed.txt")?,
            timed_out: lines("timeout.txt")?,
            unviable: lines("unviable.txt")?,
        })
    }

    fn summary(&self) -> String {
        format!(
            "mutants: {} noticed or settled before, {} survived, {} never ended, {} do not compile",
            self.caught.len(),
            self.missed.len(),
            self.timed_out.len(),
            self.unviable.len()
        )
    }

    /// Survivors that nobody has judged, and judged ones that are noticed now.
    fn against(&self, judged: &str) -> Vec<String> {
        let is_judged = |it: &&String| judged.contains(&entry(it));
        let new = self.missed.iter().filter(|it| !is_judged(it));
        let mut findings: Vec<String> =
            new.map(|it| format!("{JUDGED} does not judge {}", entry(it))).collect();
        let missed: Vec<String> = self.missed.iter().map(|it| entry(it)).collect();
        let stale = self.caught.iter().filter(is_judged).map(|it| entry(it));
        let stale = stale.filter(|it| !missed.contains(it));
        findings.extend(stale.map(|it| format!("{JUDGED} judges what is noticed: {it}")));
        findings
    }
}

/// How a mutant is written in the document: its file and what was changed, without the line, which moves.
fn entry(mutant: &str) -> String {
    let mut parts = mutant.splitn(4, ':');
    let file = parts.next().unwrap_or_default().trim_start_matches(SOURCE);
    let what = parts.nth(2).unwrap_or_default().trim();
    format!("`{file}`: `{what}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KILLED: &str = "crates/lease-core/src/id.rs:7:9: replace a with b in f";
    const ALIVE: &str =
        "crates/lease-core/src/proof/mod.rs:379:65: replace + with - in may_destroy";

    #[test]
    fn shards_modules_and_a_resumed_run_can_be_asked_for() {
        let wish = read(&["--shard", "0/8", "--iterate", "proof"]).unwrap();
        assert_eq!((wish.shard, wish.again), (Some("0/8"), Again::WhatIsLeft));
        let words = arguments(&wish, Path::new("/t"), "lease-core");
        assert!(words.contains(&"crates/lease-core/src/proof/**/*.rs".to_owned()), "{words:?}");
        assert!(words.contains(&"--iterate".to_owned()));
        for wrong in [&["--shard"][..], &["--shard", "8/8"], &["--shard", "x"], &["--jobs"]] {
            read(wrong).unwrap_err();
        }
    }

    #[test]
    fn a_survivor_is_judged_or_a_finding_and_so_is_a_judgement_in_vain() {
        let outcomes = Outcomes {
            caught: vec![KILLED.to_owned()],
            missed: vec![ALIVE.to_owned()],
            ..Outcomes::default()
        };
        let entry = "* `proof/mod.rs`: `replace + with - in may_destroy`: only words.";
        assert_eq!(outcomes.against(entry), [""; 0]);
        assert!(outcomes.against("")[0].contains("does not judge `proof/mod.rs`"));
        let both = format!("{entry}\n* `id.rs`: `replace a with b in f`: equal.");
        assert!(outcomes.against(&both)[0].contains("what is noticed: `id.rs`"));
    }
}
