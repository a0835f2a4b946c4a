//! Everything that the CI runs, in its order: the same on a laptop, in a hook and in a fresh container.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::generated::Mode;
use crate::machine::{Call, Stopwatch, cargo, repository_root, say};
use crate::quickstart::seconds;
use crate::tree::Tree;
use crate::{
    cluster, deny, embedder, faults, msrv, network, new_provider, packages, provider_matrix,
    record, site, soak, tidy, trim, vendors,
};

/// The part of the work that a job of the CI can do by itself; without a choice, all parts are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Lint,
    Trim,
    Test,
}

impl Part {
    /// The part of that name.
    pub(crate) fn named(name: &str) -> Result<Self> {
        match name {
            "lint" => Ok(Self::Lint),
            "trim" => Ok(Self::Trim),
            "test" => Ok(Self::Test),
            other => bail!("no part of the CI is called `{other}`: lint, trim or test"),
        }
    }
}

/// A step: its name and what it does.
type Step = (Part, &'static str, fn(&Workshop) -> Result<()>);

/// The cheap and the telling first; the tests last, so that their own summaries end the output.
const STEPS: &[Step] = &[
    (Part::Lint, "fmt", |shop| shop.cargo(&["fmt", "--all", "--check"]).run()),
    (Part::Lint, "tidy", |_| tidy::run()),
    (Part::Lint, "shellcheck", |shop| shellcheck(&shop.root)),
    (Part::Lint, "clippy", |shop| {
        shop.cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--all-features",
            "--",
            "-D",
            "warnings",
        ])
        .run()
    }),
    (Part::Lint, "rustdoc", |shop| {
        shop.cargo(&["doc", "--workspace", "--no-deps", "--all-features"])
            .env("RUSTDOCFLAGS", "-D warnings")
            .run()
    }),
    (Part::Trim, "trim", |_| trim::run()),
    (Part::Lint, "provider-matrix", |_| provider_matrix::run(Mode::Check)),
    (Part::Lint, "site", |_| site::run()),
    (Part::Lint, "msrv", |shop| msrv::dependencies(&shop.root).map(drop)),
    (Part::Lint, "deny", |shop| deny::run(&shop.root)),
    (Part::Lint, "new-provider", |_| new_provider::run(&["--check"])),
    (Part::Test, "record", |_| {
        on_linux("the recorded session is compared", || record::run(Mode::Check))
    }),
    // The report is made where a program can be killed at a chosen system call.
    (Part::Test, "faults", |_| on_linux("the fault report is made", || faults::run(Mode::Check))),
    // The vendor's command line is packaged for Debian.
    (Part::Test, "vendors", |_| on_linux("the vendors' clients are compared", vendors::run)),
    (Part::Test, "network", |shop| on_linux("networks are cut", || network::test(&shop.root))),
    (Part::Test, "soak", |shop| on_linux("leases are soaked", || soak::short(&shop.root))),
    (Part::Test, "embedder", |_| embedder::run()),
    (Part::Test, "doctest", |shop| {
        shop.cargo(&["test", "--workspace", "--all-features", "--doc"]).run()
    }),
    (Part::Test, "cluster", |shop| on_linux("clusters are started", || shop.cluster())),
    (Part::Test, "test", Workshop::test),
];

/// Runs the steps of `part`, or all, and stops at the first that fails.
pub(crate) fn run(part: Option<Part>) -> Result<()> {
    let shop = Workshop { root: repository_root()? };
    let steps: Vec<&Step> =
        STEPS.iter().filter(|(of, _, _)| part.is_none_or(|part| part == *of)).collect();
    let mut report = Report::default();
    report.perform("tools", || tools(part))?;
    for (_, name, step) in steps {
        report.perform(name, || step(&shop))?;
    }
    say(format_args!("\nci: ok - {}", report.summary()));
    Ok(())
}

#[derive(Debug)]
struct Workshop {
    root: PathBuf,
}

impl Workshop {
    fn cargo(&self, words: &[&str]) -> Call {
        cargo().args(words).within(&self.root)
    }

    fn has_nextest(&self) -> bool {
        self.cargo(&["nextest", "--version"]).succeeds()
    }

    fn cluster(&self) -> Result<()> {
        if self.has_nextest() {
            return cluster::test(&self.root);
        }
        say("without nextest, the tests on clusters cannot be left out below, and run there");
        cluster::install()
    }

