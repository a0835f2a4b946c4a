//! A box whose disk is full: no status is invented, and a command can still make room.

use lease_process::{Limits, Program, output};

use crate::fixture::text;

const WRAPPER: &str = concat!(
    include_str!("../../src/run/alive.sh"),
    include_str!("../../src/run/itself.sh"),
    include_str!("../../src/run/wrapper.sh")
);
const STATE: &str =
    concat!(include_str!("../../src/run/alive.sh"), include_str!("../../src/run/state.sh"));

/// What runs where a small disk of its own is mounted. `$1` shell, `$2` the place of the disk, `$3` and `$4` the scripts.
const PRELUDE: &str = "set -u; shell=$1 disk=$2 wrapper=$3 state=$4
mount -t tmpfs -o size=400k none \"$disk\" || exit; mkdir \"$disk/.lease\" \"$disk/work\"
run() {
  id=$1; shift
  $shell -c \"$wrapper\" lease \"$disk/.lease\" \"$disk/work\" \"$id\" nonce '' '' sh -c \"$*\"
  echo \"$id ended with $?\"
  $shell -c \"$state\" lease \"$disk/.lease\" \"$id\" '' | tr '\\n' ' '; echo
}
fill() { head -c 1000000 /dev/zero 2>/dev/null >\"$disk/work/fill$1\"; }
";

/// Runs a script on a small disk, with each shell that a box may have; what both streams had is what `check` gets.
async fn on_a_small_disk(script: &str, check: impl Fn(&str, &str)) {
    for shell in ["dash", "bash --posix", "busybox sh"] {
        let place = tempfile::Builder::new().prefix("lssh").tempdir().unwrap();
        let disk = place.path().display().to_string();
        let mut words = vec!["--mount", "--propagation", "private"];
        if !rustix::process::geteuid().is_root() {
            words.extend(["--user", "--map-root-user"]);
        }
        let script = format!("{PRELUDE}exec 2>&1\n{script}");
        let program = Program::new("unshare")
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
            .args(words)
            .args(["/bin/sh", "-c", &script, "sh", shell, &disk, WRAPPER, STATE]);
        let ended = output(&program, Limits::default()).await.unwrap();
        assert!(ended.status.success(), "{shell}: {}", text(&ended.stdout));
        check(shell, &text(&ended.stdout));
    }
}

#[tokio::test]
async fn a_command_that_fills_the_disk_keeps_its_status_and_its_output() {
    let script = "run r 'head -c 1000000 /dev/zero >big 2>/dev/null; seq 20000; exit 7'";
    let lines: Vec<_> = (1..=20_000).map(|it| format!("{it}\n")).collect();
    let whole = lines.concat();
    on_a_small_disk(script, |shell, said| {
        assert!(said.contains(&whole), "{shell}: the output is not whole");
        let end = &said[said.len() - 200..];
        assert!(end.contains("r ended with 7"), "{shell}: {end}");
        assert!(end.contains("exit=7 ") && end.contains("out_failed="), "{shell}: {end}");
    })
    .await;
}

#[tokio::test]
async fn on_a_full_disk_a_command_can_make_room() {
    let script = "run first true; fill 1; run r 'rm fill1; echo done; exit 3'";
    on_a_small_disk(script, |shell, said| {
        assert!(said.contains("done\n") && said.contains("r ended with 3"), "{shell}: {said}");
        assert!(said.ends_with("exit=3 logged= end="), "{shell}: {said}");
    })
    .await;
}

#[tokio::test]
async fn without_any_room_nothing_is_started_and_the_reason_is_told() {
    let script = "fill 1; run r 'echo started'";
    on_a_small_disk(script, |shell, said| {
        assert!(said.contains("lease: no room for a record"), "{shell}: {said}");
        assert!(said.contains("r ended with 222"), "{shell}: {said}");
        assert!(!said.contains("started\n"), "{shell}: {said}");
    })
    .await;
}
