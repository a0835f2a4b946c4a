//! Measures what was promised in numbers, and writes `docs/performance.md` so that anybody can repeat it.

mod command_line;
mod crowd;
mod data_plane;
mod figures;
mod page;
mod report;
mod slurm;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use self::page::Section;
use crate::machine::{Call, repository_root, say};
use crate::packages;
use crate::quickstart::target_directory;

/// A part that can be measured by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    CommandLine,
    DataPlane,
    Slurm,
    /// Measures nothing: the network of the data plane is tested.
    Network,
}

/// How long it may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    Full,
    Quick,
}

/// What the arguments ask for.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    parts: Vec<Part>,
    extent: Extent,
    /// The program whose data plane is measured, instead of one that is built from this tree.
    lease: Option<PathBuf>,
}

impl Wish {
    fn parse(words: &[&str]) -> Result<Self> {
        let mut wish = Self { parts: Vec::new(), extent: Extent::Full, lease: None };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "--quick" => wish.extent = Extent::Quick,
                "--only" => wish.parts.push(match words.next().copied() {
                    Some("command-line") => Part::CommandLine,
                    Some("data-plane") => Part::DataPlane,
                    Some("slurm") => Part::Slurm,
                    Some("network") => Part::Network,
                    _ => bail!("--only command-line, data-plane, slurm or network"),
                }),
                "--lease" => {
                    wish.lease = Some(words.next().context("--lease PROGRAM")?.into());
                }
                other => bail!("`{other}` is neither --quick, --only PART nor --lease PROGRAM"),
            }
        }
        if wish.parts.is_empty() {
            wish.parts = vec![Part::Network, Part::CommandLine, Part::Slurm, Part::DataPlane];
        }
        Ok(wish)
    }
}

/// Measures what `words` ask for, and writes it into the page; fails at the end when a promise of the command line is
/// broken. What the data plane shall reach is told on the page.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    let wish = Wish::parse(words)?;
    let root = repository_root()?;
    let release = target_directory(&root)?.join("release");
    let mut broken = Vec::new();
    for part in &wish.parts {
        let section = match part {
            Part::Network => {
                data_plane::check_network(&root)?;
                continue;
            }
            Part::CommandLine => {
                packages::ensure(packages::TO_MEASURE)?;
                let report = command_line::measure(&root, &release, machine(&root)?)?;
                say(serde_json::to_string_pretty(&report.json())?);
                broken = report.broken();
                Section { name: "command-line", body: report.markdown() }
            }
            Part::Slurm => slurm::measure(&root, &machine(&root)?)?,
            Part::DataPlane => {
                let plan = match wish.extent {
                    Extent::Full => &data_plane::FULL,
                    Extent::Quick => &data_plane::QUICK,
                };
                let place = data_plane::Place {
                    root: &root,
                    release: &release,
                    lease: wish.lease.as_deref(),
                };
                data_plane::measure(plan, place, machine(&root)?)?
            }
        };
        // At once, so that a failure in a later part loses nothing.
        page::put(&root, &section)?;
    }
    if !broken.is_empty() {
        bail!("over the limit: {}", broken.join("; "));
    }
    say("bench: ok");
    Ok(())
}

/// What the figures were taken on: nothing that identifies one machine.
fn machine(root: &Path) -> Result<String> {
    let cores = std::thread::available_parallelism()?;
    let kernel = Call::new("uname").args(["-s", "-r"]).output()?;
    let rustc = Call::new("rustc").args(["--version"]).within(root).output()?;
    Ok(format!(
        "{cores} cores, {} {}, {}",
        upstream(kernel.trim()),
        std::env::consts::ARCH,
        rustc.trim()
    ))
}

/// A kernel's version without what a distribution or a machine's owner appended.
fn upstream(kernel: &str) -> &str {
    kernel.split('-').next().unwrap_or(kernel)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_is_named_by_its_upstream_version() {
        assert_eq!(upstream("Linux 6.1.0-18-amd64"), "Linux 6.1.0");
        assert_eq!(upstream("Darwin 24.1.0"), "Darwin 24.1.0");
    }

    #[test]
    fn without_a_choice_everything_is_measured_in_full() {
        let parse = |words: &[&str]| Wish::parse(words).unwrap();
        let all = parse(&[]);
        assert_eq!((all.parts.len(), all.extent), (4, Extent::Full));
        let some = parse(&["--quick", "--only", "data-plane"]);
        assert_eq!((some.parts, some.extent), (vec![Part::DataPlane], Extent::Quick));
        assert_eq!(parse(&["--lease", "a/lease"]).lease, Some(PathBuf::from("a/lease")));
        assert!(Wish::parse(&["--only"]).is_err() && Wish::parse(&["--fast"]).is_err());
    }
}
