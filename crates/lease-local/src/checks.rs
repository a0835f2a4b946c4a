//! Everything that would fail later, looked at beforehand. Nothing here changes anything.

use std::path::Path;
use std::time::Duration;

use lease_core::provider::{Check, Verdict};
use lease_core::spec::Spec;
use lease_process::{Limits, Program, output};
use rustix::fs::{Access, StatVfsMountFlags};

use crate::account::{self, Account};
use crate::config::LocalConfig;
use crate::containment::{self, Contain};
use crate::error::LocalError;
use crate::sshd;

/// How long a program may take to say its version.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

const FREE_BYTES_MIN: u64 = 16 * 1024 * 1024;
const FREE_BYTES_COMFORTABLE: u64 = 1024 * 1024 * 1024;
const FREE_FILES_MIN: u64 = 1000;

/// The checks without which no box can be made: a `plan` fails with the first problem.
pub(crate) async fn essential(config: &LocalConfig, root: &Path) -> Vec<Check> {
    vec![server(config).await, account(config).await, directory(root)]
}

/// Everything that a person should know.
pub(crate) async fn all(config: &LocalConfig, root: &Path) -> Vec<Check> {
    let mut checks = essential(config, root).await;
    if config.is_root() {
        checks.push(privilege_separation());
    }
    checks.push(namespace(config).await);
    checks.push(search_path(config));
    checks.push(archiver(config).await);
    checks
}

/// The first problem as an error.
pub(crate) fn refuse_problems(checks: Vec<Check>) -> Result<(), LocalError> {
    let problem = checks.into_iter().find(|it| it.verdict == Verdict::Problem);
    problem.map_or(Ok(()), |it| Err(LocalError::Machine(it.detail)))
}

/// Refuses what this provider cannot give; what it can give is the wish for containment.
pub(crate) fn read_wish(spec: &Spec, default: Contain) -> Result<Contain, LocalError> {
    if let Some(class) = spec.class.as_deref().filter(|it| *it != "any") {
        let why = format!(
            "there is no class {class:?}; the machine is this one, so leave it out or say \"any\""
        );
        return Err(LocalError::Request(why));
    }
    if let Some(machine) = &spec.machine_type {
        let why = format!(
            "there is no machine type {machine:?}; the machine is this one, so leave it out"
        );
        return Err(LocalError::Request(why));
    }
    match spec.options.get("contain") {
        None => Ok(default),
        Some(value) => value.as_str().and_then(Contain::parse).ok_or_else(|| {
            LocalError::Request(format!(
                "`contain` is {value}; it can be \"auto\", \"namespace\" or \"scan\""
            ))
        }),
    }
}

async fn server(config: &LocalConfig) -> Check {
    let program = match sshd::find(config) {
        Ok(program) => program,
        Err(error) => return Check::new("sshd", Verdict::Problem, error.to_string()),
    };
    versioned(
        &program.display().to_string(),
        says(Program::new(&program).arg("-V")).await.as_deref(),
    )
}

/// ssh itself is not looked at here: whoever logs in to boxes needs it for every provider.
fn versioned(program: &str, said: Option<&str>) -> Check {
    const NAME: &str = "sshd";
    let (least_major, least_minor) = sshd::VERSION_MIN;
    match said.map(sshd::version) {
        Some(Some(version)) if version >= sshd::VERSION_MIN => Check::new(
            NAME,
            Verdict::Ok,
            format!("{program} is OpenSSH {}.{}", version.0, version.1),
        ),
        Some(Some((major, minor))) => Check::new(
            NAME,
            Verdict::Problem,
            format!(
                "{program} is OpenSSH {major}.{minor}, and {least_major}.{least_minor} is the first that works; install a newer one"
            ),
        ),
        Some(None) => Check::new(
            NAME,
            Verdict::Warning,
            format!("{program} does not say that it is OpenSSH; boxes are tried with OpenSSH only"),
        ),
        None => Check::new(
            NAME,
            Verdict::Problem,
            format!(
                "{program} could not be run; reinstall it, on Debian: `sudo apt-get install --reinstall openssh-server`"
            ),
        ),
    }
}

async fn account(config: &LocalConfig) -> Check {
    let user = &config.user;
    let problem = |why: String| Check::new("account", Verdict::Problem, why);
    let Some(account) = Account::find(user).await else {
        return problem(format!(
            "user {user} is in no user database, so sshd lets nobody in; in a container, add a line for uid {} to /etc/passwd",
            config.uid
        ));
    };
    if account.uid != config.uid {
        return problem(format!(
            "user {user} has uid {}, and we run as uid {}; log in as one user",
            account.uid, config.uid
        ));
    }
    if let Some(why) = account.shell_problem() {
        return problem(why);
    }
    if config.is_root() && account::is_locked(user) {
        return problem(format!(
            "sshd refuses the locked account {user}; `usermod -p '*' {user}` unlocks it without a password"
        ));
    }
    if !config.is_root() && account::are_logins_stopped() {
        return problem(
            "/etc/nologin exists, so sshd lets nobody but root in; wait until it is gone"
                .to_owned(),
        );
    }
    let shell = account.shell.display();
    if !account.has_plain_shell() {
        return Check::new(
            "account",
            Verdict::Warning,
            format!(
                "the login shell {shell} of {user} does not read commands as sh does; if they fail, `chsh -s /bin/sh`"
            ),
        );
    }
    if !account.home.is_dir() {
        let home = account.home.display();
        let why = format!(
            "the home {home} of {user} is missing, and sshd says so on each login; make it"
        );
        return Check::new("account", Verdict::Warning, why);
    }
    Check::new(
        "account",
        Verdict::Ok,
        format!("{user} has uid {} and the shell {shell}", account.uid),
    )
}

