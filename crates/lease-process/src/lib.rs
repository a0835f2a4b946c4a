//! The only door through which this workspace starts, watches and ends processes.
//!
//! A tool that promises to leave nothing behind cannot let every caller spawn in its own way. So the rules live
//! here once: no shell ever reads a command line, a child gets exactly the environment it is given, it leads a
//! process group of its own, what it prints is bounded, every wait has an end, and a future that is dropped takes
//! its children with it.
//!
//! * [`Program`] says what to run; [`output`] runs it to its end, [`spawn`] hands over a [`Child`] to stream with,
//!   [`spawn_detached`] starts one that outlives us.
//! * [`ProcessIdentity`] names a process so that a recycled pid is never mistaken for it.
//! * [`ProcessTable`] and [`end_all`] find and end everything that somebody started, also what left its group.
//!
//! **What this crate does not do.** It does not confine: a child with our user id may leave its group and change
//! its environment. It cannot close descriptors that *our* parent left open for us without close-on-exec; what is
//! opened by Rust code is close-on-exec already.

mod capture;
mod child;
mod daemon;
mod end;
mod error;
mod exit;
mod identity;
mod pid;
mod program;
mod spawn;
mod table;
pub mod wait;

pub use capture::{Limits, Output, output};
pub use child::{Child, spawn};
pub use daemon::{become_daemon, spawn_detached};
pub use end::{EndPolicy, EndReport, Survivor, Why, end_all};
pub use error::ProcessError;
pub use exit::Exit;
pub use identity::{Liveness, ProcessIdentity, liveness, since_boot};
pub use pid::{Pid, Signal};
pub use program::{Input, Program, Stream};
pub use spawn::find;
pub use table::{Process, ProcessState, ProcessTable};

/// Keeps the example of the README compiling.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
