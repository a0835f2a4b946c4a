//! Real logins with the system's ssh.

use lease_core::Provider as _;
use lease_process::{Exit, Input, Limits, output};

use crate::bench::Bench;

const ODD: &str = r#"a "b" \c  #d 'e' $HOME %h \\ \"#;

#[tokio::test]
async fn a_command_runs_with_the_given_environment() {
    let probe = Bench::new();
    for contain in probe.containments().await {
        let bench = Bench::with(|config| {
            config.contain = contain;
            config.environment.push(("ODD".to_owned(), ODD.to_owned()));
            config.environment.push(("HOME".to_owned(), "/nowhere/home".to_owned()));
        });
        let (mut lease, reach) = bench.make().await;
        let said = bench.run(&reach, r#"printf '%s|%s|%s' "$ODD" "$HOME" "$LEASE_BOX""#).await;
        let nonce = lease.recall().key().clone();
        let expect = format!("{ODD}|/nowhere/home|{nonce}");
        assert_eq!(String::from_utf8_lossy(&said.stdout), expect, "{said:?}");
        assert_eq!(bench.run(&reach, "exit 7").await.status, Exit::Code(7));
        bench.destroy(&mut lease).await.unwrap();
        bench.assert_clean();
    }
}

/// What bash would read there may print, and takes its time with each command.
#[tokio::test]
async fn files_for_interactive_shells_are_not_read() {
    let home = tempfile::tempdir().unwrap();
    for name in [".bashrc", ".profile", ".bash_profile"] {
        std::fs::write(home.path().join(name), "echo noise; echo noise >&2\n").unwrap();
    }
    let bench = Bench::with(|config| {
        config.environment.push(("HOME".to_owned(), home.path().display().to_string()));
    });
    let (mut lease, reach) = bench.make().await;
    let said = bench.run(&reach, "echo ~").await;
    let expect = format!("{}\n", home.path().display());
    assert_eq!((said.stdout, said.stderr), (expect.into_bytes(), Vec::new()));
    bench.destroy(&mut lease).await.unwrap();
}

#[tokio::test]
async fn streams_are_exact() {
    let bench = Bench::new();
    let (mut lease, reach) = bench.make().await;
    let sent: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let program = bench.ssh(&reach, "cat; echo oops >&2").stdin(Input::Bytes(sent.clone()));
    let answer = output(&program, Limits::default()).await.unwrap();
    assert!(answer.stdout == sent, "{} bytes came back", answer.stdout.len());
    assert_eq!(answer.stderr, b"oops\n");
    bench.destroy(&mut lease).await.unwrap();
}

#[tokio::test]
async fn odd_directories_work() {
    let bench = Bench::with(|config| config.root = config.root.join("it's 100% a b#c"));
    let (mut lease, reach) = bench.make().await;
    assert!(reach.root.contains("it's 100% a b#c/lse-"), "{}", reach.root);
    let script = format!("cd \"{}\" && touch made && ls", reach.root);
    let said = bench.run(&reach, &script).await;
    assert_eq!(said.stdout, b"made\n", "{said:?}");
    bench.destroy(&mut lease).await.unwrap();
}

#[tokio::test]
async fn nobody_else_gets_in() {
    let (bench, stranger) = (Bench::new(), Bench::new());
    let (mut lease, reach) = bench.make().await;
    let refused = stranger.run(&reach, "echo in").await;
    assert_eq!((refused.status, refused.stdout), (Exit::Code(255), Vec::new()));
    let mut elsewhere = reach.clone();
    elsewhere.user = "somebody".to_owned();
    let refused = bench.run(&elsewhere, "echo in").await;
    assert_eq!((refused.status, refused.stdout), (Exit::Code(255), Vec::new()));
    assert_eq!(bench.run(&reach, "echo in").await.stdout, b"in\n");
    bench.destroy(&mut lease).await.unwrap();
}

#[tokio::test]
async fn the_host_proves_the_pinned_key() {
    let bench = Bench::new();
    let (mut lease, reach) = bench.make().await;
    let (mut other_lease, other) = bench.make().await;
    assert_ne!(reach.host_key, other.host_key);
    let mut impostor = reach.clone();
    impostor.proxy.clone_from(&other.proxy);
    let refused = bench.run(&impostor, "echo in").await;
    assert_eq!((refused.status, refused.stdout), (Exit::Code(255), Vec::new()));
    for lease in [&mut lease, &mut other_lease] {
        bench.destroy(lease).await.unwrap();
    }
    bench.assert_clean();
    assert!(bench.provider.list().await.unwrap().items.is_empty());
}
