//! Showing progress: what the engine does becomes events of the tool's own, which a task of the tool prints.
//!
//! The box of this example has a history on purpose: the best one is taken, and the next needs a while. Tokio's clock is
//! paused, so nobody waits for it in earnest.
//!
//! ```text
//! cargo run -p lease-core --example progress
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod workshop;

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use lease_core::engine::{Acquire, By, Outcome, Release};
use lease_core::host::Command;
use lease_core::store::memory::MemoryStore;
use lease_core::watch::{Notice, Observer};
use lease_core::{Engine, LeaseId, ResourceState, Spec};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use workshop::{Here, WORKSHOP, WallClock, Workshop};

/// What this tool wants to show. It owns its words, because a notice of the engine lives only for the call.
#[derive(Debug)]
enum Progress {
    Opened(String),
    Trying(String),
    GivenUp { label: String, why: String },
    Resource { kind: String, state: ResourceState },
    Waiting { what: String, so_far: Duration },
    Phase(String),
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opened(slug) => write!(f, "it will be called {slug}"),
            Self::Trying(label) => write!(f, "asking for {label}"),
            Self::GivenUp { label, why } => write!(f, "not {label} ({why})"),
            Self::Resource { kind, state } => write!(f, "the {kind} is {state}"),
            Self::Waiting { what, so_far } => {
                write!(f, "{what}, for {} ms so far", so_far.as_millis())
            }
            Self::Phase(phase) => write!(f, "the lease is {phase}"),
        }
    }
}

/// The engine's ear in this tool. It must return at once, so it only hands on.
#[derive(Debug)]
struct Ear {
    events: UnboundedSender<Progress>,
}

impl Observer for Ear {
    fn notice(&self, _lease: &LeaseId, notice: &Notice<'_>) {
        let event = match notice {
            Notice::Opened { slug } => Progress::Opened((*slug).to_owned()),
            Notice::Trying { label } => Progress::Trying((*label).to_owned()),
            Notice::GivenUp { label, why } => {
                Progress::GivenUp { label: (*label).to_owned(), why: (*why).to_owned() }
            }
            Notice::Resource { kind, state } => {
                Progress::Resource { kind: (*kind).to_owned(), state: *state }
            }
            Notice::Waiting { what, so_far } => {
                Progress::Waiting { what: (*what).to_owned(), so_far: *so_far }
            }
            Notice::Phase(phase) => Progress::Phase(phase.to_string()),
            // What later versions tell is not shown until this tool knows it.
            _ => return,
        };
        // A screen that has gone away is no reason to stop the work.
        drop(self.events.send(event));
    }
}

/// Prints each event with the time since the beginning, until the engine is gone; returns how many there were.
async fn show(mut events: UnboundedReceiver<Progress>) -> usize {
    let started = Instant::now();
    let mut shown = 0;
    while let Some(event) = events.recv().await {
        println!("{:6.1} s  {event}", started.elapsed().as_secs_f64());
        shown += 1;
    }
    shown
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Box<dyn Error>> {
    let (sender, receiver) = unbounded_channel();
    let screen = tokio::spawn(show(receiver));
    let engine =
        Engine::builder(Arc::new(MemoryStore::new()?), Arc::new(Here), Arc::new(WallClock))
            .provider(Arc::new(Workshop::new(WORKSHOP)))
            .observer(Arc::new(Ear { events: sender }))
            .build();

    let mut spec = Spec::new("workshop");
    spec.options.insert("taken".to_owned(), 1.into());
    spec.options.insert("looks".to_owned(), 5.into());
    let claim = engine.acquire(Acquire::new(spec)).await?;
    let output = engine.connect(&claim).await?.output(&Command::new(["echo", "at work"])).await?;
    print!("{}", String::from_utf8_lossy(&output.stdout));
    let release = Release::new(By::Owner, "the example is over");
    let outcome = engine.release(claim.lease(), release).await?;

    // The last sender goes with the engine, so the screen ends once it has shown everything.
    drop(engine);
    let shown = screen.await?;
    match outcome {
        Outcome::Released if shown > 0 => Ok(()),
        Outcome::Released => Err("the engine told nothing".into()),
        Outcome::Kept(claim) | Outcome::Pending(claim) => {
            Err(format!("{} may still exist", claim.slug()).into())
        }
    }
}
