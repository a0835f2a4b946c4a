//! The only file that reads the environment, the working directory, the terminal and the clock.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use lease_core::{Clock, Secret, Steady, Timestamp};

use crate::failure::Failure;

/// A variable that `lease` reads.
#[derive(Debug)]
pub(crate) struct Variable {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it does.
    pub(crate) about: &'static str,
}

/// Every variable that `lease` reads. What is not in this table has no effect.
pub(crate) const VARIABLES: &[Variable] = &[
    Variable { name: "LEASE_STATE_DIR", about: "where leases, keys, runs and trust are recorded" },
    Variable { name: "LEASE_CONFIG_DIR", about: "where the user's config.yaml is" },
    Variable { name: "LEASE_PROVIDER", about: "setting `provider`" },
    Variable { name: "LEASE_CLASS", about: "setting `class`" },
    Variable { name: "LEASE_TYPE", about: "setting `type`" },
    Variable { name: "LEASE_IDLE_TIMEOUT", about: "setting `idle_timeout`" },
    Variable { name: "LEASE_MAX_AGE", about: "setting `max_age`" },
    Variable { name: "LEASE_READY_TIMEOUT", about: "setting `ready_timeout`" },
    Variable { name: "LEASE_READ_PATIENCE", about: "setting `read_patience`" },
    Variable { name: "LEASE_RUN_RECONNECT", about: "setting `run.reconnect`" },
    Variable { name: "LEASE_RUN_SPARE", about: "setting `run.spare`" },
    Variable { name: "LEASE_KEEP", about: "setting `keep`" },
    Variable { name: "HCLOUD_TOKEN", about: "the credential for hetzner: a token that may write" },
    Variable { name: "LEASE_FAL_KEY", about: "the credential for fal: an API key of admin scope" },
    Variable { name: "FAL_KEY", about: "the same, where LEASE_FAL_KEY is not set" },
    Variable {
        name: "LEASE_LOG",
        about: "what is logged on standard error, such as `debug` or `lease_core=trace`",
    },
    Variable { name: "NO_COLOR", about: "no colours and no moving progress, whatever its value" },
    Variable { name: "XDG_STATE_HOME", about: "parent of the state directory" },
    Variable { name: "XDG_CONFIG_HOME", about: "parent of the configuration directory" },
    Variable {
        name: "XDG_RUNTIME_DIR",
        about: "parent of the directory for sockets; /tmp/lease-UID without it",
    },
    Variable { name: "HOME", about: "where the directories above are when they are not given" },
    Variable { name: "PATH", about: "where ssh and git are looked up" },
    Variable {
        name: "SSH_AUTH_SOCK",
        about: "passed on to ssh to a login node, and to adapters, like everything",
    },
    Variable { name: "TERM", about: "`dumb` means no moving progress; passed on by `lease ssh`" },
    Variable { name: "USER", about: "the login name, where /etc/passwd does not know it" },
    Variable { name: "LOGNAME", about: "the same, without USER" },
    Variable { name: "SHELL", about: "passed on to a box on this machine, like the following" },
    Variable { name: "LANG", about: "passed on" },
    Variable { name: "LC_ALL", about: "passed on" },
    Variable { name: "CARGO_HOME", about: "passed on" },
    Variable { name: "RUSTUP_HOME", about: "passed on" },
    Variable { name: "GOPATH", about: "passed on" },
    Variable { name: "JAVA_HOME", about: "passed on" },
];

/// The variables as a section of the help text.
pub(crate) fn help() -> String {
    let line = |it: &Variable| format!("  {:<19} {}", it.name, it.about);
    let lines: Vec<_> =
        std::iter::once("Environment:".to_owned()).chain(VARIABLES.iter().map(line)).collect();
    lines.join("\n") + "\n"
}

/// What the process was started with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    arguments: Vec<OsString>,
    variables: BTreeMap<OsString, OsString>,
    directory: Option<PathBuf>,
    executable: Option<PathBuf>,
    stderr_is_terminal: bool,
    stdin_is_terminal: bool,
}

impl Environment {
    /// Reads everything once.
    #[expect(clippy::disallowed_methods, reason = "this is the file that reads the environment")]
    pub(crate) fn read() -> Self {
        Self {
            arguments: std::env::args_os().collect(),
            variables: std::env::vars_os().collect(),
            directory: std::env::current_dir().ok(),
            executable: std::env::current_exe().ok(),
            stderr_is_terminal: std::io::stderr().is_terminal(),
            stdin_is_terminal: std::io::stdin().is_terminal(),
        }
    }

    /// The command line, program name first.
    pub(crate) fn arguments(&self) -> &[OsString] {
        &self.arguments
    }

    /// The value of a variable of the table; an empty one counts as not set.
    pub(crate) fn variable(&self, name: &str) -> Option<&OsStr> {
        debug_assert!(VARIABLES.iter().any(|it| it.name == name), "{name} is not in the table");
        self.variables.get(OsStr::new(name)).filter(|it| !it.is_empty()).map(OsString::as_os_str)
    }

