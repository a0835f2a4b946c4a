//! Functions of the sync's scripts, run by every kind of shell that a box may have.

use std::fs;

use lease_process::{Limits, Program, output};

use crate::fixture::text;

const LOCK: &str = include_str!("../../src/sync/lock.sh");
const TICK: &str = include_str!("../../src/sync/tick.sh");
const SHELLS: [&[&str]; 3] = [&["dash"], &["bash", "--posix"], &["busybox", "sh"]];

/// What a shell prints that runs the parts one after the other in an empty directory of records.
async fn ran(shell: &[&str], parts: &[&str]) -> String {
    let records = tempfile::Builder::new().prefix("lssh").tempdir().unwrap();
    let script = format!("lease_sync=$1\n{}", parts.join("\n"));
    let program = Program::new(shell[0]).args(shell[1..].iter().copied()).args([
        "-c",
        &script,
        "lease",
        &records.path().display().to_string(),
    ]);
    let ended = output(&program, Limits::default()).await.unwrap();
    assert!(ended.status.success(), "{shell:?}: {}", text(&ended.stderr));
    assert!(fs::exists(records.path()).unwrap());
    text(&ended.stdout)
}

#[tokio::test]
async fn a_lock_that_is_being_written_is_waited_for_however_long_another_was() {
    // Each `sleep` is a turn. For 300 of them somebody holds the lock, who then lets it go to one that is slow to write
    // down who it is.
    let story = r#"
turns=0
sleep() {
  turns=$((turns + 1))
  if [ "$turns" -eq 300 ]; then : >"$lease_sync/lock.2"; fi
  if [ "$turns" -eq 400 ]; then printf '%s\n' "$other" >"$lease_sync/lock.2"; fi
  if [ "$turns" -eq 500 ]; then echo free >"$lease_sync/lock.2"; fi
}
lease_birth "$$"
other="$$ ${lease_birth:--} $lease_boot"
printf '%s\n' "$other" >"$lease_sync/lock.1"
lease_lock || exit 1
echo "$lease_wanted after $turns"
"#;
    for shell in SHELLS {
        assert_eq!(ran(shell, &[LOCK, story]).await, "3 after 500", "{shell:?}");
    }
}

#[tokio::test]
async fn a_lock_whose_holder_never_wrote_its_name_is_taken_over() {
    let story = r#"
turns=0
sleep() { turns=$((turns + 1)); }
: >"$lease_sync/lock.7"
lease_lock || exit 1
echo "$lease_wanted after $turns"
"#;
    for shell in SHELLS {
        assert_eq!(ran(shell, &[LOCK, story]).await, "8 after 250", "{shell:?}");
    }
}

#[tokio::test]
async fn a_clock_of_whole_seconds_is_waited_for_until_it_has_moved() {
    // A file system with such a clock is a stamp that no new file is newer than, and a `find` that says so for a while.
    let story = r#"
lease_clock=fine
turns=0
sleep() { turns=$((turns + 1)); }
find() { [ "$turns" -lt 50 ] || echo "$1"; }
: >"$lease_sync/stamp"
touch -t 203801010000 "$lease_sync/stamp"
lease_tick "$lease_sync/stamp" || exit 1
echo "$turns"
"#;
    for shell in SHELLS {
        assert_eq!(ran(shell, &[TICK, story]).await, "50", "{shell:?}");
    }
}

#[tokio::test]
async fn a_clock_that_stands_still_is_an_error_and_not_waited_for_for_ever() {
    let story = r#"
lease_clock=fine
sleep() { :; }
find() { :; }
: >"$lease_sync/stamp"
touch -t 203801010000 "$lease_sync/stamp"
lease_tick "$lease_sync/stamp" 2>/dev/null || echo failed
"#;
    for shell in SHELLS {
        assert_eq!(ran(shell, &[TICK, story]).await, "failed", "{shell:?}");
    }
}

#[tokio::test]
async fn a_holder_that_is_dead_and_not_waited_for_holds_no_lock() {
    // The first process of many a container waits for nobody, and every orphan is its child.
    let story = r#"
turns=0
sleep() { turns=$((turns + 1)); }
mkfifo "$lease_sync/open" "$lease_sync/go"
/bin/sh -c '/bin/sh -c "read -r line <\"\$0\"" "$0/go" & echo "$!" >"$0/pid"; exec cat "$0/open"' "$lease_sync" &
parent=$!
comm=
while [ "$comm" != cat ]; do read -r comm <"/proc/$parent/comm"; done
read -r dead <"$lease_sync/pid"
echo >"$lease_sync/go"
state=
while [ "$state" != Z ]; do
  read -r stat <"/proc/$dead/stat"
  set -- ${stat##*) }
  state=$1 birth=${20}
done
lease_lives "$dead" && echo "it lives"
lease_lives "$parent" || echo "its parent does not"
printf '%s\n' "$dead $birth $lease_boot" >"$lease_sync/lock.1"
lease_lock || exit 1
echo "$lease_wanted after $turns"
kill "$parent"
wait "$parent" 2>/dev/null
true
"#;
    for shell in SHELLS {
        assert_eq!(ran(shell, &[LOCK, story]).await, "2 after 0", "{shell:?}");
    }
}
