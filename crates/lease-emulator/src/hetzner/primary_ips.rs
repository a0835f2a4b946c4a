//! Primary IPs: made with a server or before it, deleted with it, and sometimes left over.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::json;

use super::ask::{Ask, Fields, Reply};
use super::catalog::{Location, find_location};
use super::labels::Labels;
use super::page;
use super::policy::IpsOfDeleted;
use super::problem::{self, Problem};
use super::views;
use super::world::{AutoDelete, Family, Hold, PrimaryIp, World};

/// Makes a primary IP that nothing uses yet. Returns its id.
pub(super) fn make(
    world: &mut World,
    project: &str,
    family: Family,
    address: Ipv4Addr,
    location: &'static Location,
) -> u64 {
    let mut record = world.record(project, "", Labels::new());
    record.name = format!("primary_ip-{}", record.id);
    let id = record.id;
    let ip = match family {
        Family::V4 => address.to_string(),
        Family::V6 => network(id),
    };
    let made = PrimaryIp {
        record,
        family,
        ip,
        location,
        auto_delete: AutoDelete::Yes,
        protection: Hold::Free,
        assignee: None,
    };
    world.primary_ips.insert(id, made);
    id
}

/// A network of its own for each id, out of the block that is set aside for documents.
fn network(id: u64) -> String {
    let [.., a, b, c, d] = id.to_be_bytes();
    let high = u16::from_be_bytes([a, b]);
    let low = u16::from_be_bytes([c, d]);
    format!("{}/64", Ipv6Addr::new(0x2001, 0xdb8, high, low, 0, 0, 0, 0))
}

/// The address of a server that uses these primary IPs, if one of them exists already.
pub(super) fn address_of(world: &World, ips: &[(Family, Option<u64>)]) -> Option<Ipv4Addr> {
    let existing = ips.iter().filter_map(|(_, id)| world.primary_ips.get(&(*id)?));
    existing.filter(|ip| ip.family == Family::V4).find_map(|ip| ip.ip.parse().ok())
}

/// Checks that an existing primary IP may be used by a new server.
pub(super) fn usable(
    world: &World,
    project: &str,
    (id, family): (u64, Family),
    location: &Location,
) -> Result<(), Problem> {
    let there = |ip: &&PrimaryIp| ip.record.project == project && ip.record.gone.is_none();
    let ip = world.primary_ips.get(&id).filter(there);
    let ip = ip.ok_or_else(|| problem::not_found("primary IP"))?;
    if ip.family != family {
        return Err(problem::ip_version_mismatch());
    }
    if ip.assignee.is_some() {
        return Err(problem::ip_assigned());
    }
    if ip.location.name == location.name { Ok(()) } else { Err(problem::ip_elsewhere()) }
}

/// Detaches what a deleted server used, and deletes what goes with it.
pub(super) fn release(world: &mut World, server: u64) {
    let (now, fate) = (world.now, world.policy.ips_of_deleted);
    for ip in world.primary_ips.values_mut().filter(|ip| ip.assignee == Some(server)) {
        ip.assignee = None;
        if ip.auto_delete == AutoDelete::Yes && fate == IpsOfDeleted::Deleted {
            ip.record.gone = Some(now);
        }
    }
}

pub(super) fn list(world: &World, ask: &Ask) -> Result<Reply, Problem> {
    let selector = ask.query.selector()?;
    let asked = |ip: &&PrimaryIp| {
        ip.record.project == ask.project
            && ip.record.is_listed(world.now, world.policy.primary_ips)
            && ask.query.admits("name", &ip.record.name)
            && ask.query.admits("ip", &ip.ip)
            && selector.selects(&ip.record.labels)
    };
    let found = world.primary_ips.values().filter(asked);
    let views = found.map(|ip| views::primary_ip(world, ip)).collect();
    page::reply(ask, &world.policy, ("primary_ips", &["id", "created"]), views)
}

fn found(world: &World, ask: &Ask, id: u64) -> Result<PrimaryIp, Problem> {
    let seen = |ip: &&PrimaryIp| {
        ip.record.project == ask.project && ip.record.is_found(world.now, world.policy.primary_ips)
    };
    let ip = world.primary_ips.get(&id).filter(seen).cloned();
    ip.ok_or_else(|| problem::not_found("primary IP"))
}

