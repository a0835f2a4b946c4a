//! The commands, one file each. A command takes the least context it needs and ends with an exit code or a failure.

mod acquire;
mod adapter;
mod adopt;
mod attach;
mod cleanup;
mod completions;
mod config;
mod cp;
mod doctor;
mod ending;
mod exec;
mod forward;
mod history;
mod keep;
mod keeper;
mod limits;
mod list;
mod logs;
mod man;
mod providers;
mod reaper;
mod release;
mod run;
mod schema;
mod show;
mod ssh;
mod sync;
mod touch;
mod trust;
mod watch;
mod welcome;

use crate::args::{Cli, Command};
use crate::context::Base;
use crate::env::Environment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;

/// Runs the command that was typed.
pub(crate) async fn run(
    cli: &Cli,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, Failure> {
    let base = Base { environment, output };
    let Some(command) = &cli.command else { return welcome::run(&base).await };
    match command {
        Command::Run(args) => Box::pin(run::run(base, args)).await,
        Command::Acquire(args) => Box::pin(acquire::run(base, args)).await,
        Command::List(args) => list::run(&base, args).await,
        Command::Show(args) => show::run(&base, args).await,
        Command::Ssh(args) => Box::pin(ssh::run(base, args)).await,
        Command::Exec(args) => Box::pin(exec::run(base, args)).await,
        Command::Sync(args) => Box::pin(sync::run(base, args)).await,
        Command::Watch(args) => Box::pin(watch::run(base, args)).await,
        Command::Cp(args) => Box::pin(cp::run(base, args)).await,
        Command::Forward(args) => Box::pin(forward::run(base, args)).await,
        Command::Touch(args) => touch::run(base, args).await,
        Command::Keep(args) => keep::run(base, args).await,
        Command::Release(args) => Box::pin(release::run(base, args)).await,
        Command::Adopt(args) => Box::pin(adopt::run(base, args)).await,
        Command::Cleanup(args) => Box::pin(cleanup::run(base, args)).await,
        Command::Reaper(args) => Box::pin(reaper::run(base, args)).await,
        Command::Keeper(args) => Box::pin(keeper::run(&base, args)).await,
        Command::Doctor => Box::pin(doctor::run(base)).await,
        Command::Providers(args) => Box::pin(providers::run(base, args)).await,
        Command::History(args) => history::run(&base, args),
        Command::Logs(args) => Box::pin(logs::run(base, args)).await,
        Command::Attach(args) => Box::pin(attach::run(base, args)).await,
        Command::Config(args) => config::run(&base, *args),
        Command::Trust(args) => trust::run(&base, args),
        Command::Completions(args) => completions::run(&base, *args),
        Command::Man(args) => man::run(&base, args),
        Command::Schema(args) => schema::run(&base, args),
    }
}
