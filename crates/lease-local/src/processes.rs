//! Finding and ending everything that a box started, and nobody else.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lease_core::Nonce;
use lease_process::{EndPolicy, Pid, Process, ProcessTable, end_all};

use crate::config::{LocalConfig, MARK};
use crate::containment::Containment;
use crate::error::LocalError;
use crate::sshd;

/// How patiently a box is ended. Its commands are over by then; what is left was left behind.
const POLICY: EndPolicy =
    EndPolicy { term_grace: Duration::from_millis(500), kill_deadline: Duration::from_secs(10) };

/// How the processes of one box are recognised.
///
/// By any of: the variable that each of its sessions is started with; the exact arguments of its connections; a
/// working directory inside the box, if the process has lost its parents (a service that wrote a title over its
/// arguments and environment); and descent from one of those. A shell that a person opened in the directory has a
/// living parent elsewhere and is left alone.
#[derive(Debug)]
pub(crate) struct Suspects {
    mark: String,
    connections: Vec<Vec<OsString>>,
    directories: Vec<PathBuf>,
    uid: u32,
}

impl Suspects {
    /// The processes of the box that was made as `whole` and may be at `now` by now.
    pub(crate) fn of(config: &LocalConfig, nonce: &Nonce, whole: &Path, now: &Path) -> Self {
        let mut connections = vec![sshd::connect_argv(whole)];
        if let Ok(sshd) = sshd::find(config) {
            let server = sshd::server_argv(&sshd, whole);
            connections.extend(Containment::Namespace.wrap(config.is_root(), server.clone()));
            connections.push(server);
        }
        let connections = connections.into_iter().map(|it| it.into_iter().map(OsString::from));
        Self {
            mark: format!("{MARK}={nonce}"),
            connections: connections.map(Iterator::collect).collect(),
            directories: vec![whole.to_owned(), now.to_owned()],
            uid: config.uid,
        }
    }

    /// Ends them all.
    ///
    /// # Cancel safety
    /// As [`end_all`]: the rest stays alive, none stays halted.
    pub(crate) async fn end(&self) -> Result<(), LocalError> {
        let report = end_all(|table| self.select(table), POLICY).await?;
        let (ended, survivors) = (report.ended.len(), report.survivors.len());
        tracing::debug!(ended, survivors, "ended the processes of a box");
        if survivors == 0 { Ok(()) } else { Err(LocalError::Survivors(report.survivors)) }
    }

    fn select(&self, table: &ProcessTable) -> BTreeSet<Pid> {
        let roots = table.select(|it| {
            it.has_env(&self.mark)
                || self.is_connection(it)
                || (self.is_inside(it) && is_orphan(it, table))
        });
        table.with_descendants(roots)
    }

    fn is_connection(&self, process: &Process) -> bool {
        self.connections.contains(&process.argv()) && process.uid() == Some(self.uid)
    }

    fn is_inside(&self, process: &Process) -> bool {
        let Some(cwd) = process.cwd() else { return false };
        self.directories.iter().any(|it| cwd.starts_with(it))
    }
}

/// Whether the process was left to whoever takes in orphans: process 1, or the service manager of the session.
fn is_orphan(process: &Process, table: &ProcessTable) -> bool {
    let Some(parent) = process.ppid.filter(|it| it.get() != 1).and_then(|it| table.get(it)) else {
        return true;
    };
    let argv = parent.argv();
    argv.first().map(Path::new).and_then(Path::file_name).is_some_and(|it| it == "systemd")
}
