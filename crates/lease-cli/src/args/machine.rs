//! Which machine is wanted, and for how long.

use clap::Args;

/// The wish for a machine. What is not given comes from the environment and the configuration files.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct MachineArgs {
    /// Where the box comes from; `lease providers` lists what there is
    #[arg(long, short, value_name = "NAME")]
    pub(crate) provider: Option<String>,
    /// A size by name; `lease providers sizes NAME` lists what there is
    #[arg(long, value_name = "NAME", conflicts_with = "machine_type")]
    pub(crate) class: Option<String>,
    /// One exact machine type of the provider; nothing else is tried
    #[arg(long = "type", value_name = "NAME")]
    pub(crate) machine_type: Option<String>,
    /// An option of the provider; `lease providers describe NAME` lists them
    #[arg(long = "option", short, value_name = "KEY=VALUE")]
    pub(crate) options: Vec<String>,
    /// Release the box after so long without use (90s, 15m, 2h, 1d, or `none`)
    #[arg(long, value_name = "SPAN", allow_hyphen_values = true)]
    pub(crate) idle_timeout: Option<String>,
    /// Release the box after so long in any case (`none` for no limit)
    #[arg(long, value_name = "SPAN", allow_hyphen_values = true)]
    pub(crate) max_age: Option<String>,
}

/// `lease acquire`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "Example:\n  lease acquire --slug demo --idle-timeout 2h\n\n\
    `lease run --id demo -- COMMAND` uses it, and `lease release demo` gives it back.")]
pub(crate) struct AcquireArgs {
    /// The machine.
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
    /// The short name of the new lease; two words are drawn otherwise
    #[arg(long, value_name = "NAME")]
    pub(crate) slug: Option<String>,
    /// Nothing automatic may ever delete the box
    #[arg(long)]
    pub(crate) keep: bool,
    /// Leave what was made when the box does not become ready, for a look at it
    #[arg(long, conflicts_with = "keep")]
    pub(crate) keep_on_failure: bool,
}
