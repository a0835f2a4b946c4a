//! What the provider is given: which adapter, what it may see, how long it may take. It looks up nothing by itself.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use lease_core::InstallationId;
use lease_core::descriptor::EndsAbandoned;
use serde_json::{Map, Value};

use crate::error::ExternalError;
use crate::lifecycle::{Connection, Lifecycle, OutputForm};
use crate::wire::Repo;

/// How long a lease that was answered may be missing from the adapter's list. Inferred: most adapters list from where
/// they created.
pub(crate) const SETTLE: Duration = Duration::from_secs(2);

/// How long after an adapter was ended its backend may still create something. Inferred: an adapter that still runs is
/// seen as a process, so this is only the way between it and its backend.
pub(crate) const LANDING: Duration = Duration::from_secs(15);

/// How long an acquire may take. The protocol knows no limit; queues are waited for inside it.
const ACQUIRE_DEADLINE: Duration = Duration::from_secs(30 * 60);

const CALL_DEADLINE: Duration = Duration::from_secs(30);

const RELEASE_DEADLINE: Duration = Duration::from_secs(60);

/// How long a lease whose acquire came to nothing usable may take to be given back at once.
pub(crate) const GIVE_BACK_DEADLINE: Duration = Duration::from_secs(30);

/// How much longer than its processes a call may take.
const CALL_MARGIN: Duration = Duration::from_secs(5);

/// What the protocol says is read of each stream.
const OUTPUT_BYTES_MAX: usize = 1024 * 1024;

/// How the adapter is reached.
#[derive(Clone, Debug)]
pub enum Form {
    /// A program that gets one JSON request on its standard input and answers with one JSON document.
    Command {
        /// The program and its arguments; no shell reads them.
        argv: Vec<String>,
    },
    /// Commands that are templates; there is no adapter program.
    Lifecycle {
        /// The operations.
        lifecycle: Box<Lifecycle>,
        /// How what they make is named and reached.
        connection: Box<Connection>,
    },
}

/// Whether what the adapter lists says whose it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Identity {
    /// The adapter keeps slug and name, or our labels, and shows them again: that is what marks a lease as ours.
    #[default]
    Kept,
    /// The adapter keeps only the lease id. What its own answer to an acquire named is ours, and nothing else is.
    Answered,
}

/// The configuration of [`ExternalProvider`](crate::ExternalProvider).
#[derive(Clone)]
#[non_exhaustive]
pub struct ExternalConfig {
    /// How the adapter is reached.
    pub form: Form,
    /// Passed to the adapter as it is, in every request.
    pub config: Map<String, Value>,
    /// The whole environment of the adapter. Credentials reach it by this and in no other way.
    pub environment: Vec<(String, String)>,
    /// Names the account, so that an edited `config` does not detach the leases that exist. Without it, the account is
    /// a fingerprint of what configures the adapter.
    pub account: Option<String>,
    /// Whether the adapter declares that a lease id is its key: a repeated acquire makes nothing new.
    pub idempotent_lease_id: bool,
    /// Whether what the adapter lists says whose it is.
    pub identity: Identity,
    /// The installation of the caller. Needed where a list is only names.
    pub installation: Option<InstallationId>,
    /// Whether answers may say how to log in.
    pub trust_provider_output: bool,
    /// The absolute directory on the machine below which a lease gets its own; without it, `lease` in the home of the
    /// user who logs in, or what the adapter's label `work_root` says.
    pub work_root: Option<String>,
    /// The repository that the caller works in, for adapters that ask.
    pub repo: Option<Repo>,
    /// Who ends a lease that everybody forgot.
    pub ends_abandoned: EndsAbandoned,
    /// Whether the deadline is told to the adapter by `touch`.
    pub touch: bool,
    /// How long a lease that was answered may be missing from the adapter's list, or linger in it.
    pub settle: Duration,
    /// How long after an adapter was ended its backend may still create something.
    pub landing: Duration,
    /// How long `acquire` may take.
    pub acquire_deadline: Duration,
    /// How long `release` may take.
    pub release_deadline: Duration,
    /// How long any other operation may take.
    pub call_deadline: Duration,
    /// How many bytes of each output stream are read.
    pub output_bytes_max: usize,
    /// Where relative programs start; the caller's own directory without it.
    pub directory: Option<PathBuf>,
}

/// Shows neither the configuration that is passed through nor the environment: both may hold credentials.
impl fmt::Debug for ExternalConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = match &self.form {
            Form::Command { argv } => argv.first().map_or("", String::as_str),
            Form::Lifecycle { .. } => "lifecycle",
        };
        f.debug_struct("ExternalConfig").field("form", &form).finish_non_exhaustive()
    }
}

impl ExternalConfig {
    /// An adapter program with defaults for everything else.
    pub fn command(argv: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::of(Form::Command { argv: argv.into_iter().map(Into::into).collect() })
    }

    /// Commands that are templates, with defaults for everything else.
    pub fn lifecycle(lifecycle: Lifecycle, connection: Connection) -> Self {
        let trust = connection.ssh.trust_provider_output;
        let form =
            Form::Lifecycle { lifecycle: Box::new(lifecycle), connection: Box::new(connection) };
        Self { trust_provider_output: trust.unwrap_or(true), ..Self::of(form) }
    }

