//! The long run: thousands of leases of the real program at every provider, with kills, cuts and faults, judged at the
//! end by the providers' own books. `cargo xtask soak` builds and runs it; `docs/soak.md` says what it does.

mod chance;
mod house;
mod judge;
mod memory;
mod parts;
mod place;
mod plan;
mod processes;
mod report;
mod site;
mod soak;
mod trouble;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use lease_core::{Entropy as _, OsEntropy};

use plan::Provider;
use site::Outcome;
use soak::{Wish, part, say};

/// Makes many leases, kills, cuts and breaks, and proves that nothing is left.
#[derive(Debug, Parser)]
#[command(name = "lease-soak")]
struct Arguments {
    /// The program under test, with all providers in it
    #[arg(long, value_name = "PROGRAM")]
    lease: PathBuf,
    /// How many leases
    #[arg(long, value_name = "N", default_value_t = 2000)]
    leases: usize,
    /// What the plan is drawn from; drawn itself otherwise
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// How long all of it may take; leases that do not fit are not begun
    #[arg(long, value_name = "M", default_value_t = 15)]
    minutes: u64,
    /// Only this provider
    #[arg(long, value_enum, value_name = "PROVIDER")]
    only: Option<Provider>,
    /// Be the part of that provider, and tell the outcome as a line of JSON
    #[arg(long, requires = "only", hide = true)]
    part: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let wish = Wish {
        leases: arguments.leases,
        seed: arguments.seed.unwrap_or_else(drawn),
        within: Duration::from_secs(arguments.minutes * 60),
        program: arguments.lease,
    };
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = match runtime.worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.to_string()),
    };
    if let (true, Some(provider)) = (arguments.part, arguments.only) {
        return match runtime.block_on(part(&wish, provider)) {
            Ok(outcome) => tell(&outcome),
            Err(trouble) => fail(&format!("{provider}: {trouble}")),
        };
    }
    say(&format!("soak: seed {}", wish.seed));
    let providers = arguments.only.map_or_else(|| Provider::ALL.to_vec(), |it| vec![it]);
    let report = match runtime.block_on(parts::run(&wish, &providers)) {
        Ok(report) => report,
        Err(trouble) => return fail(&trouble.to_string()),
    };
    say(&format!("\n{}\n", report.table()));
    for outcome in report.outcomes.iter().filter(|it| !it.log.is_empty()) {
        say(&format!("{}: the reaper said last:\n{}", outcome.provider, outcome.log));
    }
    report.findings().iter().for_each(|it| say(it));
    say(&report.summary());
    if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Hands an outcome over to whoever put the parts together.
fn tell(outcome: &Outcome) -> ExitCode {
    match serde_json::to_string(outcome) {
        Ok(text) => say(&format!("{}{text}", parts::OUTCOME)),
        Err(error) => return fail(&error.to_string()),
    }
    ExitCode::SUCCESS
}

fn fail(why: &str) -> ExitCode {
    say(&format!("soak: FAILED - {why}"));
    ExitCode::FAILURE
}

/// A seed that nobody chose; a small one, because a person may have to type it.
fn drawn() -> u64 {
    let mut bytes = [0; 4];
    // Without entropy there is still a seed, and it is printed.
    OsEntropy.fill(&mut bytes).unwrap_or_default();
    u64::from(u32::from_le_bytes(bytes))
}
