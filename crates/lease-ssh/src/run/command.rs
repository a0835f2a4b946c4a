//! A command as data, and how it travels.

use std::fmt;
use std::os::fd::OwnedFd;

use crate::box_root::BoxRoot;
use crate::error::{Result, SshError};
use crate::quote::{quote_all, quoted_bytes};
use crate::session::REQUEST_BYTES_MAX;

/// What a shell refuses to be set; assigning to one of them would end it before the command.
const READ_ONLY: [&str; 7] =
    ["UID", "EUID", "PPID", "GROUPS", "BASHOPTS", "SHELLOPTS", "BASH_VERSINFO"];
/// The wrapper and its own arguments beside the command's.
pub(super) const WRAPPER_ROOM_BYTES: usize = 12 * 1024;

/// A command for the box. No shell reads it.
#[derive(Clone, Default)]
pub struct Command {
    /// The program and its arguments, byte for byte.
    pub argv: Vec<Vec<u8>>,
    /// Where it starts, relative to the tree; the tree itself if `None`.
    pub directory: Option<String>,
    /// Variables that are set for it, beside those that the box's login gives. Their values may be secrets.
    pub environment: Vec<(String, Vec<u8>)>,
}

impl Command {
    /// A command from its words.
    pub fn new<W: Into<Vec<u8>>>(argv: impl IntoIterator<Item = W>) -> Self {
        Self { argv: argv.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// How much of a request its words need.
    pub(crate) fn request_bytes(&self) -> usize {
        self.argv.iter().map(|word| quoted_bytes(word) + 1).sum()
    }

    /// The absolute directory it starts in.
    pub(crate) fn directory(&self, root: &BoxRoot) -> Result<String> {
        let Some(directory) = &self.directory else { return Ok(root.work()) };
        let wrong = |why| Err(SshError::invalid("the working directory", why));
        if directory.starts_with('/') || directory.split('/').any(|part| part == "..") {
            return wrong("it must be inside the tree");
        }
        if directory.contains('\0') {
            return wrong("it has a NUL byte");
        }
        Ok(format!("{}/{directory}", root.work()))
    }

    fn check(&self) -> Result<()> {
        if self.argv.first().is_none_or(Vec::is_empty) {
            return Err(SshError::invalid("the command", "it is empty"));
        }
        if self.argv.iter().any(|word| word.contains(&0)) {
            return Err(SshError::invalid("the command", "it has a NUL byte"));
        }
        for (name, value) in &self.environment {
            check_variable(name, value)?;
        }
        Ok(())
    }
}

/// Shows the words; the environment may hold secrets.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let argv: Vec<_> = self.argv.iter().map(|word| String::from_utf8_lossy(word)).collect();
        f.debug_struct("Command").field("argv", &argv).finish_non_exhaustive()
    }
}

/// How a command's words and environment reach the wrapper.
pub(crate) enum Setup {
    /// The words are in the request; there is no environment.
    Inline,
    /// This script was sent before; the wrapper reads it.
    Sent(Vec<u8>),
}

impl Setup {
    pub(crate) fn of(command: &Command) -> Result<Self> {
        command.check()?;
        if command.environment.is_empty()
            && command.request_bytes() + WRAPPER_ROOM_BYTES < REQUEST_BYTES_MAX
        {
            return Ok(Self::Inline);
        }
        let mut script = b"set -- ".to_vec();
        script.extend(quote_all(command.argv.iter().map(Vec::as_slice)));
        // The file goes before the command starts, so that the command cannot read it.
        script.extend_from_slice(b"\nrm -f -- \"$lease_setup\"\n");
        for (name, value) in &command.environment {
            script.extend_from_slice(format!("export {name}=").as_bytes());
            script.extend(quote_all([value.as_slice()]));
            script.push(b'\n');
        }
        Ok(Self::Sent(script))
    }
}

impl Setup {
    /// What the wrapper reads, if that is not in the request.
    pub(super) fn sent(&self) -> Option<&[u8]> {
        match self {
            Self::Inline => None,
            Self::Sent(script) => Some(script),
        }
    }
}

/// Where a command's standard input comes from.
#[derive(Debug, Default)]
pub enum Input {
    /// Nowhere: it is at its end.
    #[default]
    Null,
    /// A pipe that [`Running::take_stdin`](super::Running::take_stdin) hands over.
    Pipe,
    /// An open descriptor, which is handed to the connection's process: what the command does not read is not taken
    /// from it, apart from what is on its way.
    Open(OwnedFd),
}

/// Where a command's standard output or standard error goes.
#[derive(Debug, Default)]
pub enum Sink {
    /// A pipe that the running command hands over.
    #[default]
    Pipe,
    /// Nowhere.
    Null,
    /// An open descriptor. [`Running::wait`](super::Running::wait) copies to it.
    Open(OwnedFd),
}

impl Streams {
    /// Whether all three are pipes of ours.
    pub(super) fn are_pipes(&self) -> bool {
        matches!(self, Self { stdin: Input::Pipe, stdout: Sink::Pipe, stderr: Sink::Pipe })
    }
}

/// The three streams of a command.
#[derive(Debug, Default)]
pub struct Streams {
    /// Standard input; at its end unless said otherwise.
    pub stdin: Input,
    /// Standard output; a pipe unless said otherwise.
    pub stdout: Sink,
    /// Standard error; a pipe unless said otherwise.
    pub stderr: Sink,
}

fn check_variable(name: &str, value: &[u8]) -> Result<()> {
    let wrong =
        |why: &str| Err(SshError::invalid("an environment variable", format!("{name:?}: {why}")));
    let first_is_plain =
        name.bytes().next().is_some_and(|it| it.is_ascii_alphabetic() || it == b'_');
    if !first_is_plain || !name.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_') {
        return wrong("a name has letters, digits and `_`");
    }
    if READ_ONLY.contains(&name) || name.starts_with("lease_") {
        return wrong("the shell on the box keeps that name for itself");
    }
    if value.contains(&0) {
        return wrong("its value has a NUL byte");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_commands_are_refused() {
        let root = BoxRoot::new("/srv/x").unwrap();
        assert!(Setup::of(&Command::default()).is_err());
        assert!(Setup::of(&Command::new([""])).is_err());
        assert!(Setup::of(&Command::new(["a\0b"])).is_err());
        for name in ["", "1A", "A-B", "A B", "UID", "A\n", "lease_job", "A;rm"] {
            let environment = vec![(name.to_owned(), Vec::new())];
            assert!(Setup::of(&Command { environment, ..Command::new(["a"]) }).is_err(), "{name}");
        }
        for directory in ["/etc", "..", "a/../..", "a\0"] {
            let command = Command { directory: Some(directory.to_owned()), ..Command::new(["a"]) };
            assert!(command.directory(&root).is_err(), "{directory}");
        }
    }

    #[test]
    fn debug_shows_no_environment() {
        let environment = vec![("TOKEN".to_owned(), b"planted-9f".to_vec())];
        let shown = format!("{:?}", Command { environment, ..Command::new(["tool"]) });
        assert!(shown.contains("tool") && !shown.contains("planted"), "{shown}");
    }
}
