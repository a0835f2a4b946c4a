//! The data plane side by side with what one would do without it, on links with a chosen round-trip time.

mod chart;
mod contest;
mod dice;
mod forest;
mod link;
mod network;
mod outcome;
mod pages;
mod site;
mod targets;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use self::contest::{Arena, is_plain};
use self::forest::Forest;
use self::link::Link;
use self::network::Network;
use self::outcome::Outcome;
use self::site::{Site, Station};
use super::page::Section;
use crate::machine::{Call, cargo, say};
use crate::packages;

/// What is measured, and how often.
#[derive(Debug)]
pub(super) struct Plan {
    /// What kind of run this is, for the reader of the page.
    name: &'static str,
    command: &'static str,
    trees: &'static [TreePlan],
    stream_rounds: usize,
}

#[derive(Debug)]
struct TreePlan {
    files: usize,
    warm: &'static [Link],
    warm_rounds: usize,
    first: &'static [Link],
    first_rounds: usize,
}

const FAST: Link = Link::ms(0);
const FAR: Link = Link::ms(50);
const FARTHER: Link = Link::ms(100);
const NARROW: Link = Link::ms(50).mbit(100);
const ALL: &[Link] = &[FAST, Link::ms(10), FAR, FARTHER];

/// Everything: about half an hour.
pub(super) const FULL: Plan = Plan {
    name: "full",
    command: "cargo xtask bench --only data-plane",
    trees: &[
        TreePlan { files: 1000, warm: ALL, warm_rounds: 7, first: &[FAST, FAR], first_rounds: 3 },
        TreePlan {
            files: 10_000,
            warm: ALL,
            warm_rounds: 11,
            first: &[FAST, Link::ms(10), FAR, FARTHER, NARROW],
            first_rounds: 3,
        },
        TreePlan {
            files: 100_000,
            warm: &[FAST, FAR],
            warm_rounds: 5,
            first: &[FAST, FAR],
            first_rounds: 3,
        },
    ],
    stream_rounds: 5,
};

/// What most people wait for: a few minutes.
pub(super) const QUICK: Plan = Plan {
    name: "quick",
    command: "cargo xtask bench --quick --only data-plane",
    trees: &[
        TreePlan { files: 1000, warm: &[FAST, FAR], warm_rounds: 5, first: &[], first_rounds: 0 },
        TreePlan {
            files: 10_000,
            warm: &[FAST, FAR, FARTHER],
            warm_rounds: 5,
            first: &[FAST, FAR, NARROW],
            first_rounds: 3,
        },
    ],
    stream_rounds: 3,
};

impl Plan {
    /// Every link of the plan, once.
    fn links(&self) -> Vec<Link> {
        let mut links = Vec::new();
        for link in self.trees.iter().flat_map(|tree| tree.warm.iter().chain(tree.first)) {
            if !links.contains(link) {
                links.push(*link);
            }
        }
        links
    }
}

/// Under which circumstances something was measured.
#[derive(Debug)]
pub(super) struct Surroundings {
    machine: String,
    /// The kind of file system that both sides' trees were on.
    file_system: String,
    /// What was measured, as it names itself.
    program: String,
    processors: usize,
    /// The load average of a minute.
    load_before: f64,
    load_after: f64,
}

impl Surroundings {
    /// Whether other work took so much of the machine that the times say little.
    fn disturbed(&self) -> bool {
        // What is measured keeps about one processor busy, at both of its ends together.
        let processors = u32::try_from(self.processors).map_or(f64::MAX, f64::from);
        self.load_before.max(self.load_after) > processors + 1.0
    }
}

/// Where things are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) root: &'a Path,
    /// Where cargo puts what it builds.
    pub(super) release: &'a Path,
    /// The program to measure; built from this tree if there is none.
    pub(super) lease: Option<&'a Path>,
}

impl Place<'_> {
    fn lease(&self) -> Result<PathBuf> {
        if let Some(lease) = self.lease {
            return Ok(lease.to_path_buf());
        }
        cargo()
            .args(["build", "--release", "-p", "lease-cli", "--features", "external"])
            .within(self.root)
            .run()?;
        Ok(self.release.join("lease"))
    }
}

