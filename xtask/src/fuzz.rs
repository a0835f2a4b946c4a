//! Runs the fuzzers of `fuzz/`, keeps a small corpus of what they learned, and keeps each input that broke something.
//!
//! The ordinary tests replay what is kept, with any toolchain; only this command needs the nightly one.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::machine::{Call, repository_root, say};

/// One program each, in `fuzz/fuzz_targets`.
const TARGETS: &[&str] =
    &["config", "external", "fal", "hetzner", "http", "journal", "remote", "slurm"];

/// How long all of them run together where nobody says it.
const MINUTES: u64 = 60;

/// How long one input may take; far longer than any does.
const INPUT_SECONDS_MAX: u32 = 10;
/// How much memory a fuzzer may have, with all that it has learned.
const MEMORY_MIB_MAX: u32 = 2048;
/// How much one allocation may ask for: a reader must not believe a length that it was told.
const ALLOCATION_MIB_MAX: u32 = 128;
const INPUT_BYTES_MAX: u32 = 64 * 1024;

/// What is kept of one target: so many inputs of so many bytes together, written by people or found.
const KEPT_FILES_MAX: usize = 128;
const KEPT_BYTES_MAX: usize = 256 * 1024;
/// A longer one says nothing that a shorter one does not.
const KEPT_FILE_BYTES_MAX: usize = 16 * 1024;

/// What the names of inputs begin with that are never thrown away.
const SEED: &str = "seed-";
const FOUND: &str = "found-";

/// What one fuzzer came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Outcome {
    runs: u64,
    coverage: u64,
    memory_mib: u64,
    kept: usize,
    kept_bytes: usize,
    found: Vec<String>,
}

/// Runs what the words after `fuzz` ask for.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    let (minutes, targets) = read(words)?;
    let root = repository_root()?;
    tools()?;
    fuzzer(&root, &["build"]).run()?;
    let seconds = (minutes * 60 / targets.len() as u64).max(1);
    let mut outcomes = Vec::new();
    for target in &targets {
        say(format_args!("\n== {target}: {seconds} s"));
        outcomes.push((*target, one(&root, target, seconds)?));
    }
    say(table(&outcomes));
    let found: Vec<String> = outcomes.into_iter().flat_map(|(_, it)| it.found).collect();
    if !found.is_empty() {
        bail!("{} inputs break something: {}", found.len(), found.join(", "));
    }
    Ok(())
}

fn read<'w>(words: &[&'w str]) -> Result<(u64, Vec<&'w str>)> {
    let (minutes, targets) = match words {
        ["--minutes", minutes, targets @ ..] => {
            (minutes.parse().with_context(|| format!("{minutes:?} is no number"))?, targets)
        }
        targets => (MINUTES, targets),
    };
    if let Some(unknown) = targets.iter().find(|it| !TARGETS.contains(it)) {
        bail!("there is no fuzzer {unknown:?}; there are: {}", TARGETS.join(", "));
    }
    Ok((minutes, if targets.is_empty() { TARGETS.to_vec() } else { targets.to_vec() }))
}

/// Installs what is missing: the toolchain that knows sanitizers, and the program that builds with them.
fn tools() -> Result<()> {
    if !nightly(&["rustc", "--version"]).succeeds() {
        let words = ["toolchain", "install", "nightly", "--profile", "minimal"];
        Call::new("rustup").args(words).run()?;
    }
    if !nightly(&["cargo", "fuzz", "--version"]).succeeds() {
        nightly(&["cargo", "install", "cargo-fuzz", "--locked"]).run()?;
    }
    Ok(())
}

fn nightly(words: &[&str]) -> Call {
    Call::new("rustup").args(["run", "nightly"]).args(words)
}

/// A call of cargo-fuzz, whose first word says what it does.
fn fuzzer(root: &Path, words: &[&str]) -> Call {
    let (verb, rest) = words.split_first().map_or(("", words), |(verb, rest)| (*verb, rest));
    let call = nightly(&["cargo", "fuzz", verb, "--fuzz-dir", "fuzz"]).args(rest).within(root);
    // A build that is done once needs no state between builds, which is large.
    call.env("CARGO_INCREMENTAL", "0")
}

