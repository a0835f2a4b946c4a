//! Drift that arises at the wrong moment, and looks that fail: nothing that a command changed is forgotten.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lease_ssh::{Drift, SshError};

use crate::fixture::{Box, sh, text};
use crate::hooked::{hook, hook_stream, hooked, program};
use crate::syncing::Case;
use crate::warm::shown;

/// What stands in a request that brings a small change along.
const PATCH: &str = "lease_mode=patch";

fn path(names: &[&str]) -> Vec<PathBuf> {
    names.iter().map(PathBuf::from).collect()
}

fn there(path: &Path) -> String {
    path.display().to_string()
}

async fn appears(path: &Path) {
    let (within, every) = (Duration::from_secs(30), Duration::from_millis(2));
    assert!(
        lease_process::wait::until(within, every, || path.exists()).await,
        "{}",
        path.display()
    );
}

/// Shell text that changes `a`, and looks as the box does after a command.
fn edit_and_look(it: &Box) -> String {
    let sync = there(&it.at("box/.lease/sync"));
    format!("echo edited >>{}; sh {sync}/look {sync} '' cnewer", there(&it.at("box/work/a")))
}

#[tokio::test]
async fn drift_between_the_question_and_the_change_is_told() {
    let case = Case::on(hooked().await).await;
    case.put("a", "mine");
    case.put("b", "one");
    case.run("first", "true").await;
    case.looked().await;
    case.put("b", "two");
    hook(&case.it, PATCH, &format!("done_hook; {}", edit_and_look(&case.it)));
    let report = case.sync().await;
    assert_eq!(report.drifted, path(&["a"]));
    case.is_there();
    assert_eq!(case.run("next", "cat a").await.0.drifted, path(&[]));
    case.it.end().await;
}

#[tokio::test]
async fn what_a_client_was_told_that_died_is_told_again() {
    let case = Case::on(hooked().await).await;
    case.put("a", "mine");
    case.put("b", "one");
    case.run("first", "echo edited >>a").await;
    case.looked().await;
    hook(&case.it, PATCH, "exit 9");
    assert!(case.try_sync().await.is_err());
    fs::remove_file(case.it.at("hook")).unwrap();
    let (refused, _) = case.try_run("fail", &sh("true"), (Drift::Fail, b"")).await;
    assert!(matches!(refused, Err(SshError::Drifted { .. })), "{refused:?}");
    let (report, ran) = case.run("next", "cat a").await;
    assert_eq!((report.drifted, text(&ran.stdout)), (path(&["a"]), "mine".to_owned()));
    case.it.end().await;
}

#[tokio::test]
async fn what_one_client_was_told_is_not_forgotten_for_another() {
    let case = Case::on(hooked().await).await;
    case.put("a", "mine");
    case.put("b", "one");
    case.run("first", "true").await;
    case.looked().await;
    let other = case.it.at("other");
    fs::create_dir(&other).unwrap();
    // The other client is told of the change to `a`, and dies of the hook before it has acted on it.
    let survey = format!(
        "done_hook; {}; printf 'other\\n./a\\n' >{told}; rm {drift}",
        edit_and_look(&case.it),
        told = there(&case.it.at("box/.lease/sync/told")),
        drift = there(&case.it.at("box/.lease/sync/drift")),
    );
    case.put("b", "two");
    hook(&case.it, PATCH, &survey);
    assert_eq!(case.sync().await.drifted, path(&["a"]));
    case.is_there();
    case.it.end().await;
}

/// As long as a process that a command leaves behind holds its output, the command has not ended for whoever waits for it.
#[tokio::test]
async fn what_is_changed_behind_a_command_by_a_process_that_holds_its_output_is_told() {
    let case = Case::new().await;
    case.put("a", "mine");
    case.run("first", "true").await;
    case.looked().await;
    case.run("second", "(sleep 1; echo edited >>a) & true").await;
    case.looked().await;
    let (report, ran) = case.run("next", "cat a").await;
    assert_eq!((report.drifted, text(&ran.stdout)), (path(&["a"]), "mine".to_owned()));
    case.it.end().await;
}

/// Runs a command that edits `a` once it is told to, and meanwhile syncs `change`. What both said of `a` is returned.
async fn edited_meanwhile(case: &Case, prepare: impl FnOnce(&str), change: impl FnOnce()) -> usize {
    let at = |name: &str| there(&case.it.at(name));
    // A test that fails leaves nothing that waits for ever.
    let wait = |name: &str| {
        format!("while [ -d {} ] && [ ! -e {} ]; do sleep 0.01; done", at("tree"), at(name))
    };
    let script = format!(
        "touch {}; {}; echo edited >>a; touch {}; {}",
        at("running"),
        wait("go"),
        at("edited"),
        wait("end")
    );
    let command = sh(&script);
    let long = case.try_run("long", &command, (Drift::Overwrite, b""));
    let (long, told) = tokio::join!(long, async {
        appears(&case.it.at("running")).await;
        prepare(&format!("touch {}; {}", at("go"), wait("edited")));
        change();
        let told = case.sync().await.drifted;
        assert!(case.it.at("edited").exists(), "the command has not edited the file");
        fs::write(case.it.at("end"), "").unwrap();
        told
    });
    assert_eq!(long.1.code(), 0);
    let next = case.run("next", "true").await.0.drifted;
    case.is_there();
    let all = told.iter().chain(&next);
    assert!(all.clone().all(|it| it == Path::new("a")), "{told:?} {next:?}");
    all.count()
}

