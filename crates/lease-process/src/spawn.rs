//! The door itself: the only file that turns a [`Program`] into a running process.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::fs::Access;
use rustix::io::Errno;
use tokio::runtime::Handle;

use crate::program::{Input, Program, Stream};
use crate::{Pid, ProcessError};

/// Where a name without a slash is looked for when the child is given no `PATH`.
const PATH_DEFAULT: &str = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";

/// Starts `program` and returns the handle by which it is reaped.
///
/// Nothing has run when this fails.
pub(crate) fn start(program: &Program) -> Result<(tokio::process::Child, Pid), ProcessError> {
    check(program)?;
    let executable = resolve(program)?;
    let mut command = command(program, &executable)?;
    let child = command.spawn().map_err(|source| classify(program, &executable, source))?;
    let pid =
        child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::new).ok_or_else(|| {
            ProcessError::Spawn { program: program.name(), source: io::ErrorKind::Other.into() }
        })?;
    tracing::debug!(program = %program.name(), args = program.argv.len() - 1, %pid, "started");
    Ok((child, pid))
}

/// Runs a small system tool of this platform to its end and returns what it printed, blocking the thread.
///
/// Only for platforms that tell about processes through a tool; the tools are quick and print little.
#[cfg(not(target_os = "linux"))]
pub(crate) fn system_tool(words: &[&str]) -> io::Result<Vec<u8>> {
    let [tool, args @ ..] = words else { return Err(io::ErrorKind::InvalidInput.into()) };
    #[expect(clippy::disallowed_methods, reason = "this file is the door for spawning")]
    let mut command = std::process::Command::new(tool);
    let output = command
        .args(args)
        .env_clear()
        .env("LC_ALL", "C")
        .env("TZ", "UTC0")
        .stdin(Stdio::null())
        .output()?;
    if output.status.success() { Ok(output.stdout) } else { Err(io::ErrorKind::NotFound.into()) }
}

/// Refuses what the kernel would refuse with a less helpful word, or would understand differently.
fn check(program: &Program) -> Result<(), ProcessError> {
    let invalid = |reason| Err(ProcessError::Invalid { program: program.name(), reason });
    let has_nul = |text: &OsStr| text.as_bytes().contains(&0);
    if program.argv.first().is_none_or(|name| name.is_empty()) {
        return invalid("the program's name is empty");
    }
    if program.argv.iter().any(|arg| has_nul(arg)) {
        return invalid("an argument contains a NUL byte");
    }
    if program.env.iter().any(|(name, value)| has_nul(name) || has_nul(value)) {
        return invalid("an environment variable contains a NUL byte");
    }
    if program.env.keys().any(|name| name.is_empty() || name.as_bytes().contains(&b'=')) {
        return invalid("an environment variable's name is empty or contains `=`");
    }
    if program.cwd.as_ref().is_some_and(|path| has_nul(path.as_os_str())) {
        return invalid("the working directory contains a NUL byte");
    }
    if Handle::try_current().is_err() {
        return invalid("processes are watched by a tokio runtime, and none is running here");
    }
    Ok(())
}

/// Finds the file that would be executed, by the `PATH` of the program's own environment, and starts nothing.
///
/// # Errors
/// [`ProcessError::NotFound`], [`ProcessError::NotExecutable`], and [`ProcessError::WorkingDirectory`].
pub fn find(program: &Program) -> Result<PathBuf, ProcessError> {
    resolve(program)
}

/// Finds the file to execute, so that "not found" and "not executable" mean the same under every C library.
fn resolve(program: &Program) -> Result<PathBuf, ProcessError> {
    enter(program.cwd.as_deref())?;
    let name = Path::new(&program.argv[0]);
    if program.argv[0].as_bytes().contains(&b'/') {
        let seen_from_child =
            program.cwd.as_deref().map_or_else(|| name.to_owned(), |cwd| cwd.join(name));
        executable(&seen_from_child).map_err(|source| refused(program, source))?;
        return Ok(name.to_owned());
    }
    let path = program.env.get(OsStr::new("PATH")).map_or(OsStr::new(PATH_DEFAULT), |path| path);
    let mut refusal = None;
    for directory in std::env::split_paths(path).filter(|directory| directory.is_absolute()) {
        let candidate = directory.join(name);
        match executable(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(error) if is_absent(&error) => {}
            Err(error) => refusal = refusal.or(Some(error)),
        }
    }
    Err(refused(program, refusal.unwrap_or_else(|| io::ErrorKind::NotFound.into())))
}

fn enter(cwd: Option<&Path>) -> Result<(), ProcessError> {
    let Some(path) = cwd else { return Ok(()) };
    let entered = fs::metadata(path).and_then(|meta| {
        if !meta.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(rustix::fs::access(path, Access::EXEC_OK)?)
    });
    entered.map_err(|source| ProcessError::WorkingDirectory { path: path.to_owned(), source })
}

fn executable(path: &Path) -> io::Result<()> {
    let meta = fs::metadata(path)?;
    if meta.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(rustix::fs::access(path, Access::EXEC_OK)?)
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn refused(program: &Program, source: io::Error) -> ProcessError {
    if is_absent(&source) {
        ProcessError::NotFound { program: program.name() }
    } else {
        ProcessError::NotExecutable { program: program.name(), source }
    }
}

fn command(program: &Program, executable: &Path) -> Result<tokio::process::Command, ProcessError> {
    let file = |file: &fs::File| {
        file.try_clone()
            .map(Stdio::from)
            .map_err(ProcessError::io("duplicating a file for a child"))
    };
    let stream = |stream: &Stream| match stream {
        Stream::Pipe => Ok(Stdio::piped()),
        Stream::Inherit => Ok(Stdio::inherit()),
        Stream::Null => Ok(Stdio::null()),
        Stream::File(target) => file(target),
    };
    let stdin = match &program.stdin {
        Input::Null => Stdio::null(),
        Input::Inherit => Stdio::inherit(),
        Input::Bytes(_) | Input::Pipe => Stdio::piped(),
        Input::File(source) => file(source)?,
    };
    #[expect(clippy::disallowed_methods, reason = "this file is the door for spawning")]
    let mut command = tokio::process::Command::new(executable);
    command.arg0(&program.argv[0]).args(&program.argv[1..]).env_clear().envs(&program.env);
    command.stdin(stdin).stdout(stream(&program.stdout)?).stderr(stream(&program.stderr)?);
    if let Some(cwd) = &program.cwd {
        command.current_dir(cwd);
    }
    if program.own_group {
        command.process_group(0);
    }
    Ok(command)
}

/// Names a failed start. The file was there a moment ago, so "no such file" is about its interpreter.
fn classify(program: &Program, executable: &Path, source: io::Error) -> ProcessError {
    let name = program.name();
    match source.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::ACCESS | Errno::NOEXEC | Errno::ISDIR) => {
            ProcessError::NotExecutable { program: name, source }
        }
        Some(Errno::NOENT) if executable.is_relative() || executable.exists() => {
            ProcessError::NotExecutable { program: name, source }
        }
        Some(Errno::NOENT) => ProcessError::NotFound { program: name },
        _ => ProcessError::Spawn { program: name, source },
    }
}
