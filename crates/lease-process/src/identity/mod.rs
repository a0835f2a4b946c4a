//! Naming a process so that a later look cannot mistake another one for it.
//!
//! A pid alone is recycled. A pid with its start time, within one boot and one PID namespace, is not.

#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "macos.rs")]
mod platform;

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::{Pid, ProcessError};

pub(crate) use platform::start_of;

/// A process, distinguishable from every other one that ever had its pid.
///
/// The fields are plain values so that callers can keep them in whatever format they use.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProcessIdentity {
    /// The process id, within its namespace.
    pub pid: Pid,
    /// When it started. On Linux in clock ticks since boot; on macOS the UTC date and time as the decimal digits
    /// `YYYYMMDDhhmmss`. Only good for comparing.
    pub start: u64,
    /// The kernel's random id of this boot.
    pub boot_id: String,
    /// The inode of the PID namespace that `pid` belongs to; 0 where there are no namespaces.
    pub pid_namespace: u64,
}

/// Whether a process is still there, as far as can be known from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Liveness {
    /// The very process is running (or stopped).
    Alive,
    /// It has ended. A zombie has ended.
    Dead,
    /// It belongs to another PID namespace, or the kernel does not let us look.
    Unknown,
}

impl ProcessIdentity {
    /// Ourselves.
    ///
    /// # Errors
    ///
    /// When the kernel's process information cannot be read, for example without a mounted `/proc`.
    pub fn current() -> Result<Self, ProcessError> {
        Self::of(Pid::current())?.ok_or_else(|| {
            ProcessError::io("reading our own process information")(
                std::io::ErrorKind::NotFound.into(),
            )
        })
    }

    /// The process that has `pid` in our namespace now; `None` if there is none, or only a zombie.
    ///
    /// # Errors
    ///
    /// When the kernel's process information cannot be read.
    pub fn of(pid: Pid) -> Result<Option<Self>, ProcessError> {
        let failed = "reading process information";
        let Some(start) = start_of(pid).map_err(ProcessError::io(failed))? else { return Ok(None) };
        let boot_id = platform::boot_id().map_err(ProcessError::io(failed))?;
        let pid_namespace = platform::pid_namespace().map_err(ProcessError::io(failed))?;
        Ok(Some(Self { pid, start, boot_id, pid_namespace }))
    }
}

/// Looks whether the very process is still there.
#[must_use]
pub fn liveness(identity: &ProcessIdentity) -> Liveness {
    let (Ok(boot_id), Ok(pid_namespace)) = (platform::boot_id(), platform::pid_namespace()) else {
        return Liveness::Unknown;
    };
    if boot_id != identity.boot_id {
        return Liveness::Dead;
    }
    if pid_namespace != identity.pid_namespace {
        return Liveness::Unknown;
    }
    match start_of(identity.pid) {
        Ok(Some(start)) if start == identity.start => Liveness::Alive,
        Ok(_) => Liveness::Dead,
        Err(_) => Liveness::Unknown,
    }
}

/// The kernel's id of this boot, and how long ago that was, sleep included; `None` when the id cannot be read.
///
/// Two processes of one boot measure with it how much time passed between them, whatever is done to the wall clock.
pub fn since_boot() -> Option<(String, Duration)> {
    #[cfg(target_os = "linux")]
    const CLOCK: ClockId = ClockId::Boottime;
    // There, this one goes on while the machine sleeps.
    #[cfg(not(target_os = "linux"))]
    const CLOCK: ClockId = ClockId::Monotonic;
    let boot = platform::boot_id().ok()?;
    let elapsed = Duration::try_from(clock_gettime(CLOCK)).ok()?;
    Some((boot, elapsed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_counts() {
        let own = ProcessIdentity::current().unwrap();
        assert_eq!(liveness(&own), Liveness::Alive);
        let other_start = ProcessIdentity { start: own.start + 1, ..own.clone() };
        assert_eq!(liveness(&other_start), Liveness::Dead);
        let other_boot = ProcessIdentity { boot_id: "another".into(), ..own.clone() };
        assert_eq!(liveness(&other_boot), Liveness::Dead);
        let other_namespace =
            ProcessIdentity { pid_namespace: own.pid_namespace + 1, ..own.clone() };
        assert_eq!(liveness(&other_namespace), Liveness::Unknown);
        let rebooted_elsewhere = ProcessIdentity { boot_id: "another".into(), ..other_namespace };
        assert_eq!(liveness(&rebooted_elsewhere), Liveness::Dead);
    }
}