#[tokio::test]
async fn what_a_running_command_changes_before_a_small_change_is_not_lost() {
    let case = Case::on(hooked().await).await;
    case.put("a", "mine");
    case.put("b", "one");
    case.run("first", "true").await;
    let prepare = |edit: &str| hook(&case.it, PATCH, &format!("done_hook; {edit}"));
    assert_eq!(edited_meanwhile(&case, prepare, || case.put("b", "two")).await, 1);
    case.it.end().await;
}

#[tokio::test]
async fn what_a_running_command_changes_during_a_small_change_is_not_lost() {
    let case = Case::on(hooked().await).await;
    case.put("a", "mine");
    case.put("b", "one");
    case.run("first", "true").await;
    let prepare = |edit: &str| {
        let unpacks = format!("case $1 in -x) {edit} ;; esac");
        let tar = format!("#!/bin/sh\n/usr/bin/tar \"$@\" || exit\n{unpacks}\n");
        program(&case.it, "bin/tar", &tar);
    };
    assert_eq!(edited_meanwhile(&case, prepare, || case.put("b", "two")).await, 1);
    case.it.end().await;
}

#[tokio::test]
async fn what_a_running_command_changes_during_a_large_change_is_not_lost() {
    let case = Case::on(hooked().await).await;
    case.put("a", "mine");
    case.run("first", "true").await;
    let prepare = |edit: &str| hook_stream(&case.it, &format!("done_hook; {edit}"));
    let change = || {
        for index in 0..200 {
            case.put(&format!("many/f{index}"), &"x".repeat(1_000));
        }
    };
    assert_eq!(edited_meanwhile(&case, prepare, change).await, 1);
    case.it.end().await;
}

#[tokio::test]
async fn a_look_that_cannot_write_never_says_that_nothing_changed() {
    // Each write to this device fails for want of room.
    for name in ["hot", "new.hot", "changed", "new.drift"] {
        let case = Case::new().await;
        case.put("a", "mine");
        case.put("d/b", "mine");
        case.run("first", "true").await;
        case.looked().await;
        let name_of_ours = case.it.at("box/.lease/sync").join(name);
        drop(fs::remove_file(&name_of_ours));
        symlink("/dev/full", name_of_ours).unwrap();
        case.run("changes", "echo edited >>a; rm d/b").await;
        let command = sh("cat a d/b");
        let (done, mut ran) = case.try_run("next", &command, (Drift::Overwrite, b"")).await;
        if let Err(error) = done {
            // That there is no room may be said. With room it must come out.
            assert!(matches!(error, SshError::BoxFull { .. }), "{name}: {error:?}");
            fs::remove_file(case.it.at("box/.lease/sync").join(name)).unwrap();
            ran = case.run("again", "cat a d/b").await.1;
        }
        assert_eq!(text(&ran.stdout), "minemine", "{name}: {}", text(&ran.stderr));
        case.is_there();
        case.it.end().await;
    }
}

#[tokio::test]
async fn an_archive_that_was_cut_between_two_files_is_noticed() {
    let it = hooked().await;
    // A shell of the box whose `printf` writes two blocks of an archive and dies.
    let functions = format!(
        "printf() {{\n  case $2 in *ustar*ustar*) [ ! -e {cut} ] || {{ rm {cut}; \
         builtin printf \"$@\" | head -c 1024; kill -9 \"$BASHPID\"; }} ;; esac\n  builtin printf \"$@\"\n}}\n",
        cut = there(&it.at("cut")),
    );
    fs::write(it.at("functions"), functions).unwrap();
    let bash = format!(
        "BASH_ENV={}; export BASH_ENV; \
         SSH_ORIGINAL_COMMAND=\"exec /bin/bash${{SSH_ORIGINAL_COMMAND#exec /bin/sh}}\"",
        there(&it.at("functions"))
    );
    hook(&it, "lease_kind", &bash);
    let case = Case::on(it).await;
    case.put("a", "one");
    case.put("b", "one");
    case.run("first", "true").await;
    case.put("a", "two");
    case.put("b", "two");
    fs::write(case.it.at("cut"), "").unwrap();
    let (_, ran) = case.run("second", "cat a b").await;
    assert!(!case.it.at("cut").exists(), "nothing was cut");
    assert_eq!(text(&ran.stdout), "twotwo");
    assert_eq!(shown(&case.it.work()), shown(&case.tree));
    case.it.end().await;
}
