//! `lease doctor`: everything that would fail later, looked at before anything is paid for.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use lease_core::provider::{Check, Verdict};
use lease_core::{OsEntropy, Store as _, entropy::Entropy as _};

use crate::catalog::{self, Member};
use crate::config::nearest;
use crate::config::trust::Trust;
use crate::config::{Layers, Settings};
use crate::context::Base;
use crate::document::{CheckDescription, DoctorDocument};
use crate::durable;
use crate::env::VARIABLES;
use crate::exit::Exit;
use crate::failure::{Failure, one_line};
use crate::reaper::{Coverage, remedy};

/// The room for the path of a socket on the tightest of the systems we know, without its closing zero.
const SOCKET_PATH_BYTES_MAX: usize = 103;

/// What is added to the directory: a slash, the name of a control socket, and what ssh appends while it makes one.
const SOCKET_NAME_BYTES: usize = 1 + 16 + 17;

/// The earliest time that a right clock shows, 2025-01-01.
const CLOCK_MIN_MS: u64 = 1_735_689_600_000;

/// Looks at this installation and then at each provider.
pub(crate) async fn run(base: Base<'_>) -> Result<Exit, Failure> {
    let mut checks = vec![
        state_directory(&base).await,
        records(&base).await,
        reapers(&base).await,
        runtime_directory(&base),
        clock(&base).await,
        randomness(),
        program(&base, "ssh", Verdict::Problem, "install the OpenSSH client"),
        program(
            &base,
            "git",
            Verdict::Warning,
            "without git, sync walks the tree and its ignore files",
        ),
        variables(&base),
    ];
    let settings = settings(&base, &mut checks);
    let mut described: Vec<_> = checks.iter().map(|it| CheckDescription::of("lease", it)).collect();
    if let Some(settings) = settings {
        described.extend(providers(&base, &settings).await);
    }
    let document = DoctorDocument::new(described);
    base.output.result(&document, || document.checks.iter().map(line).collect())?;
    if document.ok { Ok(Exit::Success) } else { Ok(Exit::AnswerIsNo) }
}

fn line(check: &CheckDescription) -> String {
    let name = format!("{} {}", check.group, check.name);
    format!("{:<8} {name:<28} {}\n", check.verdict, one_line(&check.detail))
}

/// Whether records can be written durably and locked: the store is opened as every command opens it.
async fn state_directory(base: &Base<'_>) -> Check {
    const NAME: &str = "state directory";
    let dir = match base.state_dir() {
        Ok(dir) => dir,
        Err(failure) => return Check::new(NAME, Verdict::Problem, failure.what()),
    };
    let probed = async {
        let store = base.store().map_err(|it| it.what().to_owned())?;
        store.installation().await.map_err(|it| it.to_string())?;
        let probe = dir.join("doctor-probe");
        durable::replace(&probe, b"probe")
            .map_err(|error| format!("{}: {error}", probe.display()))?;
        fs::remove_file(&probe).map_err(|error| format!("{}: {error}", probe.display()))
    };
    match probed.await {
        Ok(()) => match shared(&dir) {
            None => Check::new(
                NAME,
                Verdict::Ok,
                format!("{} can be written and locked", dir.display()),
            ),
            Some(problem) => Check::new(NAME, Verdict::Problem, problem),
        },
        Err(problem) => Check::new(NAME, Verdict::Problem, problem),
    }
}

/// What is wrong with who may enter the directory.
fn shared(dir: &Path) -> Option<String> {
    let metadata = fs::metadata(dir).ok()?;
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Some(format!("{} belongs to another user; set LEASE_STATE_DIR", dir.display()));
    }
    let open = metadata.mode() & 0o077 != 0;
    open.then(|| format!("others may enter {}; run: chmod 700 {}", dir.display(), dir.display()))
}

