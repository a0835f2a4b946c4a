//! Writing a tar stream in which every member is whole, whatever happens to the files meanwhile.
//!
//! A member's size stands before its content, so a file must be caught in one piece: a small one is read to memory
//! between two looks at it, a large one is streamed and, when it changed meanwhile, sent again; the last copy counts.
//! Names and link targets are written byte for byte, with GNU's extension for long ones.

mod members;

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use tar::Builder;

use self::members::{Sent, control, file, link};
use crate::delta::Delta;
use crate::manifest::{Kind, Manifest};
use crate::open::Opener;
use crate::order::as_path;
use crate::tree::Skipped;

/// How the members of a stream are called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// What stands before each path, such as `work/`.
    pub prefix: Vec<u8>,
    /// The name of a member that lists, each ended by a NUL, the paths of [`Written::retracted`], relative to the tree.
    pub retract: Option<Vec<u8>>,
    /// The name of an empty last member that shows that the stream is whole.
    pub complete: Option<Vec<u8>>,
}

/// What was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// What the box holds once the removals, the stream and the retractions have been applied to it. To be stored then,
    /// and not before.
    pub manifest: Manifest,
    /// How many files and links were sent.
    pub sent_files: u64,
    /// How many bytes of file contents were sent.
    pub sent_bytes: u64,
    /// What could not be caught, with the reason.
    pub left_out: Vec<Skipped>,
    /// Which of the paths left out may lie on the box all the same, as an older state or a torn copy of this stream: it
    /// must remove them.
    pub retracted: Vec<PathBuf>,
}

/// Writes the files and links of a delta as a tar stream. It blocks, and holds at most a few megabytes in memory.
///
/// The same delta of an unchanged tree gives the same bytes.
///
/// # Errors
/// Those of the sink. A file that cannot be read is left out instead.
pub fn write_delta(delta: &Delta, layout: &Layout, sink: impl Write) -> io::Result<Written> {
    let mut builder = Builder::new(sink);
    let mut records = Arc::clone(&delta.records);
    let (mut sent_files, mut sent_bytes) = (0, 0);
    let (mut left_out, mut retracted) = (Vec::new(), Vec::new());
    let mut opener = Opener::of(&delta.root);
    let mut name = layout.prefix.clone();
    for (at, change) in &delta.writes {
        let record = delta.records.records[*at];
        let path = delta.records.path(&record);
        name.truncate(layout.prefix.len());
        name.extend_from_slice(path);
        let sent = match record.slot.kind() {
            Some(Kind::File) => file(&mut builder, &name, || opener.file(path))?,
            Some(Kind::Link) => link(&mut builder, &name, opener.link(path))?,
            None => continue,
        };
        let record = &mut Arc::make_mut(&mut records).records[*at];
        match sent {
            Sent::Whole { stat, content, bytes } => {
                sent_files += 1;
                sent_bytes += bytes;
                (record.stat, record.content) = (stat, Some(content));
            }
            Sent::Not { why, traces } => {
                record.content = None;
                let path = as_path(path).to_owned();
                // What is reported as not sent must not lie there in an older or a torn state.
                if traces || *change == crate::delta::Change::Changed {
                    retracted.push(path.clone());
                }
                left_out.push(Skipped { path, why });
            }
        }
    }
    if let Some(retract) = &layout.retract {
        control(&mut builder, retract, &listing(&retracted))?;
    }
    if let Some(complete) = &layout.complete {
        control(&mut builder, complete, b"")?;
    }
    builder.into_inner()?.flush()?;
    Ok(Written { manifest: Manifest(records), sent_files, sent_bytes, left_out, retracted })
}

/// The paths, each ended by a NUL.
fn listing(paths: &[PathBuf]) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt as _;
    let mut bytes = Vec::new();
    for path in paths {
        bytes.extend_from_slice(path.as_os_str().as_bytes());
        bytes.push(0);
    }
    bytes
}
