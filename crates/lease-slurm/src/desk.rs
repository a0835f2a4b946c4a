//! Where Slurm's commands run: here, behind a program, or on a login node; always the same script in the same cleaned
//! environment, over standard input.
//!
//! Values reach a script as words of a `set` line in single quotes, which a POSIX shell reads byte for byte. What the
//! caller, a login shell or a profile has in its environment reaches nothing: `SQUEUE_USERS`, `SCANCEL_NAME` and their
//! like change answers without a word.

use std::time::Duration;

use lease_process::{Input, Limits, Program, output};

use crate::config::SlurmConfig;
use crate::error::SlurmError;
use crate::report::{Part, Report};

const PRELUDE: &str = include_str!("scripts/prelude.sh");

/// How long a login may take, on top of what the commands may take.
const LOGIN_TIME_MAX: Duration = Duration::from_secs(25);

/// How long one of Slurm's commands may take beyond its deadline until it is killed.
const KILL_TIME: Duration = Duration::from_secs(6);

/// A script and the most commands that it waits for one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Script {
    text: &'static str,
    commands: u32,
}

macro_rules! scripts {
    ($($name:ident = $file:literal, $commands:literal;)*) => {
        $(pub(crate) const $name: Script =
            Script { text: include_str!(concat!("scripts/", $file)), commands: $commands };)*
    };
}

scripts! {
    LOOK = "look.sh", 2;
    LIST = "list.sh", 2;
    SUBMIT = "submit.sh", 2;
    CANCEL = "cancel.sh", 1;
    PULSE = "pulse.sh", 1;
    REMOVE = "remove.sh", 1;
    RENEW = "renew.sh", 1;
    SCOPE = "scope.sh", 1;
    PARTITIONS = "partitions.sh", 1;
    DOCTOR = "doctor.sh", 4;
}

/// Where Slurm's commands run.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    argv: Vec<String>,
    environment: Vec<(String, String)>,
    name: String,
    shared: String,
    command_deadline: Duration,
}

impl Desk {
    pub(crate) fn new(config: &SlurmConfig) -> Self {
        let mut clean = vec!["/usr/bin/env".to_owned(), "-i".to_owned()];
        for (name, value) in
            [("LC_ALL", "C"), ("TZ", "UTC"), ("SLURM_TIME_FORMAT", "%s"), ("PATH", &config.path)]
        {
            clean.push(format!("{name}={value}"));
        }
        clean.extend(config.slurm_conf.iter().map(|it| format!("SLURM_CONF={it}")));
        let mut argv = config.enter.clone();
        let name = if let Some(host) = &config.login_host {
            argv.extend(ssh(config));
            argv.push(host.clone());
            // The one word that a login shell reads. It holds nothing but checked paths, and works in every shell.
            argv.push(format!("exec {} HOME=\"$HOME\" /bin/sh -s", clean.join(" ")));
            host.clone()
        } else {
            argv.extend(clean);
            argv.extend(["/bin/sh".to_owned(), "-s".to_owned()]);
            "this machine".to_owned()
        };
        Self {
            argv,
            environment: config.environment.clone(),
            name,
            shared: config.shared_dir.trim_end_matches('/').to_owned(),
            command_deadline: config.command_deadline,
        }
    }

    /// Where the commands run, for people.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The same place, where each command may take so long.
    pub(crate) fn within(&self, command_deadline: Duration) -> Self {
        Self { command_deadline, ..self.clone() }
    }

    /// Runs a script to its end. An error says nothing about what it did.
    pub(crate) async fn run(&self, script: Script, words: &[&str]) -> Result<Report, SlurmError> {
        let limit = self.command_deadline.as_secs().max(1).to_string();
        let mut text = String::from("set --");
        for word in [limit.as_str(), &self.shared].iter().chain(words) {
            text.push(' ');
            text.push_str(&quoted(word)?);
        }
        text.push('\n');
        text.push_str(PRELUDE);
        text.push_str(script.text);
        let (program, arguments) =
            self.argv.split_first().ok_or_else(|| self.silent("it has no name"))?;
        let program = Program::new(program)
            .args(arguments)
            .inherit_env(self.environment.iter().cloned())
            .cwd("/")
            .stdin(Input::Bytes(text.into_bytes()));
        let deadline = (self.command_deadline + KILL_TIME) * script.commands + LOGIN_TIME_MAX;
        let answer = output(&program, Limits { deadline, ..Limits::default() }).await?;
        let said = String::from_utf8_lossy(&answer.stdout);
        Report::parse(&said).map_err(|why| {
            let complaint = String::from_utf8_lossy(&answer.stderr);
            let last = complaint.lines().rev().find(|it| !it.trim().is_empty());
            self.silent(last.map_or(why, |it| it.trim().to_owned()))
        })
    }

