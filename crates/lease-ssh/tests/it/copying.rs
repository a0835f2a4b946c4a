//! Files between here and a box, one exec each way, on boxes of several kinds and with hostile ones.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, UNIX_EPOCH};

use lease_ssh::{Existing, Overwrite, Patterns, SshError};

use crate::fixture::Box;
use crate::hooked::{hook, hooked, program};
use crate::syncing::Case;

/// A box whose requests are read by that shell, with the programs that come with it.
async fn of_kind(shell: &str) -> Box {
    let it = hooked().await;
    let change =
        format!("SSH_ORIGINAL_COMMAND=\"exec {shell} ${{SSH_ORIGINAL_COMMAND#exec /bin/sh}}\"");
    hook(&it, "/bin/sh", &change);
    if shell.starts_with("busybox") {
        for name in ["tar", "mv", "rm", "mkdir", "cat"] {
            symlink("/usr/bin/busybox", it.at("bin").join(name)).unwrap();
        }
    }
    it
}

/// What is at a path, and below it: kind, permission bits, time and content of each.
fn seen(root: &Path) -> Vec<(PathBuf, char, u32, i64, Vec<u8>)> {
    let mut found = Vec::new();
    let mut todo = vec![root.to_owned()];
    while let Some(path) = todo.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        let name = path.strip_prefix(root).unwrap().to_owned();
        let (kind, mode, content) = if meta.is_symlink() {
            ('l', 0, fs::read_link(&path).unwrap().into_os_string().into_vec())
        } else if meta.is_dir() {
            todo.extend(fs::read_dir(&path).unwrap().map(|it| it.unwrap().path()));
            ('d', meta.mode() & 0o7777, Vec::new())
        } else {
            ('f', meta.mode() & 0o7777, fs::read(&path).unwrap())
        };
        let time = if kind == 'l' { 0 } else { meta.mtime() };
        found.push((name, kind, mode, time, content));
    }
    found.sort();
    found
}

