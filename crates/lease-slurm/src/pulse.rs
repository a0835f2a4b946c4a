//! Whether the sshd of a job still answers, as ssh said when it knocked without a key.

use crate::report::Part;

/// What a knock showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pulse {
    /// The host proved the job's host key: this very start of the box is there, whatever Slurm says.
    Alive,
    /// Nobody listens there, or somebody with another key does.
    Dead,
    /// It cannot be told.
    Unknown(String),
}

/// Reads what ssh said, with the job's host key as the only known one.
pub(crate) fn pulse(part: &Part) -> Pulse {
    let said = part.said();
    let has = |words: &str| part.stderr.contains(words);
    // ssh asks for authentication only after the host has proven its key.
    if part.code == 0 || has("Permission denied (") || has("Too many authentication failures") {
        return Pulse::Alive;
    }
    if part.code == 255
        && (has("REMOTE HOST IDENTIFICATION HAS CHANGED") || has("Connection refused"))
    {
        return Pulse::Dead;
    }
    Pulse::Unknown(said)
}