    fn silent(&self, why: impl Into<String>) -> SlurmError {
        SlurmError::Desk { desk: self.name.clone(), why: why.into() }
    }
}

/// One of the parts that a script must have.
pub(crate) fn part<'r>(
    report: &'r Report,
    name: &str,
    command: &'static str,
) -> Result<&'r Part, SlurmError> {
    report.part(name).map_err(|why| SlurmError::unclear(command, why))
}

/// How ssh is started for the login node: it asks nobody, and forwards nothing.
pub(crate) fn ssh(config: &SlurmConfig) -> Vec<String> {
    let mut argv = vec!["ssh".to_owned()];
    if let Some(file) = &config.login_ssh_config {
        argv.extend(["-F".to_owned(), file.clone()]);
    }
    argv.push("-T".to_owned());
    for option in [
        "BatchMode=yes",
        "ConnectTimeout=15",
        "ServerAliveInterval=10",
        "ServerAliveCountMax=3",
        "ForwardAgent=no",
        "ForwardX11=no",
        "RequestTTY=no",
        "LogLevel=ERROR",
    ] {
        argv.extend(["-o".to_owned(), option.to_owned()]);
    }
    argv
}

/// A word for a POSIX shell.
fn quoted(word: &str) -> Result<String, SlurmError> {
    if word.contains('\0') {
        return Err(SlurmError::Request("a value has a NUL character".to_owned()));
    }
    Ok(format!("'{}'", word.replace('\'', r"'\''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn words_arrive_byte_for_byte() {
        const ECHO: Script =
            Script { text: "part echo printf '%s|' \"$@\"\necho 'lease1 end'\n", commands: 1 };
        let desk = Desk::new(&SlurmConfig::new("/nowhere/lease"));
        let words = ["it's", "$HOME `id` \\ \"x\"", "a\nb", "*", "", "--x", "\t;&|<>()"];
        let report = desk.run(ECHO, &words).await.unwrap();
        let expect = words.map(|it| format!("{it}|")).concat();
        assert_eq!(report.part("echo").unwrap().stdout, expect);
        assert!(matches!(desk.run(ECHO, &["a\0b"]).await, Err(SlurmError::Request(_))));
    }

    #[tokio::test]
    async fn a_command_finds_nothing_but_what_it_is_given() {
        const ENV: Script = Script { text: "part env env\necho 'lease1 end'\n", commands: 1 };
        let mut config = SlurmConfig::new("/nowhere/lease");
        config.slurm_conf = Some("/etc/slurm/x.conf".to_owned());
        config.environment = vec![("SQUEUE_USERS".to_owned(), "root".to_owned())];
        let report = Desk::new(&config).run(ENV, &[]).await.unwrap();
        let mut names: Vec<_> = report
            .part("env")
            .unwrap()
            .stdout
            .lines()
            .filter_map(|it| it.split_once('='))
            .map(|it| it.0.to_owned())
            .collect();
        names.retain(|it| !["PWD", "_", "SHLVL", "OLDPWD"].contains(&it.as_str()));
        names.sort();
        assert_eq!(names, ["LC_ALL", "PATH", "SLURM_CONF", "SLURM_TIME_FORMAT", "TZ"]);
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_ended_and_said_so() {
        const HANG: Script =
            Script { text: "part hang sleep 600\necho 'lease1 end'\n", commands: 1 };
        let mut config = SlurmConfig::new("/nowhere/lease");
        config.command_deadline = Duration::from_secs(1);
        let report = Desk::new(&config).run(HANG, &[]).await.unwrap();
        assert_eq!(report.part("hang").unwrap().said(), "it did not answer in time");
    }

    #[tokio::test]
    async fn both_streams_and_the_code_are_told_apart() {
        const BOTH: Script = Script {
            text: "part both sh -c 'echo out; echo err >&2; exit 3'\necho 'lease1 end'\n",
            commands: 1,
        };
        let report = Desk::new(&SlurmConfig::new("/nowhere/lease")).run(BOTH, &[]).await.unwrap();
        let expect = Part { code: 3, stdout: "out".to_owned(), stderr: "err".to_owned() };
        assert_eq!(report.part("both").unwrap(), &expect);
    }

    #[test]
    fn the_login_node_is_asked_in_one_word_that_every_shell_reads_alike() {
        let mut config = SlurmConfig::new("/s");
        config.login_host = Some("ann@login".to_owned());
        let argv = Desk::new(&config).argv;
        assert_eq!(argv.first().map(String::as_str), Some("ssh"));
        let word = argv.last().unwrap();
        assert!(word.starts_with("exec /usr/bin/env -i LC_ALL=C "), "{word}");
        assert!(word.ends_with(" HOME=\"$HOME\" /bin/sh -s"), "{word}");
    }
}