/// A tree with everything that is hard to carry.
fn odd_tree(root: &Path) {
    let odd = OsString::from_vec(b"new\nline \xff'".to_vec());
    fs::create_dir_all(root.join("d/empty")).unwrap();
    fs::write(root.join("d").join(odd), "odd").unwrap();
    fs::write(root.join("d/-rf"), "dash").unwrap();
    fs::write(root.join("d").join("n".repeat(200)), "long").unwrap();
    fs::write(root.join("run.sh"), "#!/bin/sh\n").unwrap();
    fs::write(root.join(".hidden"), vec![0_u8; 70_000]).unwrap();
    symlink("nowhere/at/all", root.join("dangling")).unwrap();
    symlink("t".repeat(180), root.join("d/far")).unwrap();
    for (name, mode) in
        [("run.sh", 0o755), (".hidden", 0o600), ("d/-rf", 0o444), ("d/empty", 0o750)]
    {
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    let long_ago = UNIX_EPOCH + Duration::from_secs(1_234_567_890);
    for name in ["run.sh", "d/-rf", "d/empty", "d"] {
        fs::File::open(root.join(name)).unwrap().set_modified(long_ago).unwrap();
    }
    fs::set_permissions(root.join("d"), fs::Permissions::from_mode(0o555)).unwrap();
}

#[tokio::test]
async fn a_tree_comes_back_as_it_went() {
    for shell in ["dash", "bash", "busybox sh"] {
        let it = of_kind(shell).await;
        let session = it.ready().await;
        let here = it.at("here");
        fs::create_dir(&here).unwrap();
        odd_tree(&here);
        let sent = session.copy_to(&it.root, &here, b"there").await.unwrap();
        let back = session.copy_from(&it.root, b"there", &it.at("back")).await.unwrap();
        assert_eq!((sent.files, sent.bytes), (back.files, back.bytes), "{shell}");
        let times = |root: &Path| {
            let mut all = seen(root);
            // Its own time is that of whoever made it last.
            all[0].3 = 0;
            all
        };
        assert_eq!(times(&it.work().join("there")), times(&here), "{shell}");
        assert_eq!(times(&it.at("back")), times(&here), "{shell}");
        let left = fs::read_dir(it.work()).unwrap().map(|it| it.unwrap().file_name());
        assert_eq!(left.collect::<Vec<_>>(), ["there"], "{shell}");
        it.end().await;
    }
}

#[tokio::test]
async fn a_copy_goes_into_a_directory_and_beside_what_is_there() {
    let it = of_kind("busybox sh").await;
    let session = it.ready().await;
    fs::create_dir_all(it.at("here/sub")).unwrap();
    fs::write(it.at("here/a"), "new").unwrap();
    fs::write(it.at("here/sub/b"), "new").unwrap();
    fs::create_dir_all(it.work().join("there/here/sub")).unwrap();
    for name in ["there/here/a", "there/here/sub/old"] {
        fs::write(it.work().join(name), "old").unwrap();
    }
    session.copy_to(&it.root, &it.at("here"), b"there/").await.unwrap();
    session.copy_to(&it.root, &it.at("here/."), b"flat").await.unwrap();
    session.copy_to(&it.root, &it.at("here/a"), b"").await.unwrap();
    let of = |name: &str| fs::read_to_string(it.work().join(name)).unwrap();
    assert_eq!((of("there/here/a"), of("there/here/sub/b")), ("new".into(), "new".into()));
    assert_eq!(of("there/here/sub/old"), "old");
    assert_eq!(
        (of("flat/a"), of("flat/sub/b"), of("a")),
        ("new".into(), "new".into(), "new".into())
    );
    fs::create_dir(it.at("back")).unwrap();
    session.copy_from(&it.root, b"there/here", &it.at("back")).await.unwrap();
    session.copy_from(&it.root, b"flat/.", &it.at("back")).await.unwrap();
    session.copy_from(&it.root, b"flat/a", &it.at("back/one")).await.unwrap();
    let back = |name: &str| fs::read_to_string(it.at("back").join(name)).unwrap();
    assert_eq!(
        (back("here/sub/old"), back("sub/b"), back("one")),
        ("old".into(), "new".into(), "new".into())
    );
    it.end().await;
}

#[tokio::test]
async fn a_directory_that_is_there_takes_many_files_in() {
    for shell in ["dash", "bash", "busybox sh"] {
        let it = of_kind(shell).await;
        let session = it.ready().await;
        let there = it.work().join("there");
        fs::create_dir_all(it.at("here/sub")).unwrap();
        fs::create_dir_all(there.join("sub")).unwrap();
        for number in 0..600 {
            fs::write(it.at(&format!("here/{number}")), number.to_string()).unwrap();
        }
        fs::write(it.at("here/sub/.x y"), "new").unwrap();
        fs::write(it.at("precious"), "old").unwrap();
        symlink(it.at("precious"), there.join("7")).unwrap();
        fs::write(there.join("8"), "old").unwrap();
        session.copy_to(&it.root, &it.at("here/."), b"there").await.unwrap();
        let contents = |root: &Path| {
            let of = |(path, kind, _, _, content)| (path, kind, content);
            seen(root).into_iter().map(of).collect::<Vec<_>>()
        };
        assert_eq!(contents(&there), contents(&it.at("here")), "{shell}");
        assert_eq!(fs::read_to_string(it.at("precious")).unwrap(), "old", "{shell}");
        fs::remove_file(there.join("9")).unwrap();
        fs::create_dir(there.join("9")).unwrap();
        let said = session.copy_to(&it.root, &it.at("here/."), b"there").await.unwrap_err();
        assert!(said.to_string().contains("there/9 is a directory"), "{shell}: {said}");
        it.end().await;
    }
}

#[tokio::test]
async fn on_the_box_nothing_is_written_through_a_link() {
    let it = of_kind("busybox sh").await;
    let session = it.ready().await;
    fs::create_dir_all(it.at("here/sub")).unwrap();
    fs::write(it.at("here/sub/x"), "new").unwrap();
    fs::write(it.at("here/y"), "new").unwrap();
    fs::create_dir_all(it.at("beside")).unwrap();
    fs::write(it.at("beside/precious"), "old").unwrap();
    fs::create_dir(it.work().join("there")).unwrap();
    symlink(it.at("beside"), it.work().join("there/sub")).unwrap();
    symlink(it.at("beside/precious"), it.work().join("there/y")).unwrap();
    let said = session.copy_to(&it.root, &it.at("here/."), b"there").await.unwrap_err();
    assert!(said.to_string().contains("there/sub is a link"), "{said}");
    session.copy_to(&it.root, &it.at("here/y"), b"there/y").await.unwrap();
    assert_eq!(fs::read_to_string(it.at("beside/precious")).unwrap(), "old");
    assert_eq!(fs::read_dir(it.at("beside")).unwrap().count(), 1);
    assert!(fs::symlink_metadata(it.work().join("there/y")).unwrap().is_file());
    it.end().await;
}

#[tokio::test]
async fn what_is_not_there_is_told_and_changes_nothing() {
    let it = Box::new().await;
    let session = it.ready().await;
    fs::write(it.at("here"), "x").unwrap();
    for path in ["nothing", "no/such", "/nonexistent/x", "*"] {
        let said = session.copy_from(&it.root, path.as_bytes(), &it.at("back")).await.unwrap_err();
        assert!(matches!(said, SshError::Invalid { .. }), "{path}: {said:?}");
    }
    for path in ["no/such", "nothing/"] {
        let said = session.copy_to(&it.root, &it.at("here"), path.as_bytes()).await.unwrap_err();
        assert!(said.to_string().contains("there is no directory"), "{path}: {said}");
    }
    let said = session.copy_to(&it.root, &it.at("missing"), b"x").await.unwrap_err();
    assert!(matches!(said, SshError::Storage { .. }), "{said:?}");
    fs::write(it.work().join("f"), "x").unwrap();
    let said = session.copy_from(&it.root, b"f", &it.at("no/such")).await.unwrap_err();
    assert!(matches!(said, SshError::Storage { .. }), "{said:?}");
    assert!(!it.at("back").exists());
    assert_eq!(fs::read_dir(it.work()).unwrap().count(), 1);
    it.end().await;
}

#[tokio::test]
async fn a_box_that_sends_what_nobody_asked_for_writes_nothing() {
    let it = hooked().await;
    let session = it.ready().await;
    fs::write(it.work().join("f"), "f").unwrap();
    fs::create_dir(it.at("back")).unwrap();
    // What the box's tar sends instead has names that lead to the directory above.
    let evil = it.at("evil");
    fs::create_dir(&evil).unwrap();
    fs::write(it.at("f"), "evil").unwrap();
    let tar = format!("#!/bin/sh\ncd {} && exec /usr/bin/tar -P -c -f - ../f\n", evil.display());
    program(&it, "bin/tar", &tar);
    fs::write(it.at("victim"), "mine").unwrap();
    let said = session.copy_from(&it.root, b"f", &it.at("back")).await.unwrap_err();
    assert!(said.to_string().contains("leads outside"), "{said}");
    let overwrite = Overwrite(std::boxed::Box::new(|_| Existing::Replaced));
    let patterns = Patterns::new(["f"]).unwrap();
    let said = session.download(&it.root, &patterns, &it.at("back"), overwrite).await.unwrap_err();
    assert!(said.to_string().contains("leads outside"), "{said}");
    assert_eq!(fs::read_dir(it.at("back")).unwrap().count(), 0);
    it.end().await;
}

#[tokio::test]
async fn a_download_fetches_what_the_patterns_name() {
    for shell in ["dash", "bash", "busybox sh"] {
        let it = of_kind(shell).await;
        let session = it.ready().await;
        fs::create_dir_all(it.work().join("out dir/deep")).unwrap();
        for name in ["out dir/a.xml", "out dir/b.txt", "out dir/deep/c", "d.xml", "e.xml", "[x]"] {
            fs::write(it.work().join(name), name).unwrap();
        }
        fs::create_dir(it.at("back")).unwrap();
        let wanted = ["out dir/*.xml", "out dir/deep/", "?.xml", "[[]x]", "none*", "missing"];
        let patterns = Patterns::new(wanted).unwrap();
        let overwrite = Overwrite(std::boxed::Box::new(|_| Existing::Stays));
        fs::write(it.at("back/e.xml"), "mine").unwrap();
        let copied =
            session.download(&it.root, &patterns, &it.at("back"), overwrite).await.unwrap();
        assert_eq!(copied.missing, ["none*", "missing"], "{shell}");
        assert_eq!(copied.beside, [("e.xml".into(), "e.xml.from-box".into())], "{shell}");
        let of = |name: &str| fs::read_to_string(it.at("back").join(name)).ok();
        for name in ["out dir/a.xml", "out dir/deep/c", "d.xml", "[x]"] {
            assert_eq!(of(name).as_deref(), Some(name), "{shell}");
        }
        assert_eq!(of("e.xml").as_deref(), Some("mine"), "{shell}");
        assert_eq!(of("e.xml.from-box").as_deref(), Some("e.xml"), "{shell}");
        assert_eq!(of("out dir/b.txt"), None, "{shell}");
        it.end().await;
    }
}

#[tokio::test]
async fn one_file_streams_byte_for_byte() {
    for shell in ["dash", "busybox sh"] {
        let it = of_kind(shell).await;
        let session = it.ready().await;
        for content in [Vec::new(), b"\0\xff\n".to_vec(), vec![b'x'; 3 * 1024 * 1024 + 7]] {
            let copied =
                session.write_file(&it.root, io::Cursor::new(content.clone()), b"f").await.unwrap();
            assert_eq!(copied.bytes, content.len() as u64);
            assert_eq!(fs::read(it.work().join("f")).unwrap(), content, "{shell}");
            let copy = fs::File::create(it.at("copy")).unwrap();
            session.read_file(&it.root, b"f", copy).await.unwrap();
            assert_eq!(fs::read(it.at("copy")).unwrap(), content, "{shell}");
        }
        fs::create_dir(it.work().join("d")).unwrap();
        assert!(session.read_file(&it.root, b"d", io::sink()).await.is_err());
        assert!(session.write_file(&it.root, io::empty(), b"d").await.is_err());
        assert_eq!(fs::read_dir(it.work().join("d")).unwrap().count(), 0, "{shell}");
        it.end().await;
    }
}

/// Gives what it is sent, waits for more, and fails when there is no more to come.
struct Slow {
    given: mpsc::Receiver<Vec<u8>>,
    held: Vec<u8>,
}

impl Slow {
    fn new() -> (mpsc::Sender<Vec<u8>>, Self) {
        let (give, given) = mpsc::channel();
        (give, Self { given, held: Vec::new() })
    }
}

impl Read for Slow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.held.is_empty() {
            let Ok(bytes) = self.given.recv() else { return Err(io::Error::other("given up")) };
            self.held = bytes;
        }
        let count = self.held.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.held[..count]);
        self.held.drain(..count);
        Ok(count)
    }
}

