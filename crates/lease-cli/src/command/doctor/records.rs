//! What the records of this installation say: whether they can be read, who watches the leases, and about the clock.

use std::fs;
use std::time::{Duration, UNIX_EPOCH};

use lease_core::provider::{Check, Verdict};
use lease_core::store::fs::FsStore;
use lease_core::{Store as _, Timestamp};

use super::told;
use crate::context::Base;
use crate::failure::Failure;
use crate::reaper::{Coverage, remedy};

/// The earliest time that a right clock shows, 2025-01-01.
const CLOCK_MIN_MS: u64 = 1_735_689_600_000;

/// What a record may be from the future by the way in which file systems round.
const SKEW_COMFORTABLE: Duration = Duration::from_secs(60);

/// From here on, leases end noticeably early or late.
const SKEW_MAX: Duration = Duration::from_secs(5 * 60);

const SET_THE_CLOCK: &str = "run: sudo timedatectl set-ntp true";

/// Whether every record can be read.
pub(super) async fn records(store: &FsStore) -> Check {
    const NAME: &str = "records";
    let entries = match store.scan().await.map_err(Failure::from) {
        Ok(entries) => entries,
        Err(failure) => return Check::new(NAME, Verdict::Problem, told(&failure)),
    };
    let count = entries.len();
    let bad: Vec<_> =
        entries.iter().filter_map(|it| Some((&it.name, it.claim.as_ref().err()?))).collect();
    match bad.first() {
        None => Check::new(NAME, Verdict::Ok, format!("{count} leases can be read")),
        Some((name, error)) => {
            let what = format!(
                "{} of {count} records cannot be read; what they are about may exist; the first is {name}: {error}",
                bad.len()
            );
            Check::new(NAME, Verdict::Problem, what)
        }
    }
}

/// Whether somebody ends each lease that needs it. No provider is asked.
pub(super) async fn reapers(base: &Base<'_>) -> Check {
    const NAME: &str = "reaper";
    let coverage = match Coverage::look(base).await {
        Ok(coverage) => coverage,
        Err(failure) => return Check::new(NAME, Verdict::Problem, told(&failure)),
    };
    if let Some(first) = coverage.unwatched.first() {
        let what = format!(
            "nobody watches {} of the live leases; the first is {} ({}); {}",
            coverage.unwatched.len(),
            first.slug(),
            first.provider(),
            remedy(first)
        );
        return Check::new(NAME, Verdict::Warning, what);
    }
    match coverage.processes().len() {
        0 => Check::new(NAME, Verdict::Ok, "nothing is leased that needs one"),
        1 => Check::new(NAME, Verdict::Ok, "a reaper watches every lease that needs one"),
        more => Check::new(
            NAME,
            Verdict::Ok,
            format!("{more} reapers watch every lease that needs one"),
        ),
    }
}

/// Deadlines are wall-clock times, so a clock that is far off ends leases early or never. What others' clocks show is
/// among what their providers say.
pub(super) async fn clock(base: &Base<'_>, store: Option<&FsStore>) -> Check {
    const NAME: &str = "clock";
    let now = base.now();
    if now.as_millis() < CLOCK_MIN_MS {
        let what = format!(
            "the clock shows a time before 2025, so leases end at the wrong time; {SET_THE_CLOCK}"
        );
        return Check::new(NAME, Verdict::Problem, what);
    }
    let Some(store) = store else { return Check::new(NAME, Verdict::Ok, "it is plausible") };
    let entries = store.scan().await.unwrap_or_default();
    let live = entries.iter().filter_map(|it| Some(it.claim.as_ref().ok()?.updated_at()));
    let behind = live.chain(changed(base)).map(|it| it.since(now)).max().unwrap_or_default();
    if behind <= SKEW_COMFORTABLE {
        let what = "it is plausible, and no record is from the future";
        return Check::new(NAME, Verdict::Ok, what);
    }
    let verdict = if behind > SKEW_MAX { Verdict::Problem } else { Verdict::Warning };
    let what = format!(
        "it is {} s behind the newest record of this installation: it is slow now, or it was fast then; {SET_THE_CLOCK}",
        behind.as_secs()
    );
    Check::new(NAME, verdict, what)
}

/// When something was last put into the directories that outlive a lease.
fn changed(base: &Base<'_>) -> Vec<Timestamp> {
    let Ok(state) = base.state_dir() else { return Vec::new() };
    let changed = |name: &str| {
        let modified = fs::metadata(state.join(name)).ok()?.modified().ok()?;
        let since = modified.duration_since(UNIX_EPOCH).ok()?;
        Some(Timestamp::from_millis(lease_core::time::millis(since)))
    };
    ["leases", "archive", "runs"].into_iter().filter_map(changed).collect()
}
