//! What the provider is given: where Slurm's commands are, what a job asks for, which directories it uses. It looks up
//! nothing by itself.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::SlurmError;

/// The longest a path may be that ends up in commands, with the job's directory still to follow.
const PATH_CHARS_MAX: usize = 1024;

/// The configuration of [`SlurmProvider`](crate::SlurmProvider).
///
/// Everything that a job asks Slurm for is left to Slurm's own defaults when it is not given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct SlurmConfig {
    /// The absolute directory on a file system that this machine's (or the login node's) user and all nodes share. A
    /// job has a directory of its own in it. It is made, with mode 0700, if its parent exists.
    pub shared_dir: String,
    /// Where Slurm's commands run: `HOST` or `USER@HOST`, reached by ssh without questions; here when it is not given.
    pub login_host: Option<String>,
    /// The ssh configuration for the login node; the user's own when it is not given.
    pub login_ssh_config: Option<String>,
    /// A program, as argv, that is put before the shell that runs Slurm's commands, for instance `sudo -n -u someone`.
    pub enter: Vec<String>,
    /// What `ssh` to the login node and `enter` find in their environment here, usually `HOME` and `SSH_AUTH_SOCK`.
    pub environment: Vec<(String, String)>,
    /// Where commands are looked for, where Slurm's commands run.
    pub path: String,
    /// Slurm's configuration file, where it is not in its usual place.
    pub slurm_conf: Option<String>,

    /// The account that pays.
    pub account: Option<String>,
    /// The partition.
    pub partition: Option<String>,
    /// The quality of service.
    pub qos: Option<String>,
    /// Processor cores.
    pub cpus: Option<u32>,
    /// Memory of the node in mebibytes.
    pub memory_mib: Option<u64>,
    /// The wall time of a lease without a deadline.
    #[serde(with = "seconds")]
    pub time: Duration,
    /// Generic resources, as `--gres` takes them: `gpu:1`.
    pub gres: Option<String>,
    /// Features, as `--constraint` takes them.
    pub constraint: Option<String>,
    /// A reservation.
    pub reservation: Option<String>,
    /// Other options of sbatch, each as one word that begins with `--`. What this provider sets itself wins.
    pub sbatch_args: Vec<String>,

    /// A program, as argv, that the server is run by on the node: a container (`apptainer exec IMAGE`) or a script of
    /// the site that ends with `exec "$@"`.
    pub wrapper: Vec<String>,
    /// The server on the nodes; searched in the usual places when it is not given.
    pub sshd: Option<String>,
    /// The address that the server listens on; all addresses of the node when it is not given.
    pub listen: Option<String>,
    /// The lowest port that the server takes.
    pub port_low: u16,
    /// The highest port that the server takes.
    pub port_high: u16,
    /// Whether the job is in a PID namespace.
    pub contain: Contain,
    /// The directory on the node that the lease's own directory is made in; the job's shared one when it is not given.
    pub work_root: Option<String>,
    /// What sessions find as `PATH`; sshd chooses when it is not given.
    pub session_path: Option<String>,

    /// How the node is reached.
    pub route: Route,
    /// What a node is called by whoever logs in, where that differs from what it calls itself.
    pub host_map: BTreeMap<String, String>,

    /// How long one of Slurm's commands may take.
    #[serde(with = "seconds")]
    pub command_deadline: Duration,
    /// How long a destroy waits for a cancelled job to be over, to remove its directory in the same call.
    #[serde(with = "seconds")]
    pub removal_wait: Duration,
    /// How often a job looks whether it is still wanted.
    #[serde(with = "seconds")]
    pub watch: Duration,
    /// How much longer than the lease a job may run, so that the lease is given back in order.
    #[serde(with = "seconds")]
    pub margin: Duration,
    /// How long an accepted job may stay invisible.
    #[serde(with = "seconds")]
    pub settle: Duration,
    /// How long after it was sent a submission without an answer may still take effect.
    #[serde(with = "seconds")]
    pub landing: Duration,
}

/// Whether a job is in a PID namespace, which the kernel ends as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Contain {
    /// Where the node makes one. A plain user gets a user namespace with it, in which setuid programs do not work.
    #[default]
    Auto,
    /// A namespace or no box.
    Namespace,
    /// The process table of the node is searched when the box ends.
    Scan,
}

/// How a node is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// Through the login node if there is one.
    #[default]
    Auto,
    /// Directly.
    Direct,
    /// Through the login node.
    Login,
}

impl Default for SlurmConfig {
    fn default() -> Self {
        Self {
            shared_dir: String::new(),
            login_host: None,
            login_ssh_config: None,
            enter: Vec::new(),
            environment: Vec::new(),
            path: "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin".to_owned(),
            slurm_conf: None,
            account: None,
            partition: None,
            qos: None,
            cpus: None,
            memory_mib: None,
            time: Duration::from_secs(8 * 3600),
            gres: None,
            constraint: None,
            reservation: None,
            sbatch_args: Vec::new(),
            wrapper: Vec::new(),
            sshd: None,
            listen: None,
            port_low: 20_000,
            port_high: 60_000,
            contain: Contain::Auto,
            work_root: None,
            session_path: None,
            route: Route::Auto,
            host_map: BTreeMap::new(),
            command_deadline: Duration::from_secs(30),
            removal_wait: Duration::from_secs(20),
            watch: Duration::from_secs(5),
            margin: Duration::from_secs(600),
            settle: crate::DESCRIPTOR.settle,
            landing: crate::DESCRIPTOR.landing,
        }
    }
}

