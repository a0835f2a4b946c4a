//! The commands that use a box.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::MachineArgs;

/// `lease run`.
#[derive(Clone, Debug, Default, Args)]
#[command(
    after_help = "Example:\n  lease run --download target/report.html --junit report.xml -- cargo test"
)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(crate) struct RunArgs {
    /// The machine, where none is named with --id.
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
    /// Run on this lease (id or slug) and do not release it afterwards
    #[arg(long, value_name = "LEASE", conflicts_with_all = ["provider", "class", "machine_type", "options", "slug", "keep", "keep_on_failure", "idle_timeout", "max_age"])]
    pub(crate) id: Option<String>,
    /// The short name of the new lease; two words are drawn otherwise
    #[arg(long, value_name = "NAME")]
    pub(crate) slug: Option<String>,
    /// Do not release the box afterwards, whatever happens
    #[arg(long)]
    pub(crate) keep: bool,
    /// Do not release the box when the command fails
    #[arg(long, conflicts_with = "keep")]
    pub(crate) keep_on_failure: bool,
    /// Run without syncing the tree first
    #[arg(long)]
    pub(crate) no_sync: bool,
    /// Start the command, print the run's id and leave it running; needs --id or --keep
    #[arg(long)]
    pub(crate) detach: bool,
    /// Give the command a terminal of the box that is connected to this one; needs one here
    #[arg(long, short = 't', conflicts_with = "detach")]
    pub(crate) tty: bool,
    /// Sync a tree for the first time however large it is
    #[arg(long)]
    pub(crate) allow_large: bool,
    /// Say at the end, on standard error, how long each phase took
    #[arg(long)]
    pub(crate) timings: bool,
    /// Fetch this file or directory of the box after the command, whatever its exit code; a path below the tree, with
    /// `*`, `?` and `[…]`; may be repeated
    #[arg(long, value_name = "PATH", conflicts_with = "detach")]
    pub(crate) download: Vec<String>,
    /// Where what is fetched goes; the tree otherwise
    #[arg(long, value_name = "DIR", conflicts_with = "detach")]
    pub(crate) download_to: Option<PathBuf>,
    /// Write a JUnit report of the run to this file
    #[arg(long, value_name = "FILE", conflicts_with = "detach")]
    pub(crate) junit: Option<PathBuf>,
    /// The tree to sync; the one around the current directory otherwise
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// The command and its arguments, passed on exactly as they are
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// `lease exec`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "Example:\n  lease exec demo -- uname -a")]
pub(crate) struct ExecArgs {
    /// The lease, by id or slug
    pub(crate) lease: String,
    /// The command and its arguments, passed on exactly as they are
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// `lease ssh`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "Example:\n  lease ssh demo")]
pub(crate) struct SshArgs {
    /// The lease, by id or slug
    pub(crate) lease: String,
    /// A command for the box instead of a login shell, with a terminal
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// `lease sync`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "Example:\n  lease sync demo --dry-run")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(crate) struct SyncArgs {
    /// The lease, by id or slug
    pub(crate) lease: String,
    /// The tree to sync; the one around the current directory otherwise
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Print what would be sent and removed, with sizes, and send nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Compare the files by their contents, not by their times and sizes
    #[arg(long)]
    pub(crate) checksum: bool,
    /// Believe nothing of what the box is said to hold, and send everything
    #[arg(long)]
    pub(crate) full: bool,
    /// Sync a tree for the first time however large it is
    #[arg(long)]
    pub(crate) allow_large: bool,
}
