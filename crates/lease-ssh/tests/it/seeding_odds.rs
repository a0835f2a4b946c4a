//! A first sync from an origin where something goes wrong: the stream brings the tree, and nobody learns what is not his.

use std::fs;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lease_process::wait;
use lease_ssh::SyncReport;

use crate::hooked::{hook, program};
use crate::seeding::{Manner, Origin};
use crate::syncing::{Case, git};

/// Everything was sent, in the ordinary number of requests and one more where the box was asked to fetch.
#[track_caller]
fn was_streamed(case: &Case, report: &SyncReport, why: &str) {
    assert_eq!((report.seeded_files, report.sent_files), (0, 20), "{why}");
    assert!(!report.repaired && report.skipped.is_empty(), "{why}: {report:?}");
    case.is_there();
}

/// Makes the box's git do something else for one of its commands.
fn git_on_box(case: &Case, command: &str, script: &str) {
    let text = format!(
        "#!/bin/sh\ncase \"$*\" in *{command}*)\n{script}\n;;\nesac\nexec /usr/bin/git \"$@\"\n"
    );
    program(&case.it, "bin/git", &text);
}

#[tokio::test]
async fn an_origin_that_does_not_give_the_commit_costs_one_request() {
    for why in ["silent", "asks who", "unreachable", "lacks the commit", "lacks the repository"] {
        let case = Case::published().await;
        let manner = match why {
            "silent" => Manner::IsSilent,
            "asks who" => Manner::AsksWho,
            _ => Manner::Serves(case.push().await),
        };
        let origin = Origin::start(manner).await;
        let scheme = if why == "asks who" { "http" } else { "git" };
        let mut url = origin.url(scheme);
        match why {
            "lacks the repository" => url = url.replace("repo", "other"),
            "lacks the commit" => git(&case.tree, &["commit", "-q", "--amend", "-m", "new"]).await,
            _ => {}
        }
        if why == "unreachable" {
            let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            url = format!("git://{closed}/repo.git");
        }
        case.track("HEAD").await;
        case.origin_is(&url).await;
        let before = case.channels();
        let report = case.try_seed(|it| it.time_max = Duration::from_secs(1)).await.unwrap();
        assert_eq!(case.channels() - before, 3, "{why}");
        was_streamed(&case, &report, why);
        // Whoever called has hung up.
        let (calls, ended) = (&origin.calls, &origin.ended);
        let all = || ended.load(Ordering::Relaxed) == calls.load(Ordering::Relaxed);
        assert!(wait::until(Duration::from_secs(30), Duration::from_millis(5), all).await, "{why}");
        assert_eq!(calls.load(Ordering::Relaxed) > 0, why != "unreachable", "{why}");
        case.it.end().await;
    }
}

#[tokio::test]
async fn where_it_cannot_be_or_does_not_pay_nothing_is_asked() {
    for why in ["no git", "an old timeout", "small", "not pushed", "ssh", "a scheme not allowed"] {
        let case = Case::published().await;
        let origin = Origin::start(Manner::Serves(case.push().await)).await;
        case.origin_is(&origin.url("git")).await;
        match why {
            "no git" => program(&case.it, "bin/git", "#!/bin/sh\nexit 127\n"),
            "an old timeout" => program(&case.it, "bin/timeout", "#!/bin/sh\nexit 1\n"),
            "not pushed" => {
                git(&case.tree, &["update-ref", "-d", "refs/remotes/origin/main"]).await;
            }
            "ssh" => case.origin_is(&origin.url("ssh")).await,
            _ => {}
        }
        let before = case.channels();
        let seeded = case.try_seed(|it| match why {
            "small" => it.bytes_min = 1_000_000,
            "a scheme not allowed" => it.schemes = &["https"],
            _ => {}
        });
        let report = seeded.await.unwrap();
        assert_eq!(case.channels() - before, 2, "{why}");
        was_streamed(&case, &report, why);
        assert_eq!(origin.calls.load(Ordering::Relaxed), 0, "{why}");
        case.it.end().await;
    }
}

#[tokio::test]
async fn a_url_with_a_secret_is_never_told_to_the_box() {
    for part in ["user:s3cret@", "s3cret@", ""] {
        let case = Case::published().await;
        let origin = Origin::start(Manner::AsksWho).await;
        let url = origin.url("http").replace("//", &format!("//{part}"));
        let url = if part.is_empty() { format!("{url}?token=s3cret") } else { url };
        case.track("HEAD").await;
        case.origin_is(&url).await;
        let log = case.it.at("asked");
        let script = format!("printf '%s\\n' \"$SSH_ORIGINAL_COMMAND\" >>{}", log.display());
        hook(&case.it, "lease", &script);
        let report = case.seed().await;
        was_streamed(&case, &report, part);
        let asked = fs::read_to_string(log).unwrap();
        assert!(asked.contains("lease-survey-1") && !asked.contains("s3cret"), "{part}");
        assert!(!asked.contains(&origin.port.to_string()), "{part}");
        assert_eq!(origin.calls.load(Ordering::Relaxed), 0);
        case.it.end().await;
    }
}

