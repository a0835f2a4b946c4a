//! An emulated cloud as a program, for tests that run the real `lease` against it, and for people who want to try it.
//!
//! It prints one line of JSON when it listens, serves until it is told to end or its standard input closes, ends its
//! machines, and prints its ledger as one line of JSON. Whoever starts it holds the other end of its input, so it
//! cannot outlive a test, however that ends.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser, ValueEnum};
use http::{Method, StatusCode};
use lease_emulator::fal::{FalCloud, FalPolicy, Walk, Workspace};
use lease_emulator::hetzner::{Access, Hetzner, Policy};
use lease_emulator::machine::{MachineError, SshdMachines, SshdSettings};
use lease_emulator::script::{Fault, Matching, Plan, Scripted, Told};
use lease_emulator::{Cloud, LedgerEntry, Machines, NoMachines, Server};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// The account that the token belongs to.
const ACCOUNT: &str = "emulator";

/// Emulates a cloud provider on this machine. Nothing outside of loopback is contacted, and nothing costs money.
#[derive(Debug, Parser)]
#[command(name = "lease-emulator", version)]
struct Arguments {
    /// Which cloud.
    #[arg(value_enum)]
    provider: Provider,
    /// Where to listen; only loopback addresses are accepted.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The token (for fal the whole key) that is accepted.
    #[arg(long, default_value = "emulator:emulator")]
    token: String,
    /// What goes wrong.
    #[arg(long, value_enum, default_value_t = Scenario::Honest)]
    scenario: Scenario,
    /// How long things take.
    #[arg(long, value_enum, default_value_t = Pace::Immediate)]
    pace: Pace,
    #[command(flatten)]
    machines: MachineArguments,
}