fn one(root: &Path, target: &str, seconds: u64) -> Result<Outcome> {
    let (learned, artifacts) =
        (format!("fuzz/corpus/{target}"), format!("fuzz/artifacts/{target}"));
    let kept = format!("testdata/fuzz/{target}");
    fs::create_dir_all(root.join(&learned))?;
    let limits = [
        format!("-max_total_time={seconds}"),
        format!("-timeout={INPUT_SECONDS_MAX}"),
        format!("-rss_limit_mb={MEMORY_MIB_MAX}"),
        format!("-malloc_limit_mb={ALLOCATION_MIB_MAX}"),
        format!("-max_len={INPUT_BYTES_MAX}"),
        "-print_final_stats=1".to_owned(),
    ];
    let mut words = vec!["run", target, learned.as_str(), kept.as_str(), "--"];
    words.extend(limits.iter().map(String::as_str));
    // What a fuzzer says goes to its standard error.
    let ended = fuzzer(root, &words).wrapped(&["sh", "-c", "exec \"$@\" 2>&1", "sh"]).outcome()?;
    let mut outcome = told(&ended.stdout);
    outcome.found = keep_found(&root.join(&artifacts), &root.join(&kept), target)?;
    if !ended.success {
        let tail: Vec<&str> = ended.stdout.lines().rev().take(60).collect();
        say(tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
        if outcome.found.is_empty() {
            bail!("the fuzzer {target} ended with {} and left no input", ended.status);
        }
        return Ok(outcome);
    }
    (outcome.kept, outcome.kept_bytes) = minimise(root, target, (&learned, &kept))?;
    Ok(outcome)
}

/// Puts each input that broke something where the tests replay it, and says where that is.
fn keep_found(artifacts: &Path, kept: &Path, target: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(artifacts).into_iter().flatten() {
        let from = entry?.path();
        let name = format!("{FOUND}{}", from.file_name().unwrap_or_default().to_string_lossy());
        fs::copy(&from, kept.join(&name))?;
        fs::remove_file(&from)?;
        found.push(format!("testdata/fuzz/{target}/{name}"));
    }
    found.sort();
    Ok(found)
}

/// Replaces what is kept by what people wrote, what broke something once, and as much as fits of what leads elsewhere.
fn minimise(root: &Path, target: &str, (learned, kept): (&str, &str)) -> Result<(usize, usize)> {
    let before = inputs(&root.join(kept))?;
    let fixed: BTreeMap<_, _> = before
        .iter()
        .filter(|(name, _)| is_fixed(name))
        .map(|(a, b)| (a.clone(), b.clone()))
        .collect();
    let merged = tempfile::tempdir()?;
    for (name, bytes) in &fixed {
        fs::write(merged.path().join(name), bytes)?;
    }
    let into = merged.path().to_string_lossy().into_owned();
    let words = ["run", target, &into, kept, learned, "--", "-merge=1"];
    let ended = fuzzer(root, &words).wrapped(&["sh", "-c", "exec \"$@\" 2>&1", "sh"]).outcome()?;
    if !ended.success {
        bail!("the corpus of {target} cannot be made smaller: {}\n{}", ended.status, ended.stdout);
    }
    let chosen = choose(fixed, inputs(merged.path())?);
    for name in before.keys().filter(|it| !chosen.contains_key(*it)) {
        fs::remove_file(root.join(kept).join(name))?;
    }
    for (name, bytes) in &chosen {
        fs::write(root.join(kept).join(name), bytes)?;
    }
    Ok((chosen.len(), chosen.values().map(Vec::len).sum()))
}

fn is_fixed(name: &str) -> bool {
    name.starts_with(SEED) || name.starts_with(FOUND)
}

fn inputs(directory: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut inputs = BTreeMap::new();
    for entry in fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let entry = entry?;
        inputs.insert(entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path())?);
    }
    Ok(inputs)
}

/// What is fixed, and of the others, from the shortest to the longest, evenly as many as there is room for.
fn choose(
    fixed: BTreeMap<String, Vec<u8>>,
    merged: BTreeMap<String, Vec<u8>>,
) -> BTreeMap<String, Vec<u8>> {
    let mut chosen = fixed;
    let mut bytes: usize = chosen.values().map(Vec::len).sum();
    let mut others: Vec<_> = merged.into_iter().filter(|(name, _)| !is_fixed(name)).collect();
    others.sort_by(|(a, x), (b, y)| (x.len(), a).cmp(&(y.len(), b)));
    let room = KEPT_FILES_MAX.saturating_sub(chosen.len()).max(1);
    let apart = others.len().div_ceil(room).max(1);
    for (name, input) in others.into_iter().step_by(apart) {
        let fits = input.len() <= KEPT_FILE_BYTES_MAX && bytes + input.len() <= KEPT_BYTES_MAX;
        if fits && chosen.len() < KEPT_FILES_MAX {
            bytes += input.len();
            chosen.insert(name, input);
        }
    }
    chosen
}

