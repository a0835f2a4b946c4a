//! One command on a terminal of the box that is connected to ours.

use std::sync::PoisonError;

use lease_ssh::Sinks;

use crate::context::Context;
use crate::failure::Failure;
use crate::interrupt::Interrupts;
use crate::session::attached::Attached;
use crate::session::run::{Ended, Task, conclude};
use crate::session::stream::{Recorder, Unwritten};
use crate::session::vigil::{Bond, Vigil};

/// Runs a command to its end on a terminal of the box. What it prints goes to our terminal and is recorded nowhere, so a
/// lost connection is told and not taken up again.
pub(crate) async fn on_terminal(
    context: &Context<'_>,
    attached: &Attached,
    task: &Task<'_>,
    recorder: &Recorder,
    interrupts: &mut Interrupts,
) -> Result<Ended, Failure> {
    let run = {
        let mut recorder = recorder.lock().unwrap_or_else(PoisonError::into_inner);
        recorder.unrecorded("the command had a terminal, so its output was not recorded");
        recorder.id().to_owned()
    };
    context.base.output.progress().clear();
    let (words, place) = (task.words(), (&attached.root, run.as_str()));
    let mut vigil = Vigil::new(context, attached, &run, interrupts, Bond::Own);
    let over = vigil.over(Box::pin(attached.session.run_on_terminal(place, &words))).await;
    vigil.lost();
    let mut nothing = Sinks::new(tokio::io::sink(), tokio::io::sink());
    conclude(&mut vigil, over, &mut nothing, &Unwritten::default()).await
}