#[tokio::test]
async fn a_git_that_fails_or_lies_on_the_box_leaves_it_to_the_stream() {
    let stories = [
        ("checkout-index", "/usr/bin/git \"$@\"; exit 1"),
        ("checkout-index", "/usr/bin/git \"$@\"; echo other >d1/e/f1; exit 0"),
        ("checkout-index", "/usr/bin/git \"$@\"; rm d1/e/f1; exit 0"),
        ("checkout-index", "/usr/bin/git \"$@\"; chmod 600 d1/e/f1; exit 0"),
        ("checkout-index", "exit 0"),
        ("read-tree", "exit 1"),
        ("write-tree", "exit 1"),
        ("fetch", "exit 0"),
    ];
    for (command, script) in stories {
        let case = Case::published().await;
        let origin = Origin::start(Manner::Serves(case.push().await)).await;
        case.origin_is(&origin.url("git")).await;
        git_on_box(&case, command, script);
        let report = case.seed().await;
        was_streamed(&case, &report, script);
        assert_eq!(case.sync().await.sent_files, 0, "{script}");
        case.it.end().await;
    }
}

#[tokio::test]
async fn a_first_sync_whose_shell_is_killed_while_git_writes_is_repaired_by_the_next() {
    for (command, is_marked) in [("fetch", false), ("checkout-index", true)] {
        let case = Case::published().await;
        let origin = Origin::start(Manner::Serves(case.push().await)).await;
        case.origin_is(&origin.url("git")).await;
        // The parent of git, or of the program that bounds its time, is the shell that runs the script.
        let parent = if is_marked { "$PPID" } else { "$(ps -o ppid= -p \"$PPID\")" };
        git_on_box(&case, command, &format!("/usr/bin/git \"$@\"; kill -9 {parent}; exit 1"));
        case.try_seed(|_| {}).await.unwrap_err();
        assert_eq!(case.on_box("d1/e/f1").exists(), is_marked, "{command}");
        case.remove("d1/e/f1");
        let report = case.sync().await;
        assert_eq!((report.repaired, report.sent_files), (is_marked, 19), "{command}");
        case.is_there();
        case.it.end().await;
    }
}

#[tokio::test]
async fn a_client_that_is_gone_while_the_box_fetches_is_in_nobodys_way() {
    let case = Case::published().await;
    let origin = Origin::start(Manner::IsSilent).await;
    case.track("HEAD").await;
    case.origin_is(&origin.url("git")).await;
    {
        let seeding = std::pin::pin!(case.try_seed(|it| it.time_max = Duration::from_secs(5)));
        let called = || origin.calls.load(Ordering::Relaxed) > 0;
        let called = wait::until(Duration::from_secs(30), Duration::from_millis(5), called);
        tokio::select! {
            done = seeding => panic!("{done:?}"),
            called = called => assert!(called),
        }
    }
    let report = case.sync().await;
    was_streamed(&case, &report, "another came");
    let ended = || origin.ended.load(Ordering::Relaxed) == origin.calls.load(Ordering::Relaxed);
    assert!(wait::until(Duration::from_secs(60), Duration::from_millis(5), ended).await);
    let sync = case.it.at("box/.lease/sync");
    let left = || {
        let names = fs::read_dir(&sync).unwrap().map(|it| it.unwrap().file_name());
        names.filter(|it| it.to_string_lossy().starts_with("in.")).count()
    };
    assert!(wait::until(Duration::from_secs(30), Duration::from_millis(5), || left() == 0).await);
    case.is_there();
    assert_eq!(case.sync().await.sent_files, 0);
    case.it.end().await;
}

#[tokio::test]
async fn what_appears_on_the_box_while_it_fetches_is_not_written_over() {
    let case = Case::published().await;
    let origin = Origin::start(Manner::Serves(case.push().await)).await;
    case.origin_is(&origin.url("git")).await;
    let own = case.on_box("own").display().to_string();
    git_on_box(&case, "fetch", &format!("/usr/bin/git \"$@\"; echo own >{own}; exit 0"));
    let report = case.seed().await;
    assert_eq!((report.seeded_files, report.sent_files, report.repaired), (0, 20, false));
    case.has("own", "own\n");
    fs::remove_file(case.on_box("own")).unwrap();
    case.is_there();
    case.it.end().await;
}