    /// The value of a variable that must be text.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, Failure> {
        let Some(value) = self.variable(name) else { return Ok(None) };
        let text = value.to_str().ok_or_else(|| {
            Failure::invalid(format!("{name} is not valid UTF-8"), format!("unset {name}"))
                .kind("config")
        })?;
        Ok(Some(text))
    }

    /// The credential in the first of these variables that is set. It is never shown, also not when it is wrong.
    pub(crate) fn credential(&self, names: &[&str]) -> Result<Option<Secret>, Failure> {
        for name in names {
            if let Some(text) = self.text(name)? {
                return Ok(Some(Secret::new(text.trim())));
            }
        }
        Ok(None)
    }

    /// Variables that look like ours and are not, which are typing errors.
    pub(crate) fn strangers(&self) -> Vec<String> {
        let ours = |name: &str| VARIABLES.iter().any(|it| it.name == name);
        let names = self.variables.keys().filter_map(|it| it.to_str());
        // `lease forward` gives these to its command, which may be this program.
        let given = |name: &str| name.starts_with("LEASE_PORT_");
        let looks = |name: &&str| name.starts_with("LEASE_") && !given(name) && !ours(name);
        names.filter(looks).map(str::to_owned).collect()
    }

    /// What is set and has no effect, with the variable that was meant.
    pub(crate) fn misspelt(&self) -> Vec<(String, &'static str)> {
        let meant = |name: String| {
            let ours = VARIABLES.iter().filter_map(|it| it.name.strip_prefix("LEASE_"));
            let near = crate::config::nearest(name.strip_prefix("LEASE_")?, ours)?;
            let meant = VARIABLES.iter().find(|it| it.name.strip_prefix("LEASE_") == Some(near))?;
            Some((name, meant.name))
        };
        self.strangers().into_iter().filter_map(meant).collect()
    }

    /// Every variable, for a program that must see what we see.
    pub(crate) fn all_variables(&self) -> &BTreeMap<OsString, OsString> {
        &self.variables
    }

    /// The directory that `lease` was started in.
    pub(crate) fn directory(&self) -> Result<&Path, Failure> {
        self.directory.as_deref().ok_or_else(|| {
            Failure::invalid(
                "the current directory does not exist any more",
                "cd to a directory that exists",
            )
        })
    }

    /// This program, to be started again as the reaper.
    pub(crate) fn executable(&self) -> Result<&Path, Failure> {
        self.executable
            .as_deref()
            .ok_or_else(|| Failure::tool("the path of this program cannot be read"))
    }

    /// Whether standard input is a terminal.
    pub(crate) fn reads_terminal(&self) -> bool {
        self.stdin_is_terminal
    }

    /// Whether moving progress may be drawn.
    pub(crate) fn may_animate(&self) -> bool {
        let dumb = self.variable("TERM").is_some_and(|it| it == "dumb");
        self.stderr_is_terminal && !dumb && self.variable("NO_COLOR").is_none()
    }

    /// The directory of the records.
    pub(crate) fn state_dir(&self) -> Result<PathBuf, Failure> {
        if let Some(given) = self.named_directory("LEASE_STATE_DIR")? {
            return Ok(given);
        }
        let below_home =
            if cfg!(target_os = "macos") { "Library/Application Support" } else { ".local/state" };
        Ok(self.base("XDG_STATE_HOME", below_home, "LEASE_STATE_DIR")?.join("lease"))
    }

    /// The directory of the user's configuration.
    pub(crate) fn config_dir(&self) -> Result<PathBuf, Failure> {
        if let Some(given) = self.named_directory("LEASE_CONFIG_DIR")? {
            return Ok(given);
        }
        Ok(self.base("XDG_CONFIG_HOME", ".config", "LEASE_CONFIG_DIR")?.join("lease"))
    }

    /// Where programs of the user keep their configuration; systemd looks for the user's units there.
    pub(crate) fn user_config_home(&self) -> Result<PathBuf, Failure> {
        self.base("XDG_CONFIG_HOME", ".config", "XDG_CONFIG_HOME")
    }

    /// The directory for sockets. The path of a socket has room for about a hundred bytes, and `TMPDIR` is long where
    /// each user has one, so without `XDG_RUNTIME_DIR` it is a private directory below /tmp; whoever uses it verifies
    /// that it is ours.
    pub(crate) fn runtime_dir(&self) -> PathBuf {
        match self.absolute_variable("XDG_RUNTIME_DIR") {
            Some(base) => base.join("lease"),
            None => PathBuf::from(format!("/tmp/lease-{}", rustix::process::getuid().as_raw())),
        }
    }

    /// `path`, made absolute from the current directory.
    pub(crate) fn absolute(&self, path: &Path) -> Result<PathBuf, Failure> {
        if path.is_absolute() { Ok(path.to_owned()) } else { Ok(self.directory()?.join(path)) }
    }

    fn base(&self, xdg: &str, below_home: &str, remedy: &str) -> Result<PathBuf, Failure> {
        if let Some(base) = self.absolute_variable(xdg) {
            return Ok(base);
        }
        let home = self.absolute_variable("HOME").ok_or_else(|| {
            let what = format!("neither HOME nor {remedy} says where lease may keep its files");
            Failure::invalid(what, format!("export {remedy}=DIR")).kind("config")
        })?;
        Ok(home.join(below_home))
    }

    /// A directory variable of ours. A relative one would mean another place from each directory: leases would be lost from
    /// sight, and keys would lie in a tree that is synced.
    fn named_directory(&self, name: &str) -> Result<Option<PathBuf>, Failure> {
        match self.variable(name).map(PathBuf::from) {
            Some(given) if !given.is_absolute() => {
                let given = given.display();
                let what = format!("{name}={given} is not an absolute path");
                Err(Failure::invalid(what, format!("export {name}=\"$PWD/{given}\""))
                    .kind("config"))
            }
            given => Ok(given),
        }
    }

    /// A directory variable; the base directory specification says that a relative one is ignored.
    fn absolute_variable(&self, name: &str) -> Option<PathBuf> {
        self.variable(name).map(PathBuf::from).filter(|it| it.is_absolute())
    }

    /// An environment for tests.
    #[cfg(test)]
    pub(crate) fn of(variables: &[(&str, &str)], directory: &Path) -> Self {
        Self {
            variables: variables.iter().map(|(name, value)| (name.into(), value.into())).collect(),
            directory: Some(directory.to_owned()),
            ..Self::default()
        }
    }
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the file that reads the clock")]
    fn now(&self) -> Timestamp {
        let since =
            std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Timestamp::from_millis(lease_core::time::millis(since))
    }

    fn steady(&self) -> Option<Steady> {
        lease_process::since_boot()
            .map(|(boot, since)| Steady { boot, ms: lease_core::time::millis(since) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(variables: &[(&str, &str)], state: &str) {
        let environment = Environment::of(variables, Path::new("/tree"));
        assert_eq!(environment.state_dir().unwrap(), Path::new(state));
    }

    #[cfg(not(target_os = "macos"))]
    #[test]
    fn the_state_directory_follows_the_variables_in_order() {
        check(&[("HOME", "/h")], "/h/.local/state/lease");
        check(&[("HOME", "/h"), ("XDG_STATE_HOME", "/x")], "/x/lease");
        check(&[("HOME", "/h"), ("XDG_STATE_HOME", "relative")], "/h/.local/state/lease");
        check(&[("HOME", "/h"), ("XDG_STATE_HOME", "/x"), ("LEASE_STATE_DIR", "/s")], "/s");
        check(&[("HOME", "/h"), ("LEASE_STATE_DIR", "")], "/h/.local/state/lease");
    }

    #[test]
    fn a_directory_of_ours_that_depends_on_the_current_one_is_refused() {
        let variables = [("HOME", "/h"), ("LEASE_STATE_DIR", "s"), ("LEASE_CONFIG_DIR", "c")];
        let environment = Environment::of(&variables, Path::new("/tree"));
        assert_eq!(
            environment.state_dir().unwrap_err().to_string(),
            "lease: LEASE_STATE_DIR=s is not an absolute path; nothing was changed; run: export LEASE_STATE_DIR=\"$PWD/s\""
        );
        assert!(environment.config_dir().unwrap_err().to_string().contains("LEASE_CONFIG_DIR=c"));
    }

    #[test]
    fn without_a_home_the_remedy_is_named() {
        let failure = Environment::of(&[], Path::new("/")).state_dir().unwrap_err();
        assert!(failure.to_string().contains("export LEASE_STATE_DIR=DIR"), "{failure}");
    }

    #[test]
    fn a_misspelt_variable_is_a_stranger() {
        let environment = Environment::of(
            &[("LEASE_PROVDER", "x"), ("LEASE_LOG", "x"), ("LEASE_PORT_80", "1"), ("HOME", "/")],
            Path::new("/"),
        );
        assert_eq!(environment.strangers(), ["LEASE_PROVDER"]);
        assert_eq!(environment.misspelt(), [("LEASE_PROVDER".to_owned(), "LEASE_PROVIDER")]);
        let others = [("LEASE_BOX", "1"), ("LEASE_SLURM_FIGURES", "1")];
        assert_eq!(Environment::of(&others, Path::new("/")).misspelt(), []);
    }

    #[test]
    fn sockets_live_in_a_short_directory() {
        let with = Environment::of(&[("XDG_RUNTIME_DIR", "/run/user/7")], Path::new("/"));
        assert_eq!(with.runtime_dir(), Path::new("/run/user/7/lease"));
        let without = Environment::of(&[], Path::new("/"));
        assert!(without.runtime_dir().starts_with("/tmp"));
    }
}
