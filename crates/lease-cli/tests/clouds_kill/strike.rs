//! The client, and what kills it when a request comes.

use std::fs::File;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};

use lease_emulator::Cloud;
use lease_emulator::script::{Moment, Scripted, Stage};

use crate::attempt::Reaper;
use crate::installation::{ANSWER_WITHIN, Deadline, Installation, eventually, processes};

/// Where a client is killed, and who with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Strike {
    /// The request, counted from 0 since the client was started.
    pub(crate) number: u64,
    pub(crate) stage: Stage,
    pub(crate) reaper: Reaper,
}

/// A client that runs, or ran. Whoever holds it can kill it and no other process, because it is not waited for
/// elsewhere.
#[derive(Debug, Default)]
pub(crate) struct Client(Mutex<Option<Child>>);

impl Client {
    /// Starts it. A request that comes before that is known waits for it.
    pub(crate) fn start(&self, command: &mut Command, installation: &Installation) {
        let file = |name: &str| File::create(installation.root().join(name)).unwrap();
        command.stdout(file("stdout")).stderr(file("stderr"));
        let mut client = self.0.lock().unwrap();
        *client = Some(command.spawn().unwrap());
    }

    /// Ends it and waits until it is dead; one that has ended already stays as it ended.
    fn kill(&self) {
        let mut client = self.0.lock().unwrap();
        if let Some(client) = client.as_mut() {
            client.kill().unwrap();
            client.wait().unwrap();
        }
    }

    /// Waits for its end; whether it was by a signal.
    pub(crate) fn was_killed(&self) -> bool {
        let mut status = None;
        let ended = eventually(Deadline::after(ANSWER_WITHIN), || {
            status = self.0.lock().unwrap().as_mut().unwrap().try_wait().unwrap();
            status.is_some()
        });
        if ended.is_err() {
            self.kill();
            panic!("a client did not end");
        }
        status.unwrap().signal().is_some()
    }
}

impl Strike {
    /// Lets the cloud kill the client there. Nothing of the request goes on before the client is dead.
    pub(crate) fn prepare<C: Cloud + 'static>(
        self,
        cloud: &Scripted<C>,
        client: &Arc<Client>,
        installation: &Installation,
    ) {
        let number = cloud.trace().len() as u64 + self.number;
        let (client, root) = (Arc::clone(client), installation.root().to_owned());
        cloud.hook(Arc::new(move |moment: &Moment| {
            if moment.number == number && moment.stage == self.stage {
                client.kill();
                if self.reaper == Reaper::Dies {
                    end_reapers(&root);
                }
            }
        }));
    }
}

/// Ends the reapers of the installation in this directory.
pub(crate) fn end_reapers(root: &Path) {
    let ended = eventually(Deadline::after(ANSWER_WITHIN), || {
        let mut reapers = processes();
        reapers.retain(|it| it.is_reaper() && it.names(root));
        reapers.iter().for_each(crate::installation::Process::kill);
        reapers.is_empty()
    });
    ended.unwrap_or_else(|()| panic!("a reaper cannot be ended"));
}
