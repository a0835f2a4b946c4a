//! What each provider may be told, whether it is in this build or not: its settings and the options of one box.

use crate::config::keys::{Key, Kind};

pub(crate) const LOCAL_OPTIONS: &[(&str, &str)] =
    &[("contain", "as the setting `providers.local.contain`, for this box")];

const CONTAIN: &[&str] = &["auto", "namespace", "scan"];

pub(crate) const LOCAL_KEYS: &[Key] = &[
    Key::own("providers.local.root", Kind::Path, "the directory that boxes live in"),
    Key::trusted(
        "providers.local.contain",
        Kind::Choice(CONTAIN),
        "whether a box has a PID namespace, or its processes are searched when it ends",
    ),
    Key::trusted("providers.local.sshd", Kind::Path, "the sshd that a box runs"),
    Key::trusted(
        "providers.local.environment",
        Kind::Map,
        "variables that commands on a box see, beside PATH, HOME and where toolchains are",
    ),
];

const ARCHITECTURES: &[&str] = &["x86", "arm"];

pub(crate) const HETZNER_KEYS: &[Key] = &[
    Key::own("providers.hetzner.endpoint", Kind::Text, "where the interface is"),
    Key::free("providers.hetzner.locations", Kind::List, "the locations to try, best first"),
    Key::free("providers.hetzner.image", Kind::Text, "the image, by name or id"),
    Key::free(
        "providers.hetzner.architecture",
        Kind::Choice(ARCHITECTURES),
        "the processors, where the machine type does not say which",
    ),
    Key::free("providers.hetzner.ipv4", Kind::Switch, "whether servers have an IPv4 address"),
    Key::free("providers.hetzner.ipv6", Kind::Switch, "whether servers have an IPv6 network"),
    Key::free(
        "providers.hetzner.packages",
        Kind::List,
        "packages to install besides git, rsync and tar",
    ),
    Key::trusted(
        "providers.hetzner.networks",
        Kind::List,
        "networks to attach, by name or id; they are used and never changed",
    ),
    Key::trusted(
        "providers.hetzner.ssh_key",
        Kind::Text,
        "a key of yours that may log in too, by name or id; it is used and never changed",
    ),
    Key::trusted("providers.hetzner.user", Kind::Text, "who logs in"),
    Key::trusted("providers.hetzner.port", Kind::Number(65_535), "the port that sshd listens on"),
    Key::trusted(
        "providers.hetzner.work_root",
        Kind::Text,
        "the absolute directory on the server below which each lease gets one",
    ),
    Key::own(
        "providers.hetzner.settle",
        Kind::Span,
        "how long a resource may be missing from lists, or linger there",
    ),
    Key::own(
        "providers.hetzner.landing",
        Kind::Span,
        "how long an unanswered create may still take effect",
    ),
    Key::own(
        "providers.hetzner.read_deadline",
        Kind::Span,
        "how long a request that reads may take",
    ),
    Key::own(
        "providers.hetzner.write_deadline",
        Kind::Span,
        "how long a request that changes something may take",
    ),
    Key::own(
        "providers.hetzner.request_reserve",
        Kind::Number(3_600),
        "how many of the project's requests are kept for deletions",
    ),
    Key::own(
        "providers.hetzner.capacity_phrases",
        Kind::List,
        "what a refusal says when another type or location may work",
    ),
];

pub(crate) const HETZNER_OPTIONS: &[(&str, &str)] = &[
    ("location", "the location, or a list of them, best first"),
    ("image", "the image, by name or id"),
    ("architecture", "x86 or arm"),
    ("network", "a network to attach, or a list of them, by name or id"),
    ("ipv4", "whether it has an IPv4 address"),
    ("ipv6", "whether it has an IPv6 network"),
    ("ssh_key", "a key of yours that may log in too, by name or id"),
];

pub(crate) const FAL_KEYS: &[Key] = &[
    Key::own("providers.fal.endpoint", Kind::Text, "where the interface is"),
    Key::free(
        "providers.fal.instance_type",
        Kind::Text,
        "the instance type, where neither a type nor a class is asked for",
    ),
    Key::free(
        "providers.fal.sector",
        Kind::Text,
        "the InfiniBand sector of machines with eight GPUs",
    ),
    Key::trusted("providers.fal.user", Kind::Text, "who logs in"),
    Key::trusted("providers.fal.port", Kind::Number(65_535), "the port that sshd listens on"),
    Key::trusted(
        "providers.fal.work_root",
        Kind::Text,
        "the absolute directory on the machine that a lease gets",
    ),
    Key::own(
        "providers.fal.settle",
        Kind::Span,
        "how long an instance may be missing from lists, or linger there",
    ),
    Key::own(
        "providers.fal.landing",
        Kind::Span,
        "how long an unanswered create may still take effect",
    ),
    Key::own(
        "providers.fal.replay_window",
        Kind::Span,
        "how long an unanswered create is sent again; `0s` for never",
    ),
    Key::own("providers.fal.read_deadline", Kind::Span, "how long a request that reads may take"),
    Key::own(
        "providers.fal.write_deadline",
        Kind::Span,
        "how long a request that changes something may take",
    ),
];

