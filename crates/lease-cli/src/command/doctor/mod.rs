//! `lease doctor`: everything that would fail later, looked at before anything is paid for.

mod disk;
mod programs;
mod providers;
mod records;
mod summary;

use lease_core::provider::{Check, Verdict};
use lease_core::{OsEntropy, entropy::Entropy as _};

use crate::catalog;
use crate::config::trust::Trust;
use crate::config::{Layers, Settings, nearest};
use crate::context::Base;
use crate::document::{CheckDescription, DoctorDocument};
use crate::env::VARIABLES;
use crate::exit::Exit;
use crate::failure::{Failure, one_line};

/// Looks at this installation and then at each provider.
pub(crate) async fn run(base: Base<'_>) -> Result<Exit, Failure> {
    let (state, store) = disk::state_directory(&base).await;
    let state_is_bad = state.verdict == Verdict::Problem;
    let mut checks = vec![state];
    if let Some(store) = &store {
        checks.push(records::records(store).await);
        checks.push(records::reapers(&base).await);
        checks.push(disk::private_files(&base));
    }
    checks.push(disk::runtime_directory(&base));
    checks.push(records::clock(&base, store.as_ref()).await);
    checks.push(randomness());
    checks.push(programs::ssh(base.environment).await);
    checks.push(programs::git(base.environment).await);
    checks.push(variables(&base));
    // Where not even the directories are known, the settings are missing for the same reason.
    let settings = base.state_dir().is_ok().then(|| settings(&base, &mut checks)).flatten();
    let mut described: Vec<_> = checks.iter().map(|it| CheckDescription::of("lease", it)).collect();
    if let (Some(settings), Some(_)) = (settings, store) {
        let mut asked = providers::ask(&base, &settings).await;
        if state_is_bad {
            asked.retain(|it| !is_of_the_state_directory(it));
        }
        described.extend(asked);
    }
    let document = DoctorDocument::new(described);
    base.output.result(&document, || document.checks.iter().map(line).collect())?;
    summary::tell(base.output, &document);
    if document.ok { Ok(Exit::Success) } else { Ok(Exit::AnswerIsNo) }
}

/// Whether it says once more what is wrong with the state directory: providers write there when they are made, and the
/// boxes of this machine are there.
fn is_of_the_state_directory(check: &CheckDescription) -> bool {
    (check.group == "lease" && check.name == "providers")
        || (catalog::is_here(&check.group) && check.name == "directory")
}

fn line(check: &CheckDescription) -> String {
    let name = format!("{} {}", check.group, check.name);
    format!("{:<8} {name:<28} {}\n", check.verdict, one_line(&check.detail))
}

/// What a failure says, with what it advises to type unless that is this very command.
fn told(failure: &Failure) -> String {
    let next = failure.document().next;
    if next == "lease doctor" {
        failure.what().to_owned()
    } else {
        format!("{}; run: {next}", failure.what())
    }
}

fn randomness() -> Check {
    match OsEntropy.fill(&mut [0_u8; 16]) {
        Ok(()) => Check::new("randomness", Verdict::Ok, "the system gives random bytes"),
        Err(error) => Check::new("randomness", Verdict::Problem, error.to_string()),
    }
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
        Err(failure) => (Check::new(NAME, Verdict::Problem, told(&failure)), None),
    };
    checks.push(check);
    settings
}
