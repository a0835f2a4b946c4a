//! `lease cp`.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;

use rustix::process::Signal;

use crate::installation::process::send;
use crate::installation::{ANSWER_WITHIN, Deadline, Ended, entries, eventually};
use crate::leased::Leased;

#[test]
fn files_go_to_a_box_and_come_back() {
    let it = Leased::new();
    let tree = it.0.tree();
    fs::create_dir_all(tree.join("d/sub")).unwrap();
    fs::write(tree.join("d/sub/run"), "x").unwrap();
    fs::set_permissions(tree.join("d/sub/run"), fs::Permissions::from_mode(0o710)).unwrap();
    symlink("sub/run", tree.join("d/link")).unwrap();
    assert_eq!(it.good(&["cp", "d", "demo:"]).stdout, b"");
    let document = it.json(&["cp", "demo:d", "back"]);
    assert_eq!((&document["schema"], &document["files"]), (&"lease.copy/1".into(), &2.into()));
    let meta = fs::metadata(tree.join("back/sub/run")).unwrap();
    assert_eq!(meta.permissions().mode() & 0o777, 0o710);
    assert_eq!(fs::read_link(tree.join("back/link")).unwrap().to_str(), Some("sub/run"));
    // What the box says is the tree there, so an absolute path reaches outside of it.
    let absolute = it.work().join("d/sub/run").display().to_string();
    it.good(&["cp", &format!("demo:{absolute}"), "one"]);
    assert_eq!(fs::read_to_string(tree.join("one")).unwrap(), "x");
    it.end();
}

#[test]
fn one_file_goes_through_the_standard_streams() {
    let it = Leased::new();
    let content: Vec<u8> = (0..3_000_000_u32).map(|it| it.to_le_bytes()[0]).collect();
    let mut command = it.0.command(["cp", "-", "demo:f"]);
    let mut client = command.stdin(Stdio::piped()).spawn().unwrap();
    client.stdin.take().unwrap().write_all(&content).unwrap();
    let ended = Ended::wait(client);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let back = it.good(&["cp", "demo:f", "-"]);
    assert!(back.stdout == content, "{} bytes came back", back.stdout.len());
    assert_eq!(back.stderr.lines().filter(|it| !it.starts_with("lease: copying")).count(), 0);
    let mut command = it.0.process("sh");
    let script = "\"$0\" cp -q demo:f - | head -c 5 | wc -c";
    let few = command.args(["-c", script]).arg(it.0.program()).output().unwrap();
    assert_eq!(few.stdout.trim_ascii(), b"5");
    assert_eq!(few.stderr, b"");
    it.end();
}

#[test]
fn what_cannot_be_copied_is_told_in_one_line() {
    let it = Leased::new();
    for (words, expected) in [
        (["demo:none", "x"], "there is no none"),
        (["none", "demo:x"], "none"),
        (["demo:~/x", "x"], "`~` is not known there"),
        (["demo:", "-"], "one file is wanted"),
        (["a.txt", "demo:no/such/x"], "there is no directory"),
        (["nobody:x", "y"], "no live lease is called \"nobody\""),
        (["a", "b"], "LEASE:PATH"),
    ] {
        let ended = it.0.lease(["cp", "-q", words[0], words[1]]);
        assert_eq!((ended.code, ended.stdout.as_slice()), (125, &b""[..]), "{words:?}");
        assert!(ended.failure().contains(expected), "{words:?}: {}", ended.stderr);
    }
    assert!(!it.0.tree().join("x").exists());
    it.end();
}

#[test]
fn an_interrupted_copy_leaves_no_half_file() {
    let it = Leased::new();
    fs::create_dir_all(it.work()).unwrap();
    fs::write(it.work().join("large"), vec![b'x'; 64 * 1024 * 1024]).unwrap();
    let to = it.0.tree().join("to");
    fs::create_dir(&to).unwrap();
    let mut command = it.0.command(["cp", "demo:large", "to"]);
    let client = command.process_group(0).spawn().unwrap();
    let has_begun = || entries(&to).next().is_some();
    eventually(Deadline::after(ANSWER_WITHIN), has_begun).unwrap();
    send(client.id(), Signal::INT);
    let ended = Ended::wait(client);
    let left: Vec<_> = entries(&to).collect();
    if ended.code == 0 {
        assert_eq!(fs::metadata(to.join("large")).unwrap().len(), 64 * 1024 * 1024);
    } else {
        assert_eq!(ended.code, 130, "{}", ended.stderr);
        assert_eq!(left, Vec::<std::path::PathBuf>::new());
    }
    it.end();
}
