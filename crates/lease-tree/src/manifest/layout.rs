//! The layout of a manifest's file: a magic word, a version, a hash of the rest, and the arrays one after the other.
//!
//! All numbers are little-endian. The order of the arrays is that of [`encode`]. There is one version at a time: a file
//! of another one is no manifest, and the next sync makes a new one.

use super::records::{Records, Rules};
use crate::stat::Stat;

pub(super) const MAGIC: &[u8; 8] = b"leasetre";
pub(super) const VERSION: u32 = 1;
pub(super) const HEAD_BYTES: usize = 8 + 4 + 32;
pub(super) const STAT_BYTES: usize = 44;
pub(super) const RECORD_BYTES: usize = 4 + 1 + 1 + STAT_BYTES + 32;
pub(super) const DIRECTORY_BYTES: usize = 4 + 1 + STAT_BYTES + 4 + 4 + 4;

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
    for it in all.directories.iter() {
        out.u32(it.path.end);
        out.u8(it.state as u8);
        out.stat(&it.stat);
        out.u32(it.end);
        out.u32(it.parent);
        out.u32(it.repository);
    }
    out.length(all.records.len());
    for it in all.records.iter() {
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::super::records::{LookHow, Repository, Stamp};
    use super::super::{Content, Held, Kind, Manifest, reading};
    use super::*;
    use crate::stat::Began;

    fn decode(mut file: &[u8]) -> Option<Records> {
        let bytes = file.len() as u64;
        reading::read(&mut file, bytes)
    }

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
        for at in 0..records.records.len() {
            let it = &mut records.records[at];
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
