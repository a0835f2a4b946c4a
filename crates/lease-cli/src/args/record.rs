//! The commands about past runs.

use clap::Args;

/// `lease history`.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct HistoryArgs {
    /// How many runs, the newest first
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 20)]
    pub(crate) count: usize,
}

/// `lease logs`.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct LogsArgs {
    /// The run's id or its beginning, or `last`
    pub(crate) run: String,
    /// Only what the command wrote to standard output
    #[arg(long, conflicts_with = "stderr")]
    pub(crate) stdout: bool,
    /// Only what the command wrote to standard error
    #[arg(long)]
    pub(crate) stderr: bool,
}
