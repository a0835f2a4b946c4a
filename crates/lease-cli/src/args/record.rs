//! The commands about past runs.

use clap::Args;

/// `lease history`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "Example:\n  lease history -n 5")]
pub(crate) struct HistoryArgs {
    /// How many runs, the newest first
    #[arg(long, short = 'n', value_name = "COUNT", default_value = "20", value_parser = count, allow_negative_numbers = true)]
    pub(crate) count: usize,
}

/// How many of something are asked for.
fn count(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|it| *it > 0)
        .ok_or_else(|| "a number from 1 on is expected".to_owned())
}

/// `lease logs`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "Example:\n  lease logs last --stderr")]
pub(crate) struct LogsArgs {
    /// The run's id or its beginning, or `last`
    #[arg(value_name = "RUN", default_value = "last")]
    pub(crate) run: String,
    /// Only what the command wrote to standard output
    #[arg(long, conflicts_with = "stderr")]
    pub(crate) stdout: bool,
    /// Only what the command wrote to standard error
    #[arg(long)]
    pub(crate) stderr: bool,
    /// Go on until the command ends; Ctrl-C ends only the following
    #[arg(long, short)]
    pub(crate) follow: bool,
}

/// `lease attach`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "Example:\n  lease attach demo\n\n\
    A run goes on without its client when it was started with --detach, or when its client died. \
    Ctrl-C interrupts the command. Whatever else ends `lease attach`, such as closing its terminal, \
    leaves the command running; `lease logs --follow` only looks.")]
pub(crate) struct AttachArgs {
    /// The run's id or its beginning, `last`, or a lease for its newest run
    #[arg(value_name = "RUN|LEASE", default_value = "last")]
    pub(crate) run: String,
    /// Leave out what the command has printed so far
    #[arg(long)]
    pub(crate) from_now: bool,
}
