//! Everything that would fail later, looked at beforehand. Nothing here changes anything.

use std::path::{Path, PathBuf};

use lease_core::provider::{Check, Verdict};

use crate::adapter::Adapter;
use crate::config::{ExternalConfig, Form, Identity};
use crate::sighting::Seen;

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
    checks.push(match adapter.doctor().await {
        Ok(message) if message.trim().is_empty() => {
            Check::new("doctor", Verdict::Ok, "the adapter has no complaint")
        }
        Ok(message) => Check::new("doctor", Verdict::Ok, crate::answer::shortened(&message)),
        Err(error) => Check::new("doctor", Verdict::Problem, error.to_string()),
    });
    checks.push(match adapter.list().await {
        Ok(listed) => {
            let total = listed.len();
            let seen = listed.into_iter().filter_map(|it| Seen::of(adapter, it));
            let ours = seen.filter(|it| it.marks.is_some()).count();
            let detail = format!("the adapter lists {total} leases, {ours} of them of this tool");
            Check::new("list", Verdict::Ok, detail)
        }
        Err(error) => Check::new("list", Verdict::Problem, error.to_string()),
    });
    if adapter.config.identity == Identity::Answered {
        let detail = "the adapter keeps only lease ids: a lease whose answer was lost may need a person to release it";
        checks.push(Check::new("identity", Verdict::Warning, detail));
    }
    checks
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