/// Lets the tests of the network run: they need rights that tests do not have everywhere.
pub(super) fn check_network(root: &Path) -> Result<()> {
    prerequisites()?;
    cargo().args(["test", "-p", "lease-testnet", "--test", "net"]).within(root).run()
}

/// Measures what `plan` says, writes the charts, and returns the section of the page.
pub(super) fn measure(plan: &Plan, place: Place<'_>, machine: String) -> Result<Section> {
    let Place { root, release, .. } = place;
    prerequisites()?;
    let built = place.lease()?;
    cargo().args(["build", "--release", "-p", "lease-testnet"]).within(root).run()?;
    let scratch = tempfile::Builder::new().prefix("lease-bench-").tempdir()?;
    if !is_plain(scratch.path()) {
        bail!("{} is no path for a shell line; set TMPDIR", scratch.path().display());
    }
    let file_system = file_system(scratch.path())?;
    let links = plan.links();
    let words: Vec<String> = links.iter().map(|link| link.word()).collect();
    let network = Network::start(&release.join("lease-testnet"), scratch.path(), &words)?;
    // A copy: the next build must not change what is being measured.
    let lease = scratch.path().join("lease");
    fs::copy(&built, &lease).with_context(|| format!("there is no {}", built.display()))?;
    let told = Call::new(lease.display().to_string()).args(["--version"]).output()?;
    let program = told.trim().to_owned();
    let load_before = load()?;
    let mut site = Site::build(network, scratch.path(), &lease, root)?;
    let stations = (0..).zip(&links).map(|(number, link)| site.open(number, *link));
    let stations = stations.collect::<Result<Vec<_>>>()?;
    let outcome = contests(plan, &mut site, &stations, scratch.path())?;
    drop(site);
    say(serde_json::to_string(&outcome.json())?);
    let around = Surroundings {
        machine,
        file_system,
        program,
        processors: std::thread::available_parallelism()?.get(),
        load_before,
        load_after: load()?,
    };
    for (name, drawing) in pages::charts(&outcome) {
        let directory = root.join(pages::CHARTS);
        fs::create_dir_all(&directory)?;
        fs::write(directory.join(name), drawing)?;
    }
    Ok(Section { name: "data-plane", body: pages::markdown(plan, &around, &outcome) })
}

fn contests(plan: &Plan, site: &mut Site, stations: &[Station], scratch: &Path) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    for (at, tree) in plan.trees.iter().enumerate() {
        say(format_args!("planting: {} files, twice", tree.files));
        let forest = Forest::plant(scratch, tree.files)?;
        for station in stations {
            let mut arena = Arena { site, station, forest: &forest };
            if tree.first.contains(&station.link) {
                outcome.first.push(arena.first(tree.first_rounds)?);
            }
            if tree.warm.contains(&station.link) {
                outcome.warm.push(arena.warm(tree.warm_rounds)?);
            }
            if at == 0 && station.link == FAST {
                outcome.stream = Some(arena.stream(plan.stream_rounds)?);
            }
        }
        forest.fell()?;
    }
    Ok(outcome)
}

fn prerequisites() -> Result<()> {
    if !cfg!(target_os = "linux") {
        bail!("the network needs Linux");
    }
    packages::ensure(&[packages::TO_RUN, packages::TO_MEASURE_THE_DATA_PLANE].concat())?;
    if !packages::is_root()? {
        bail!("the network is made of namespaces, which needs root: start this as root");
    }
    Ok(())
}

fn file_system(path: &Path) -> Result<String> {
    let words = ["--file-system", "--format=%T", &path.display().to_string()];
    Ok(Call::new("stat").args(words).output()?.trim().to_owned())
}

/// The load of the last minute.
fn load() -> Result<f64> {
    let text = fs::read_to_string("/proc/loadavg")?;
    Ok(text.split(' ').next().context("there is no load")?.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_needs_each_link_once() {
        let words: Vec<String> = FULL.links().into_iter().map(Link::word).collect();
        assert_eq!(words, ["0", "10", "50", "100", "50:100"]);
        assert!(QUICK.links().len() < FULL.links().len());
    }

    #[test]
    fn the_stream_is_measured_with_the_first_tree() {
        for plan in [FULL, QUICK] {
            assert!(plan.links().contains(&FAST), "{}", plan.name);
        }
    }
}
