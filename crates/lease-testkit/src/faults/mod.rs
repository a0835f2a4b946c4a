//! The fault matrix: an engine in the simulated world, while each of its effects fails in each way that effects fail.
//!
//! A run without faults records every effect point that it passes. Then the same run is repeated with one fault at one
//! point, for every point and every fault that can happen there, and with a second fault at every later point. After
//! the acting process ended, died or was killed, new processes observe, plan and execute until nothing is left to do.
//! Then the ledger decides.

mod matrix;
mod mutant;
mod mutations;
mod point;
mod provider;
mod report;
mod run;
mod scenario;
mod script;
mod stage;
mod store;
mod surroundings;

pub use matrix::{Failure, Matrix, Tally, run_matrix};
pub use mutant::{Kill, Mutant, hunt};
pub use point::{Fault, Passed, Point};
pub use report::{Report, run_report};
pub use run::{Run, replay, replay_over};
pub use scenario::Scenario;
pub use script::{Planned, Script};
pub use stage::{End, Stage};
pub use store::FaultyStore;
