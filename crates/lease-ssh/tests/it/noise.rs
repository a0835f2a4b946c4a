//! Boxes whose login shell prints something by itself: none of it is the command's, and none of it is counted.

use std::fs;

use lease_ssh::{Followed, Outcome, Relays, Sinks, Until};

use crate::fixture::{Box, Ran, sh, text};
use crate::jobs::{cut_at_random, expected, numbered};
use crate::syncing::Case;

/// What a start-up file of a campus may do, in bash, which reads it for `sshd`. With the file `locked`, it ends the shell.
const GREETING: &str = r#"
echo "Welcome to the cluster"; printf 'quota: 80%% \0\377'; echo "module loaded" >&2; printf 'no end of line' >&2
if [ -e ~/locked ]; then echo "this account is locked until $(cat ~/locked)"; exit 3; fi
"#;

struct Noisy {
    it: Box,
    home: tempfile::TempDir,
}

async fn noisy_box() -> Noisy {
    let home = tempfile::Builder::new().prefix("lssh").tempdir().unwrap();
    fs::write(home.path().join(".bashrc"), GREETING).unwrap();
    let it = Box::with("", &format!("SetEnv HOME={}", home.path().display())).await;
    Noisy { it, home }
}

#[tokio::test]
async fn the_output_of_a_command_is_exact() {
    let Noisy { it, home } = noisy_box().await;
    let session = it.ready().await;
    let ran = it.run(&session, "r", &sh("printf 'out\\0'; printf err >&2; exit 7"), b"").await;
    assert_eq!((ran.code(), ran.stdout.as_slice()), (7, b"out\0".as_slice()));
    assert_eq!(ran.stderr, b"err");
    let (out, err) = expected();
    assert_eq!(it.run(&session, "n", &numbered(5_000), b"").await.code(), 7);
    for from in [0, 1, out.len()] {
        let (mut to_out, mut to_err) = (Vec::new(), Vec::new());
        let mut sinks = Sinks::after((&mut to_out, &mut to_err), (from as u64, 3));
        let how = (Relays::Leave, Until::End);
        let followed = session.follow((&it.root, "n"), how, &mut sinks).await.unwrap();
        assert_eq!(followed, Followed::Ended(7));
        assert!(to_out == out[from..] && to_err == err[3..], "from {from}");
    }
    it.end().await;
    drop(home);
}

#[tokio::test]
async fn the_output_of_a_command_in_a_synced_tree_is_exact() {
    let Noisy { it, home } = noisy_box().await;
    let case = Case::on(it).await;
    case.put("a", "one");
    for run in ["cold", "warm"] {
        let (_, ran): (_, Ran) = case.run(run, "cat a; cat a >&2; exit 4").await;
        let seen = (ran.code(), text(&ran.stdout), text(&ran.stderr));
        assert_eq!(seen, (4, "one".to_owned(), "one".to_owned()), "{run}");
    }
    case.it.end().await;
    drop(home);
}

#[tokio::test]
async fn a_cut_connection_is_taken_up_without_a_lost_or_repeated_byte_i15() {
    let Noisy { it, home } = noisy_box().await;
    drop(it.ready().await);
    let mut made = 0;
    for seed in 500..503 {
        let session = it.connect().await;
        made += cut_at_random(&it, &session, seed, 5).await;
    }
    println!("{made} cuts");
    assert!(made > 5, "{made} cuts met their victim");
    it.end().await;
    drop(home);
}

#[tokio::test]
async fn a_shell_that_starts_nothing_is_quoted_and_its_code_is_not_the_commands() {
    let Noisy { it, home } = noisy_box().await;
    let session = it.ready().await;
    fs::write(home.path().join("locked"), "Monday").unwrap();
    let ran = it.run(&session, "r", &sh("touch ../started"), b"").await;
    let said = ran.outcome.unwrap_err();
    assert!(said.contains("not started") && said.contains("locked until Monday"), "{said}");
    assert_eq!((ran.stdout, ran.stderr), (Vec::new(), Vec::new()));
    let nobody = &mut Sinks::new(tokio::io::sink(), tokio::io::sink());
    let followed = session.follow((&it.root, "r"), (Relays::Leave, Until::End), nobody).await;
    let Followed::Lost { detail } = followed.unwrap() else { panic!("a code of nobody's") };
    assert!(detail.contains("locked until Monday"), "{detail}");
    fs::remove_file(home.path().join("locked")).unwrap();
    // The shell that works again runs it: nothing was started before.
    let ran = it.run(&session, "r", &sh("touch ../started"), b"").await;
    assert_eq!(ran.outcome, Ok(Outcome::Finished(0)));
    it.end().await;
    drop(home);
}
