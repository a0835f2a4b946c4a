//! A change that is small enough to travel inside the request that starts the command.
//!
//! Bytes travel as an argument of the remote shell, whose own `printf` writes them: no program decodes them, and only
//! the NUL, the backslash and the quotation mark become longer.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use lease_tree::{Compare, Delta, Layout, Manifest, Scan, write_delta};

use super::member;
use super::mirror::{Known, Tools};
use super::paths::watched;
use super::records::{comes, goes};
use crate::error::{Result, SshError};
use crate::files::random_text;
use crate::quote::quoted_bytes;

/// The zeros that end an archive; the end of the stream ends it as well.
const TRAILER_BYTES: usize = 1024;

/// The arguments of `patch.sh`, and what the box holds once it has run.
#[derive(Debug)]
pub(super) struct Patch {
    pub(super) args: Vec<Vec<u8>>,
    pub(super) generation: String,
    pub(super) manifest: Manifest,
    pub(super) sent_files: u64,
    pub(super) sent_bytes: u64,
    pub(super) removed: u64,
}

/// What the box lacks, as it travels.
pub(super) enum Packed {
    /// It lacks nothing; this is to be written down.
    Nothing(Manifest),
    Patch(Patch),
    /// It does not fit into a request.
    TooMuch,
}

impl Packed {
    /// Compares and packs what differs, in `room` bytes, also when that is nothing but the box has to be told. It blocks.
    pub(super) fn of(
        held: &Known,
        scan: &Scan,
        compare: Compare,
        (room, renew): (usize, bool),
    ) -> Result<Self> {
        let delta = Delta::between(&held.manifest, scan, compare)?;
        if delta.is_empty() && !renew {
            return Ok(Self::Nothing(delta.refreshed().unwrap_or_else(|| held.manifest.clone())));
        }
        Ok(Patch::of(&delta, &held.tools, room)?.map_or(Self::TooMuch, Self::Patch))
    }
}

impl Patch {
    /// Packs a delta, if its arguments need no more than `room_bytes` of the request and every file can be caught. It
    /// blocks.
    fn of(delta: &Delta, tools: &Tools, room_bytes: usize) -> Result<Option<Self>> {
        // Each path stands in several lists.
        let paths = delta.write_count() * 512 + delta.removal_count() * 128;
        let least = delta.bytes() + paths as u64;
        if least > room_bytes as u64 {
            return Ok(None);
        }
        let mut archive = Vec::new();
        let written = write_delta(delta, &Layout::default(), &mut archive)
            .map_err(|error| SshError::lost(&error))?;
        if !written.left_out.is_empty() || !written.retracted.is_empty() {
            return Ok(None);
        }
        if archive.ends_with(&[0; TRAILER_BYTES]) {
            archive.truncate(archive.len() - TRAILER_BYTES);
        }
        let generation = random_text(24)?;
        let args = arguments(delta, (&generation, tools), &written.manifest, &archive);
        let bytes: usize = args.iter().map(|it| quoted_bytes(it) + 1).sum();
        if bytes > room_bytes {
            return Ok(None);
        }
        Ok(Some(Self {
            args,
            generation,
            manifest: written.manifest,
            sent_files: written.sent_files,
            sent_bytes: written.sent_bytes,
            removed: delta.removal_count() as u64,
        }))
    }
}

fn arguments(
    delta: &Delta,
    (generation, tools): (&str, &Tools),
    manifest: &Manifest,
    archive: &[u8],
) -> Vec<Vec<u8>> {
    let removals: BTreeSet<&Path> = delta.removals().collect();
    let emptied: BTreeSet<&Path> = delta.emptied_directories().collect();
    let writes: Vec<PathBuf> = delta.writes().map(|it| it.entry.path.to_owned()).collect();
    let added = delta.writes().filter(|it| it.change == lease_tree::Change::Added);
    let come = writes.iter().filter_map(|it| comes(&manifest.get(it)?)).flatten().collect();
    let go: Vec<u8> = removals.iter().copied().flat_map(goes).collect();
    let listed = |paths: &mut dyn Iterator<Item = &Path>| {
        let mut list = Vec::new();
        for path in paths {
            list.extend_from_slice(b"./");
            list.extend(member(path));
            list.push(0);
        }
        list
    };
    let directories = |path: &Path| {
        path.ancestors()
            .skip(1)
            .map(Path::to_owned)
            .filter(|it| !it.as_os_str().is_empty())
            .collect::<Vec<_>>()
    };
    let touched = writes
        .iter()
        .map(PathBuf::as_path)
        .chain(removals.iter().copied())
        .chain(emptied.iter().copied());
    let plain: BTreeSet<PathBuf> =
        touched.flat_map(directories).filter(|it| !removals.contains(it.as_path())).collect();
    let free = writes.iter().filter(|it| !emptied.contains(it.as_path()));
    let mut args: Vec<Vec<u8>> = vec![
        generation.into(),
        tools.look.clock().into(),
        tools.tar.clone().into(),
        escaped(&Vec::from_iter::<Vec<u8>>(come)),
        escaped(&go),
        escaped(&listed(&mut delta.removals())),
        escaped(&listed(&mut delta.emptied_directories())),
        escaped(&watched(added.map(|it| it.entry.path))),
        escaped(&watched(removals.iter().copied())),
        escaped(&watched(delta.new_directories())),
        escaped(&watched(delta.emptied_directories())),
        if writes.is_empty() { Vec::new() } else { escaped(archive) },
    ];
    args.push(plain.len().to_string().into());
    args.extend(plain.iter().map(|it| dotted(it)));
    args.push(free.clone().count().to_string().into());
    args.extend(free.map(|it| dotted(it)));
    args
}

/// The path as no test of the shell takes it for an operator.
fn dotted(path: &Path) -> Vec<u8> {
    let mut dotted = b"./".to_vec();
    dotted.extend(member(path));
    dotted
}

/// What the shell's `printf %b` writes as these bytes.
fn escaped(bytes: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(bytes.len() * 5 / 4);
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            // A digit that follows would be read as a part of the number.
            0 if matches!(bytes.get(at + 1), Some(b'0'..=b'7')) => {
                escaped.extend_from_slice(br"\0000");
            }
            0 => escaped.extend_from_slice(br"\0"),
            b'\\' => escaped.extend_from_slice(br"\\"),
            byte => escaped.push(*byte),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use lease_process::{Limits, Program, output};
    use proptest::prelude::*;

    use super::*;
    use crate::quote::quote;

    fn through(shell: &[&str], bytes: &[u8]) -> Vec<u8> {
        let mut script = b"printf %b ".to_vec();
        script.extend(quote(&escaped(bytes)));
        let script = <std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(script);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let program = Program::new(shell[0]).args(&shell[1..]).arg("-c").arg(script);
        runtime.block_on(output(&program, Limits::default())).unwrap().stdout
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn a_shell_writes_the_bytes_that_were_meant(
            bytes in prop::collection::vec(prop_oneof![Just(0_u8), Just(b'\\'), Just(b'0'), Just(b'\''), any::<u8>()], 0..400)
        ) {
            prop_assert_eq!(through(&["sh"], &bytes), bytes);
        }
    }

    #[test]
    fn every_byte_arrives_in_every_shell_there_is() {
        let every: Vec<u8> = (0..=255).chain((0..=255).flat_map(|it| [0, it])).collect();
        let shells: [&[&str]; 3] = [&["dash"], &["bash"], &["busybox", "sh"]];
        for shell in shells {
            assert_eq!(through(shell, &every), every, "{shell:?}");
        }
    }
}
