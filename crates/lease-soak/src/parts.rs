//! The parts of a run, one for each provider, each a process of this program.
//!
//! For the superuser each is in a PID namespace of its own: the machine's other processes are not seen there, so that
//! whoever has to look at all processes, to end those of a machine, has as few to look at as on a machine of its own; and
//! nothing can outlive the run, however that ends.

use std::path::PathBuf;

use lease_process::{Child, Exit, Input, Program, Stream, spawn};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::house::PATH;
use crate::plan::{Plan, Provider, draw};
use crate::report::Report;
use crate::site::Outcome;
use crate::soak::{Wish, say};
use crate::trouble::Trouble;

/// What the line begins with in which a part tells its outcome.
pub(crate) const OUTCOME: &str = "outcome ";

/// A shell as the first process takes in orphans, as the first process of a machine does.
const NAMESPACE: &[&str] = &[
    "/usr/bin/unshare",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
    "/bin/sh",
    "-c",
    "\"$@\"; exit $?",
    "sh",
];

/// Runs all parts at the same time and puts their outcomes together. A signal that asks for the end begins no further
/// lease; what was begun is ended and looked at as always.
pub(crate) async fn run(wish: &Wish, providers: &[Provider]) -> Result<Report, Trouble> {
    let began = Instant::now();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (stop, stopped) = watch::channel(false);
    let mut running = JoinSet::new();
    for plan in draw(wish.seed, wish.leases, providers) {
        running.spawn(one(start(wish, &plan)?, plan.provider, stopped.clone()));
    }
    let (mut outcomes, mut failed) = (Vec::new(), None);
    loop {
        let done = tokio::select! {
            done = running.join_next() => done,
            _ = interrupt.recv() => { stop.send_replace(true); continue }
            _ = terminate.recv() => { stop.send_replace(true); continue }
        };
        match done {
            None => break,
            Some(Ok(Ok(outcome))) => outcomes.push(outcome),
            Some(Ok(Err(trouble))) => failed = Some(trouble),
            Some(Err(broken)) => failed = Some(Trouble::other(broken.to_string())),
        }
        if failed.is_some() {
            stop.send_replace(true);
        }
    }
    outcomes.sort_by_key(|it: &Outcome| it.provider);
    let report = Report { seed: wish.seed, took: began.elapsed(), outcomes };
    failed.map_or(Ok(report), Err)
}

fn start(wish: &Wish, plan: &Plan) -> Result<Child, Trouble> {
    let own = std::env::current_exe()?;
    let mut words: Vec<PathBuf> = Vec::new();
    if rustix::process::geteuid().is_root() {
        words.extend(NAMESPACE.iter().map(PathBuf::from));
    }
    words.push(own);
    let program = Program::new(&words[0]).args(&words[1..]);
    let program = program
        .arg("--lease")
        .arg(&wish.program)
        .args(["--part", "--only", plan.provider.name()])
        .args(["--leases".to_owned(), plan.lives.len().to_string()])
        .args(["--seed".to_owned(), wish.seed.to_string()])
        .args(["--minutes".to_owned(), (wish.within.as_secs() / 60).to_string()])
        .env("PATH", PATH);
    Ok(spawn(&program.stdin(Input::Pipe).stderr(Stream::Inherit))?)
}

/// Passes on what a part says, until it has told its outcome.
async fn one(
    mut child: Child,
    provider: Provider,
    mut stopped: watch::Receiver<bool>,
) -> Result<Outcome, Trouble> {
    let lost = |why: String| Trouble::other(format!("the part of {provider} {why}"));
    // It is asked to end by the end of its input.
    let mut input = child.take_stdin();
    let output = child.take_stdout().ok_or_else(|| lost("has no output".to_owned()))?;
    let mut lines = BufReader::new(output).lines();
    let mut outcome = None;
    loop {
        let line = tokio::select! {
            line = lines.next_line() => line?,
            changed = stopped.changed(), if input.is_some() => {
                drop(input.take());
                changed.map_err(|it| lost(it.to_string()))?;
                continue;
            }
        };
        match line {
            None => break,
            Some(line) => match line.strip_prefix(OUTCOME) {
                Some(text) => {
                    let told = serde_json::from_str(text);
                    outcome = Some(told.map_err(|it| lost(it.to_string()))?);
                }
                None => say(&line),
            },
        }
    }
    let exit = child.wait().await?;
    match outcome {
        Some(outcome) if exit == Exit::Code(0) => Ok(outcome),
        _ => Err(lost(format!("ended with {exit} and without an outcome"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn heard(script: &str) -> Result<Outcome, Trouble> {
        let program = Program::new("/bin/sh").args(["-c", script]).stdin(Input::Pipe);
        let (stop, stopped) = watch::channel(false);
        // Whoever waits for its input to end is let go.
        stop.send_replace(true);
        one(spawn(&program).unwrap(), Provider::Fal, stopped).await
    }

    #[tokio::test]
    async fn a_part_is_believed_when_it_told_its_outcome_and_ended_well() {
        let told = r#"outcome {"provider":"Fal","planned":3,"tally":{"leases":3,"killed":1,"good":2,"failed":0,"problems":[]},"harmed":1,"released":3,"memory":{"samples_kib":[],"pids":[]},"verdict":{"leaked":["x"],"foreign":[],"stuck":[]},"log":""}"#;
        let outcome = heard(&format!("cat; echo '{told}'")).await.unwrap();
        assert_eq!(outcome.findings(), ["fal: leaked: x"]);
        for broken in
            [&format!("echo '{told}'; exit 1"), "echo 'outcome {'", "echo fine", "kill -9 $$"]
        {
            assert!(heard(broken).await.is_err(), "{broken}");
        }
    }
}
