//! The scripts of a sync, put together from their parts and without what only people read.

/// Where nothing is known yet of the shell itself, nothing that it was given is taken for that.
const UNKNOWN: &str = "lease_own=\n";
/// Functions that let one writer at a time change the tree.
const LOCK: &str = include_str!("lock.sh");
/// A function that waits until a change can be told from ours.
const TICK: &str = include_str!("tick.sh");
/// Functions for the moment that changes are told from.
const STAMP: &str = include_str!("stamp.sh");
/// A function that tells whether the client knows what was found.
const TOLD: &str = include_str!("told.sh");
/// What precedes a command that wants a certain tree.
const CHECK: &str = include_str!("check.sh");
/// What brings a small change to the tree.
const PATCH: &str = include_str!("patch.sh");
/// A function that tells whether there is nothing yet.
const BARE: &str = include_str!("bare.sh");
const SURVEY: &str = include_str!("survey.sh");
const CLEAR: &str = include_str!("clear.sh");
const SEED: &str = include_str!("seed.sh");
const UNPACK: &str = include_str!("unpack.sh");
const LOOK: &str = include_str!("look.sh");

/// What goes before the wrapper: the check, and where `$lease_mode` says so a small change.
pub(crate) fn prelude() -> Vec<u8> {
    lean(&[TOLD, CHECK, "if [ \"$lease_mode\" = patch ]; then\n", LOCK, TICK, STAMP, PATCH, "fi\n"])
}

/// Ends a patch that no command follows.
pub(super) fn patch_alone() -> Vec<u8> {
    let mut script = lean(&["lease_mode=patch\n", UNKNOWN]);
    script.extend(prelude());
    script.extend(lean(&["lease_say started\n"]));
    script
}

pub(super) fn survey() -> Vec<u8> {
    lean(&[UNKNOWN, LOCK, BARE, SURVEY])
}

/// What the box keeps, to look at the tree after each command.
pub(super) fn look() -> Vec<u8> {
    lean(&[UNKNOWN, LOCK, TICK, LOOK])
}

pub(super) fn clear() -> Vec<u8> {
    lean(&[UNKNOWN, TOLD, LOCK, STAMP, CLEAR])
}

pub(super) fn seed() -> Vec<u8> {
    lean(&[UNKNOWN, LOCK, BARE, SEED])
}

pub(super) fn unpack() -> Vec<u8> {
    lean(&[UNKNOWN, TOLD, LOCK, TICK, STAMP, BARE, UNPACK])
}

/// The parts one after the other, without indentation and comments: each byte of a request is paid for on a slow link.
pub(crate) fn lean(parts: &[&str]) -> Vec<u8> {
    let lines = parts.iter().flat_map(|part| part.lines()).map(str::trim_start);
    let mut text = Vec::new();
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        text.extend_from_slice(line.as_bytes());
        text.push(b'\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_people_read_is_not_sent() {
        assert_eq!(
            lean(&["# why\nif x; then\n  y # z\nfi\n", "\n#\na"]),
            b"if x; then\ny # z\nfi\na\n"
        );
        for script in [prelude(), survey(), look(), clear(), seed(), unpack()] {
            let text = String::from_utf8(script).unwrap();
            assert!(!text.contains("\n#") && !text.contains("\n "), "{text}");
        }
    }
}