impl SlurmConfig {
    /// A configuration with defaults for everything that has one.
    pub fn new(shared_dir: impl Into<String>) -> Self {
        Self { shared_dir: shared_dir.into(), ..Self::default() }
    }

    /// Whether nodes are reached through the login node, and through which.
    pub(crate) fn jump(&self) -> Option<&str> {
        match self.route {
            Route::Direct => None,
            Route::Auto | Route::Login => self.login_host.as_deref(),
        }
    }

    /// Refuses what a shell of the login node, sshd or sbatch would read in another way than it is meant.
    pub(crate) fn check(&self) -> Result<(), SlurmError> {
        check_path("shared_dir", &self.shared_dir)?;
        for (what, path) in [
            ("slurm_conf", &self.slurm_conf),
            ("login_ssh_config", &self.login_ssh_config),
            ("sshd", &self.sshd),
            ("work_root", &self.work_root),
        ] {
            path.as_deref().map_or(Ok(()), |it| check_path(what, it))?;
        }
        for (what, path) in
            [("path", Some(&self.path)), ("session_path", self.session_path.as_ref())]
        {
            path.map_or(Ok(()), |it| it.split(':').try_for_each(|entry| check_path(what, entry)))?;
        }
        for (what, word) in [("login_host", &self.login_host), ("listen", &self.listen)] {
            let is_plain = |it: u8| it.is_ascii_alphanumeric() || b"._-@:".contains(&it);
            let good =
                |it: &String| !it.is_empty() && !it.starts_with('-') && it.bytes().all(is_plain);
            if word.as_ref().is_some_and(|it| !good(it)) {
                return Err(SlurmError::config(what, "it is no host name or address"));
            }
        }
        if self.route == Route::Login && self.login_host.is_none() {
            return Err(SlurmError::config("route", "there is no login_host to go through"));
        }
        if self.port_low < 1024 || self.port_low > self.port_high {
            return Err(SlurmError::config("port_low", "ports go from 1024 up to port_high"));
        }
        if self.time < Duration::from_secs(60)
            || self.watch.is_zero()
            || self.command_deadline.is_zero()
        {
            return Err(SlurmError::config(
                "time",
                "a wall time has a minute at least, and no other time is zero",
            ));
        }
        for word in self.wrapper.iter().chain(&self.enter) {
            if word.is_empty() || word.chars().any(char::is_control) {
                return Err(SlurmError::config(
                    "wrapper",
                    "a word is empty or has control characters",
                ));
            }
        }
        for word in &self.sbatch_args {
            // Any other word would be taken for the script, and an option's value for the word after it.
            if !word.starts_with("--") || word.len() < 3 || word.chars().any(char::is_control) {
                return Err(SlurmError::config(
                    "sbatch_args",
                    format!("{word:?} does not read --option=value"),
                ));
            }
        }
        Ok(())
    }
}

/// Paths end up in commands of the login node, in sshd's configuration and in sbatch's patterns of file names.
fn check_path(what: &'static str, path: &str) -> Result<(), SlurmError> {
    let is_plain = |it: u8| it.is_ascii_alphanumeric() || b"/._-+@=,".contains(&it);
    let refuse = |why: &str| Err(SlurmError::config(what, format!("{path:?} {why}")));
    if !path.starts_with('/') {
        return refuse("is not absolute");
    }
    if path.len() > PATH_CHARS_MAX || !path.bytes().all(is_plain) {
        return refuse("has characters other than letters, digits and /._-+@=,");
    }
    if path.split('/').any(|it| it == ".." || it == ".") || path.trim_end_matches('/').is_empty() {
        return refuse("has `.` or `..`, or is the root directory");
    }
    Ok(())
}

mod seconds {
    //! Spans are whole seconds in a file.

    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        span: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(span.as_secs())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_secs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(change: impl FnOnce(&mut SlurmConfig), good: bool) {
        let mut config = SlurmConfig::new("/scratch/ann/lease");
        change(&mut config);
        assert_eq!(config.check().is_ok(), good, "{config:?}");
    }

    #[test]
    fn refuses_what_somebody_would_misread() {
        check(|_| {}, true);
        for bad in
            ["", "lease", "/", "/a b", "/a'b", "/a$b", "/a%jb", "/a/../b", "/a\nb", "/a;b", "/a\"b"]
        {
            check(|it| it.shared_dir = bad.to_owned(), false);
            check(|it| it.sshd = Some(bad.to_owned()), false);
            check(|it| it.path = format!("/bin:{bad}"), false);
        }
        check(|it| it.login_host = Some("ann@login1.example.org".to_owned()), true);
        for bad in ["", "-oProxyCommand=x", "a b", "a;b", "$(x)"] {
            check(|it| it.login_host = Some(bad.to_owned()), false);
        }
        check(|it| it.route = Route::Login, false);
        check(
            |it| it.sbatch_args = vec!["--mail-type=NONE".to_owned(), "--exclusive".to_owned()],
            true,
        );
        for bad in ["-p", "x", "", "--", "--a\nb"] {
            check(|it| it.sbatch_args = vec![bad.to_owned()], false);
        }
        check(|it| it.port_low = 22, false);
        check(|it| it.time = Duration::from_secs(1), false);
    }

    #[test]
    fn a_file_may_leave_out_what_has_a_default() {
        let read: SlurmConfig =
            serde_json::from_str(r#"{"shared_dir": "/s", "time": 3600, "contain": "scan"}"#)
                .unwrap();
        let mut expect = SlurmConfig::new("/s");
        expect.time = Duration::from_secs(3600);
        expect.contain = Contain::Scan;
        assert_eq!(read, expect);
        serde_json::from_str::<SlurmConfig>(r#"{"partion": "x"}"#).unwrap_err();
    }
}