    fn test(&self) -> Result<()> {
        if self.has_nextest() {
            let words = ["nextest", "run", "--workspace", "--all-features", "--no-fail-fast"];
            // Those have had their step: their tests share a cluster, which needs one process for all of them.
            self.cargo(&words).args(["-E", "not binary(/^slurm_/)"]).run()
        } else {
            self.cargo(&[
                "test",
                "--workspace",
                "--all-features",
                "--all-targets",
                "--no-fail-fast",
            ])
            .run()
        }
    }
}

/// What can be done on Linux only; elsewhere it is said that it is left out.
fn on_linux(what: &str, step: impl FnOnce() -> Result<()>) -> Result<()> {
    if cfg!(target_os = "linux") {
        return step();
    }
    say(format_args!("{what} on Linux only"));
    Ok(())
}

/// Reads every script of the shell. One without a first line that names its shell is for any POSIX sh, and a part of a
/// script that is put together when it is used: what it does not assign, or does not use, is elsewhere. What a script
/// sources is named by whoever runs it.
fn shellcheck(root: &Path) -> Result<()> {
    const SOURCES: &str = "--exclude=SC1090,SC1091";
    const PARTS: &str = "--exclude=SC2015,SC2034,SC2154";
    let tree = Tree::load(root)?;
    let (whole, parts): (Vec<_>, Vec<_>) =
        tree.ending_in(".sh").partition(|(_, file)| file.text.starts_with("#!"));
    for (flags, files) in [(&[SOURCES][..], whole), (&[SOURCES, PARTS, "--shell=sh"][..], parts)] {
        let call = Call::new("shellcheck").args(flags);
        call.args(files.iter().map(|(path, _)| path)).within(root).run()?;
    }
    Ok(())
}

/// The programs that the tests run, and the parts of the toolchain that a minimal one lacks.
fn tools(part: Option<Part>) -> Result<()> {
    if part.is_none_or(|part| part == Part::Test) {
        let on_linux: &[_] =
            if cfg!(target_os = "linux") { packages::TO_TEST_ON_LINUX } else { &[] };
        packages::ensure(&[packages::TO_RUN, packages::TO_TEST, on_linux].concat())?;
    }
    if part.is_none_or(|part| part == Part::Lint) {
        packages::ensure(packages::TO_LINT)?;
        for (command, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
            if !cargo().args([command, "--version"]).succeeds() {
                Call::new("rustup").args(["component", "add", component]).run()?;
            }
        }
    }
    Ok(())
}

#[derive(Debug, Default)]
struct Report(Vec<(&'static str, Duration)>);

impl Report {
    fn perform(&mut self, name: &'static str, step: impl FnOnce() -> Result<()>) -> Result<()> {
        say(format_args!("\n== {name}"));
        let started = Stopwatch::start();
        let result = step();
        let span = started.elapsed();
        if let Err(error) = result {
            if !self.0.is_empty() {
                say(format_args!("done before: {}", self.summary()));
            }
            return Err(error)
                .with_context(|| format!("step `{name}` failed after {}", seconds(span)));
        }
        say(format_args!("-- {name}: {}", seconds(span)));
        self.0.push((name, span));
        Ok(())
    }

    fn summary(&self) -> String {
        let steps: Vec<String> =
            self.0.iter().map(|(name, span)| format!("{name} {}", seconds(*span))).collect();
        let total: Duration = self.0.iter().map(|(_, span)| *span).sum();
        format!("{} steps in {}: {}", steps.len(), seconds(total), steps.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tests_come_last() {
        let names: Vec<_> = STEPS.iter().map(|(_, name, _)| *name).collect();
        assert_eq!(names[names.len() - 3..], ["doctest", "cluster", "test"]);
    }

    #[test]
    fn a_failing_step_is_named_and_ends_the_work() {
        let mut report = Report::default();
        report.perform("fine", || Ok(())).unwrap();
        let error = report.perform("broken", || bail!("it rains")).unwrap_err();
        assert!(
            format!("{error:#}").starts_with("step `broken` failed after 0.0 s: it rains"),
            "{error:#}"
        );
        assert_eq!(report.0.len(), 1);
    }

    #[test]
    fn the_summary_names_each_step_and_the_sum() {
        let report =
            Report(vec![("fmt", Duration::from_millis(1500)), ("test", Duration::from_secs(2))]);
        assert_eq!(report.summary(), "2 steps in 3.5 s: fmt 1.5 s, test 2.0 s");
    }

    #[test]
    fn parts_have_names() {
        assert_eq!(Part::named("lint").unwrap(), Part::Lint);
        assert!(Part::named("tests").unwrap_err().to_string().contains("lint, trim or test"));
    }
}
