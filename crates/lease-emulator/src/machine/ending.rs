//! How a machine is kept together, and how everything on it is ended.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use lease_process::{
    Child, EndPolicy, Limits, Pid, Process, ProcessError, ProcessTable, Program, Signal, end_all,
    output,
};

use super::shell::MARK;

const UNSHARE: &str = "/usr/bin/unshare";
/// The first process of the namespace dies with `unshare`, and the kernel ends everybody else with the first.
const UNSHARE_FLAGS: [&str; 4] = ["--pid", "--fork", "--kill-child", "--mount-proc"];
/// How long the kernel may take to make a namespace.
const PROBE_TIME_MAX: Duration = Duration::from_secs(20);

/// Whether machines have PID namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contained {
    Namespace,
    Scan,
}

impl Contained {
    /// A namespace if the kernel makes one.
    pub(super) async fn settle() -> Self {
        if !Path::new(UNSHARE).is_file() {
            return Self::Scan;
        }
        let program = Self::Namespace.shell().args(["-c", ":"]);
        let limits = Limits { deadline: PROBE_TIME_MAX, ..Limits::default() };
        match output(&program, limits).await {
            Ok(answer) if answer.status.success() => Self::Namespace,
            Ok(_) | Err(_) => Self::Scan,
        }
    }

    /// The shell that is the first process, without its arguments.
    pub(super) fn shell(self) -> Program {
        match self {
            Self::Namespace => Program::new(UNSHARE).args(UNSHARE_FLAGS).arg("/bin/sh"),
            Self::Scan => Program::new("/bin/sh"),
        }
    }
}

/// Ends everything on a machine and waits until it has ended.
pub(super) async fn end_machine(
    child: Child,
    mark: &str,
    contained: Contained,
) -> Result<(), ProcessError> {
    let policy = EndPolicy { term_grace: Duration::ZERO, kill_deadline: Duration::from_secs(10) };
    let marked = format!("{MARK}={mark}");
    // Each with the time of its start. A namespace's number would not do: the kernel gives it to the next namespace.
    let family = family_of(child.pid())?;
    if contained == Contained::Namespace {
        child.signal(Signal::Kill)?;
    }
    let is_family = |it: &Process| family.get(&it.pid) == Some(&it.start);
    let select = |table: &ProcessTable| {
        table.with_descendants(table.select(|it| is_family(it) || it.has_env(&marked)))
    };
    let report = end_all(select, policy).await?;
    for survivor in &report.survivors {
        tracing::warn!(pid = %survivor.pid, why = ?survivor.why, "a process of a machine goes on");
    }
    child.stop(Duration::ZERO).await.map(drop)
}

/// What descends from `first`, and `first`, with the start of each.
fn family_of(first: Pid) -> Result<BTreeMap<Pid, u64>, ProcessError> {
    let table = ProcessTable::read()?;
    let family = table.with_descendants(BTreeSet::from([first]));
    let starts = family.into_iter().filter_map(|it| Some((it, table.get(it)?.start)));
    Ok(starts.collect())
}
