//! Embedding `lease-core`: lease a box of a chosen provider, run a command on it, give it back.
//!
//! ```text
//! cargo run -p lease-core --example embed                        # any box of the first provider
//! cargo run -p lease-core --example embed -- shed uname -a       # a provider and a command of your choice
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod workshop;

use std::error::Error;
use std::sync::Arc;

use lease_core::engine::{Acquire, By, Outcome, Release};
use lease_core::host::Command;
use lease_core::store::memory::MemoryStore;
use lease_core::{Claim, Descriptor, Engine, Spec};

use workshop::{Here, WORKSHOP, WallClock, Workshop};

const SHED: Descriptor =
    Descriptor { name: "shed", summary: "benches in the shed behind the workshop", ..WORKSHOP };

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let provider = words.next().unwrap_or_else(|| "workshop".to_owned());
    let mut argv: Vec<String> = words.collect();
    if argv.is_empty() {
        argv = ["echo", "hello from the box"].map(str::to_owned).to_vec();
    }

    let engine =
        Engine::builder(Arc::new(MemoryStore::new()?), Arc::new(Here), Arc::new(WallClock))
            .provider(Arc::new(Workshop::new(WORKSHOP)))
            .provider(Arc::new(Workshop::new(SHED)))
            .build();

    // Whatever fails up to here has made nothing; a failed acquire says itself what is left of it.
    let claim = engine.acquire(Acquire::new(Spec::new(provider))).await?;
    println!("leased {} ({}): {}", claim.slug(), claim.lease(), claim.phase());

    // From here on the box is given back whatever happens in between.
    let code = run(&engine, &claim, argv).await;
    let release = Release::new(By::Owner, "the example is over");
    match engine.release(claim.lease(), release).await? {
        Outcome::Released => println!("released: everything of it is proven gone"),
        Outcome::Kept(_) => println!("kept, as somebody asked for meanwhile"),
        Outcome::Pending(claim) => {
            let obstacle = claim.obstacle().map_or("it takes longer", |it| it.message.as_str());
            return Err(format!("{} may still exist: {obstacle}", claim.slug()).into());
        }
    }
    match code? {
        0 => Ok(()),
        code => Err(format!("the command ended with {code}").into()),
    }
}

async fn run(engine: &Engine, claim: &Claim, argv: Vec<String>) -> lease_core::Result<i32> {
    let host = engine.connect(claim).await?;
    let output = host.output(&Command::new(argv)).await?;
    print!("{}", String::from_utf8_lossy(&output.stdout));
    print!("{}", String::from_utf8_lossy(&output.stderr));
    Ok(output.code)
}
