//! Programs run to their end: what reaches them, what comes back, and that nothing of them stays.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use lease_process::{
    Exit, Input, Limits, Pid, ProcessError, ProcessTable, Program, Stream, output, spawn,
};

use crate::support::{Mark, PATIENCE};

async fn shell(script: &str) -> Result<lease_process::Output, ProcessError> {
    output(&Program::new("sh").arg("-c").arg(script), Limits::default()).await
}

#[tokio::test]
async fn arguments_arrive_byte_for_byte() {
    let mut args: Vec<OsString> = [
        "",
        " ",
        "a b",
        "'\"`\\",
        "line\nbreak\r\n",
        "$HOME $(id)",
        "*",
        "-n",
        "--",
        "ü",
        "\t;|&<>",
    ]
    .map(OsString::from)
    .to_vec();
    args.push(OsString::from_vec(vec![0xff, 0xfe, b'x']));
    let program = Program::new("printf").arg("%s\\0").args(args.clone());
    let printed = output(&program, Limits::default()).await.unwrap();
    let arrived: Vec<OsString> = printed
        .stdout
        .strip_suffix(b"\0")
        .unwrap()
        .split(|byte| *byte == 0)
        .map(|arg| OsString::from_vec(arg.to_vec()))
        .collect();
    assert_eq!(arrived, args);
}

#[tokio::test]
async fn the_environment_is_what_was_given() {
    let program =
        Program::new("env").inherit_env([("B", "old"), ("C", "3")]).env("A", "1").env("B", "2");
    let printed = output(&program, Limits::default()).await.unwrap();
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), "A=1\nB=2\nC=3\n");
    let printed = output(&Program::new("env"), Limits::default()).await.unwrap();
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), "");
}

#[tokio::test]
async fn the_working_directory_and_the_streams_are_what_was_given() {
    let directory = tempfile::tempdir().unwrap();
    let log = std::sync::Arc::new(fs::File::create(directory.path().join("log")).unwrap());
    let program = Program::new("sh")
        .args(["-c", "pwd -P; cat; echo problem >&2"])
        .cwd(directory.path())
        .stdin(Input::Bytes(b"given".to_vec()))
        .stderr(Stream::File(log));
    let printed = output(&program, Limits::default()).await.unwrap();
    let expected = format!("{}\ngiven", directory.path().canonicalize().unwrap().display());
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), expected);
    assert_eq!(printed.stderr, b"");
    assert_eq!(fs::read(directory.path().join("log")).unwrap(), b"problem\n");
}

#[tokio::test]
async fn exits_are_told_apart() {
    assert_eq!(shell("exit 0").await.unwrap().status, Exit::Code(0));
    assert_eq!(shell("exit 7").await.unwrap().status, Exit::Code(7));
    assert_eq!(shell("kill -9 $$").await.unwrap().status, Exit::Signal(9));
    assert_eq!(shell("kill -15 $$").await.unwrap().status.shell_code(), 143);
}

#[tokio::test]
async fn input_that_nobody_reads_is_no_error() {
    let program = Program::new("true").stdin(Input::Bytes(vec![b'x'; 10_000_000]));
    assert_eq!(output(&program, Limits::default()).await.unwrap().status, Exit::Code(0));
}

#[tokio::test]
async fn large_input_and_output_flow_at_once() {
    let bytes: Vec<u8> = (0..5_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let program = Program::new("cat").stdin(Input::Bytes(bytes.clone()));
    assert!(output(&program, Limits::default()).await.unwrap().stdout == bytes);
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str, mode| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    };
    let plain = file("plain", "#!/bin/sh\n", 0o644);
    let orphan = file("orphan", "#!/nonexistent/interpreter\n", 0o755);
    let garbage = file("garbage", "\0\0\0\0", 0o755);
    let errors = |program: Program| async move {
        let error = output(&program, Limits::default()).await.unwrap_err();
        assert!(!error.may_have_run(), "{error}");
        error
    };
    for absent in ["no-such-program-here", "/no/such/file", "/etc/passwd/below-a-file"] {
        assert!(
            matches!(errors(Program::new(absent)).await, ProcessError::NotFound { .. }),
            "{absent}"
        );
    }
    for refused in [plain.as_path(), &orphan, &garbage, directory.path()] {
        let error = errors(Program::new(refused)).await;
        assert!(matches!(error, ProcessError::NotExecutable { .. }), "{error:?}");
    }
    let by_name = Program::new("plain").env("PATH", directory.path());
    assert!(matches!(errors(by_name).await, ProcessError::NotExecutable { .. }));
    for cwd in [plain, directory.path().join("absent")] {
        let error = errors(Program::new("true").cwd(cwd)).await;
        assert!(matches!(error, ProcessError::WorkingDirectory { .. }), "{error:?}");
    }
    let nonsense = [
        Program::new(""),
        Program::new("true").arg("a\0b"),
        Program::new("true").env("A=B", "1"),
        Program::new("true").env("A", "1\0"),
        Program::new("true").cwd("a\0b"),
        Program::new("true").stdin(Input::Pipe),
    ];
    for program in nonsense {
        assert!(matches!(errors(program).await, ProcessError::Invalid { .. }));
    }
    let bytes_for_a_stream = spawn(&Program::new("true").stdin(Input::Bytes(Vec::new())));
    assert!(matches!(bytes_for_a_stream.unwrap_err(), ProcessError::Invalid { .. }));
}

