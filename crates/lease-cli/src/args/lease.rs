//! The commands about leases as such.

use clap::Args;

/// `lease list`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "Example:\n  lease list --provider hetzner")]
pub(crate) struct ListArgs {
    /// Only leases of this provider
    #[arg(long, short, value_name = "NAME")]
    pub(crate) provider: Option<String>,
}

/// `lease show`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "Example:\n  lease show demo")]
pub(crate) struct ShowArgs {
    /// The lease, by id or slug
    pub(crate) lease: String,
}

/// `lease touch`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "Example:\n  lease touch demo --max-age 4h")]
pub(crate) struct TouchArgs {
    /// The lease, by id or slug
    pub(crate) lease: String,
    /// Release the box after so long without use, from now on (`none` for no limit)
    #[arg(long, value_name = "SPAN", allow_hyphen_values = true)]
    pub(crate) idle_timeout: Option<String>,
    /// Release the box so long from now in any case (`none` for no limit)
    #[arg(long, value_name = "SPAN", allow_hyphen_values = true)]
    pub(crate) max_age: Option<String>,
}

/// `lease keep`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "Example:\n  lease keep demo --why \"ask Ann before it goes\"\n\n\
    `lease release` ends it, and gives the box back.")]
pub(crate) struct KeepArgs {
    /// The lease, by id or slug
    pub(crate) lease: String,
    /// Why, for whoever finds it later
    #[arg(long, value_name = "TEXT", default_value = "asked for on the command line")]
    pub(crate) why: String,
}

/// `lease release`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "Example:\n  lease release demo")]
pub(crate) struct ReleaseArgs {
    /// The leases, by id or slug
    #[arg(required_unless_present = "all", conflicts_with = "all", value_name = "LEASE")]
    pub(crate) leases: Vec<String>,
    /// Every lease that is not kept
    #[arg(long)]
    pub(crate) all: bool,
    /// Do not delete anything: end the use of the box and keep it
    #[arg(long)]
    pub(crate) keep: bool,
}

/// `lease adopt`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "Example:\n  lease adopt hetzner server-4711 --release\n\n\
    `lease cleanup --dry-run` lists what carries the marks of lease and has no record here.")]
pub(crate) struct AdoptArgs {
    /// Where it is; `lease providers` lists what there is
    pub(crate) provider: String,
    /// Its exact id, as `lease cleanup --dry-run` or the provider prints it
    pub(crate) id: String,
    /// The short name of the new lease; two words are drawn otherwise
    #[arg(long, value_name = "NAME")]
    pub(crate) slug: Option<String>,
    /// Give it back at once
    #[arg(long)]
    pub(crate) release: bool,
}

/// `lease cleanup`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "Example:\n  lease cleanup --dry-run")]
pub(crate) struct CleanupArgs {
    /// Print the plan and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Only leases of this provider
    #[arg(long, short, value_name = "NAME")]
    pub(crate) provider: Option<String>,
}
