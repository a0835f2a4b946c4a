//! The trees that are synced: the same on every machine, shaped like a source tree, and in git.

use std::cell::Cell;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::dice::Dice;
use crate::machine::Call;

/// A source file is of this size in the middle, and hardly ever outside of the bounds.
const MEDIAN_BYTES: f64 = 4500.0;
const SIGMA: f64 = 0.9;
const BYTES_MIN: f64 = 1000.0;
const BYTES_MAX: f64 = 30_000.0;
const FILES_PER_DIRECTORY: usize = 12;
const DIRECTORIES_PER_PACKAGE: usize = 40;
/// One ignored file for so many others, as a build would leave them.
const FILES_PER_IGNORED: usize = 10;
const IGNORED_BYTES: usize = 8000;

/// A tree, and two more that are the same until they are changed.
#[derive(Debug)]
pub(super) struct Forest {
    pub(super) files: usize,
    /// Stays as it is.
    pub(super) still: PathBuf,
    /// What `lease` syncs where a file has changed.
    pub(super) changing: Changing,
    /// What its peers do. Nobody brings along what was changed for another one.
    pub(super) peers: Changing,
}

/// A tree of which one file is changed before each command that is to bring a change along.
#[derive(Debug)]
pub(super) struct Changing {
    pub(super) path: PathBuf,
    files: usize,
    changes: Cell<usize>,
}

impl Forest {
    /// Plants the trees below `scratch`.
    pub(super) fn plant(scratch: &Path, files: usize) -> Result<Self> {
        let still = scratch.join(format!("tree-{files}"));
        grow(&still, files)?;
        let copy = |name: &str| {
            let path = scratch.join(format!("tree-{files}-{name}"));
            Call::new("cp")
                .args(["-a", &still.display().to_string(), &path.display().to_string()])
                .output()?;
            anyhow::Ok(Changing { path, files, changes: Cell::new(0) })
        };
        let (changing, peers) = (copy("changing")?, copy("of-peers")?);
        Ok(Self { files, still, changing, peers })
    }

    /// Removes the trees.
    pub(super) fn fell(self) -> Result<()> {
        fs::remove_dir_all(&self.still)?;
        fs::remove_dir_all(&self.changing.path)?;
        Ok(fs::remove_dir_all(&self.peers.path)?)
    }
}

impl Changing {
    /// Changes one file, and another one than the last time.
    pub(super) fn change(&self) -> Result<()> {
        let number = self.changes.get() + 1;
        self.changes.set(number);
        let path = self.path.join(path(number * 7 % self.files));
        let mut file = OpenOptions::new().append(true).open(path)?;
        writeln!(file, "change {number}")?;
        Ok(())
    }
}

/// Where the file of that number is.
fn path(number: usize) -> PathBuf {
    let directory = number / FILES_PER_DIRECTORY;
    let (package, module) =
        (directory / DIRECTORIES_PER_PACKAGE, directory % DIRECTORIES_PER_PACKAGE);
    PathBuf::from(format!("src/package{package:03}/module{module:02}/file{number:06}.rs"))
}

fn grow(tree: &Path, files: usize) -> Result<()> {
    let mut dice = Dice::new(0x5eed);
    let words: Vec<String> = (0..2000).map(|_| word(&mut dice)).collect();
    for number in 0..files {
        let bytes = size(&mut dice);
        write(&tree.join(path(number)), &text(&mut dice, &words, bytes))?;
    }
    for number in 0..files.div_ceil(FILES_PER_IGNORED) {
        let bytes = text(&mut dice, &words, IGNORED_BYTES);
        write(&tree.join(format!("target/debug/deps/artifact{number:06}.o")), &bytes)?;
    }
    write(&tree.join(".gitignore"), "target/\n")?;
    let git = |words: &[&str]| {
        let author = ["-c", "user.name=bench", "-c", "user.email=bench@example.invalid"];
        Call::new("git").args(author).args(words).within(tree).output().map(drop)
    };
    git(&["init", "--quiet", "--initial-branch=main"])?;
    git(&["add", "--all"])?;
    git(&[
        "-c",
        "gc.auto=0",
        "-c",
        "maintenance.auto=false",
        "commit",
        "--quiet",
        "--message=planted",
    ])
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    Ok(fs::write(path, text)?)
}

/// The size of a file: log-normal, within the bounds.
fn size(dice: &mut Dice) -> usize {
    let (a, b) = (dice.fraction().max(f64::MIN_POSITIVE), dice.fraction());
    let normal = (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos();
    let bytes = (MEDIAN_BYTES * (SIGMA * normal).exp()).clamp(BYTES_MIN, BYTES_MAX);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is within the bounds"
    )]
    let bytes = bytes as usize;
    bytes
}

/// Lines of words, as long as asked for; zstd makes about 2.5 times less of it, as of source code.
fn text(dice: &mut Dice, words: &[String], bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 80);
    while text.len() < bytes {
        for _ in 0..6 {
            text.push_str(&words[dice.below(words.len())]);
            text.push(' ');
        }
        text.push_str(&dice.next().to_string());
        text.push('\n');
    }
    text.truncate(bytes);
    text
}

fn word(dice: &mut Dice) -> String {
    let letters = 3 + dice.below(8);
    (0..letters).map(|_| char::from(b"abcdefghijklmnopqrstuvwxyz"[dice.below(26)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_the_same_each_time_and_in_git() {
        let scratch = tempfile::tempdir().unwrap();
        let forest = Forest::plant(scratch.path(), 100).unwrap();
        let again = Forest::plant(&scratch.path().join("again"), 100).unwrap();
        let sum = |tree: &Path| {
            let words = ["rev-parse", "HEAD^{tree}"];
            Call::new("git").args(words).within(tree).output().unwrap()
        };
        assert_eq!(sum(&forest.still), sum(&again.changing.path));
        let files = Call::new("git").args(["ls-files"]).within(&forest.still).output().unwrap();
        assert_eq!(files.lines().count(), 101);
        assert_eq!(fs::read_dir(forest.still.join("target/debug/deps")).unwrap().count(), 10);
    }

    #[test]
    fn each_change_is_one_of_another_file_of_one_tree() {
        let scratch = tempfile::tempdir().unwrap();
        let forest = Forest::plant(scratch.path(), 30).unwrap();
        let status = |tree: &Path| {
            Call::new("git").args(["status", "--short"]).within(tree).output().unwrap()
        };
        forest.changing.change().unwrap();
        assert_eq!(status(&forest.changing.path), " M src/package000/module00/file000007.rs\n");
        forest.changing.change().unwrap();
        assert_eq!(status(&forest.changing.path).lines().count(), 2);
        assert_eq!(status(&forest.peers.path), "");
        assert_eq!(status(&forest.still), "");
        forest.fell().unwrap();
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    }

    #[test]
    fn sizes_are_those_of_source_files() {
        let mut dice = Dice::new(1);
        let mut sizes: Vec<usize> = (0..4001).map(|_| size(&mut dice)).collect();
        sizes.sort_unstable();
        assert!((4200..4800).contains(&sizes[2000]), "{}", sizes[2000]);
        assert!(sizes[0] >= 1000 && sizes[4000] <= 30_000);
    }
}