fn directory(root: &Path) -> Check {
    let told = root.display();
    let problem = |why: String| Check::new("directory", Verdict::Problem, why);
    if let Err(errno) = rustix::fs::access(root, Access::WRITE_OK | Access::EXEC_OK) {
        return problem(format!(
            "{told} cannot be written to ({errno}); `chown` it or configure another"
        ));
    }
    let Ok(space) = rustix::fs::statvfs(root) else {
        return Check::new(
            "directory",
            Verdict::Warning,
            format!("the free space of {told} cannot be told"),
        );
    };
    let free_bytes = space.f_bavail.saturating_mul(space.f_frsize);
    if free_bytes < FREE_BYTES_MIN {
        return problem(format!("{told} has {} KiB left; make room", free_bytes / 1024));
    }
    if space.f_files > 0 && space.f_favail < FREE_FILES_MIN {
        return problem(format!(
            "the file system of {told} can hold {} more files; remove some",
            space.f_favail
        ));
    }
    if forbids_programs(space.f_flag) {
        let why = format!(
            "{told} is mounted noexec, so nothing that is built in a box can be run; configure another directory"
        );
        return Check::new("directory", Verdict::Warning, why);
    }
    let free_mib = free_bytes / (1024 * 1024);
    if free_bytes < FREE_BYTES_COMFORTABLE {
        return Check::new(
            "directory",
            Verdict::Warning,
            format!("{told} has {free_mib} MiB left, which a build may need; make room"),
        );
    }
    Check::new("directory", Verdict::Ok, format!("{told} is writable and has {free_mib} MiB left"))
}

#[cfg(target_os = "linux")]
fn forbids_programs(flags: StatVfsMountFlags) -> bool {
    flags.contains(StatVfsMountFlags::NOEXEC)
}

/// Elsewhere it cannot be told.
#[cfg(not(target_os = "linux"))]
fn forbids_programs(_flags: StatVfsMountFlags) -> bool {
    false
}

fn privilege_separation() -> Check {
    if sshd::lacks_privilege_separation() {
        let why = "/run/sshd is missing; if sshd asks for it, the first lease makes it (mode 0755)";
        return Check::new("privilege separation", Verdict::Warning, why);
    }
    Check::new("privilege separation", Verdict::Ok, "sshd finds its directory")
}

async fn namespace(config: &LocalConfig) -> Check {
    const NAME: &str = "containment";
    let can = containment::probe(config.is_root()).await;
    let (verdict, detail) = match (config.contain, can) {
        (Contain::Scan, _) => (
            Verdict::Ok,
            "what a box started is searched for when it ends, as configured".to_owned(),
        ),
        (Contain::Auto, _) if !config.is_root() => {
            (Verdict::Ok, "what a box started is searched for when it ends".to_owned())
        }
        (_, Ok(())) => (Verdict::Ok, "each connection to a box has a PID namespace".to_owned()),
        (Contain::Auto, Err(why)) => (
            Verdict::Ok,
            format!(
                "no PID namespaces here ({why}); what a box started is searched for when it ends"
            ),
        ),
        (Contain::Namespace, Err(why)) => {
            (Verdict::Problem, format!("no PID namespaces here ({why}); configure `contain: scan`"))
        }
    };
    Check::new(NAME, verdict, detail)
}

fn search_path(config: &LocalConfig) -> Check {
    const NAME: &str = "PATH";
    let Some(path) = path_of(config) else {
        return Check::new(
            NAME,
            Verdict::Warning,
            "a box is given no PATH, so sshd chooses one; toolchains in a home are not on it",
        );
    };
    let odd: Vec<_> =
        path.split(':').filter(|it| !it.starts_with('/')).map(|it| format!("{it:?}")).collect();
    if odd.is_empty() {
        return Check::new(NAME, Verdict::Ok, "a box is given our PATH");
    }
    let why = format!(
        "PATH has entries that mean another place in each directory: {}; remove them",
        odd.join(", ")
    );
    Check::new(NAME, Verdict::Warning, why)
}

/// What unpacks a tree in a box.
async fn archiver(config: &LocalConfig) -> Check {
    const NAME: &str = "tar";
    let program = with_path(Program::new(NAME), config).arg("--version");
    if let Some(said) = says(program).await {
        return Check::new(NAME, Verdict::Ok, said.lines().next().unwrap_or(NAME).to_owned());
    }
    let why = "there is no tar on the PATH that runs: files cannot be copied; install it";
    Check::new(NAME, Verdict::Warning, why)
}

fn with_path(program: Program, config: &LocalConfig) -> Program {
    match path_of(config) {
        Some(path) => program.env("PATH", path),
        None => program,
    }
}

fn path_of(config: &LocalConfig) -> Option<&str> {
    config
        .environment
        .iter()
        .rev()
        .find_map(|(name, value)| (name == "PATH").then_some(value.as_str()))
}

/// What a program says, on whichever stream; `None` when it did not run, or failed without even naming its version.
async fn says(program: Program) -> Option<String> {
    let limits = Limits { deadline: ANSWER_TIME_MAX, ..Limits::default() };
    let answer = output(&program, limits).await.ok()?;
    let mut said = answer.stdout;
    said.extend(answer.stderr);
    let said = String::from_utf8_lossy(&said).into_owned();
    (answer.status.success() || sshd::version(&said).is_some()).then_some(said)
}
