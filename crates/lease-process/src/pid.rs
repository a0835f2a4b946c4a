//! Process ids and signals, as words of our own, so that no caller depends on the system-call crate underneath.

use std::fmt;

/// The id of a process or of a process group. Always positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid(i32);

impl Pid {
    /// A process id, if `raw` is one. Zero and negative numbers mean other things to the kernel, so they are none.
    #[must_use]
    pub fn new(raw: i32) -> Option<Self> {
        (raw > 0).then_some(Self(raw))
    }

    /// Ourselves.
    #[must_use]
    pub fn current() -> Self {
        Self::from_sys(rustix::process::getpid())
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> i32 {
        self.0
    }

    pub(crate) fn sys(self) -> Option<rustix::process::Pid> {
        rustix::process::Pid::from_raw(self.0)
    }

    pub(crate) fn from_sys(pid: rustix::process::Pid) -> Self {
        Self(pid.as_raw_nonzero().get())
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The signals this workspace sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Signal {
    /// `SIGHUP`: the terminal is gone.
    Hangup,
    /// `SIGINT`: what Ctrl-C sends.
    Interrupt,
    /// `SIGQUIT`: what Ctrl-\ sends.
    Quit,
    /// `SIGTERM`: please end.
    Terminate,
    /// `SIGKILL`: ends without being asked.
    Kill,
    /// `SIGSTOP`: halts without being asked.
    Stop,
    /// `SIGCONT`: goes on after a stop.
    Continue,
    /// `SIGWINCH`: the terminal's size changed.
    WindowChange,
}

impl Signal {
    /// The signal's number on this platform.
    #[must_use]
    pub fn number(self) -> i32 {
        self.sys().as_raw()
    }

    pub(crate) fn sys(self) -> rustix::process::Signal {
        match self {
            Self::Hangup => rustix::process::Signal::HUP,
            Self::Interrupt => rustix::process::Signal::INT,
            Self::Quit => rustix::process::Signal::QUIT,
            Self::Terminate => rustix::process::Signal::TERM,
            Self::Kill => rustix::process::Signal::KILL,
            Self::Stop => rustix::process::Signal::STOP,
            Self::Continue => rustix::process::Signal::CONT,
            Self::WindowChange => rustix::process::Signal::WINCH,
        }
    }
}
