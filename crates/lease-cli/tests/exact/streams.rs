//! Streams carry bytes, in both directions and apart from each other, in bounded memory.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Stdio};

use crate::installation::{ANSWER_WITHIN, Deadline, Ended, Installation, eventually};

const MEGABYTE: usize = 1024 * 1024;
/// What the client may need at most, whatever flows through it.
const CLIENT_KILOBYTES_MAX: u64 = 60 * 1024;

/// Bytes that look random and are the same every time.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut bytes = Vec::with_capacity(count + 8);
    while bytes.len() < count {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(count);
    bytes
}

#[test]
fn a_hundred_megabytes_of_output_are_exact_in_bounded_memory() {
    let installation = Installation::new();
    let (path, piece) = (installation.root().join("noise"), noise(MEGABYTE));
    let mut file = File::create(&path).unwrap();
    for at in 0..100_u8 {
        // No two pieces are alike, so that a lost or repeated one shows.
        file.write_all(&[at]).and_then(|()| file.write_all(&piece[1..])).unwrap();
    }
    drop(file);
    let mut client = installation.command(["run", "--", "cat"]).arg(&path).spawn().unwrap();
    let mut stdout = client.stdout.take().unwrap();
    let (mut arrived, mut highest) = (vec![0; MEGABYTE], 0);
    for at in 0..100_u8 {
        stdout.read_exact(&mut arrived).unwrap();
        assert!(arrived[0] == at && arrived[1..] == piece[1..], "megabyte {at} differs");
        highest = highest.max(peak_kilobytes(&client));
    }
    arrived.clear();
    assert_eq!(stdout.read_to_end(&mut arrived).unwrap(), 0, "more than was written");
    let ended = Ended::wait(client);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!((1..=CLIENT_KILOBYTES_MAX).contains(&highest), "{highest} kB");
    installation.assert_clean();
}

#[test]
fn binary_input_comes_back_as_it_went() {
    let installation = Installation::new();
    let sent = noise(5 * MEGABYTE + 7);
    let mut client =
        installation.command(["run", "--", "cat"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = client.stdin.take().unwrap();
    let ended = std::thread::scope(|scope| {
        scope.spawn(|| {
            let written = stdin.write_all(&sent);
            drop(stdin);
            written.unwrap();
        });
        Ended::wait(client)
    });
    assert_eq!((ended.code, ended.stdout.len()), (0, sent.len()), "{}", ended.stderr);
    assert!(ended.stdout == sent);
    installation.assert_clean();
}

#[test]
fn without_input_a_command_reads_its_end() {
    let installation = Installation::new();
    let ended = installation.lease(["run", "--", "wc", "-c"]);
    assert_eq!((ended.code, ended.stdout.as_slice()), (0, b"0\n".as_slice()), "{}", ended.stderr);
    installation.assert_clean();
}

#[test]
fn the_two_outputs_stay_apart() {
    let installation = Installation::new();
    let script = "printf out1; printf err1 >&2; printf 'out2\\n\\0'; printf 'err2\\n' >&2; exit 3";
    let ended = installation.lease(["--quiet", "run", "--", "sh", "-c", script]);
    assert_eq!((ended.code, ended.stdout.as_slice()), (3, b"out1out2\n\0".as_slice()));
    assert!(ended.stderr.contains("err1err2\n"), "{}", ended.stderr);
    let history = installation.json(&["history"]);
    let logs = installation.json(&["logs", history["runs"][0]["id"].as_str().unwrap()]);
    assert_eq!(logs["stdout"]["head"], "out1out2\n\0");
    assert_eq!(logs["stderr"]["head"], "err1err2\n");
    assert_eq!(logs["run"]["exit"], 3);
    installation.assert_clean();
}

#[test]
fn a_reader_that_leaves_early_ends_the_run() {
    let installation = Installation::new();
    let mut client = installation.command(["run", "--", "yes"]).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(client.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert_eq!(first, "y\n");
    let over = eventually(Deadline::after(ANSWER_WITHIN), || client.try_wait().unwrap().is_some());
    if over.is_err() {
        client.kill().unwrap();
    }
    let ended = Ended::wait(client);
    assert!(over.is_ok(), "it goes on without a reader: {}", ended.stderr);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    installation.assert_clean();
}

/// The most memory that a process has had so far.
fn peak_kilobytes(process: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|it| it.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
