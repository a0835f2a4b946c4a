//! What one command cost. A process of its own for each, because the highest memory of children is one number.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeVal;
use serde_json::json;

use super::Answer;

/// Runs the command with its standard error in the file `errors`, and prints its wall time from before it is started until it is gone, and the CPU time and the
/// highest resident memory of it and of those descendants that it waited for.
pub(super) fn measure(
    directory: &Path,
    errors: &Path,
    program: &str,
    arguments: &[&str],
) -> Answer {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(directory).stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(File::create(errors)?);
    let began = Instant::now();
    let status = command.status()?;
    let wall = began.elapsed();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    println!(
        "{}",
        json!({
            "wall_ms": wall.as_secs_f64() * 1000.0,
            "cpu_ms": cpu(&usage).as_secs_f64() * 1000.0,
            "rss_kib": usage.max_rss(),
            "code": status.code(),
        })
    );
    Ok(())
}

fn cpu(usage: &Usage) -> Duration {
    let span = |time: TimeVal| {
        let part = |number: i64| u64::try_from(number).unwrap_or_default();
        Duration::from_secs(part(time.tv_sec())) + Duration::from_micros(part(time.tv_usec()))
    };
    span(usage.user_time()) + span(usage.system_time())
}
