//! The commands about this installation.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use clap_complete::Shell;

/// `lease reaper`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "Example:\n  lease reaper status\n\n\
    The reaper is the process that gives a box back when its time is over or when nobody is left to do it. \
    Each command that leases something makes sure that one runs.")]
pub(crate) struct ReaperArgs {
    /// What to do; without a word its state is shown.
    #[command(subcommand)]
    pub(crate) command: Option<ReaperCommand>,
}

/// What the reaper can be told.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum ReaperCommand {
    /// Watch until nothing is left to watch
    #[command(after_help = "Example:\n  lease reaper run --detach")]
    Run {
        /// Leave the terminal and go on in the background
        #[arg(long)]
        detach: bool,
        /// Use the settings that leases were made with, by the name of their record
        #[arg(long, value_name = "NAME", hide = true)]
        setup: Option<String>,
    },
    /// Start it with the session of the user, for machines that reboot
    #[command(after_help = "Example:\n  lease reaper install --dry-run")]
    Install {
        /// Print what would be written and write nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Take the installation back
    #[command(after_help = "Example:\n  lease reaper uninstall")]
    Uninstall,
    /// Say who watches which leases, and which leases nobody watches
    #[command(after_help = "Example:\n  lease reaper status")]
    Status,
}

/// `lease keeper`.
#[derive(Clone, Debug, Args)]
pub(crate) struct KeeperArgs {
    /// The lease, by id
    pub(crate) lease: String,
    /// How long a session waits for the next run, in milliseconds
    #[arg(long, value_name = "NUMBER")]
    pub(crate) idle_ms: u64,
    /// How much of each of a command's streams the box logs
    #[arg(long, value_name = "NUMBER")]
    pub(crate) log_bytes: u64,
}

/// `lease providers`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "Example:\n  lease providers sizes hetzner")]
pub(crate) struct ProvidersArgs {
    /// What to show; the list otherwise.
    #[command(subcommand)]
    pub(crate) command: Option<ProvidersCommand>,
}

/// What can be asked about providers.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum ProvidersCommand {
    /// List the providers of this build, and how to get the others
    #[command(after_help = "Example:\n  lease providers list --json")]
    List,
    /// Say what one provider can do and promises, and which options it takes
    #[command(after_help = "Example:\n  lease providers describe hetzner")]
    Describe {
        /// Its name
        name: String,
    },
    /// List the machines that one provider has, with what they cost now
    #[command(after_help = "Example:\n  lease providers sizes hetzner")]
    Sizes {
        /// Its name
        name: String,
    },
    /// List what of this tool is there now, with the lease it belongs to
    #[command(after_help = "Example:\n  lease providers inventory hetzner")]
    Inventory {
        /// Its name
        name: String,
    },
    /// Hold an adapter program for the provider `external` against the protocol
    Test(AdapterTestArgs),
    /// Write an adapter to begin with into an empty directory
    #[command(after_help = "Example:\n  lease providers new ./adapter --language shell")]
    New {
        /// The directory; it is made if it is not there
        #[arg(value_name = "DIR")]
        directory: PathBuf,
        /// Only the one in this language: `shell` or `python`
        #[arg(long, value_enum, hide_possible_values = true)]
        language: Option<Language>,
    },
}

/// `lease provider test`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
#[command(after_help = "Example:\n  lease providers test -- ./adapter/lease-adapter")]
pub(crate) struct AdapterTestArgs {
    /// What the adapter gets as `config`, as a JSON object; the setting of the external provider otherwise
    #[arg(long, value_name = "JSON")]
    pub(crate) config: Option<String>,
    /// The adapter declares that a repeated acquire of one lease makes nothing new
    #[arg(long)]
    pub(crate) idempotent_lease_id: bool,
    /// The adapter with its arguments; up to two leases are made with it and given back
    #[arg(last = true, required = true, value_name = "ADAPTER")]
    pub(crate) adapter: Vec<String>,
}

/// What an adapter to begin with is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// A POSIX shell script
    Shell,
    /// A Python program
    Python,
}

impl Language {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Shell => "shell",
            Self::Python => "python",
        }
    }
}

/// `lease config`.
#[derive(Clone, Copy, Debug, Default, Args)]
#[command(after_help = "Example:\n  lease config show")]
pub(crate) struct ConfigArgs {
    /// What to do; the settings are shown without a word.
    #[command(subcommand)]
    pub(crate) command: Option<ConfigCommand>,
}

/// What can be done with the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print each setting with its origin
    #[command(after_help = "Example:\n  lease config show --json")]
    Show,
}

/// `lease trust`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "Example:\n  lease trust lease.yaml\n\n\
    Read the file first. It is trusted as it is, with the programs that it names: when one of them changes, it is asked \
    for again.")]
pub(crate) struct TrustArgs {
    /// The file; the lease.yaml of the current repository otherwise
    #[arg(value_name = "FILE", conflicts_with = "list")]
    pub(crate) file: Option<PathBuf>,
    /// List the trusted files
    #[arg(long)]
    pub(crate) list: bool,
    /// Take the trust back
    #[arg(long, conflicts_with = "list")]
    pub(crate) revoke: bool,
}

/// `lease completions`.
#[derive(Clone, Copy, Debug, Args)]
#[command(
    after_help = "Example:\n  lease completions bash > ~/.local/share/bash-completion/completions/lease\n\n\
    For zsh, write it as `_lease` into a directory of $fpath; for fish, as `lease.fish` into ~/.config/fish/completions. \
    The directory has to be there."
)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: Shell,
}

/// `lease man`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  lease man ~/.local/share/man/man1\n\n\
    `man lease` finds them there where ~/.local/bin is in PATH; `man -l FILE` shows a page that is anywhere.")]
pub(crate) struct ManArgs {
    /// The directory; it is made if it is not there
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
}

/// `lease schema`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "Example:\n  lease schema lease.list/1")]
pub(crate) struct SchemaArgs {
    /// One schema, by its name such as `lease.list/1`; all of them otherwise
    pub(crate) name: Option<String>,
}
