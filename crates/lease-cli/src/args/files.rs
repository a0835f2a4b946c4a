//! The commands that bring files and ports from one side to the other, and the one that runs again at a change.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::MachineArgs;

/// `lease cp`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "Example:\n  lease cp demo:target/report.html .\n\n\
    A path on a box is LEASE:PATH; a relative one is relative to the tree there. Directories are copied with all they \
    contain, links as links, modes and times as they are; a path that ends in /. is what a directory contains. `-` is \
    standard input or output, for one file. A local name with a colon is written ./a:b.\n\n\
    What is copied over a file that `lease sync` put there counts as changed on the box at the next sync.")]
pub(crate) struct CpArgs {
    /// What is copied: PATH, LEASE:PATH, or `-`
    #[arg(value_name = "SOURCE")]
    pub(crate) source: OsString,
    /// Where it goes, or the directory that it goes into
    #[arg(value_name = "DESTINATION")]
    pub(crate) destination: OsString,
}

/// `lease forward`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "Example:\n  lease forward demo 8080 0:5432 -- psql -h 127.0.0.1\n\n\
    A PORT is REMOTE, or LOCAL:REMOTE; LOCAL 0 is a free port, which is printed. Only 127.0.0.1 is listened on here, and \
    only the box's own loopback is reached there. With a command, the ports are open while it runs, and it finds the \
    local one of REMOTE in LEASE_PORT_REMOTE, such as LEASE_PORT_5432; without one, until Ctrl-C.")]
pub(crate) struct ForwardArgs {
    /// The lease, by id or slug
    pub(crate) lease: String,
    /// The ports: REMOTE or LOCAL:REMOTE
    #[arg(required = true, value_name = "PORT")]
    pub(crate) ports: Vec<String>,
    /// A command for this machine, which is run while the ports are open
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// `lease watch`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "Example:\n  lease watch -- cargo test\n\n\
    The command runs at once, and again when a file of the tree has changed; what git ignores changes nothing. The box \
    is leased once, and given back at the end. Ctrl-C ends the command, and then the watch.")]
pub(crate) struct WatchArgs {
    /// The machine, where none is named with --id.
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
    /// Run on this lease (id or slug) and do not release it afterwards
    #[arg(long, value_name = "LEASE", conflicts_with_all = ["provider", "class", "machine_type", "options", "slug", "idle_timeout", "max_age"])]
    pub(crate) id: Option<String>,
    /// The short name of the new lease; two words are drawn otherwise
    #[arg(long, value_name = "NAME")]
    pub(crate) slug: Option<String>,
    /// End a command that still runs when a file changes; otherwise its end is waited for
    #[arg(long)]
    pub(crate) restart: bool,
    /// The tree to sync and to watch; the one around the current directory otherwise
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// The command and its arguments, passed on exactly as they are
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}