    fn of(form: Form) -> Self {
        Self {
            form,
            config: Map::new(),
            environment: Vec::new(),
            account: None,
            idempotent_lease_id: false,
            identity: Identity::Kept,
            installation: None,
            trust_provider_output: true,
            work_root: None,
            repo: None,
            ends_abandoned: EndsAbandoned::Reaper,
            touch: true,
            settle: SETTLE,
            landing: LANDING,
            acquire_deadline: ACQUIRE_DEADLINE,
            release_deadline: RELEASE_DEADLINE,
            call_deadline: CALL_DEADLINE,
            output_bytes_max: OUTPUT_BYTES_MAX,
            directory: None,
        }
    }

    /// How long the engine has to let a single call of this provider take, so that it does not cut off an adapter that
    /// still has time.
    pub fn longest_call(&self) -> Duration {
        let acquire = self.acquire_deadline + self.call_deadline.max(GIVE_BACK_DEADLINE);
        self.longest_release().max(acquire + CALL_MARGIN)
    }

    /// How long a single release of this provider may take: it lists, looks, and releases.
    pub fn longest_release(&self) -> Duration {
        self.call_deadline * 3 + self.release_deadline + CALL_MARGIN
    }

    /// Whether what is listed is only names.
    pub(crate) fn lists_names(&self) -> bool {
        match &self.form {
            Form::Command { .. } => false,
            Form::Lifecycle { lifecycle, .. } => lifecycle.list.output == OutputForm::JsonNameArray,
        }
    }

    /// Refuses what could not work, or would be dangerous.
    pub(crate) fn check(&self) -> Result<(), ExternalError> {
        match &self.form {
            Form::Command { argv } => check_argv("command", argv)?,
            Form::Lifecycle { lifecycle, connection } => {
                lifecycle.check(connection, self.idempotent_lease_id)?;
            }
        }
        if self.lists_names() && self.installation.is_none() {
            let why =
                "a list of names says whose they are only to whoever knows the own installation";
            return Err(ExternalError::config("installation", why));
        }
        if let Some(root) = &self.work_root {
            check_work_root(root)?;
        }
        let bad = |(name, value): &&(String, String)| {
            name.is_empty() || name.contains(['=', '\0']) || value.contains('\0')
        };
        if let Some((name, _)) = self.environment.iter().find(bad) {
            return Err(ExternalError::config("environment", format!("{name:?} is no variable")));
        }
        for (what, span) in [
            ("acquire_deadline", self.acquire_deadline),
            ("release_deadline", self.release_deadline),
            ("call_deadline", self.call_deadline),
        ] {
            if span.is_zero() {
                return Err(ExternalError::config(what, "it is zero"));
            }
        }
        if self.output_bytes_max == 0 {
            return Err(ExternalError::config("output_bytes_max", "it is zero"));
        }
        Ok(())
    }
}

pub(crate) fn check_argv(what: &'static str, argv: &[String]) -> Result<(), ExternalError> {
    match argv.first() {
        None => Err(ExternalError::config(what, "it is empty")),
        Some(program) if program.trim().is_empty() => {
            Err(ExternalError::config(what, "its program has no name"))
        }
        Some(_) if argv.iter().any(|it| it.contains('\0')) => {
            Err(ExternalError::config(what, "it contains a NUL character"))
        }
        Some(_) => Ok(()),
    }
}

/// Directories that belong to the system or to everybody; a lease that is cleared must not be one of them.
const BROAD: [&str; 15] = [
    "/", "/tmp", "/home", "/usr", "/var", "/opt", "/mnt", "/root", "/etc", "/bin", "/sbin", "/lib",
    "/srv", "/dev", "/proc",
];

/// Whether a directory on the machine may be the parent of a lease's own.
pub(crate) fn check_work_root(root: &str) -> Result<(), ExternalError> {
    let refuse = |why: &str| Err(ExternalError::config("work_root", format!("{root:?} {why}")));
    let trimmed = root.trim_end_matches('/');
    if !root.starts_with('/') {
        return refuse("is not absolute");
    }
    if root.chars().any(char::is_control) || root.split('/').any(|it| it == ".." || it == ".") {
        return refuse("has `.`, `..` or a control character");
    }
    let is_home = trimmed.strip_prefix("/home/").is_some_and(|it| !it.contains('/'));
    if trimmed.is_empty() || BROAD.contains(&trimmed) || is_home {
        return refuse("belongs to others as well; name a directory below it");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(change: impl FnOnce(&mut ExternalConfig), good: bool) {
        let mut config = ExternalConfig::command(["/bin/true"]);
        change(&mut config);
        assert_eq!(config.check().is_ok(), good);
    }

    #[test]
    fn refuses_what_could_not_work() {
        check(|_| {}, true);
        check(|it| it.form = Form::Command { argv: vec![] }, false);
        check(|it| it.form = Form::Command { argv: vec![" ".into()] }, false);
        check(|it| it.form = Form::Command { argv: vec!["a".into(), "b\0".into()] }, false);
        check(|it| it.work_root = Some("/srv/leases".into()), true);
        for broad in ["/", "/tmp/", "relative", "/home/ann", "/root", "/a/../etc", "/a\nb"] {
            check(|it| it.work_root = Some(broad.into()), false);
        }
        check(|it| it.environment = vec![("A=B".into(), "x".into())], false);
        check(|it| it.call_deadline = Duration::ZERO, false);
    }

    #[test]
    fn debug_shows_no_value() {
        let mut config = ExternalConfig::command(["/bin/true", "--token=planted-1"]);
        config.environment.push(("TOKEN".into(), "planted-2".into()));
        config.config.insert("password".into(), "planted-3".into());
        assert!(!format!("{config:?}").contains("planted"));
    }
}
