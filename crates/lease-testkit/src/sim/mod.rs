//! Everything an engine is given, simulated over one [`World`](crate::world::World): provider, transport, clock,
//! randomness, owner census and guardian. All of it is honest; what lies is in [`crate::faults`].

mod clock;
mod descriptor;
mod entropy;
mod processes;
mod provider;
mod transport;

pub use clock::{SimClock, WallClock};
pub use descriptor::Flavor;
pub(crate) use descriptor::SETTLES_AT_ONCE;
pub use entropy::SeededEntropy;
pub use processes::{Processes, Watchman};
pub use provider::SimProvider;
pub use transport::SimTransport;
