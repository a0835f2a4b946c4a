//! The caller's account as sshd will see it: whether it exists, may log in, and which shell runs its commands.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lease_process::{Limits, Program, output};

/// How long a directory service may take to answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(20);

/// Shells that read command lines as `sh` does.
const PLAIN_SHELLS: [&str; 8] = ["sh", "bash", "dash", "zsh", "ksh", "mksh", "ash", "busybox"];

/// An entry of the user database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) home: PathBuf,
    pub(crate) shell: PathBuf,
}

impl Account {
    /// Looks the user up in the file first, then wherever the system looks.
    pub(crate) async fn find(user: &str) -> Option<Self> {
        let file = fs::read("/etc/passwd").unwrap_or_default();
        if let Some(account) = String::from_utf8_lossy(&file).lines().find_map(|it| parse(it, user))
        {
            return Some(account);
        }
        let program = if cfg!(target_os = "macos") {
            Program::new("/usr/bin/id").arg("-P").arg(user)
        } else {
            Program::new("getent").arg("passwd").arg(user)
        };
        let limits = Limits { deadline: ANSWER_TIME_MAX, ..Limits::default() };
        let answer = output(&program, limits).await.ok()?;
        String::from_utf8_lossy(&answer.stdout).lines().find_map(|it| parse(it, user))
    }

    /// Why the shell runs no commands, if so.
    pub(crate) fn shell_problem(&self) -> Option<String> {
        let shell = self.shell.display();
        if matches!(self.shell_name(), "nologin" | "false" | "true" | "sync") {
            return Some(format!(
                "the login shell {shell} runs no commands; `chsh -s /bin/sh` changes it"
            ));
        }
        rustix::fs::access(&self.shell, rustix::fs::Access::EXEC_OK).err().map(|errno| {
            format!("the login shell {shell} cannot be run ({errno}); `chsh -s /bin/sh` changes it")
        })
    }

    /// Whether the shell reads command lines as `sh` does.
    pub(crate) fn has_plain_shell(&self) -> bool {
        PLAIN_SHELLS.contains(&self.shell_name())
    }

    fn shell_name(&self) -> &str {
        self.shell.file_name().and_then(|it| it.to_str()).unwrap_or_default()
    }
}

/// Whether sshd would take the account for locked. Only the superuser can see that, and only his sshd looks.
pub(crate) fn is_locked(user: &str) -> bool {
    let table = fs::read("/etc/shadow").unwrap_or_default();
    String::from_utf8_lossy(&table).lines().any(|line| {
        let mut fields = line.split(':');
        fields.next() == Some(user)
            && fields.next().is_some_and(|password| password.starts_with('!'))
    })
}

/// Whether the system lets nobody but the superuser in at the moment.
pub(crate) fn are_logins_stopped() -> bool {
    Path::new("/etc/nologin").exists()
}

/// Reads a line of seven fields, or of ten as on macOS; home and shell are the last.
fn parse(line: &str, user: &str) -> Option<Account> {
    let fields: Vec<&str> = line.split(':').collect();
    if fields.first() != Some(&user) || !matches!(fields.len(), 7 | 10) {
        return None;
    }
    let [.., home, shell] = fields[..] else { return None };
    let shell = if shell.is_empty() { "/bin/sh" } else { shell };
    Some(Account { uid: fields.get(2)?.parse().ok()?, home: home.into(), shell: shell.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expect: Option<(u32, &str, &str)>) {
        let expect = expect.map(|(uid, home, shell)| Account {
            uid,
            home: home.into(),
            shell: shell.into(),
        });
        assert_eq!(parse(line, "ann"), expect, "{line:?}");
    }

    #[test]
    fn reads_both_kinds_of_line() {
        check("ann:x:1000:1000:Ann,,,:/home/ann:/bin/zsh", Some((1000, "/home/ann", "/bin/zsh")));
        check("ann:x:1000:1000::/home/ann:", Some((1000, "/home/ann", "/bin/sh")));
        check(
            "ann:********:501:20::0:0:Ann:/Users/ann:/bin/zsh",
            Some((501, "/Users/ann", "/bin/zsh")),
        );
        check("anna:x:1001:1001::/:/bin/sh", None);
        check("ann:x:one:1000::/:/bin/sh", None);
        check("ann", None);
    }

    #[test]
    fn a_shell_that_runs_nothing_is_a_problem() {
        let with = |shell: &str| Account { uid: 1, home: "/".into(), shell: shell.into() };
        assert!(with("/usr/sbin/nologin").shell_problem().is_some());
        assert!(with("/nowhere/bash").shell_problem().is_some());
        assert!(with("/bin/sh").shell_problem().is_none());
        assert!(with("/bin/sh").has_plain_shell() && !with("/usr/bin/fish").has_plain_shell());
    }
}
