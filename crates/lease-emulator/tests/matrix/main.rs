//! Two cloud providers over their wire: a fault at every request of a lease's life, and the ledger decides.
//!
//! `cargo test` runs the singles: of the first life at every request, of the other lives at every request that changes
//! something. Where `LEASE_WIRE_REPORT` names a file, everything is run, pairs too, and the report is written there; that
//! is for a release build.
#![expect(clippy::unwrap_used, reason = "a failed expectation is the test")]

mod backend;
mod boxes;
mod fal;
mod fault;
mod found;
mod hetzner;
mod life;
mod matrix;
mod mutant;
mod notes;
mod report;
mod stage;
mod wire;

use std::path::PathBuf;

use backend::Vendor;
use life::Life;
use matrix::{Depth, hunt, run_matrix};
use mutant::Mutant;
use report::Report;

#[test]
fn whatever_goes_wrong_on_the_wire_nothing_is_left_and_nothing_foreign_is_touched() {
    let asked = where_asked();
    let mut report = Report::default();
    for vendor in [Vendor::Fal, Vendor::Hetzner] {
        for life in life::ALL {
            let depth = match (&asked, life) {
                (Some(_), Life::Release) => Depth::Pairs,
                (Some(_), _) => Depth::Singles,
                (None, Life::Release) => Depth::Classes,
                (None, _) => Depth::Changes,
            };
            report.tallies.push((vendor, life, run_matrix(vendor, life, depth)));
        }
        for mutant in Mutant::of(vendor) {
            report.kills.push((vendor, *mutant, hunt(vendor, *mutant)));
        }
    }
    println!("{report}");
    if let Some(path) = asked {
        report.write_to(&path);
    }
    assert!(report.problems().is_empty(), "{}", report.problems().join("\n"));
}

#[expect(clippy::disallowed_methods, reason = "whoever runs the test says where it reports")]
fn where_asked() -> Option<PathBuf> {
    std::env::var_os("LEASE_WIRE_REPORT").map(PathBuf::from)
}