pub(super) fn get(world: &World, ask: &Ask, id: u64) -> Result<Reply, Problem> {
    Ok(Reply::ok(json!({"primary_ip": views::primary_ip(world, &found(world, ask, id)?)})))
}

/// Answers `POST /primary_ips`: one that nothing uses yet. Assigning one at its creation is not modelled.
pub(super) fn create(
    world: &mut World,
    ask: &Ask,
    address: impl FnOnce() -> Ipv4Addr,
) -> Result<Reply, Problem> {
    let mut fields = Fields::parse(&ask.body)?;
    let name = fields.required("name");
    let family = match fields.required("type").as_str() {
        "ipv6" => Family::V6,
        "ipv4" => Family::V4,
        _ => {
            fields.fault("type", "must be ipv4 or ipv6");
            Family::V4
        }
    };
    if fields.required("assignee_type") != "server" {
        fields.fault("assignee_type", "must be server");
    }
    let location = fields.required("location");
    let auto_delete = fields.flag("auto_delete").unwrap_or(false);
    let labels = fields.labels().unwrap_or_default();
    fields.finish()?;
    let location = find_location(&location)
        .ok_or_else(|| problem::invalid("location", "location not found"))?;
    if is_name_used(world, ask, &name, None) {
        return Err(problem::ip_name_used());
    }
    let limit = world.limits.get(&ask.project).and_then(|it| it.primary_ips);
    let existing = world
        .primary_ips
        .values()
        .filter(|ip| ip.record.project == ask.project && ip.record.gone.is_none());
    if limit.is_some_and(|max| existing.count() >= max) {
        return Err(problem::limit_exceeded("primary_ip_limit", "Primary IP limit exceeded"));
    }
    let id = make(world, &ask.project, family, address(), location);
    let Some(ip) = world.primary_ips.get_mut(&id) else {
        return Err(problem::not_found("primary IP"));
    };
    ip.record.name = name;
    ip.record.labels = labels;
    ip.auto_delete = if auto_delete { AutoDelete::Yes } else { AutoDelete::No };
    let ip = ip.clone();
    Ok(Reply::created(json!({ "primary_ip": views::primary_ip(world, &ip) })))
}

fn is_name_used(world: &World, ask: &Ask, name: &str, but: Option<u64>) -> bool {
    world.primary_ips.values().any(|other| {
        other.record.project == ask.project
            && other.record.gone.is_none()
            && Some(other.record.id) != but
            && world.is_same_name(&other.record.name, name)
    })
}

pub(super) fn update(world: &mut World, ask: &Ask, id: u64) -> Result<Reply, Problem> {
    let mut ip = found(world, ask, id)?;
    let mut fields = Fields::parse(&ask.body)?;
    let (name, labels) = (fields.text("name"), fields.labels());
    let auto_delete = fields.flag("auto_delete");
    fields.finish()?;
    if let Some(name) = name {
        if is_name_used(world, ask, &name, Some(id)) {
            return Err(problem::ip_name_used());
        }
        ip.record.name = name;
    }
    if let Some(labels) = labels {
        ip.record.labels = labels;
    }
    if let Some(auto) = auto_delete {
        ip.auto_delete = if auto { AutoDelete::Yes } else { AutoDelete::No };
    }
    let view = views::primary_ip(world, &ip);
    world.primary_ips.insert(id, ip);
    Ok(Reply::ok(json!({ "primary_ip": view })))
}

pub(super) fn delete(world: &mut World, ask: &Ask, id: u64) -> Result<Reply, Problem> {
    let mut ip = found(world, ask, id)?;
    if ip.record.gone.is_some() {
        return Err(problem::not_found("primary IP"));
    }
    if ip.protection == Hold::Held {
        return Err(problem::protected("primary IP"));
    }
    if ip.assignee.is_some() {
        return Err(problem::must_be_unassigned());
    }
    ip.record.gone = Some(world.now);
    world.primary_ips.insert(id, ip);
    Ok(Reply::nothing())
}
