//! Everything that would fail later, looked at beforehand. Nothing here changes anything.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lease_core::provider::{Check, Verdict};
use tokio::time::{Instant, timeout_at};

use crate::adapter::Adapter;
use crate::config::{ExternalConfig, Form, Identity};
use crate::sighting::Seen;

/// How long the adapter may take for both of its answers. Whoever asks for a check-up waits for it.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(28);

/// Everything that a person should know.
pub(crate) async fn all(adapter: &Adapter) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Form::Command { argv } = &adapter.config.form {
        let program = argv.first().map_or("", |it| it.trim());
        checks.push(match resolve(program, &adapter.config) {
            Some(path) => Check::new("adapter", Verdict::Ok, format!("it is {}", path.display())),
            None => Check::new(
                "adapter",
                Verdict::Problem,
                format!("there is no program {program:?}; give its absolute path"),
            ),
        });
    }
    let by = Instant::now() + ANSWER_TIME_MAX;
    checks.push(match timeout_at(by, adapter.doctor()).await {
        Ok(Ok(message)) if message.trim().is_empty() => {
            Check::new("doctor", Verdict::Ok, "the adapter has no complaint")
        }
        Ok(Ok(message)) => Check::new("doctor", Verdict::Ok, crate::answer::shortened(&message)),
        Ok(Err(error)) => Check::new("doctor", Verdict::Problem, error.to_string()),
        Err(_elapsed) => {
            checks.push(silent(&adapter.config));
            return checks;
        }
    });
    checks.push(match timeout_at(by, adapter.list()).await {
        Ok(Ok(listed)) => {
            let total = listed.len();
            let seen = listed.into_iter().filter_map(|it| Seen::of(adapter, it));
            let ours = seen.filter(|it| it.marks.is_some()).count();
            let detail = format!("the adapter lists {total} leases, {ours} of them of this tool");
            Check::new("list", Verdict::Ok, detail)
        }
        Ok(Err(error)) => Check::new("list", Verdict::Problem, error.to_string()),
        Err(_elapsed) => silent(&adapter.config),
    });
    if adapter.config.identity == Identity::Answered {
        let detail = "the adapter keeps only lease ids: a lease whose answer was lost may need a person to release it";
        checks.push(Check::new("identity", Verdict::Warning, detail));
    }
    checks
}

/// An adapter that hangs, perhaps because whom it asks is away.
fn silent(config: &ExternalConfig) -> Check {
    let mut why = format!("the adapter did not answer within {ANSWER_TIME_MAX:?}");
    if let Form::Command { argv } = &config.form {
        let words = argv.join(" ");
        why = format!("{why}; see what it waits for; run: lease provider test -- {words}");
    }
    Check::new("answer", Verdict::Problem, why)
}

/// Where the adapter's program is, as the adapter's own environment finds it.
pub(crate) fn resolve(program: &str, config: &ExternalConfig) -> Option<PathBuf> {
    let is_file = |path: PathBuf| path.is_file().then_some(path);
    let full = |path: PathBuf| std::fs::canonicalize(&path).unwrap_or(path);
    if program.contains('/') {
        let path = config.directory.as_deref().unwrap_or(Path::new("")).join(program);
        return is_file(path).map(full);
    }
    let path = config.environment.iter().rev().find(|(name, _)| name == "PATH");
    let path = path.map_or("/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", |(_, it)| it.as_str());
    path.split(':')
        .filter(|it| it.starts_with('/'))
        .find_map(|it| is_file(Path::new(it).join(program)))
}
