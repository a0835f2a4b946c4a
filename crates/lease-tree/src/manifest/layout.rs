//! The layout of a manifest's file: a magic word, a version, a hash of the rest, and the arrays one after the other.
//!
//! All numbers are little-endian. The order of the arrays is that of [`encode`]. There is one version at a time: a file
//! of another one is no manifest, and the next sync makes a new one.

use std::thread;

use super::Content;
use super::records::{
    Directory, DirectoryState, LookHow, Record, Records, Repository, Rules, Slot, Span, Stamp,
};
use crate::stat::{Began, Stat};

const MAGIC: &[u8; 8] = b"leasetre";
const VERSION: u32 = 1;
const HEAD_BYTES: usize = 8 + 4 + 32;
const STAT_BYTES: usize = 44;
const RECORD_BYTES: usize = 4 + 1 + 1 + STAT_BYTES + 32;
const DIRECTORY_BYTES: usize = 4 + 1 + STAT_BYTES + 4 + 4 + 4;
/// From here on the hash is computed beside the reading.
const PARALLEL_BYTES_MIN: usize = 256 * 1024;

pub(super) fn encode(all: &Records) -> Vec<u8> {
    let size = HEAD_BYTES
        + 4096
        + all.paths.len()
        + all.directory_paths.len()
        + all.records.len() * RECORD_BYTES
        + all.directories.len() * DIRECTORY_BYTES;
    let mut out = Out(Vec::with_capacity(size));
    out.0.resize(HEAD_BYTES, 0);
    out.u8(u8::from(all.began.before.is_some()));
    out.i64(all.began.before.unwrap_or_default());
    out.u64(all.began.dev);
    out.rules(all.rules.as_ref());
    out.bytes(&all.directory_paths);
    out.bytes(&all.paths);
    out.length(all.directories.len());
    for it in &all.directories {
        out.u32(it.path.end);
        out.u8(it.state as u8);
        out.stat(&it.stat);
        out.u32(it.end);
        out.u32(it.parent);
        out.u32(it.repository);
    }
    out.length(all.records.len());
    for it in &all.records {
        out.u32(it.path.end);
        out.u8(it.slot as u8);
        out.u8(u8::from(it.content.is_some()));
        out.stat(&it.stat);
        out.0.extend_from_slice(&it.content.map_or([0; 32], |it| it.0));
    }
    let mut file = out.0;
    let sum = blake3::hash(&file[HEAD_BYTES..]);
    file[..8].copy_from_slice(MAGIC);
    file[8..12].copy_from_slice(&VERSION.to_le_bytes());
    file[12..HEAD_BYTES].copy_from_slice(sum.as_bytes());
    file
}

/// Whatever the bytes are, this neither panics nor takes more memory than a few times their number.
pub(super) fn decode(file: &[u8]) -> Option<Records> {
    let (head, body) = file.split_at_checked(HEAD_BYTES)?;
    if &head[..8] != MAGIC || head[8..12] != VERSION.to_le_bytes() {
        return None;
    }
    let is_whole = || blake3::hash(body).as_bytes() == &head[12..];
    if body.len() < PARALLEL_BYTES_MIN {
        return if is_whole() { records(body) } else { None };
    }
    thread::scope(|scope| {
        let whole = scope.spawn(is_whole);
        let records = records(body);
        if whole.join().unwrap_or(false) { records } else { None }
    })
}

fn records(body: &[u8]) -> Option<Records> {
    let mut input = In(body);
    let known = input.u8()? == 1;
    let (before, dev) = (input.i64()?, input.u64()?);
    let mut all = Records {
        began: Began { before: known.then_some(before), dev },
        rules: if input.u8()? == 1 { Some(input.rules()?) } else { None },
        directory_paths: input.bytes()?.to_vec(),
        paths: input.bytes()?.to_vec(),
        ..Records::default()
    };
    let (mut path, mut first) = (0, 0);
    for mut it in input.array(DIRECTORY_BYTES)? {
        let directory = Directory {
            path: Span { start: path, end: it.u32()? },
            state: directory_state(it.u8()?)?,
            stat: it.stat()?,
            first,
            end: it.u32()?,
            parent: it.u32()?,
            repository: it.u32()?,
        };
        (path, first) = (directory.path.end, directory.end);
        all.directories.push(directory);
    }
    let mut path = 0;
    let array = input.array(RECORD_BYTES)?;
    all.records.reserve_exact(array.len());
    for mut it in array {
        let end = it.u32()?;
        let slot = slot(it.u8()?)?;
        let known = it.u8()? == 1;
        let record = Record {
            path: Span { start: path, end },
            slot,
            stat: it.stat()?,
            content: known.then_some(Content(it.hash()?)),
        };
        path = end;
        all.records.push(record);
    }
    (input.0.is_empty() && all.is_ordered()).then_some(all)
}

