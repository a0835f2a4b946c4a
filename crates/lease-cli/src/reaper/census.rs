//! Who we are and whether others still run, in the words of the engine.

use lease_core::watch::Census;
use lease_core::{Liveness, Owner};
use lease_process::{Pid, ProcessIdentity};

use crate::failure::Failure;

/// This process as the owner of leases.
pub(crate) fn owner() -> Result<Owner, Failure> {
    let identity = ProcessIdentity::current().map_err(|error| {
        Failure::tool(format!("the identity of this process cannot be read: {error}"))
    })?;
    Ok(Owner {
        host: host_name(),
        boot: identity.boot_id,
        pid: u32::try_from(identity.pid.get()).unwrap_or_default(),
        start: identity.start,
        pid_namespace: identity.pid_namespace.to_string(),
    })
}

/// A census over the processes of this machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Processes;

impl Census for Processes {
    fn liveness(&self, owner: &Owner) -> Liveness {
        // A state directory on a shared file system holds leases of other machines, whose processes cannot be seen.
        if owner.host != host_name() {
            return Liveness::Unknown;
        }
        let Some(identity) = identity_of(owner) else { return Liveness::Unknown };
        match lease_process::liveness(&identity) {
            lease_process::Liveness::Alive => Liveness::Alive,
            lease_process::Liveness::Dead => Liveness::Dead,
            lease_process::Liveness::Unknown => Liveness::Unknown,
        }
    }
}

fn identity_of(owner: &Owner) -> Option<ProcessIdentity> {
    Some(ProcessIdentity {
        pid: Pid::new(i32::try_from(owner.pid).ok()?)?,
        start: owner.start,
        boot_id: owner.boot.clone(),
        pid_namespace: owner.pid_namespace.parse().ok()?,
    })
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_itself_and_nobody_on_another_machine() {
        let owner = owner().unwrap();
        assert_eq!(Processes.liveness(&owner), Liveness::Alive);
        let reused = Owner { start: owner.start + 1, ..owner.clone() };
        assert_eq!(Processes.liveness(&reused), Liveness::Dead);
        let rebooted = Owner { boot: "another".to_owned(), ..owner.clone() };
        assert_eq!(Processes.liveness(&rebooted), Liveness::Dead);
        let elsewhere = Owner {
            host: "another.example".to_owned(),
            boot: "another".to_owned(),
            ..owner.clone()
        };
        assert_eq!(Processes.liveness(&elsewhere), Liveness::Unknown);
        let unreadable = Owner { pid: 0, ..owner };
        assert_eq!(Processes.liveness(&unreadable), Liveness::Unknown);
    }
}
