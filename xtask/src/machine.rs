//! The one door between xtask and the machine it runs on: processes, environment, clock and terminal.
//!
//! xtask must build before any crate of the workspace does, so it cannot use `lease-process`; it keeps to the same idea.
#![expect(
    clippy::disallowed_methods,
    reason = "this module is the door that the list of disallowed methods asks for"
)]
#![expect(clippy::print_stdout, reason = "a chore reports to the person who started it")]

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Prints one line, at once, also when the output is a pipe.
pub(crate) fn say(line: impl Display) {
    println!("{line}");
    // A closed pipe is no reason to stop a chore half-way.
    std::io::stdout().flush().unwrap_or_default();
}

/// The words after the program name.
pub(crate) fn arguments() -> Vec<String> {
    std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect()
}

/// The value of an environment variable, if it is set and is text.
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The root of the tree that this command was started in.
pub(crate) fn repository_root() -> Result<PathBuf> {
    // Read at run time: several clones may share one target directory, and with it one xtask binary.
    let xtask = environment("CARGO_MANIFEST_DIR")
        .context("start this through cargo: cargo xtask COMMAND")?;
    let root = Path::new(&xtask).parent().context("xtask has no parent directory")?;
    Ok(root.to_path_buf())
}

/// The cargo that runs us, so that a chosen toolchain stays chosen.
pub(crate) fn cargo() -> Call {
    Call::new(environment("CARGO").unwrap_or_else(|| "cargo".to_owned()))
}

/// Whether somebody could answer a question.
pub(crate) fn can_ask() -> bool {
    std::io::stdin().is_terminal()
}

/// Waits; for polling loops that have a deadline of their own.
pub(crate) fn pause(span: Duration) {
    std::thread::sleep(span);
}

/// A clock that only counts forward.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// One program to run: words, never a shell line. It reads nothing from the terminal unless told otherwise.
#[derive(Debug)]
pub(crate) struct Call {
    words: Vec<String>,
    environment: Vec<(String, String)>,
    directory: Option<PathBuf>,
    interactive: bool,
    quiet: bool,
}

/// What a program left behind.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) success: bool,
    pub(crate) status: String,
    pub(crate) stdout: String,
}

impl Call {
    pub(crate) fn new(program: impl Into<String>) -> Self {
        Self {
            words: vec![program.into()],
            environment: Vec::new(),
            directory: None,
            interactive: false,
            quiet: false,
        }
    }

    pub(crate) fn args<W: AsRef<str>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.words.extend(words.into_iter().map(|word| word.as_ref().to_owned()));
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn within(mut self, directory: &Path) -> Self {
        self.directory = Some(directory.to_path_buf());
        self
    }

    /// Lets the program ask the person at the terminal, for instance for a password.
    pub(crate) fn interactive(mut self) -> Self {
        self.interactive = true;
        self
    }

    /// Drops what the program prints.
    pub(crate) fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// Shows the command, runs it with our output as its own, and fails when it fails.
    pub(crate) fn run(&self) -> Result<()> {
        say(format_args!("$ {self}"));
        let status =
            self.command().status().with_context(|| format!("cannot start {}", self.words[0]))?;
        if !status.success() {
            bail!("`{self}` ended with {status}");
        }
        Ok(())
    }

    /// Runs it with our output as its own, and returns its exit code; none when a signal ended it.
    pub(crate) fn shown(&self) -> Result<Option<i32>> {
        let status = self.command().status();
        Ok(status.with_context(|| format!("cannot start {}", self.words[0]))?.code())
    }

    /// Starts it with pipes for its standard input and output; the caller ends it.
    pub(crate) fn piped(&self) -> Result<Child> {
        let mut command = self.command();
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.spawn().with_context(|| format!("cannot start {}", self.words[0]))
    }

    /// Runs it and keeps its standard output; how it ended is for the caller to judge.
    pub(crate) fn outcome(&self) -> Result<Outcome> {
        let mut command = self.command();
        command.stdout(Stdio::piped());
        let child = command.spawn().with_context(|| format!("cannot start {}", self.words[0]))?;
        let output = child.wait_with_output()?;
        Ok(Outcome {
            success: output.status.success(),
            status: output.status.to_string(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        })
    }

    /// Runs it and returns its standard output; fails when it fails.
    pub(crate) fn output(&self) -> Result<String> {
        let outcome = self.outcome()?;
        if !outcome.success {
            bail!("`{self}` ended with {}\n{}", outcome.status, outcome.stdout);
        }
        Ok(outcome.stdout)
    }

    /// Runs it unseen and returns how long it took, from before it was started until it was gone; fails when it fails.
    pub(crate) fn duration(&self) -> Result<Duration> {
        let mut command = self.command();
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let started = Stopwatch::start();
        let status = command.status().with_context(|| format!("cannot start {}", self.words[0]))?;
        let span = started.elapsed();
        if !status.success() {
            bail!("`{self}` ended with {status}");
        }
        Ok(span)
    }

    /// The same call, started by the program `wrapper`.
    pub(crate) fn wrapped(mut self, wrapper: &[&str]) -> Self {
        self.words.splice(0..0, wrapper.iter().map(|word| (*word).to_owned()));
        self
    }

    /// Whether it can be started and succeeds; nothing that it prints is shown.
    pub(crate) fn succeeds(self) -> bool {
        self.quiet().command().status().is_ok_and(|status| status.success())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]);
        for (name, value) in &self.environment {
            command.env(name, value);
        }
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        if !self.interactive {
            command.stdin(Stdio::null());
        }
        if self.quiet {
            command.stdout(Stdio::null()).stderr(Stdio::null());
        }
        command
    }
}

impl Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (name, value) in &self.environment {
            write!(f, "{name}={} ", quoted(value))?;
        }
        let words: Vec<String> = self.words.iter().map(|word| quoted(word)).collect();
        f.write_str(&words.join(" "))
    }
}

/// `word` as a person would type it in a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_shown_as_one_would_type_it() {
        let call = Call::new("sh").args(["-c", "echo 'a b'"]).env("X", "1 2");
        assert_eq!(call.to_string(), r"X='1 2' sh -c 'echo '\''a b'\'''");
    }

    #[test]
    fn a_failing_program_is_an_error_that_names_it() {
        let error = Call::new("sh").args(["-c", "exit 3"]).output().unwrap_err().to_string();
        assert!(error.contains("exit 3") && error.contains("status: 3"), "{error}");
        assert!(!Call::new("no-such-program-here").succeeds());
        assert!(Call::new("true").succeeds());
    }

    #[test]
    fn standard_input_is_empty_unless_interactive() {
        assert_eq!(Call::new("cat").output().unwrap(), "");
    }
}