#[test]
fn without_a_runtime_nothing_starts() {
    let error = spawn(&Program::new("true")).unwrap_err();
    assert!(matches!(error, ProcessError::Invalid { .. }), "{error:?}");
}

#[tokio::test]
async fn a_relative_program_is_looked_up_from_the_working_directory() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tool");
    fs::write(&path, "#!/bin/sh\necho here\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let printed =
        output(&Program::new("./tool").cwd(directory.path()), Limits::default()).await.unwrap();
    assert_eq!(printed.stdout, b"here\n");
}

#[tokio::test]
async fn the_deadline_ends_the_whole_tree() {
    let mark = Mark::new();
    let limits = Limits { deadline: Duration::from_millis(500), ..Limits::default() };
    let error = output(&mark.shell("sleep 1000 & sleep 1000 & wait"), limits).await.unwrap_err();
    assert!(matches!(error, ProcessError::Deadline { .. }), "{error:?}");
    assert!(error.may_have_run());
    mark.wait_for(0).await;
}

#[tokio::test]
async fn a_dropped_future_leaves_nothing() {
    let mark = Mark::new();
    let limits = Limits { deadline: PATIENCE, ..Limits::default() };
    let program = mark.shell("sleep 1000 & sleep 1000 & wait");
    tokio::select! {
        result = output(&program, limits) => panic!("ended by itself: {result:?}"),
        () = mark.wait_for(3) => {}
    }
    mark.wait_for(0).await;
}

#[tokio::test]
async fn what_stays_in_the_group_after_success_is_ended() {
    let mark = Mark::new();
    let script = "sleep 1000 >/dev/null 2>&1 & echo $$";
    let printed = output(&mark.shell(script), Limits::default()).await.unwrap();
    assert_eq!(printed.status, Exit::Code(0));
    let pid =
        String::from_utf8(printed.stdout).unwrap().trim().parse().ok().and_then(Pid::new).unwrap();
    assert_eq!(ProcessTable::read().unwrap().get(pid), None, "the program itself was not reaped");
    mark.wait_for(0).await;
}

#[tokio::test]
async fn too_much_output_is_an_error_and_just_enough_is_not() {
    let mark = Mark::new();
    let limits = Limits { stdout_bytes_max: 1000, ..Limits::default() };
    let enough = output(&mark.shell("head -c 1000 /dev/zero"), limits).await.unwrap();
    assert_eq!(enough.stdout.len(), 1000);
    let error =
        output(&mark.shell("head -c 1001 /dev/zero; sleep 1000"), limits).await.unwrap_err();
    assert!(matches!(error, ProcessError::OutputTooLarge { limit_bytes: 1000, .. }), "{error:?}");
    mark.wait_for(0).await;
}

#[tokio::test]
async fn errors_hold_no_secret() {
    let planted = "planted-9f31c2";
    let program = Program::new("no-such-program").arg(planted).env("TOKEN", planted);
    let error = output(&program, Limits::default()).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("planted"));
    let shown =
        format!("{:?}", Program::new("x").env("T", planted).stdin(Input::Bytes(planted.into())));
    assert!(!shown.contains("planted"), "{shown}");
}

#[tokio::test]
async fn every_future_may_move_between_threads() {
    fn is_send<T: Send>(future: T) -> T {
        future
    }
    let program = Program::new("true");
    assert!(is_send(output(&program, Limits::default())).await.unwrap().status.success());
    let child = spawn(&program).unwrap();
    assert!(is_send(child.wait()).await.unwrap().success());
    assert!(is_send(child.stop(PATIENCE)).await.unwrap().success());
    let nobody = |_table: &ProcessTable| std::collections::BTreeSet::new();
    is_send(lease_process::end_all(nobody, lease_process::EndPolicy::default())).await.unwrap();
}
