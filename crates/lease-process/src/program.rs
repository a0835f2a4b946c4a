//! What to run, as data: an argument vector, an environment, a directory and three streams.
//!
//! There is no way to pass a command line to a shell by accident, and nothing is inherited that was not named.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

/// Where a child's standard input comes from.
#[derive(Clone, Default)]
pub enum Input {
    /// `/dev/null`.
    #[default]
    Null,
    /// Our own standard input.
    Inherit,
    /// These bytes, then end of file. Only for [`output`](crate::output). A child that stops reading early is fine.
    Bytes(Vec<u8>),
    /// A pipe that [`Child::take_stdin`](crate::Child::take_stdin) hands over. Only for [`spawn`](crate::spawn).
    Pipe,
    /// An open file.
    File(Arc<File>),
}

/// Shows the kind only: the bytes may be a secret.
impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "Null",
            Self::Inherit => "Inherit",
            Self::Bytes(_) => "Bytes",
            Self::Pipe => "Pipe",
            Self::File(_) => "File",
        })
    }
}

/// Where a child's standard output or standard error goes.
#[derive(Debug, Clone, Default)]
pub enum Stream {
    /// A pipe to us: [`output`](crate::output) collects it, [`spawn`](crate::spawn) hands it over.
    #[default]
    Pipe,
    /// Our own stream of the same number.
    Inherit,
    /// `/dev/null`.
    Null,
    /// An open file.
    File(Arc<File>),
}

/// A program to run.
///
/// The environment starts **empty** and the working directory is ours. `Debug` shows the argument vector and
/// nothing else, so secrets belong into the environment or the standard input, never into an argument: every user
/// of the machine can read the arguments of every process.
#[derive(Clone)]
#[must_use = "a program does nothing until it is run"]
pub struct Program {
    pub(crate) argv: Vec<OsString>,
    pub(crate) env: BTreeMap<OsString, OsString>,
    pub(crate) cwd: Option<PathBuf>,
    pub(crate) stdin: Input,
    pub(crate) stdout: Stream,
    pub(crate) stderr: Stream,
    pub(crate) own_group: bool,
}

impl Program {
    /// A program by name or path, with no arguments yet.
    ///
    /// A name without a slash is looked for in the absolute entries of the `PATH` that the *child* is given, and
    /// when it is given none, in `/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin`.
    pub fn new(name: impl Into<OsString>) -> Self {
        Self {
            argv: vec![name.into()],
            env: BTreeMap::new(),
            cwd: None,
            stdin: Input::default(),
            stdout: Stream::default(),
            stderr: Stream::default(),
            own_group: true,
        }
    }

    /// Adds one argument, which reaches the program byte for byte.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.argv.push(arg.into());
        self
    }

    /// Adds arguments, each of which reaches the program byte for byte.
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.argv.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets one variable of the child's environment.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Sets many variables, usually those of the caller's own environment that the child is meant to see.
    ///
    /// Later settings win over earlier ones.
    pub fn inherit_env<K: Into<OsString>, V: Into<OsString>>(
        mut self,
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        self.env.extend(variables.into_iter().map(|(k, v)| (k.into(), v.into())));
        self
    }

    /// The directory the child starts in. A relative program path is looked up from there.
    pub fn cwd(mut self, path: impl Into<PathBuf>) -> Self {
        self.cwd = Some(path.into());
        self
    }

    /// Where the standard input comes from; `/dev/null` unless said otherwise.
    pub fn stdin(mut self, input: Input) -> Self {
        self.stdin = input;
        self
    }

    /// Where the standard output goes; to us unless said otherwise.
    pub fn stdout(mut self, stream: Stream) -> Self {
        self.stdout = stream;
        self
    }

    /// Where the standard error goes; to us unless said otherwise.
    pub fn stderr(mut self, stream: Stream) -> Self {
        self.stderr = stream;
        self
    }

    /// Leaves the child in our own process group instead of giving it one.
    ///
    /// An interactive program needs that: a terminal stops background groups that read from it. The price is that
    /// only the child itself is signalled and killed, not what it started.
    pub fn in_our_group(mut self) -> Self {
        self.own_group = false;
        self
    }

    /// The argument vector, the program's name first.
    #[must_use]
    pub fn argv(&self) -> &[OsString] {
        &self.argv
    }

    /// The program's name as it was asked for, for messages.
    pub(crate) fn name(&self) -> String {
        self.argv.first().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").field("argv", &self.argv).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_neither_environment_nor_input() {
        let program = Program::new("tool")
            .arg("visible")
            .env("TOKEN", "planted-4c1d")
            .stdin(Input::Bytes(b"planted-4c1d".to_vec()));
        let shown = format!("{program:?} {program:#?} {:?}", program.stdin);
        assert!(shown.contains("visible"));
        assert!(!shown.contains("planted") && !shown.contains("TOKEN"), "{shown}");
    }
}