#[derive(Args, Debug)]
struct MachineArguments {
    /// What the machines are: sshd processes of the current user, or nothing.
    #[arg(long, value_enum, default_value_t = MachineKind::Sshd)]
    machines: MachineKind,
    /// Where the machines' directories are made, instead of the system's temporary directory.
    #[arg(long, value_name = "DIR")]
    work_dir: Option<PathBuf>,
    /// The port of every machine; a free one if there is none.
    #[arg(long, value_name = "PORT")]
    ssh_port: Option<u16>,
    /// A variable that is set in every session on a machine.
    #[arg(long, value_name = "NAME=VALUE", value_parser = assignment)]
    env: Vec<(String, String)>,
    /// A directory that files in user data may be written to.
    #[arg(long, value_name = "DIR")]
    writable: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Provider {
    /// Hetzner Cloud.
    Hetzner,
    /// fal Compute.
    Fal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum MachineKind {
    Sshd,
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Pace {
    /// Everything is done at once.
    Immediate,
    /// Everything takes as long as at the real provider.
    Real,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// Nothing.
    Honest,
    /// The first create takes effect, and its answer is lost.
    LostCreate,
    /// The first create takes effect, and its answer is a 504.
    ErrorAfterCreate,
    /// The answer to the first create breaks off.
    TruncatedCreate,
    /// The first create arrives twice.
    DoubledCreate,
    /// The first create is answered with 504 and takes effect two seconds later.
    LateCreate,
    /// The answer to the first delete is lost.
    LostDelete,
    /// The first request is told to come back in a second.
    RateLimited,
}

impl Scenario {
    fn plan(self) -> Option<Plan> {
        let create = |fault| Some(Plan::at(0, fault).on(Matching::method(Method::POST)));
        match self {
            Self::Honest => None,
            Self::LostCreate => create(Fault::LostAfter),
            Self::ErrorAfterCreate => create(Fault::ErrorAfter(StatusCode::GATEWAY_TIMEOUT)),
            Self::TruncatedCreate => create(Fault::TruncatedAfter),
            Self::DoubledCreate => create(Fault::Twice),
            Self::LateCreate => create(Fault::Late {
                by: Duration::from_secs(2),
                told: Told::Status(StatusCode::GATEWAY_TIMEOUT),
            }),
            Self::LostDelete => {
                Some(Plan::at(0, Fault::LostAfter).on(Matching::method(Method::DELETE)))
            }
            Self::RateLimited => Some(Plan::at(0, Fault::RateLimited(Duration::from_secs(1)))),
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Machines(#[from] MachineError),
    #[error(transparent)]
    System(#[from] io::Error),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    match runtime.block_on(run(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(failure: &Failure) -> ExitCode {
    // There is nobody else to tell when even this cannot be written.
    drop(writeln!(io::stderr(), "lease-emulator: {failure}"));
    ExitCode::FAILURE
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    // Before the first line is printed, so that whoever reads it may signal at once.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let sshd = match arguments.machines.machines {
        MachineKind::None => None,
        MachineKind::Sshd => Some(Arc::new(start_machines(arguments.machines).await?)),
    };
    let machines: Arc<dyn Machines> = match &sshd {
        Some(sshd) => Arc::<SshdMachines>::clone(sshd),
        None => Arc::new(NoMachines::default()),
    };
    let cloud = cloud(arguments.provider, arguments.pace, &arguments.token, machines);
    let scripted = Arc::new(Scripted::new(cloud));
    if let Some(plan) = arguments.scenario.plan() {
        scripted.plan(plan);
    }
    let front: Arc<dyn Cloud> = Arc::<Scripted<dyn Cloud>>::clone(&scripted);
    let server = Server::listen(front, arguments.listen).await?;
    say(&json!({
        "origin": server.origin(),
        "pid": std::process::id(),
        "ssh_port": sshd.as_ref().map(|it| it.port()),
        "ssh_user": sshd.as_ref().map(|it| it.user()),
    }))?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = input_closed() => {}
    }
    drop(server);
    if let Some(sshd) = &sshd {
        sshd.end_all().await;
    }
    let ledger: Vec<Value> = scripted.ledger().iter().map(shown).collect();
    say(&json!({ "ledger": ledger }))?;
    Ok(())
}

async fn start_machines(arguments: MachineArguments) -> Result<SshdMachines, MachineError> {
    let settings = SshdSettings {
        port: arguments.ssh_port,
        environment: arguments.env,
        writable: arguments.writable,
        directory: arguments.work_dir,
        ..SshdSettings::default()
    };
    SshdMachines::start(settings).await
}

fn cloud(
    provider: Provider,
    pace: Pace,
    token: &str,
    machines: Arc<dyn Machines>,
) -> Arc<dyn Cloud> {
    match provider {
        Provider::Hetzner => {
            let policy = match pace {
                Pace::Immediate => Policy::immediate(),
                Pace::Real => Policy::default(),
            };
            let cloud = Hetzner::new(machines, policy);
            cloud.admit(token, ACCOUNT, Access::ReadWrite);
            Arc::new(cloud)
        }
        Provider::Fal => {
            let walk = match pace {
                Pace::Immediate => Walk(vec![(Duration::ZERO, "ready".to_owned())]),
                Pace::Real => Walk::default(),
            };
            let cloud = FalCloud::new(machines, FalPolicy { walk, ..FalPolicy::default() });
            cloud.add_workspace(Workspace::new(ACCOUNT), token);
            Arc::new(cloud)
        }
    }
}

/// Waits until nothing can be read from the standard input any more.
async fn input_closed() {
    let (closed, wait) = oneshot::channel::<()>();
    // A thread of its own: the runtime would wait for a read that is still going on when it ends.
    std::thread::spawn(move || {
        let mut buffer = [0_u8; 1024];
        while io::stdin().read(&mut buffer).is_ok_and(|count| count > 0) {}
        drop(closed);
    });
    // It is never sent, only closed.
    drop(wait.await);
}

fn shown(entry: &LedgerEntry) -> Value {
    json!({
        "account": entry.account,
        "kind": entry.kind,
        "id": entry.id,
        "name": entry.name,
        "labels": entry.labels,
        "public_keys": entry.public_keys,
        "born_seconds": entry.born.as_secs_f64(),
        "gone_seconds": entry.gone.map(|it| it.as_secs_f64()),
        "foreign": entry.foreign,
        "cents_per_hour": entry.cents_per_hour,
    })
}

fn say(line: &Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it has the form NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