async fn records(base: &Base<'_>) -> Check {
    const NAME: &str = "records";
    let entries = match base.store() {
        Ok(store) => store.scan().await.map_err(Failure::from),
        Err(failure) => Err(failure),
    };
    let entries = match entries {
        Ok(entries) => entries,
        Err(failure) => return Check::new(NAME, Verdict::Problem, failure.what()),
    };
    let count = entries.len();
    let bad: Vec<_> =
        entries.iter().filter_map(|it| Some((&it.name, it.claim.as_ref().err()?))).collect();
    match bad.first() {
        None => Check::new(NAME, Verdict::Ok, format!("{count} leases can be read")),
        Some((name, error)) => {
            let what = format!(
                "{} of {count} records cannot be read; what they are about may exist; the first is {name}: {error}",
                bad.len()
            );
            Check::new(NAME, Verdict::Problem, what)
        }
    }
}

/// Whether somebody ends each lease that needs it. No provider is asked.
async fn reapers(base: &Base<'_>) -> Check {
    const NAME: &str = "reaper";
    let coverage = match Coverage::look(base).await {
        Ok(coverage) => coverage,
        Err(failure) => return Check::new(NAME, Verdict::Problem, failure.what()),
    };
    if let Some(first) = coverage.unwatched.first() {
        let what = format!(
            "nobody watches {} of the live leases; the first is {} ({}); {}",
            coverage.unwatched.len(),
            first.slug(),
            first.provider(),
            remedy(first)
        );
        return Check::new(NAME, Verdict::Warning, what);
    }
    match coverage.processes().len() {
        0 => Check::new(NAME, Verdict::Ok, "nothing is leased that needs one"),
        1 => Check::new(NAME, Verdict::Ok, "a reaper watches every lease that needs one"),
        more => Check::new(
            NAME,
            Verdict::Ok,
            format!("{more} reapers watch every lease that needs one"),
        ),
    }
}

fn runtime_directory(base: &Base<'_>) -> Check {
    const NAME: &str = "socket directory";
    let dir = base.environment.runtime_dir();
    let length = dir.as_os_str().len() + SOCKET_NAME_BYTES;
    if length > SOCKET_PATH_BYTES_MAX {
        let what = format!(
            "the path of a socket in {} would be too long; set XDG_RUNTIME_DIR to a short one",
            dir.display()
        );
        return Check::new(NAME, Verdict::Problem, what);
    }
    match fs::symlink_metadata(&dir) {
        Ok(metadata) if !metadata.is_dir() => {
            let what = format!(
                "{} is not a directory; move it away or set XDG_RUNTIME_DIR",
                dir.display()
            );
            Check::new(NAME, Verdict::Problem, what)
        }
        Ok(_) => match shared(&dir) {
            None => {
                Check::new(NAME, Verdict::Ok, format!("{} is private and short", dir.display()))
            }
            Some(problem) => Check::new(NAME, Verdict::Problem, problem),
        },
        Err(_not_there) => {
            let made = dir.parent().is_some_and(Path::is_dir);
            let verdict = if made { Verdict::Ok } else { Verdict::Problem };
            Check::new(NAME, verdict, format!("{} is made when it is needed", dir.display()))
        }
    }
}

/// Deadlines are wall-clock times, so a clock that is far off ends leases early or never.
async fn clock(base: &Base<'_>) -> Check {
    const NAME: &str = "clock";
    let now = base.now();
    if now.as_millis() < CLOCK_MIN_MS {
        return Check::new(
            NAME,
            Verdict::Problem,
            "the clock shows a time before 2025; set it, or leases end wrongly",
        );
    }
    let Ok(store) = base.store() else { return Check::new(NAME, Verdict::Ok, "it is plausible") };
    let entries = store.scan().await.unwrap_or_default();
    let latest = entries.iter().filter_map(|it| Some(it.claim.as_ref().ok()?.updated_at())).max();
    match latest {
        Some(latest) if latest.since(now).as_secs() > 60 => {
            let what = format!("it is {} s behind the newest record", latest.since(now).as_secs());
            Check::new(NAME, Verdict::Warning, what)
        }
        _ => Check::new(NAME, Verdict::Ok, "it is plausible, and no record is from the future"),
    }
}

