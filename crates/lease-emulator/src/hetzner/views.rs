//! How resources look on the wire.

use std::time::Duration;

use serde_json::{Value, json};

use super::catalog::{
    IMAGES, IPV4_MILLI_EURO_PER_HOUR, IPV4_MILLI_EURO_PER_MONTH, Image, LOCATIONS, Location, Offer,
    SERVER_TYPES, ServerType,
};
use super::policy::{Stock, UnassignedType};
use super::world::{AutoDelete, Family, Hold, PrimaryIp, Server, Status, World};

const TRAFFIC_BYTES: u64 = 20 << 40;
const VAT_PERCENT: u64 = 19;

/// A time from the start of the cloud, as the vendor writes it.
pub(super) fn time(world: &World, at: Duration) -> String {
    let seconds = world.policy.epoch.saturating_add(at).as_secs();
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds)
        .unwrap_or(jiff::Timestamp::MAX)
        .strftime("%Y-%m-%dT%H:%M:%S+00:00")
        .to_string()
}

/// Which state of a server is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Glance {
    /// By id: one that lingers is `deleting`.
    Direct,
    /// In a list: one that is no longer found by id is shown as it was before, since the list has not heard of the end.
    Listed,
}

fn status(world: &World, server: &Server, glance: Glance) -> Status {
    let found_until = |gone: Duration| gone.saturating_add(world.policy.servers.found_for);
    match server.record.gone {
        Some(gone) if glance == Glance::Direct || world.now < found_until(gone) => Status::Deleting,
        _ => server.status(world.now),
    }
}

pub(super) fn server(world: &World, server: &Server, glance: Glance) -> Value {
    let ip = |family| {
        world.primary_ips.values().find(|ip: &&PrimaryIp| {
            ip.family == family && ip.assignee == Some(server.record.id) && ip.record.gone.is_none()
        })
    };
    let v4 = ip(Family::V4).map(
        |ip| json!({"id": ip.record.id, "ip": ip.ip, "blocked": false, "dns_ptr": pointer(&ip.ip)}),
    );
    let v6 = ip(Family::V6)
        .map(|ip| json!({"id": ip.record.id, "ip": ip.ip, "blocked": false, "dns_ptr": []}));
    json!({
        "id": server.record.id,
        "name": server.record.name,
        "status": status(world, server, glance).as_str(),
        "created": time(world, server.record.born),
        "public_net": {"ipv4": v4, "ipv6": v6, "floating_ips": [], "firewalls": []},
        "private_net": [],
        "server_type": server_type(world, server.kind),
        "location": location(server.location),
        "image": image(world, server.image),
        "iso": null,
        "rescue_enabled": false,
        "locked": world.is_locked(server),
        "backup_window": null,
        "outgoing_traffic": 0,
        "ingoing_traffic": 0,
        "included_traffic": TRAFFIC_BYTES,
        "protection": {
            "delete": server.protection == Hold::Held,
            "rebuild": server.protection == Hold::Held,
        },
        "labels": server.record.labels,
        "volumes": [],
        "load_balancers": [],
        "primary_disk_size": server.kind.disk,
        "placement_group": null,
    })
}

pub(super) fn primary_ip(world: &World, ip: &PrimaryIp) -> Value {
    let unassigned = ip.assignee.is_none() && world.policy.unassigned == UnassignedType::Unassigned;
    let pointers = match ip.family {
        Family::V4 => json!([{"ip": ip.ip, "dns_ptr": pointer(&ip.ip)}]),
        Family::V6 => json!([]),
    };
    json!({
        "id": ip.record.id,
        "name": ip.record.name,
        "labels": ip.record.labels,
        "created": time(world, ip.record.born),
        "blocked": false,
        "location": location(ip.location),
        "ip": ip.ip,
        "dns_ptr": pointers,
        "protection": {"delete": ip.protection == Hold::Held},
        "type": ip.family.as_str(),
        "auto_delete": ip.auto_delete == AutoDelete::Yes,
        "assignee_type": if unassigned { "unassigned" } else { "server" },
        "assignee_id": ip.assignee,
    })
}

fn pointer(ip: &str) -> String {
    let reversed: Vec<_> = ip.rsplit('.').collect();
    format!("static.{}.clients.your-server.de", reversed.join("."))
}

pub(super) fn location(location: &Location) -> Value {
    json!({
        "id": location.id,
        "name": location.name,
        "description": location.description,
        "country": location.country,
        "city": location.city,
        "latitude": location.latitude,
        "longitude": location.longitude,
        "network_zone": location.zone,
    })
}