fn slot(byte: u8) -> Option<Slot> {
    [Slot::File, Slot::Link, Slot::Special, Slot::Unreadable, Slot::EmptySubmodule]
        .into_iter()
        .find(|it| *it as u8 == byte)
}

fn directory_state(byte: u8) -> Option<DirectoryState> {
    [DirectoryState::Open, DirectoryState::Ignored, DirectoryState::Foreign]
        .into_iter()
        .find(|it| *it as u8 == byte)
}

fn look_how(byte: u8) -> Option<LookHow> {
    [LookHow::Through, LookHow::Itself, LookHow::Identity, LookHow::Index]
        .into_iter()
        .find(|it| *it as u8 == byte)
}

struct Out(Vec<u8>);

impl Out {
    fn u8(&mut self, it: u8) {
        self.0.push(it);
    }

    fn u32(&mut self, it: u32) {
        self.0.extend_from_slice(&it.to_le_bytes());
    }

    fn u64(&mut self, it: u64) {
        self.0.extend_from_slice(&it.to_le_bytes());
    }

    fn i64(&mut self, it: i64) {
        self.0.extend_from_slice(&it.to_le_bytes());
    }

    fn length(&mut self, it: usize) {
        self.u64(it as u64);
    }

    fn bytes(&mut self, it: &[u8]) {
        self.length(it.len());
        self.0.extend_from_slice(it);
    }

    fn stat(&mut self, it: &Stat) {
        let mut packed = [0; STAT_BYTES];
        packed[..4].copy_from_slice(&it.mode.to_le_bytes());
        packed[4..12].copy_from_slice(&it.bytes.to_le_bytes());
        packed[12..20].copy_from_slice(&it.mtime.to_le_bytes());
        packed[20..28].copy_from_slice(&it.ctime.to_le_bytes());
        packed[28..36].copy_from_slice(&it.ino.to_le_bytes());
        packed[36..44].copy_from_slice(&it.dev.to_le_bytes());
        self.0.extend_from_slice(&packed);
    }

    fn rules(&mut self, rules: Option<&Rules>) {
        self.u8(u8::from(rules.is_some()));
        let Some(rules) = rules else { return };
        self.0.extend_from_slice(&rules.inputs);
        self.length(rules.repositories.len());
        for it in &rules.repositories {
            self.bytes(&it.prefix);
            self.0.extend_from_slice(&it.tracked);
        }
        self.length(rules.stamps.len());
        for it in &rules.stamps {
            self.bytes(&it.path);
            self.u8(it.how as u8);
            self.u8(u8::from(it.seen.is_some()));
            self.stat(&it.seen.unwrap_or_default());
            self.u32(it.repository);
        }
    }
}

/// What is left to read.
struct In<'a>(&'a [u8]);

