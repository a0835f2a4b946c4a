//! Identity on macOS: what `ps` and `sysctl` say, because asking the kernel directly takes unsafe code.

use std::io;

use crate::Pid;
use crate::spawn::system_tool;
use crate::table::ps;

/// When the process started, as `YYYYMMDDhhmmss`; `None` if there is none or only a zombie.
pub(crate) fn start_of(pid: Pid) -> io::Result<Option<u64>> {
    let text = match system_tool(&["/bin/ps", "-o", "state=,lstart=", "-p", &pid.to_string()]) {
        // `ps` fails without a word when nobody has that pid.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let text = String::from_utf8_lossy(&text);
    let Some((state, start)) = text.trim().split_once(' ') else { return Ok(None) };
    if state.starts_with('Z') {
        return Ok(None);
    }
    ps::start(start).map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

pub(super) fn boot_id() -> io::Result<String> {
    let text = system_tool(&["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"])?;
    Ok(String::from_utf8_lossy(&text).trim().to_owned())
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the signature is shared with Linux, where reading it can fail"
)]
pub(super) fn pid_namespace() -> io::Result<u64> {
    Ok(0)
}