pub(super) fn image(world: &World, image: &Image) -> Value {
    json!({
        "id": image.id,
        "type": "system",
        "status": "available",
        "name": image.name,
        "description": image.description,
        "image_size": null,
        "disk_size": 5,
        "created": time(world, Duration::ZERO),
        "created_from": null,
        "bound_to": null,
        "os_flavor": image.flavor,
        "os_version": image.version,
        "rapid_deploy": true,
        "protection": {"delete": false},
        "deprecated": null,
        "deleted": null,
        "labels": {},
        "architecture": image.arch.as_str(),
    })
}

pub(super) fn server_type(world: &World, kind: &ServerType) -> Value {
    let offered = || LOCATIONS.iter().filter(|location| kind.offered_in(location));
    let locations: Vec<_> = offered().map(|location| offer(world, kind, location)).collect();
    let withdrawn = kind.offer == Offer::Withdrawn;
    json!({
        "id": kind.id,
        "name": kind.name,
        "description": kind.name.to_uppercase(),
        "cores": kind.cores,
        "memory": kind.memory,
        "disk": kind.disk,
        "deprecated": withdrawn,
        "deprecation": deprecation(kind),
        "prices": prices(kind),
        "storage_type": "local",
        "cpu_type": kind.cpu.as_str(),
        "category": kind.category(),
        "architecture": kind.arch.as_str(),
        "locations": locations,
    })
}

fn offer(world: &World, kind: &ServerType, location: &Location) -> Value {
    let available = kind.offer != Offer::Withdrawn
        && !matches!(world.stock_of(kind, location), Stock::SoldOut | Stock::Left(0));
    json!({
        "id": location.id,
        "name": location.name,
        "deprecation": deprecation(kind),
        "recommended": available && kind.offer != Offer::Withdrawn,
        "available": available,
    })
}

fn deprecation(kind: &ServerType) -> Value {
    match kind.offer {
        Offer::Withdrawn => json!({
            "announced": "2025-10-16T00:00:00+00:00",
            "unavailable_after": "2026-01-01T00:00:00+00:00",
        }),
        Offer::Europe | Offer::Everywhere => Value::Null,
    }
}

fn prices(kind: &ServerType) -> Vec<Value> {
    let offered = LOCATIONS.iter().filter(|location| kind.offered_in(location));
    let price = |location: &Location| {
        json!({
            "location": location.name,
            "price_hourly": price(kind.milli_euro_per_hour),
            "price_monthly": price(kind.milli_euro_per_month),
            "included_traffic": TRAFFIC_BYTES,
            "price_per_tb_traffic": price(1_000),
        })
    };
    offered.map(price).collect()
}

/// A price as a pair of decimal strings.
fn price(milli_euro: u64) -> Value {
    let decimal = |micro: u64| format!("{}.{:06}0000", micro / 1_000_000, micro % 1_000_000);
    let gross = milli_euro * (1_000 + 10 * VAT_PERCENT);
    json!({"net": decimal(milli_euro * 1_000), "gross": decimal(gross)})
}

pub(super) fn pricing() -> Value {
    let everywhere = |hourly: u64, monthly: u64| -> Vec<Value> {
        let entry = |location: &Location| {
            json!({
                "location": location.name,
                "price_hourly": price(hourly),
                "price_monthly": price(monthly),
            })
        };
        LOCATIONS.iter().map(entry).collect()
    };
    let server_types: Vec<_> = SERVER_TYPES
        .iter()
        .map(|kind| json!({"id": kind.id, "name": kind.name, "prices": prices(kind)}))
        .collect();
    let v4 = everywhere(IPV4_MILLI_EURO_PER_HOUR, IPV4_MILLI_EURO_PER_MONTH);
    json!({"pricing": {
        "currency": "EUR",
        "vat_rate": format!("{VAT_PERCENT}.000000"),
        "primary_ips": [
            {"type": "ipv4", "prices": v4},
            {"type": "ipv6", "prices": everywhere(0, 0)},
        ],
        "floating_ip": {"price_monthly": price(3_000)},
        "floating_ips": [],
        "image": {"price_per_gb_month": price(11)},
        "volume": {"price_per_gb_month": price(44)},
        "server_backup": {"percentage": "20.0000000000"},
        "server_types": server_types,
        "load_balancer_types": [],
    }})
}

/// Every image, as a list shows it.
pub(super) fn images(world: &World) -> impl Iterator<Item = Value> {
    IMAGES.iter().map(|entry| image(world, entry))
}