#[tokio::test]
async fn a_copy_that_is_cut_off_leaves_no_half_file_on_the_box() {
    let it = Box::new().await;
    let session = it.ready().await;
    fs::write(it.work().join("f"), "old").unwrap();
    let (give, slow) = Slow::new();
    let root = it.root.clone();
    let other = session.clone();
    let writing = tokio::spawn(async move { other.write_file(&root, slow, b"f").await });
    // Two whole pieces and a bit, so that the box has begun.
    for _ in 0..300 {
        give.send(vec![b'x'; 8 * 1024]).unwrap();
    }
    let has_draft = || {
        let names = fs::read_dir(it.work()).unwrap().map(|it| it.unwrap().file_name());
        names.into_iter().any(|it| it.as_encoded_bytes().starts_with(b".lease-copy"))
    };
    let within = Duration::from_secs(20);
    let often = Duration::from_millis(10);
    assert!(lease_process::wait::until(within, often, has_draft).await);
    session.close().await.unwrap();
    drop(give);
    let said = writing.await.unwrap().unwrap_err();
    assert!(matches!(said, SshError::Lost { .. } | SshError::Storage { .. }), "{said:?}");
    // What the box had begun goes when its shell notices.
    assert!(lease_process::wait::until(within, often, || !has_draft()).await);
    assert_eq!(fs::read_to_string(it.work().join("f")).unwrap(), "old");
    it.end().await;
}

