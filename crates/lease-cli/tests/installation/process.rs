//! Processes as the kernel shows them, so that nothing counts as ended because the program says so.

use std::fmt;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// A living process.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) command_line: Vec<u8>,
    environment: Vec<u8>,
    directory: PathBuf,
    program: PathBuf,
}

/// Every process of the machine that is not a zombie.
pub(crate) fn processes() -> Vec<Process> {
    let pids = super::entries(Path::new("/proc"))
        .filter_map(|it| it.file_name()?.to_str()?.parse::<u32>().ok());
    pids.filter_map(Process::read).collect()
}

impl Process {
    fn read(pid: u32) -> Option<Self> {
        let of = |name: &str| PathBuf::from(format!("/proc/{pid}/{name}"));
        let command_line = fs::read(of("cmdline")).ok()?;
        // Kernel threads and zombies have no arguments.
        (!command_line.is_empty()).then(|| Self {
            pid,
            command_line,
            environment: fs::read(of("environ")).unwrap_or_default(),
            directory: fs::read_link(of("cwd")).unwrap_or_default(),
            program: fs::read_link(of("exe")).unwrap_or_default(),
        })
    }

    /// Whether it was started with, or is in, or runs something below this directory.
    pub(crate) fn names(&self, root: &Path) -> bool {
        let needle = root.as_os_str().as_bytes();
        contains(&self.command_line, needle)
            || contains(&self.environment, needle)
            || self.directory.starts_with(root)
            || self.program.starts_with(root)
            || self.is_server_below(root)
    }

    /// A server writes a title over its arguments and environment, so it is known by its log.
    fn is_server_below(&self, root: &Path) -> bool {
        let open = super::entries(Path::new(&format!("/proc/{}/fd", self.pid)));
        self.command_line.starts_with(b"sshd")
            && open.filter_map(|it| fs::read_link(it).ok()).any(|it| it.starts_with(root))
    }

    /// Whether it was started in the box with this mark.
    pub(crate) fn has_mark(&self, nonce: &str) -> bool {
        let mark = format!("LEASE_BOX={nonce}");
        self.environment.split(|it| *it == 0).any(|it| it == mark.as_bytes())
    }

    pub(crate) fn is_reaper(&self) -> bool {
        contains(&self.command_line, b"\0reaper\0run\0")
    }

    /// Ends it, if it is still the one that was seen.
    pub(crate) fn kill(&self) {
        let again = Self::read(self.pid);
        if again.is_some_and(|it| it.command_line == self.command_line) {
            send(self.pid, rustix::process::Signal::KILL);
        }
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = String::from_utf8_lossy(&self.command_line).replace('\0', " ");
        write!(f, "process {}: {}", self.pid, words.trim_end())
    }
}

/// Sends a signal; that the process is gone already is no error.
pub(crate) fn send(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    if let Err(error) = rustix::process::kill_process(pid, signal) {
        assert_eq!(error, rustix::io::Errno::SRCH);
    }
}

/// Whether `needle` occurs in `hay`.
pub(crate) fn contains(hay: &[u8], needle: &[u8]) -> bool {
    hay.windows(needle.len()).any(|it| it == needle)
}
