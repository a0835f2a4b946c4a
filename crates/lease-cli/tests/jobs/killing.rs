//! Clients that are killed while they bring a tree to its box: whenever that was, the next run has the tree.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::Signal;
use tokio::time::Instant;

use crate::chance::Chance;
use crate::installation::process::send;
use crate::installation::wait::closely;
use crate::installation::{Deadline, entries};
use crate::place::{Place, connections};

const TRIALS: u32 = 24;

/// Of each path its permission bits and its content, or 0 and a link's target.
fn seen(root: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut seen = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for path in entries(&directory).filter(|it| !it.ends_with(".git")) {
            let meta = fs::symlink_metadata(&path).unwrap();
            let name = path.strip_prefix(root).unwrap().to_owned();
            if meta.is_symlink() {
                let target = fs::read_link(&path).unwrap();
                seen.insert(name, (0, target.as_os_str().as_bytes().to_vec()));
            } else if meta.is_dir() {
                open.push(path);
            } else {
                let content = fs::read(&path).unwrap();
                seen.insert(name, (meta.permissions().mode() & 0o777, content));
            }
        }
    }
    seen
}

/// One edit. The names are few, so that edits meet; one in eight is too much for a request.
fn edit(tree: &Path, chance: &mut Chance) {
    let name = format!("d{}/{}", chance.below(3), chance.one_of(&["a", "A", "b", "x y", "-n"]));
    let path = tree.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    if path.is_dir() && !path.is_symlink() {
        fs::remove_dir_all(&path).unwrap();
    } else {
        drop(fs::remove_file(&path));
    }
    match chance.below(8) {
        0 => {}
        1 => symlink(chance.one_of(&["a", "..", "/etc/passwd"]), path).unwrap(),
        2 => {
            fs::create_dir(&path).unwrap();
            fs::write(path.join("inner"), "inner").unwrap();
        }
        3 => {
            let bytes: Vec<u8> = (0..300_000).map(|_| chance.below(256).to_le_bytes()[0]).collect();
            fs::write(path, bytes).unwrap();
        }
        _ => {
            fs::write(&path, chance.below(1_000_000).to_string()).unwrap();
            let mode = chance.one_of(&[0o644, 0o755, 0o600]);
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
    }
}

#[test]
fn whenever_a_client_was_killed_the_next_run_has_the_tree() {
    let place = Place::new(&[]);
    let tree = place.installation.tree();
    let words = |script| ["run", "--id", "named", "--", "sh", "-c", script];
    let has_the_tree = |trial: u32| {
        let ended = place.installation.lease(words("exit 4"));
        assert_eq!(ended.code, 4, "trial {trial}: {}", ended.stderr);
        let (here, there) = (seen(&tree), seen(&place.work()));
        let names = here.keys().chain(there.keys());
        let wrong: Vec<_> = names.filter(|it| here.get(*it) != there.get(*it)).collect();
        assert!(wrong.is_empty(), "trial {trial}: {wrong:?} differ; {}", ended.stderr);
    };
    let mut chance = Chance::new(3);
    has_the_tree(0);
    edit(&tree, &mut chance);
    let began = Instant::now();
    has_the_tree(0);
    let whole = began.elapsed();
    let mut killed = 0;
    for trial in 0..TRIALS {
        (0..6).for_each(|_| edit(&tree, &mut chance));
        let mut client = place.installation.command(words("exit 3"));
        let mut client = client.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Each trial has its part of the time that a run takes.
        let share = (trial * 100 + u32::try_from(chance.below(100)).unwrap()) / TRIALS;
        let within = Deadline::after(whole * share / 100);
        let ended = closely(within, || client.try_wait().unwrap().is_some());
        client.kill().unwrap();
        client.wait().unwrap();
        killed += u32::from(ended.is_err());
        if trial % 4 == 3 {
            for connection in connections(&place.installation) {
                send(connection.pid, Signal::KILL);
            }
        }
        (0..2).for_each(|_| edit(&tree, &mut chance));
        has_the_tree(trial);
    }
    assert!(killed > TRIALS / 2, "only {killed} were killed before their end");
    place.end();
}