pub(crate) const FAL_OPTIONS: &[(&str, &str)] =
    &[("sector", "as the setting `providers.fal.sector`, for this box")];

const ROUTES: &[&str] = &["auto", "direct", "login"];

pub(crate) const SLURM_KEYS: &[Key] = &[
    Key::trusted(
        "providers.slurm.shared_dir",
        Kind::Text,
        "the absolute directory that all nodes share and jobs have their own directories in",
    ),
    Key::trusted(
        "providers.slurm.login_host",
        Kind::Text,
        "where Slurm's commands run, as HOST or USER@HOST; on this machine when it is not set",
    ),
    Key::trusted(
        "providers.slurm.login_ssh_config",
        Kind::Path,
        "the ssh configuration for the login node; your own when it is not set",
    ),
    Key::trusted(
        "providers.slurm.enter",
        Kind::List,
        "a program with its arguments that is put before the shell that runs Slurm's commands",
    ),
    Key::trusted(
        "providers.slurm.path",
        Kind::Text,
        "where commands are looked for, where Slurm's commands run",
    ),
    Key::trusted(
        "providers.slurm.slurm_conf",
        Kind::Text,
        "Slurm's configuration file, where it is not in its usual place",
    ),
    Key::trusted("providers.slurm.account", Kind::Text, "the account that pays"),
    Key::free("providers.slurm.partition", Kind::Text, "the partition"),
    Key::free("providers.slurm.qos", Kind::Text, "the quality of service"),
    Key::free("providers.slurm.cpus", Kind::Number(1_000_000), "processor cores"),
    Key::free(
        "providers.slurm.memory_mib",
        Kind::Number(1 << 40),
        "memory of the node in mebibytes",
    ),
    Key::free("providers.slurm.time", Kind::Span, "the wall time of a lease without a deadline"),
    Key::free("providers.slurm.gres", Kind::Text, "generic resources, such as gpu:1"),
    Key::free("providers.slurm.constraint", Kind::Text, "features that the node must have"),
    Key::free("providers.slurm.reservation", Kind::Text, "a reservation"),
    Key::trusted(
        "providers.slurm.sbatch_args",
        Kind::List,
        "other options of sbatch, each as one --option=value",
    ),
    Key::trusted(
        "providers.slurm.wrapper",
        Kind::List,
        "a program with its arguments that runs the server on the node, such as a container",
    ),
    Key::trusted(
        "providers.slurm.sshd",
        Kind::Text,
        "the sshd on the nodes; searched for when it is not set",
    ),
    Key::trusted(
        "providers.slurm.listen",
        Kind::Text,
        "the address that sshd listens on; every address of the node when it is not set",
    ),
    Key::trusted(
        "providers.slurm.port_low",
        Kind::Number(65_535),
        "the lowest port that sshd takes",
    ),
    Key::trusted(
        "providers.slurm.port_high",
        Kind::Number(65_535),
        "the highest port that sshd takes",
    ),
    Key::trusted(
        "providers.slurm.contain",
        Kind::Choice(CONTAIN),
        "whether a job has a PID namespace, or its processes are searched when it ends",
    ),
    Key::trusted(
        "providers.slurm.work_root",
        Kind::Text,
        "the directory on the node below which each lease gets one; the shared one when not set",
    ),
    Key::trusted(
        "providers.slurm.session_path",
        Kind::Text,
        "what commands on a node find as PATH; sshd chooses when it is not set",
    ),
    Key::trusted(
        "providers.slurm.route",
        Kind::Choice(ROUTES),
        "whether nodes are reached through the login node",
    ),
    Key::trusted(
        "providers.slurm.host_map",
        Kind::Map,
        "what a node is called here, by what it calls itself",
    ),
    Key::own(
        "providers.slurm.command_deadline",
        Kind::Span,
        "how long one of Slurm's commands may take",
    ),
    Key::own(
        "providers.slurm.removal_wait",
        Kind::Span,
        "how long a release waits for a cancelled job to be over, to remove its directory at once",
    ),
    Key::own(
        "providers.slurm.watch",
        Kind::Span,
        "how often a job looks whether it is still wanted",
    ),
    Key::own(
        "providers.slurm.margin",
        Kind::Span,
        "how much longer than its lease a job may run, so that the lease is given back in order",
    ),
    Key::own("providers.slurm.settle", Kind::Span, "how long an accepted job may stay invisible"),
    Key::own(
        "providers.slurm.landing",
        Kind::Span,
        "how long an unanswered submission may still take effect",
    ),
    Key::free(
        "providers.slurm.ready_timeout",
        Kind::Span,
        "how long a job may wait in the queue, where `ready_timeout` is not set",
    )
    .default("12h"),
];

