//! Proof for whoever implements or changes a contract of `lease-core`.
//!
//! [`behavior`] holds a provider against every sentence of the contract; a third party runs it with one line,
//! [`behavior_tests!`].
//!
//! [`world`] is a simulated cloud with a ledger outside the code under test, [`sim`] is everything an engine needs on
//! top of it, and [`faults`] runs an engine there while each of its effects fails in each way that effects fail.
//!
//! [`corpus`] runs what fuzzers found, and variations of it, as an ordinary test.

pub mod behavior;
pub mod corpus;
pub mod faults;
pub mod sim;
pub mod world;
