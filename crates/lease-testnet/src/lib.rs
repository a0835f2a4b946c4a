//! Hosts with a chosen round-trip time between them, on one Linux machine and without its network.
//!
//! [`Net::new`] makes a client and one host for each [`Link`]. Each of them is a network, mount and process namespace of
//! its own, so that nothing in them reaches anything outside, and nothing outlives them: they end when the [`Net`] is
//! dropped and also when the process that made it is killed. Packets cross a link through this process, which delays,
//! limits, counts and, while the link is cut, drops them; what speaks TCP at both ends is the kernel.
//!
//! It needs root, `/dev/net/tun`, and the programs `unshare`, `nsenter` and `ip`. On other systems than Linux the crate
//! is empty.

#![cfg(target_os = "linux")]

mod error;
mod host;
mod ledger;
mod link;
mod net;
mod packet;
mod relay;

pub use error::NetError;
pub use host::Host;
pub use ledger::{Counted, Traffic};
pub use link::Link;
pub use net::Net;