#[tokio::test]
async fn what_cannot_be_read_here_to_its_end_is_not_put_in_place() {
    let it = Box::new().await;
    let session = it.ready().await;
    // The stream ends between two members, which no tar takes for an error.
    let (give, slow) = Slow::new();
    for _ in 0..256 {
        give.send(vec![b'x'; 8 * 1024]).unwrap();
    }
    drop(give);
    let said = session.write_file(&it.root, slow, b"f").await.unwrap_err();
    assert!(matches!(said, SshError::Storage { .. }), "{said:?}");
    assert_eq!(fs::read_dir(it.work()).unwrap().count(), 0);
    it.end().await;
}

#[tokio::test]
async fn a_copy_over_a_file_of_the_tree_is_drift_at_the_next_sync() {
    let case = Case::new().await;
    case.put("a", "of the tree");
    case.sync().await;
    fs::write(case.it.at("other"), "copied").unwrap();
    case.session.copy_to(&case.it.root, &case.it.at("other"), b"a").await.unwrap();
    case.has("a", "copied");
    let report = case.sync().await;
    assert_eq!(report.drifted, [PathBuf::from("a")]);
    case.has("a", "of the tree");
    case.it.end().await;
}

#[tokio::test]
async fn a_login_shell_that_prints_changes_nothing() {
    let it = crate::greeting::greeted("echo Welcome; echo Quota >&2; printf 'begin'\n").await;
    let session = it.ready().await;
    fs::write(it.at("here"), "content").unwrap();
    session.copy_to(&it.root, &it.at("here"), b"there").await.unwrap();
    session.copy_from(&it.root, b"there", &it.at("back")).await.unwrap();
    assert_eq!(fs::read_to_string(it.at("back")).unwrap(), "content");
    let said = session.copy_from(&it.root, b"none", &it.at("back")).await.unwrap_err();
    assert!(!said.to_string().contains("Quota"), "{said}");
    it.end().await;
}
