//! What may be typed, as data. Nothing here reads anything or decides anything but whether the words are well formed.

#[cfg(test)]
mod documented;
mod files;
mod lease;
mod machine;
mod overview;
mod parse;
mod record;
mod setup;
mod work;
mod wrong;

use clap::{Args, Parser, Subcommand};

pub(crate) use files::{CpArgs, ForwardArgs, WatchArgs};
pub(crate) use lease::{
    AdoptArgs, CleanupArgs, KeepArgs, ListArgs, ReleaseArgs, ShowArgs, TouchArgs,
};
pub(crate) use machine::{AcquireArgs, MachineArgs};
pub(crate) use parse::{Parsed, command, help_for, parse};
pub(crate) use record::{AttachArgs, HistoryArgs, LogsArgs};
pub(crate) use setup::{
    AdapterTestArgs, CompletionsArgs, ConfigArgs, ConfigCommand, KeeperArgs, Language, ManArgs,
    ProvidersArgs, ProvidersCommand, ReaperArgs, ReaperCommand, SchemaArgs, TrustArgs,
};
pub(crate) use work::{ExecArgs, RunArgs, SshArgs, SyncArgs};

/// A remote machine for one piece of work, given back afterwards
#[derive(Debug, Parser)]
#[command(name = "lease", version, max_term_width = 100)]
pub(crate) struct Cli {
    /// What applies to every command.
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    /// The command; without one a short page is printed.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What applies to every command.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct GlobalArgs {
    /// Print versioned JSON instead of text, errors on standard error too
    #[arg(long, global = true, display_order = 900)]
    pub(crate) json: bool,
    /// Print no progress
    #[arg(short, long, global = true, display_order = 901, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Log what happens on standard error; twice for more
    #[arg(short, long, global = true, display_order = 902, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// Everything that `lease` does.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lease a box, make its directory equal to this tree, run a command, give the box back
    Run(RunArgs),
    /// Lease a box and leave it ready
    #[command(visible_alias = "warmup")]
    Acquire(AcquireArgs),
    /// List the live leases
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Show everything that is recorded of one lease
    Show(ShowArgs),
    /// Open a shell on a leased box
    Ssh(SshArgs),
    /// Run a command on a leased box, without syncing
    Exec(ExecArgs),
    /// Make the directory on a leased box equal to this tree
    Sync(SyncArgs),
    /// Run a command on a box, and again whenever a file of the tree changes
    Watch(WatchArgs),
    /// Copy files between this machine and a leased box
    Cp(CpArgs),
    /// Open ports of a leased box on this machine
    Forward(ForwardArgs),
    /// Say that a lease is in use, or move its deadlines
    Touch(TouchArgs),
    /// Forbid every automatic deletion of a lease
    Keep(KeepArgs),
    /// Give leases back
    #[command(visible_alias = "stop")]
    Release(ReleaseArgs),
    /// Record a lease for a machine that has none, such as one whose records were lost
    Adopt(AdoptArgs),
    /// Do now what the reaper would do
    Cleanup(CleanupArgs),
    /// Run, install or inspect the process that ends abandoned leases
    Reaper(ReaperArgs),
    /// Keep a session waiting on the box of a lease; `lease run` starts it
    #[command(hide = true)]
    Keeper(KeeperArgs),
    /// Check everything that would fail later, here and at the chosen providers
    #[command(
        after_help = "Example:\n  lease doctor\n\nIt ends with 1 when there is a problem, and with 0 when there \
        are warnings at most."
    )]
    Doctor,
    /// List the providers of this build, or test and begin adapters
    #[command(visible_alias = "provider")]
    Providers(ProvidersArgs),
    /// List past runs
    History(HistoryArgs),
    /// Print what a run printed
    Logs(LogsArgs),
    /// Take up a run that goes on without its client, and end with its exit code
    Attach(AttachArgs),
    /// Show the settings and where each comes from
    Config(ConfigArgs),
    /// Let this repository's lease.yaml set what could run programs or move data
    Trust(TrustArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Write the man pages into a directory
    Man(ManArgs),
    /// Print the JSON schemas of every --json output and of the configuration
    Schema(SchemaArgs),
}