fn randomness() -> Check {
    match OsEntropy.fill(&mut [0_u8; 16]) {
        Ok(()) => Check::new("randomness", Verdict::Ok, "the system gives random bytes"),
        Err(error) => Check::new("randomness", Verdict::Problem, error.to_string()),
    }
}

fn program(base: &Base<'_>, name: &'static str, missing: Verdict, remedy: &str) -> Check {
    let path = base.environment.variable("PATH").unwrap_or_default();
    let found = std::env::split_paths(path).map(|it| it.join(name)).find(|it| is_executable(it));
    match found {
        Some(found) => Check::new(name, Verdict::Ok, found.display().to_string()),
        None => Check::new(name, missing, format!("{name} is not in PATH; {remedy}")),
    }
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|it| it.is_file() && it.mode() & 0o111 != 0)
}

fn variables(base: &Base<'_>) -> Check {
    const NAME: &str = "environment";
    if let Some(name) = catalog::idle_credentials(base.environment).first() {
        let why = catalog::not_built_in(name).unwrap_or_default();
        return Check::new(
            NAME,
            Verdict::Warning,
            format!("a credential for {name} is set, and {why}"),
        );
    }
    let strangers = base.environment.strangers();
    let Some(first) = strangers.first() else {
        return Check::new(NAME, Verdict::Ok, "no unknown LEASE_ variable is set");
    };
    let hint = nearest(first, VARIABLES.iter().map(|it| it.name));
    let hint = hint.map(|it| format!("; did you mean {it}?")).unwrap_or_default();
    Check::new(NAME, Verdict::Warning, format!("{} has no effect{hint}", strangers.join(", ")))
}

/// The settings, or the reason why no command that needs them works.
fn settings(base: &Base<'_>, checks: &mut Vec<Check>) -> Option<Settings> {
    const NAME: &str = "configuration";
    let read = (|| {
        let layers = Layers::read(base.environment, &[])?;
        let trust = layers.trust(&base.trust()?)?;
        let settings = layers.resolve()?;
        catalog::resolve(settings.provider())?;
        Ok::<_, Failure>((layers, trust, settings))
    })();
    let (check, settings) = match read {
        Ok((_, Trust::Given, settings)) => {
            let what =
                format!("provider {} and every other setting are understood", settings.provider());
            (Check::new(NAME, Verdict::Ok, what), Some(settings))
        }
        Ok((layers, Trust::Stale | Trust::Missing, _)) => {
            let file =
                layers.repository.map(|it| it.path.display().to_string()).unwrap_or_default();
            let what =
                format!("{file} sets what needs trust; read it, then run: lease trust {file}");
            (Check::new(NAME, Verdict::Problem, what), None)
        }
        Err(failure) => (Check::new(NAME, Verdict::Problem, failure.what()), None),
    };
    checks.push(check);
    settings
}

async fn providers(base: &Base<'_>, settings: &Settings) -> Vec<CheckDescription> {
    let mut described = Vec::new();
    let providers = match base.providers(settings).await {
        Ok(providers) => providers,
        Err(failure) => {
            let check = Check::new("providers", Verdict::Problem, failure.what());
            return vec![CheckDescription::of("lease", &check)];
        }
    };
    for Member { provider, post, remedy, .. } in providers {
        let name = provider.descriptor().name;
        // A provider that was never set up is a problem for whoever wants to use it, and for nobody else.
        if post.is_none() && catalog::resolve(settings.provider()) != Ok(name) {
            let what = if catalog::credentials(name).is_empty() { "setup" } else { "credential" };
            described.push(CheckDescription::of(name, &Check::new(what, Verdict::Ok, remedy)));
            continue;
        }
        base.output.progress().step(&format!("asking {name}"));
        match provider.doctor().await {
            Ok(checks) => described.extend(checks.iter().map(|it| CheckDescription::of(name, it))),
            Err(error) => {
                let check = Check::new("checks", Verdict::Problem, error.to_string());
                described.push(CheckDescription::of(name, &check));
            }
        }
    }
    described
}