/// What a fuzzer tells about its work.
fn told(text: &str) -> Outcome {
    let stat = |name: &str| {
        let line = text.lines().rev().find_map(|it| it.strip_prefix("stat::")?.strip_prefix(name));
        line.and_then(|it| it.trim_start_matches(':').trim().parse().ok()).unwrap_or_default()
    };
    let coverage = text.lines().rev().find_map(|line| {
        let mut words = line.split_whitespace().skip_while(|it| *it != "cov:");
        words.nth(1)?.parse().ok()
    });
    Outcome {
        runs: stat("number_of_executed_units"),
        memory_mib: stat("peak_rss_mb"),
        coverage: coverage.unwrap_or_default(),
        ..Outcome::default()
    }
}

fn table(outcomes: &[(&str, Outcome)]) -> String {
    let mut lines = vec![format!(
        "\n{:<10}{:>12}{:>10}{:>10}{:>8}{:>10}{:>8}",
        "target", "runs", "edges", "peak MiB", "kept", "bytes", "found"
    )];
    for (target, it) in outcomes {
        lines.push(format!(
            "{target:<10}{:>12}{:>10}{:>10}{:>8}{:>10}{:>8}",
            it.runs,
            it.coverage,
            it.memory_mib,
            it.kept,
            it.kept_bytes,
            it.found.len()
        ));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_and_targets_are_read_and_a_wrong_name_is_an_error() {
        assert_eq!(read(&[]).unwrap(), (MINUTES, TARGETS.to_vec()));
        assert_eq!(read(&["--minutes", "2", "fal"]).unwrap(), (2, vec!["fal"]));
        assert!(read(&["clouds"]).unwrap_err().to_string().contains("hetzner"));
    }

    #[test]
    fn each_target_is_a_program_and_has_a_corpus_that_is_small() {
        let root = repository_root().unwrap();
        let manifest = fs::read_to_string(root.join("fuzz/Cargo.toml")).unwrap();
        assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
        for target in TARGETS {
            assert!(manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\"")), "{target}");
            let kept = inputs(&root.join("testdata/fuzz").join(target)).unwrap();
            assert!(!kept.is_empty() && kept.len() <= KEPT_FILES_MAX, "{target}: {}", kept.len());
            assert!(kept.values().map(Vec::len).sum::<usize>() <= KEPT_BYTES_MAX, "{target}");
        }
    }

    #[test]
    fn what_a_fuzzer_says_is_understood() {
        let text = "#2 INITED cov: 12 ft: 13\n#900 DONE   cov: 345 ft: 700 corp: 9/1b\n\
                    stat::number_of_executed_units: 900\nstat::peak_rss_mb:            77\n";
        let expected = Outcome { runs: 900, coverage: 345, memory_mib: 77, ..Outcome::default() };
        assert_eq!(told(text), expected);
        assert_eq!(told("nothing of it"), Outcome::default());
    }

    #[test]
    fn what_people_wrote_stays_and_of_the_rest_some_of_each_length_come_along() {
        let some = |name: &str, bytes: usize| (name.to_owned(), vec![0; bytes]);
        let fixed = BTreeMap::from([some("seed-a", 20 * 1024)]);
        let mut merged = BTreeMap::from([some("seed-a", 1), some("long", KEPT_FILE_BYTES_MAX + 1)]);
        merged.extend((0..2 * KEPT_FILES_MAX).map(|it| some(&format!("{it:04}"), it)));
        let chosen = choose(fixed, merged);
        assert!(chosen.len() <= KEPT_FILES_MAX && chosen.len() > KEPT_FILES_MAX / 2);
        assert_eq!(chosen["seed-a"].len(), 20 * 1024);
        assert!(chosen.contains_key("0000") && !chosen.contains_key("long"));
        assert!(chosen.values().any(|it| it.len() > KEPT_FILES_MAX && it.len() < 1024));
    }
}