pub(crate) const SLURM_OPTIONS: &[(&str, &str)] = &[
    ("account", "the account that pays"),
    ("partition", "the partition; a machine type is one too"),
    ("qos", "the quality of service"),
    ("cpus", "processor cores"),
    ("memory_mib", "memory of the node in mebibytes"),
    ("time", "the wall time in seconds"),
    ("gres", "generic resources, such as gpu:1"),
    ("constraint", "features that the node must have"),
    ("reservation", "a reservation"),
];

const IDENTITIES: &[&str] = &["kept", "answered"];

const ENDERS: &[&str] = &["reaper", "provider", "box"];

pub(crate) const EXTERNAL_KEYS: &[Key] = &[
    Key::trusted(
        "providers.external.command",
        Kind::Text,
        "the adapter program; a relative path is relative to the directory of its file",
    ),
    Key::trusted("providers.external.args", Kind::List, "the arguments of the adapter program"),
    Key::trusted(
        "providers.external.lifecycle",
        Kind::Tree,
        "instead of an adapter program: a command for each operation, made from templates",
    ),
    Key::trusted(
        "providers.external.connection",
        Kind::Tree,
        "how what the commands of `lifecycle` make is named and reached",
    ),
    Key::trusted(
        "providers.external.config",
        Kind::Tree,
        "passed to the adapter in every request, as it is",
    ),
    Key::trusted(
        "providers.external.directory",
        Kind::Path,
        "the directory that adapters start in; that of the file which names a relative program \
         when it is not set",
    ),
    Key::trusted(
        "providers.external.account",
        Kind::Text,
        "a name for the account, so that an edited `config` does not detach leases that exist",
    ),
    Key::trusted(
        "providers.external.idempotent_lease_id",
        Kind::Switch,
        "whether the adapter promises that a repeated acquire of one lease makes nothing new",
    ),
    Key::trusted(
        "providers.external.identity",
        Kind::Choice(IDENTITIES),
        "whether the adapter keeps slug and name or labels, or only answers with an id",
    ),
    Key::trusted(
        "providers.external.trust_provider_output",
        Kind::Switch,
        "whether answers of the adapter may say how to log in",
    ),
    Key::trusted(
        "providers.external.work_root",
        Kind::Text,
        "the absolute directory on the machine below which each lease gets one",
    ),
    Key::trusted(
        "providers.external.ends_abandoned",
        Kind::Choice(ENDERS),
        "who ends a lease that everybody forgot",
    ),
    Key::trusted(
        "providers.external.touch",
        Kind::Switch,
        "whether the adapter is told when a deadline moves",
    ),
    Key::own(
        "providers.external.settle",
        Kind::Span,
        "how long a lease may be missing from the adapter's list, or linger in it",
    ),
    Key::own(
        "providers.external.landing",
        Kind::Span,
        "how long after an adapter was ended its backend may still create something",
    ),
    Key::trusted(
        "providers.external.acquire_deadline",
        Kind::Span,
        "how long an acquire of the adapter may take",
    ),
    Key::trusted(
        "providers.external.release_deadline",
        Kind::Span,
        "how long a release of the adapter may take",
    ),
    Key::trusted(
        "providers.external.call_deadline",
        Kind::Span,
        "how long any other operation of the adapter may take",
    ),
    Key::own(
        "providers.external.output_bytes_max",
        Kind::Number(64 * 1024 * 1024),
        "how many bytes of each output stream of the adapter are read",
    ),
    Key::free(
        "providers.external.ready_timeout",
        Kind::Span,
        "how long a machine may wait until a login works, where `ready_timeout` is not set",
    )
    .default("1h"),
];
