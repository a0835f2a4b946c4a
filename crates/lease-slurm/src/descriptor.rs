//! What this provider can do and promise.

use std::time::Duration;

use lease_core::Descriptor;
use lease_core::descriptor::{EndsAbandoned, HostKeyTrust, Ownership, Replay};

/// The only kind of resource there is: a batch job together with its directory on the shared file system.
pub(crate) const KIND: &str = "job";

/// The provider's capabilities and promises, with the default times. A configuration may change
/// [`Descriptor::settle`] and [`Descriptor::landing`].
pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "slurm",
    aliases: &[],
    summary: "a batch job of a Slurm cluster that runs an sshd of its own",
    ends_abandoned: EndsAbandoned::Provider,
    ownership: Ownership::Marks,
    host_key: HostKeyTrust::Pinned,
    // Names are not unique in Slurm: a second submission is a second job. Only one of the two would become a box, but
    // the other one waits in the queue and counts against the limits of the account until it gets its turn.
    replay: Replay::Never,
    // The controller shows a job from the answer to sbatch on, and an ended one is final at once.
    settle: Duration::ZERO,
    // A controller that hangs carries out what reached it when it wakes, and answers nothing before. So a submission
    // lands at about the time of the first answer; what comes later than this finds no intent and ends at once.
    landing: Duration::from_secs(60),
    shows_deadline: true,
    sandbox: false,
    resources: &[KIND],
    caveat: "a lost controller state can forget a job or start it again, which then ends by itself; without PID \
             namespaces on the nodes, a process that hides its environment and its parents is left to the site's own \
             process tracking",
};
