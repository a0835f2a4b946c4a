//! Arguments arrive byte by byte as they were given: there is no shell in between that could read them.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use crate::installation::Installation;

/// Words that shells, ssh and option parsers like to read.
const WORDS: &[&[u8]] = &[
    b"plain",
    b"",
    b" ",
    b"two words",
    b"  three   blanks  ",
    b"'",
    b"\"",
    b"it's \"both\"",
    b"`id`",
    b"$HOME",
    b"$(id)",
    b"${x}",
    b"\\",
    b"\\n",
    b"a\nb",
    b"\n",
    b"trailing\n",
    b"tab\there",
    b"*",
    b"?",
    b"[a-z]",
    b"~",
    b"{a,b}",
    b"#no comment",
    b"!history",
    b"&",
    b"|",
    b";",
    b">out",
    b"<in",
    b"-n",
    b"--",
    b"--help",
    b"-",
    b"=",
    b"a=b",
    b"%s",
    b"\r",
    b"\x1b[31m",
    b"\x7f",
    b"\x01",
    "größe 測試 🦀".as_bytes(),
    b"\xff\xfe",
    b"caf\xe9",
    b"\xc3",
    b"((",
    b"))",
    b"\\'",
    b"'\"'\"'",
    b"$'x'",
    b"!!",
    b"^a^b",
];

#[test]
fn every_argument_arrives_as_it_is() {
    let installation = Installation::new();
    assert_eq!(installation.lease(["acquire", "--slug", "exact"]).code, 0);
    let every: Vec<u8> = (1..=255).collect();
    let long = vec![b'x'; 100_000];
    let mut words = WORDS.to_vec();
    words.extend([every.as_slice(), &long]);

    let given: Vec<OsString> = words.iter().map(|it| OsString::from_vec(it.to_vec())).collect();
    let printed: Vec<u8> = words.iter().flat_map(|it| [*it, b"\0"].concat()).collect();
    for start in [&["run", "--id", "exact", "--"][..], &["exec", "exact", "--"]] {
        let start = start.iter().chain(&["printf", "%s\\0"]).map(OsStr::new);
        let ended = installation.lease(start.chain(given.iter().map(OsString::as_os_str)));
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        check(&ended.stdout, &printed);
    }
    assert_eq!(installation.lease(["release", "exact"]).code, 0);
    installation.assert_clean();
}

#[test]
fn a_command_with_a_strange_name_is_found() {
    let installation = Installation::new();
    let name = OsStr::from_bytes(b"./it's a $(strange)\n\"name\" \xff");
    let script = installation.tree().join(name);
    std::fs::write(&script, "#!/bin/sh\nprintf %s \"$#:$1\"\n").unwrap();
    let mut mode = std::fs::metadata(&script).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
    std::fs::set_permissions(&script, mode).unwrap();
    let ended = installation.lease([OsStr::new("run"), OsStr::new("--"), name, OsStr::new("")]);
    assert_eq!((ended.code, ended.stdout.as_slice()), (0, b"1:".as_slice()), "{}", ended.stderr);
    installation.assert_clean();
}

#[track_caller]
fn check(printed: &[u8], expect: &[u8]) {
    let split = |it: &[u8]| {
        let words = it.split(|it| *it == 0);
        words.map(|it| String::from_utf8_lossy(it).into_owned()).collect::<Vec<_>>()
    };
    assert!(printed == expect, "{:?}\nis not\n{:?}", split(printed), split(expect));
}
