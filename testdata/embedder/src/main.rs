//! A tool that embeds the lease crates: one command on a box of a chosen provider, with a store, a clock and events of
//! its own.
//!
//! ```text
//! errand local DIRECTORY COMMAND...             a box on this machine
//! errand external:PROGRAM DIRECTORY COMMAND...  a box of whatever the program leases
//! ```
//!
//! Everything that it keeps is in DIRECTORY: the ledger, the keys, and the boxes of this machine.

mod events;
mod ledger;
mod system_clock;

use std::error::Error;
use std::ffi::OsString;
use std::fs::{DirBuilder, metadata};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use lease_core::engine::{Acquire, AcquireFailure, By, Left, Outcome, Release};
use lease_core::host::Command;
use lease_core::store::LockKind;
use lease_core::{Claim, Clock, Engine, OsEntropy, Provider, Spec, Store};
use lease_external::{ExternalConfig, ExternalProvider, Unheard};
use lease_local::{LocalConfig, LocalProvider};
use lease_ssh::{Client, Settings};

use events::Events;
use ledger::Ledger;
use system_clock::SystemClock;

type Failure = Box<dyn Error>;

/// What the engine is put together from.
struct Parts {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    transport: Arc<Client>,
    provider: Arc<dyn Provider>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let (Some(choice), Some(directory)) = (words.next(), words.next()) else {
        eprintln!("usage: errand local|external:PROGRAM DIRECTORY COMMAND...");
        return ExitCode::from(2);
    };
    match errand(&choice, Path::new(&directory), words.collect()).await {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("errand: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn errand(choice: &str, directory: &Path, argv: Vec<String>) -> Result<ExitCode, Failure> {
    let parts = parts(choice, directory)?;
    let name = parts.provider.descriptor().name;
    let events = Arc::new(Events::default());
    let engine = Engine::builder(parts.store, parts.transport, parts.clock)
        .provider(parts.provider)
        .observer(Arc::clone(&events) as Arc<_>)
        .build();

    let mut wish = Acquire::new(Spec::new(name));
    wish.purpose = "an errand".to_owned();
    let claim = engine.acquire(wish).await.map_err(explained)?;
    let code = run(&engine, &claim, argv).await;
    let release = Release::new(By::Owner, "the errand is done");
    match engine.release(claim.lease(), release).await? {
        Outcome::Released => {}
        Outcome::Kept(claim) => return Err(format!("{} is kept", claim.slug()).into()),
        Outcome::Pending(claim) => {
            let obstacle = claim.obstacle().map_or("it takes longer", |it| it.message.as_str());
            return Err(format!("{} may still exist: {obstacle}", claim.slug()).into());
        }
    }
    eprintln!("errand: released, after {} events", events.count());
    Ok(ExitCode::from(u8::try_from(code?).unwrap_or(u8::MAX)))
}

/// Runs the command, while the lock says that the box is in use.
async fn run(engine: &Engine, claim: &Claim, argv: Vec<String>) -> Result<i32, Failure> {
    let Some(_in_use) = engine.store().lock(claim.lease(), LockKind::Use).await? else {
        return Err("somebody else uses the box".into());
    };
    let host = engine.connect(claim).await?;
    let output = host.output(&Command::new(argv)).await?;
    print!("{}", String::from_utf8_lossy(&output.stdout));
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    Ok(output.code)
}

/// What went wrong, and whether something is left of it.
fn explained(failure: AcquireFailure) -> Failure {
    let left = match failure.left {
        Left::Nothing => "nothing was created",
        Left::Released => "whatever was created is gone",
        Left::Kept => "what was created is kept",
        Left::MayExist => "something may still exist",
    };
    format!("{failure}; {left}").into()
}

fn parts(choice: &str, directory: &Path) -> Result<Parts, Failure> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let directory = directory.canonicalize()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let inherited = ["PATH", "HOME", "LANG"]
        .map(|name| Some((name.to_owned(), std::env::var(name).ok()?)))
        .into_iter()
        .flatten();
    let environment: Vec<(String, String)> = inherited.collect();

    let mut settings = Settings::new(directory.join("keys"), directory.join("run"));
    settings.environment =
        environment.iter().map(|(name, value)| (OsString::from(name), value.into())).collect();

    let provider: Arc<dyn Provider> = match choice.split_once(':') {
        None if choice == "local" => {
            // The directory was just made, or used before, by whoever runs this.
            let uid = metadata(&directory)?.uid();
            let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
            let user = user.unwrap_or_else(|_| if uid == 0 { "root" } else { "nobody" }.to_owned());
            let mut config = LocalConfig::new(directory.join("boxes"), user, uid);
            config.environment = environment;
            Arc::new(LocalProvider::open(config, Arc::clone(&clock), Arc::new(OsEntropy))?)
        }
        Some(("external", program)) => {
            let mut config = ExternalConfig::command([program]);
            config.environment = environment;
            Arc::new(ExternalProvider::open(config, Arc::clone(&clock), Arc::new(Unheard))?)
        }
        _ => return Err(format!("there is no provider {choice}: local or external:PROGRAM").into()),
    };
    let store = Arc::new(Ledger::open(directory.join("ledger"))?);
    Ok(Parts { store, clock, transport: Arc::new(Client::new(settings)), provider })
}
