//! Whether what a box starts lives in a PID namespace, which ends with its first process, or is searched for.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lease_process::{Limits, Program, output};
use serde::{Deserialize, Serialize};

use crate::config::LocalConfig;
use crate::error::LocalError;

/// How long the kernel may take to answer whether it makes a namespace.
const PROBE_TIME_MAX: Duration = Duration::from_secs(10);

/// Where `unshare` is.
const UNSHARE: [&str; 3] =
    ["/usr/bin/unshare", "/bin/unshare", "/run/current-system/sw/bin/unshare"];

/// Whether a box is wanted to have a PID namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Contain {
    /// A namespace for the superuser where the kernel makes one. For others, who need a user namespace for it, in
    /// which `sudo` and other setuid programs do not work, the process table is searched.
    #[default]
    Auto,
    /// A namespace or nothing: each connection has one, and what was started over it ends with it.
    Namespace,
    /// The process table is searched when the box ends; what was started goes on when its connection ends.
    Scan,
}

/// Whether a box has a PID namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Containment {
    /// Each connection has one.
    Namespace,
    /// It has none.
    Scan,
}

impl Contain {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        [("auto", Self::Auto), ("namespace", Self::Namespace), ("scan", Self::Scan)]
            .into_iter()
            .find_map(|(name, value)| (name == text).then_some(value))
    }

    /// What comes of the wish on this machine.
    pub(crate) async fn settle(self, config: &LocalConfig) -> Result<Containment, LocalError> {
        match self {
            Self::Scan => Ok(Containment::Scan),
            Self::Auto if !config.is_root() => Ok(Containment::Scan),
            Self::Auto => Ok(match probe(true).await {
                Ok(()) => Containment::Namespace,
                Err(why) => {
                    tracing::debug!(%why, "no PID namespace");
                    Containment::Scan
                }
            }),
            Self::Namespace => match probe(config.is_root()).await {
                Ok(()) => Ok(Containment::Namespace),
                Err(why) => Err(LocalError::Machine(format!(
                    "this machine makes no PID namespace ({why}); ask for `contain: scan`"
                ))),
            },
        }
    }
}

impl Containment {
    /// `argv` as it has to be run.
    pub(crate) fn wrap(self, is_root: bool, argv: Vec<String>) -> Result<Vec<String>, LocalError> {
        match self {
            Self::Scan => Ok(argv),
            Self::Namespace => {
                let mut wrapped = vec![unshare()?.display().to_string()];
                wrapped.extend(flags(is_root).iter().map(|it| (*it).to_owned()));
                wrapped.extend(argv);
                Ok(wrapped)
            }
        }
    }
}

/// Whether the kernel makes a namespace; otherwise why not.
pub(crate) async fn probe(is_root: bool) -> Result<(), String> {
    let unshare = unshare().map_err(|error| error.to_string())?;
    let program = Program::new(unshare).args(flags(is_root)).arg("/bin/sh").arg("-c").arg(":");
    let limits = Limits { deadline: PROBE_TIME_MAX, ..Limits::default() };
    let answer = output(&program, limits).await.map_err(|error| error.to_string())?;
    if answer.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&answer.stderr);
    Err(said.lines().next().map_or_else(|| answer.status.to_string(), str::to_owned))
}

fn unshare() -> Result<PathBuf, LocalError> {
    let found = UNSHARE.iter().map(Path::new).find(|it| it.exists());
    found.map(Path::to_owned).ok_or_else(|| LocalError::Machine("there is no `unshare`".to_owned()))
}

/// The first process of the namespace dies with `unshare`, and the kernel ends everybody else with the first.
fn flags(is_root: bool) -> &'static [&'static str] {
    if is_root {
        &["--pid", "--fork", "--kill-child", "--mount-proc"]
    } else {
        &["--user", "--map-current-user", "--pid", "--fork", "--kill-child"]
    }
}
