//! A talkative program costs no memory. Alone in its file, because the peak belongs to the whole process.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a failed expectation is the test")]

use std::fs;

use lease_process::{Limits, ProcessError, Program, output, spawn};
use tokio::io::AsyncReadExt as _;

const TALK: &str = "head -c 100000000 /dev/zero";

#[tokio::test]
async fn a_hundred_megabytes_cost_less_than_ten() {
    let peak_before = peak_kib();
    let limits =
        Limits { stdout_bytes_max: 100_000, stderr_bytes_max: 100_000, ..Limits::default() };

    let cut =
        output(&Program::new("sh").arg("-c").arg(format!("{TALK} >&2")), limits).await.unwrap();
    assert_eq!(cut.stderr_left_out_bytes, 99_900_000);
    assert!(cut.stderr.len() < 100_100);

    let error = output(&Program::new("sh").args(["-c", TALK]), limits).await.unwrap_err();
    assert!(matches!(error, ProcessError::OutputTooLarge { .. }));

    let mut child = spawn(&Program::new("sh").args(["-c", TALK])).unwrap();
    let mut stdout = child.take_stdout().unwrap();
    let (mut chunk, mut total) = (vec![0; 65536], 0);
    loop {
        match stdout.read(&mut chunk).await.unwrap() {
            0 => break,
            read => total += read,
        }
    }
    assert_eq!(total, 100_000_000);
    assert!(child.wait().await.unwrap().success());

    let grown = peak_kib() - peak_before;
    assert!(grown < 10_000, "the peak grew by {grown} KiB");
}

fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}
