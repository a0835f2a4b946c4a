//! A tree that changes while it is looked at, compared and read: the stream stays whole, and the next sync catches up.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, spawn};

use lease_tree::{Compare, Delta, Layout, Manifest, WhySkipped, Written, write_delta};

use crate::fixture::Case;

/// Something that goes on until it is told to end.
struct Going {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Going {
    fn start(mut edit: impl FnMut(u32) + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let thread = spawn(move || {
            let mut number = 0;
            while !seen.load(Ordering::Relaxed) {
                number += 1;
                edit(number);
            }
        });
        Self { stop, thread }
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

fn members(stream: &[u8]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut members = BTreeMap::new();
    for member in tar::Archive::new(stream).entries().unwrap() {
        let mut member = member.unwrap();
        let mut content = Vec::new();
        member.read_to_end(&mut content).unwrap();
        members.insert(member.path_bytes().into_owned(), content);
    }
    members
}

fn whole(case: &Case) -> Delta {
    Delta::between(&Manifest::default(), &case.scan(None), Compare::Stamps).unwrap()
}

fn stream(delta: &Delta) -> (BTreeMap<Vec<u8>, Vec<u8>>, Written) {
    let layout = Layout {
        prefix: Vec::new(),
        retract: Some(b".r".to_vec()),
        complete: Some(b".c".to_vec()),
    };
    let mut bytes = Vec::new();
    let written = write_delta(delta, &layout, &mut bytes).unwrap();
    (members(&bytes), written)
}

#[test]
fn a_sync_after_changes_during_a_sync_is_right() {
    let case = Case::new();
    for number in 0..60 {
        case.put(&format!("d{}/f{number}", number % 7), "x");
    }
    case.git(&case.root, &["add", "d0", "d1"]);
    case.sync();
    for _ in 0..6 {
        let root = case.root.clone();
        // Ends by itself: what it did last is what the last sync has to find.
        let going = Going::start(move |number| {
            let directory = root.join(format!("d{}", number % 7));
            let file = directory.join(format!("f{}", number % 61));
            drop(match number % 11 {
                0 => fs::remove_file(&file),
                1 => fs::create_dir(&file),
                2 => fs::remove_dir(&file),
                3 => fs::rename(&directory, root.join("moved")),
                4 => symlink("../moved", &file),
                5 => fs::rename(root.join("moved"), &directory),
                6 => symlink("moved", root.join("d3")),
                7 => fs::remove_file(root.join("d3")),
                _ => fs::write(&file, number.to_string()),
            });
        });
        let held = Manifest::load(&case.manifest_file());
        let scan = case.scan(held.as_ref());
        let delta = Delta::between(&held.unwrap_or_default(), &scan, Compare::Stamps).unwrap();
        let written = case.apply(&delta);
        going.end();
        written.manifest.save(&case.manifest_file()).unwrap();
        let (_, _, written) = case.sync();
        assert_eq!(written.left_out, []);
        case.box_is(&case.truth());
    }
}

#[test]
fn a_growing_file_never_tears_the_stream() {
    let case = Case::new();
    for number in 0..50 {
        case.put(&format!("f{number:02}"), &format!("content {number}"));
    }
    // One is streamed, one is held.
    for (name, bytes) in [("large", 9 * 1024 * 1024), ("small", 1024 * 1024)] {
        fs::write(case.root.join(name), vec![b'x'; bytes]).unwrap();
    }
    let open = |name: &str| fs::File::options().write(true).open(case.root.join(name)).unwrap();
    let (large, small) = (open("large"), open("small"));
    let going = Going::start(move |number| {
        large.set_len(9 * 1024 * 1024 + u64::from(number)).unwrap();
        small.set_len(1024 * 1024 - u64::from(number % 512)).unwrap();
    });
    // On a busy machine a stream may pass between two changes.
    let (members, written) = std::iter::repeat_with(|| stream(&whole(&case)))
        .take(50)
        .find(|(_, written)| !written.left_out.is_empty())
        .expect("nothing changed while it was read");
    going.end();
    for number in 0..50 {
        let name = format!("f{number:02}").into_bytes();
        assert_eq!(members[&name], format!("content {number}").as_bytes());
    }
    assert!(members.contains_key(&b".c"[..]));
    for left in &written.left_out {
        assert_eq!(left.why, WhySkipped::Changing);
        let kept = written.manifest.get(&left.path).unwrap();
        assert_eq!(kept.content, None, "the box does not hold it");
        let is_large = left.path.to_str() == Some("large");
        assert_eq!(written.retracted.contains(&left.path), is_large, "only a torn copy was sent");
    }
    let next =
        Delta::between(&written.manifest, &case.scan(Some(&written.manifest)), Compare::Stamps);
    let (members, written) = stream(&next.unwrap());
    assert_eq!(written.left_out, []);
    assert!(members[&b"large"[..]] == fs::read(case.root.join("large")).unwrap());
}

#[test]
fn a_file_that_changes_between_scan_and_stream_is_sent_as_it_is_then() {
    let case = Case::new();
    case.put("a", "1");
    case.settle();
    let delta = whole(&case);
    case.put("a", "22");
    let (members, written) = stream(&delta);
    assert_eq!(members[&b"a"[..]], b"22");
    let kept = written.manifest.get("a".as_ref()).unwrap();
    assert_eq!((kept.bytes, kept.content), (2, Some(lease_tree::Content::of(b"22"))));
    case.put("a", "33");
    let next =
        Delta::between(&written.manifest, &case.scan(Some(&written.manifest)), Compare::Stamps);
    assert_eq!(next.unwrap().write_count(), 1);
}

#[test]
fn what_cannot_be_caught_is_left_out_and_the_stream_stays_whole() {
    let case = Case::new();
    for name in ["directory", "fifo", "gone", "good", "link", "inside/x"] {
        case.put(name, name);
    }
    symlink("a", case.root.join("plain")).unwrap();
    let delta = whole(&case);
    for name in ["directory", "fifo", "gone", "link", "plain", "inside/x"] {
        fs::remove_file(case.root.join(name)).unwrap();
    }
    fs::create_dir(case.root.join("directory")).unwrap();
    symlink("/etc/passwd", case.root.join("link")).unwrap();
    case.put("plain", "no link any more");
    fs::remove_dir(case.root.join("inside")).unwrap();
    fs::create_dir(case.directory.path().join("outside")).unwrap();
    case.put("../outside/x", "a secret");
    symlink(case.directory.path().join("outside"), case.root.join("inside")).unwrap();
    let fifo = rustix::fs::FileType::Fifo;
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, case.root.join("fifo"), fifo, mode, 0).unwrap();
    let (members, written) = stream(&delta);
    assert_eq!(members[&b"good"[..]], b"good");
    assert_eq!(members.len(), 3, "{members:?}");
    let left: Vec<_> =
        written.left_out.iter().map(|it| (it.path.to_str().unwrap(), it.why)).collect();
    let (changing, vanished) = (WhySkipped::Changing, WhySkipped::Vanished);
    let expected = [
        ("directory", changing),
        ("fifo", changing),
        ("gone", vanished),
        ("link", changing),
        ("plain", changing),
    ];
    assert_eq!(left[..5], expected);
    assert_eq!(left[5].0, "inside/x", "nothing is read through a link");
    assert_eq!(members[&b".r"[..]], b"", "nothing of it was there before");
}

#[test]
fn a_sparse_file_arrives_whole() {
    let case = Case::new();
    let sparse = fs::File::create(case.root.join("sparse")).unwrap();
    std::os::unix::fs::FileExt::write_at(&sparse, b"end", 9 * 1024 * 1024).unwrap();
    let delta = whole(&case);
    let mut streamed = Tally::default();
    let written = write_delta(&delta, &Layout::default(), &mut streamed).unwrap();
    assert_eq!((written.sent_files, written.sent_bytes), (1, 9 * 1024 * 1024 + 3));
    assert!(streamed.0 > written.sent_bytes && streamed.0 < written.sent_bytes + 8192);
    let held = Delta::between(&written.manifest, &case.scan(None), Compare::Checksum).unwrap();
    assert!(held.is_empty(), "the hash of the stream is the hash of the file");
}

/// Counts what is written.
#[derive(Default)]
struct Tally(u64);

impl std::io::Write for Tally {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
