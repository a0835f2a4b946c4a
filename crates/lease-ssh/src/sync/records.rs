//! What the box remembers of the files that syncs put there: records that are added to and never rewritten by a small sync.
//!
//! A record is `KIND PERMISSIONS BYTES CONTENT PATH`, ended by a NUL. The kind is `f` for a file, `l` for a link, `-` for
//! a path that is ours and whose content is not known, because the sync that wrote it did not end, and `x` for a path
//! that is ours no more. The last record of a path counts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lease_tree::{Content, Entry, Held, Kind, Manifest, is_inside};

use super::paths::PathSet;
use super::{member, path_of};
use crate::error::{Result, SshError};

/// The files of ours on a box.
#[derive(Clone, Debug, Default)]
pub(super) struct Records(BTreeMap<PathBuf, Option<Held>>);

impl Records {
    /// Reads records. A path that leads outside makes all of them unusable.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        let mut records = BTreeMap::new();
        if bytes.is_empty() {
            return Ok(Self(records));
        }
        let whole = bytes.strip_suffix(&[0]).ok_or_else(|| wrong("they are cut off"))?;
        for record in whole.split(|it| *it == 0) {
            let (change, path) = parse_one(record).ok_or_else(|| wrong("one makes no sense"))?;
            match change {
                Change::Gone => records.remove(&path),
                Change::Ours(held) => records.insert(path, held),
            };
        }
        Ok(Self(records))
    }

    /// The paths that are ours.
    pub(super) fn paths(&self) -> PathSet {
        PathSet::new(self.0.keys().cloned())
    }

    /// What the box holds, if it is known of every path.
    pub(super) fn manifest(self) -> Option<Manifest> {
        let held: Option<Vec<Held>> = self.0.into_values().collect();
        Manifest::of_held(held?)
    }
}

/// The record of a file or link that comes. What the box does not hold has none.
pub(super) fn comes(entry: &Entry<'_>) -> Option<Vec<u8>> {
    let kind = match entry.kind {
        Kind::File => 'f',
        Kind::Link => 'l',
    };
    let content = entry.content?;
    let mut record =
        format!("{kind} {:o} {} {content} ", entry.permissions, entry.bytes).into_bytes();
    record.extend(member(entry.path));
    record.push(0);
    Some(record)
}

/// The record of a path whose content is not known yet.
pub(super) fn is_ours(path: &Path) -> Vec<u8> {
    short(b"- 0 0 - ", path)
}

/// The record of a path that goes.
pub(super) fn goes(path: &Path) -> Vec<u8> {
    short(b"x 0 0 - ", path)
}

fn short(head: &[u8], path: &Path) -> Vec<u8> {
    let mut record = head.to_vec();
    record.extend(member(path));
    record.push(0);
    record
}

enum Change {
    Ours(Option<Held>),
    Gone,
}

fn parse_one(record: &[u8]) -> Option<(Change, PathBuf)> {
    let mut fields = record.splitn(5, |it| *it == b' ');
    let mut text = || std::str::from_utf8(fields.next()?).ok();
    let (kind, permissions, bytes, content) = (text()?, text()?, text()?, text()?);
    let path = fields.next().filter(|it| is_inside(it))?;
    let path = path_of(path.to_vec());
    let kind = match kind {
        "x" => return Some((Change::Gone, path)),
        "-" => return Some((Change::Ours(None), path)),
        "f" => Kind::File,
        "l" => Kind::Link,
        _ => return None,
    };
    let held = Held {
        path: path.clone(),
        kind,
        permissions: u32::from_str_radix(permissions, 8).ok().filter(|it| *it <= 0o777)?,
        bytes: bytes.parse().ok()?,
        content: digits(content)?,
    };
    Some((Change::Ours(Some(held)), path))
}

fn digits(text: &str) -> Option<Content> {
    let mut content = [0; 32];
    let plain = text.len() == 64 && text.bytes().all(|it| it.is_ascii_hexdigit());
    for (at, byte) in content.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(at * 2..at * 2 + 2).filter(|_| plain)?, 16).ok()?;
    }
    Some(Content(content))
}

fn wrong(why: &str) -> SshError {
    let detail = format!(
        "{why}; remove `.lease/sync/manifest` beside the tree on the box if you trust the tree"
    );
    SshError::Box { doing: "reading the records of the manifest", detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_record_of_a_path_counts() {
        let entry = Entry {
            path: Path::new("a b\nc"),
            kind: Kind::File,
            permissions: 0o640,
            bytes: 3,
            content: Some(Content::of(b"abc")),
        };
        let gone = [is_ours(Path::new("x")), comes(&entry).unwrap(), goes(Path::new("x"))].concat();
        let records = Records::parse(&gone).unwrap();
        assert_eq!(records.paths().len(), 1);
        let manifest = records.manifest().unwrap();
        assert_eq!(manifest.get(entry.path), Some(entry));
        let unsure = [gone, is_ours(Path::new("y"))].concat();
        assert!(Records::parse(&unsure).unwrap().manifest().is_none());
    }

    #[test]
    fn records_that_lead_outside_or_make_no_sense_are_refused() {
        assert_eq!(Records::parse(b"").unwrap().paths().len(), 0);
        for bad in [
            &b"- 0 0 - a"[..],
            b"- 0 0 - ../a\0",
            b"- 0 0 - /a\0",
            b"x 0 0 - a//b\0",
            b"f 644 1 00 a\0",
            b"f 9 1 00 a\0",
            b"q 0 0 - a\0",
            b"a\0",
            b"\0",
        ] {
            assert!(Records::parse(bad).is_err(), "{bad:?}");
        }
    }
}
