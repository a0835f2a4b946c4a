//! The script that runs a command on the box, as it is sent.

use std::borrow::Cow;

use crate::sync::lean;

/// What the script knows of its own shell.
const ITSELF: &str = include_str!("itself.sh");
/// The script. It is read with its arguments `$1` to `$6` and the command after them, see its head.
const WRAPPER: &str = concat!(include_str!("alive.sh"), include_str!("wrapper.sh"));
/// How much of each stream the script logs as it stands there.
const DEFAULT_LIMIT: &str = "lease_log_blocks=131072";
/// What `ulimit -f` counts.
const BLOCK_BYTES: u64 = 512;

/// How many bytes of each of a command's streams the box keeps unless it is told otherwise.
pub(crate) const LOG_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The script, for boxes that log so many bytes of each stream, rounded up to whole blocks.
pub(super) fn wrapper(log_bytes_max: u64) -> Vec<u8> {
    [itself(), after_itself(log_bytes_max)].concat()
}

/// The first part of the script, which takes a moment and needs no arguments.
pub(super) fn itself() -> Vec<u8> {
    lean(&[ITSELF])
}

/// The rest of it.
pub(super) fn after_itself(log_bytes_max: u64) -> Vec<u8> {
    let limit = match log_bytes_max {
        LOG_BYTES_MAX => Cow::Borrowed(DEFAULT_LIMIT),
        bytes => Cow::Owned(format!("lease_log_blocks={}", bytes.div_ceil(BLOCK_BYTES))),
    };
    lean(&[&WRAPPER.replace(DEFAULT_LIMIT, &limit)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_the_log_is_in_the_script() {
        let shown = |bytes| String::from_utf8(wrapper(bytes)).unwrap();
        assert!(shown(LOG_BYTES_MAX).contains("\nlease_log_blocks=131072\n"));
        assert!(shown(1025).contains("\nlease_log_blocks=3\n"));
        assert!(!shown(1025).contains("blocks=131072"), "the default is still there");
        assert!(!shown(0).contains("\n#"));
    }

    #[test]
    fn the_script_leaves_room_for_a_command() {
        let quoted = crate::quote::quoted_bytes(&wrapper(LOG_BYTES_MAX));
        assert!(quoted < super::super::command::WRAPPER_ROOM_BYTES - 1024, "{quoted}");
    }
}