impl<'a> In<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.fixed().map(u8::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.fixed().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.fixed().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.fixed().map(i64::from_le_bytes)
    }

    fn hash(&mut self) -> Option<[u8; 32]> {
        self.fixed()
    }

    fn length(&mut self) -> Option<usize> {
        usize::try_from(self.u64()?).ok()
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.length()?;
        self.take(length)
    }

    /// So many pieces of one size, all of which are there.
    fn array(&mut self, size: usize) -> Option<impl ExactSizeIterator<Item = Self> + use<'a>> {
        let length = self.length()?.checked_mul(size)?;
        Some(self.take(length)?.chunks_exact(size).map(In))
    }

    fn stat(&mut self) -> Option<Stat> {
        Some(Stat {
            mode: self.u32()?,
            bytes: self.u64()?,
            mtime: self.i64()?,
            ctime: self.i64()?,
            ino: self.u64()?,
            dev: self.u64()?,
        })
    }

    fn rules(&mut self) -> Option<Rules> {
        let mut rules =
            Rules { inputs: self.hash()?, repositories: Vec::new(), stamps: Vec::new() };
        for _ in 0..self.length()? {
            let (prefix, tracked) = (self.bytes()?.to_vec(), self.hash()?);
            rules.repositories.push(Repository { prefix, tracked });
        }
        for _ in 0..self.length()? {
            let (path, how) = (self.bytes()?.to_vec(), look_how(self.u8()?)?);
            let (known, stat) = (self.u8()? == 1, self.stat()?);
            let seen = known.then_some(stat);
            rules.stamps.push(Stamp { path, how, seen, repository: self.u32()? });
        }
        Some(rules)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::super::{Held, Kind, Manifest};
    use super::*;

    fn held(names: &[Vec<u8>]) -> Records {
        use std::os::unix::ffi::OsStringExt as _;
        let held = names.iter().enumerate().map(|(at, name)| Held {
            path: PathBuf::from(std::ffi::OsString::from_vec(name.clone())),
            kind: if at % 3 == 0 { Kind::Link } else { Kind::File },
            permissions: 0o640,
            bytes: at as u64,
            content: Content::of(name),
        });
        let manifest = Manifest::of_held(held).unwrap();
        let mut records = (*manifest.0).clone();
        records.began = Began { before: Some(-5), dev: 7 };
        let stat = Stat { mode: 1, bytes: 2, mtime: -3, ctime: 4, ino: 5, dev: 6 };
        let stamp = |how, seen| Stamp { path: b"/x\n".to_vec(), how, seen, repository: 0 };
        records.rules = Some(Rules {
            inputs: [9; 32],
            repositories: vec![Repository { prefix: b"p".to_vec(), tracked: [8; 32] }],
            stamps: vec![stamp(LookHow::Index, None), stamp(LookHow::Identity, Some(stat))],
        });
        for (at, it) in records.records.iter_mut().enumerate() {
            it.stat = Stat { ino: at as u64, ..stat };
            it.content = it.content.filter(|_| at % 5 != 0);
        }
        records
    }

    fn names() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let part = prop::collection::vec(
            any::<u8>().prop_filter("a name", |it| !b"/\0.".contains(it)),
            1..4,
        );
        let path = prop::collection::vec(part, 1..4).prop_map(|parts| parts.join(&b'/'));
        prop::collection::btree_set(path, 0..20).prop_map(|it| it.into_iter().collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_manifest_survives_its_file(names in names()) {
            let records = held(&names);
            prop_assert_eq!(decode(&encode(&records)), Some(records));
        }

        #[test]
        fn a_damaged_manifest_is_none(
            names in names(), at in any::<prop::sample::Index>(), flip in 1_u8..=255, cut in any::<prop::sample::Index>(),
        ) {
            let whole = encode(&held(&names));
            let mut damaged = whole.clone();
            damaged[at.index(whole.len())] ^= flip;
            prop_assert_eq!(decode(&damaged), None);
            prop_assert_eq!(decode(&whole[..cut.index(whole.len())]), None);
        }

        /// The hash keeps damage out; that it does not decide about panics is shown by making it right again.
        #[test]
        fn nonsense_with_a_right_hash_does_no_harm(
            names in names(), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let mut file = encode(&held(&names));
            for (at, flip) in flips {
                let at = HEAD_BYTES + at.index(file.len() - HEAD_BYTES);
                file[at] ^= flip;
            }
            let sum = blake3::hash(&file[HEAD_BYTES..]);
            file[12..HEAD_BYTES].copy_from_slice(sum.as_bytes());
            if let Some(records) = decode(&file) {
                let manifest = Manifest(records.into());
                let entries = manifest.entries().filter(|it| manifest.get(it.path).is_some()).count();
                prop_assert_eq!(entries, manifest.len());
            }
        }
    }

    #[test]
    fn another_version_is_no_manifest() {
        let mut file = encode(&held(&[b"a".to_vec()]));
        file[8] += 1;
        assert_eq!(decode(&file), None);
        assert_eq!(decode(b""), None);
    }
}
