//! A login shell that prints before it does what it is asked, as `~/.bashrc` does on many campuses.

use std::fs;

use lease_ssh::{Client, SshError};

use crate::fixture::{Box, LEASE};
use crate::hooked::{hook, hooked};
use crate::syncing::Case;

/// A box whose login shell is a bash that reads this `~/.bashrc` for every request, as under sshd.
pub(crate) async fn greeted(bashrc: &str) -> Box {
    let it = hooked().await;
    let home = it.at("home");
    fs::create_dir(&home).unwrap();
    fs::write(home.join(".bashrc"), bashrc).unwrap();
    // Only a bash of Debian's kind reads the file by itself for a request of sshd, so it is told to.
    let shell = format!(
        "HOME={home}; BASH_ENV=$HOME/.bashrc; export HOME BASH_ENV; \
         exec /bin/bash -c 'unset BASH_ENV; eval \"$SSH_ORIGINAL_COMMAND\"'",
        home = home.display()
    );
    hook(&it, "/bin/sh", &shell);
    it
}

const GREETING: &str = "echo Welcome to the campus.\necho 'Your quota: 93 %' >&2\n\
                        printf 'lease-survey-1\\ncleared\\nsealed\\nno end of line'\nprintf 'lacks-tar' >&2\n";

#[tokio::test]
async fn what_a_login_shell_prints_is_no_part_of_an_answer() {
    let case = Case::on(greeted(GREETING).await).await;
    case.put("a", "one");
    case.put("d/b", "one");
    assert_eq!(case.sync().await.sent_files, 2);
    case.put("a", "two");
    assert_eq!(case.sync().await.sent_files, 1);
    for index in 0..200 {
        case.put(&format!("many/f{index}"), &"x".repeat(1_000));
    }
    case.remove("d");
    let report = case.sync().await;
    assert_eq!((report.sent_files, report.removed, report.repaired), (200, 1, false));
    // Another client asks for the records, and finds that nothing differs.
    let mut settings = case.it.client.settings().clone();
    fs::create_dir(case.it.at("other")).unwrap();
    settings.keys = case.it.at("other/keys");
    let other = Client::new(settings);
    other.prepare(LEASE).unwrap();
    let (report, _) =
        case.run_from(&other, "r", &crate::fixture::sh("true"), Default::default()).await;
    assert_eq!(report.unwrap().sent_files, 0);
    case.is_there();
    case.it.end().await;
}

#[tokio::test]
async fn what_a_login_shell_shows_of_its_commands_is_no_part_of_an_answer() {
    let case = Case::on(greeted("set -xv\n").await).await;
    case.put("a", "one");
    assert_eq!(case.sync().await.sent_files, 1);
    case.put("a", "two");
    assert_eq!(case.sync().await.sent_files, 1);
    case.is_there();
    case.it.end().await;
}

#[tokio::test]
async fn a_login_shell_that_refuses_is_quoted() {
    for code in [0, 1] {
        let case = Case::on(hooked().await).await;
        case.put("a", "one");
        let refusal = format!("echo 'no logins on Sundays'; exit {code}");
        hook(&case.it, "/bin/sh", &refusal);
        let refused = case.try_sync().await.unwrap_err();
        assert!(matches!(refused, SshError::Box { .. }), "{refused:?}");
        assert!(refused.to_string().contains("no logins on Sundays"), "{code}: {refused}");
        case.it.end().await;
    }
}
