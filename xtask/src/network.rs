//! Runs the tests that cut networks, on hosts in namespaces of their own.
//!
//! As with clusters, they are run by name among the whole workspace, so that nothing is built twice.

use std::path::Path;

use anyhow::Result;

use crate::machine::{Call, cargo, say};
use crate::packages;

/// The tests, by name.
const TARGET: &str = "network";
/// What packets come from.
const TUN: &str = "/dev/net/tun";

/// Installs what is missing and runs the tests. Where the right or the device is missing, that is said.
pub(crate) fn test(root: &Path) -> Result<()> {
    if Call::new("id").args(["-u"]).output()?.trim() != "0" || !Path::new(TUN).exists() {
        say(format_args!("networks are cut where there is root and {TUN}, and not here"));
        return Ok(());
    }
    packages::ensure(packages::TO_TEST_ON_LINUX)?;
    packages::ensure(packages::TO_MEASURE_THE_DATA_PLANE)?;
    let words = ["test", "--workspace", "--all-features", "--test", TARGET];
    cargo().args(words).within(root).run()
}
