//! What existed, for whom, from when to when, and what it cost.

use std::time::Duration;

use super::catalog::IPV4_MILLI_EURO_PER_HOUR;
use super::world::{Family, Origin, Record, World};
use crate::exchange::LedgerEntry;

const SECONDS_PER_HOUR: u64 = 3_600;

/// The hours that an entry is billed for: those that were begun between its birth and its end, or `now`.
pub fn billed_hours(entry: &LedgerEntry, now: Duration) -> u64 {
    let lived = entry.gone.unwrap_or(now).saturating_sub(entry.born);
    let seconds = lived.as_secs() + u64::from(lived.subsec_nanos() > 0);
    seconds.div_ceil(SECONDS_PER_HOUR).max(1)
}

/// Everything that ever existed, in order of creation.
pub(super) fn of(world: &World) -> Vec<LedgerEntry> {
    let servers = world.servers.values().map(|server| {
        let price = server.kind.cents_per_hour();
        entry(&server.record, "server", server.public_keys.clone(), price)
    });
    let keys = world
        .ssh_keys
        .values()
        .map(|key| entry(&key.record, "ssh_key", vec![key.public_key.clone()], 0));
    let ips = world.primary_ips.values().map(|ip| {
        let price = match ip.family {
            Family::V4 => IPV4_MILLI_EURO_PER_HOUR.div_ceil(10),
            Family::V6 => 0,
        };
        entry(&ip.record, "primary_ip", Vec::new(), price)
    });
    let mut entries: Vec<_> = servers.chain(keys).chain(ips).collect();
    entries.sort_by_key(|(id, _)| *id);
    entries.into_iter().map(|(_, entry)| entry).collect()
}

/// An entry with its number, which orders it.
fn entry(
    record: &Record,
    kind: &str,
    public_keys: Vec<String>,
    cents_per_hour: u64,
) -> (u64, LedgerEntry) {
    let entry = LedgerEntry {
        account: record.project.clone(),
        kind: kind.to_owned(),
        id: record.id.to_string(),
        name: record.name.clone(),
        labels: record.labels.clone(),
        public_keys,
        born: record.born,
        gone: record.gone,
        foreign: record.origin == Origin::Planted,
        cents_per_hour,
    };
    (record.id, entry)
}
