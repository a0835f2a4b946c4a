//! Looks for what a lease may have left behind: processes and files that carry a mark.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::machine::{Call, Stopwatch, pause};

/// A helper that ends by itself may take a moment; what is there after this long stays there.
const GRACE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(100);

/// The processes, one line each, whose arguments or environment hold one of `marks`; waits for them to end by themselves.
pub(crate) fn processes(marks: &[&str]) -> Result<Vec<String>> {
    let started = Stopwatch::start();
    loop {
        let found = processes_now(marks)?;
        if found.is_empty() || started.elapsed() > GRACE {
            return Ok(found);
        }
        pause(POLL);
    }
}

/// The paths under `directory`, at any depth; empty when it does not exist.
pub(crate) fn files(directory: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_path_buf()];
    while let Some(next) = open.pop() {
        let Ok(entries) = fs::read_dir(&next) else { continue };
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            }
            found.push(entry.path().display().to_string());
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn processes_now(marks: &[&str]) -> Result<Vec<String>> {
    let is_marked = |text: &str| marks.iter().any(|mark| text.contains(mark));
    if !Path::new("/proc/self/environ").exists() {
        // Where the kernel shows no files, ps prints arguments and environment of our own processes.
        let listed = Call::new("ps").args(["-axEww", "-o", "pid=,command="]).output()?;
        return Ok(listed.lines().filter(|line| is_marked(line)).map(str::to_owned).collect());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let pid = entry.file_name().to_string_lossy().into_owned();
        if !pid.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        // A process that ends while we look has left nothing; one of another user is not ours to read.
        let read = |name: &str| fs::read(entry.path().join(name)).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
        let environment = String::from_utf8_lossy(&read("environ")).into_owned();
        let directory = fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        if is_marked(&arguments)
            || is_marked(&environment)
            || is_marked(&directory.to_string_lossy())
        {
            found.push(format!("{pid} {}", arguments.trim()));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Stdio;

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "the test needs a process that stays while it is looked for"
    )]
    fn a_process_is_found_by_its_environment() {
        let directory = tempfile::tempdir().unwrap();
        let mark = directory.path().to_str().unwrap();
        assert_eq!(processes_now(&[mark]).unwrap(), Vec::<String>::new());
        let mut child = std::process::Command::new("cat")
            .env("MARK", mark)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        // The environment is in place when exec is done; until then the child is a copy of this process.
        let seen = (0..200).any(|_| {
            pause(Duration::from_millis(10));
            !processes_now(&[mark]).unwrap().is_empty()
        });
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(seen, "the process was not found");
        assert_eq!(processes(&[mark]).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn files_are_found_at_any_depth() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("a/b")).unwrap();
        fs::write(directory.path().join("a/b/c"), "").unwrap();
        assert_eq!(files(directory.path()).unwrap().len(), 3);
        assert!(files(&directory.path().join("absent")).unwrap().is_empty());
    }
}
