//! The chores of this repository: `cargo xtask COMMAND`, each command a module of its own.
//!
//! Whatever a person, a hook or a CI job must do to this tree is a command here, so that all three do the same thing.

mod bench;
mod ci;
mod cluster;
mod deny;
mod embedder;
mod faults;
mod fuzz;
mod generated;
mod live;
mod machine;
mod msrv;
mod mutants;
mod network;
mod new_provider;
mod packages;
mod provider_matrix;
mod quickstart;
mod record;
mod residue;
mod rust_text;
mod site;
mod soak;
mod tidy;
mod tree;
mod trim;
mod vendors;
mod workspace;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::generated::Mode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  quickstart                install what is missing, build, run a command of this tree on a leased box, prove no residue
  ci [lint|trim|test]       everything that the CI runs, in its order, or one part of it
  tidy                      the rules of STYLE.md that a machine can check
  trim                      prove that a build with one provider holds no other provider, and what lease-core is free of
  provider-matrix [--check] regenerate, or compare, docs/provider-matrix.md and the table in README.md
  faults [--check]          regenerate, or compare, docs/faults.md
  embedder                  package every crate, build and run a tool against the packages, run the examples
  msrv                      compile everything with the oldest toolchain that the manifests promise
  deny                      check licences and versions of all dependencies against deny.toml, offline
  site                      check the links of all documents, and write them as pages into target/site
  record [--check]          record, or compare, the session that README.md shows
  fuzz [--minutes N] [TARGET...]
                            run the fuzzers, keep what they learned in testdata/fuzz; needs a nightly toolchain
  new-provider NAME         make the crate of a new provider, which passes the behaviour suite with a stand-in
  new-provider --check      prove that it would
  soak [--leases N] [--seed S] [--minutes M] [--only PROVIDER]
                            make leases at every provider with kills, cuts and faults, and prove that nothing is left
  mutants [--shard K/N] [--iterate] [MODULE...]
                            change lease-core in one place at a time and ask its tests; hours, so it can be resumed
  cluster                   install Slurm, and run the tests that start real clusters with it
  vendors                   have the vendors' own clients use the emulators
  bench [--quick] [--only PART] [--lease PROGRAM]
                            measure, and write docs/performance.md; PART is command-line, data-plane, slurm or network
  live hetzner|fal          a short lease of a real machine, which costs money; without a credential nothing is done";

fn main() -> ExitCode {
    let words = machine::arguments();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            machine::say(format_args!("{}: FAILED - {error:#}", words.first().unwrap_or(&"xtask")));
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<()> {
    match words {
        ["quickstart"] => quickstart::run(),
        ["ci"] => ci::run(None),
        ["ci", part] => ci::run(Some(ci::Part::named(part)?)),
        ["tidy"] => tidy::run(),
        ["trim"] => trim::run(),
        ["provider-matrix"] => provider_matrix::run(Mode::Write),
        ["provider-matrix", "--check"] => provider_matrix::run(Mode::Check),
        ["faults"] => faults::run(Mode::Write),
        ["faults", "--check"] => faults::run(Mode::Check),
        ["bench", wish @ ..] => bench::run(wish),
        ["embedder"] => embedder::run(),
        ["msrv"] => msrv::run(),
        ["deny"] => deny::run(&machine::repository_root()?),
        ["site"] => site::run(),
        ["record"] => record::run(Mode::Write),
        ["record", "--check"] => record::run(Mode::Check),
        ["fuzz", wish @ ..] => fuzz::run(wish),
        ["new-provider", wish @ ..] => new_provider::run(wish),
        ["soak", wish @ ..] => soak::run(wish),
        ["mutants", wish @ ..] => mutants::run(wish),
        ["cluster"] => cluster::run(),
        ["vendors"] => vendors::run(),
        ["live", cloud] => live::run(cloud),
        [] | ["help" | "--help" | "-h"] => {
            machine::say(USAGE);
            Ok(())
        }
        other => bail!("no such command: {}\n\n{USAGE}", other.join(" ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_command_is_an_error_that_lists_the_commands() {
        let error = run(&["tidy", "--fix"]).unwrap_err().to_string();
        assert!(error.contains("no such command: tidy --fix"), "{error}");
        assert!(error.contains("quickstart"), "{error}");
    }
}
