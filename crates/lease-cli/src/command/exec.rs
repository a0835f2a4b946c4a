//! `lease exec`: one more command on a leased box, beside whatever runs there.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use crate::args::ExecArgs;
use crate::command::run::{conclude_leased, finish};
use crate::context::Base;
use crate::exit::Exit;
use crate::failure::{Failure, Meaning};
use crate::interrupt::Interrupts;
use crate::runs::RunStart;
use crate::session::{Attached, Task, execute};

/// Runs a command in the tree that is on the box already. Several may run at once.
pub(crate) async fn run(base: Base<'_>, args: &ExecArgs) -> Result<Exit, Failure> {
    if args.command.first().is_none_or(|it| it.is_empty()) {
        let failure = Failure::invalid("the command is empty", "lease exec LEASE -- COMMAND");
        return Err(failure.meaning(Meaning::NothingChanged).kind("usage"));
    }
    let (context, claim) = base.open_for(&args.lease).await?;
    let mut interrupts = Interrupts::listen()?;
    let attached = Attached::to(&context, &claim).await?;
    context
        .engine
        .touch(claim.lease(), None)
        .await
        .map_err(|error| Failure::from(error).lease(claim.lease()))?;
    let writer = base.runs()?.begin(RunStart::of(&claim, &args.command), base.now())?;
    let recorder = Arc::new(Mutex::new(writer));
    let began = Instant::now();
    let task = Task { argv: &args.command, directory: None, started: None };
    let result = execute(&context, &attached, task, &recorder, &mut interrupts).await;
    let run_ms = Some(lease_core::time::millis(began.elapsed()));
    recorder.lock().unwrap_or_else(PoisonError::into_inner).phases().run_ms = run_ms;
    finish(&base, recorder, &result);
    conclude_leased(&claim, result)
}
