//! Servers after their creation: seen, renamed, switched, deleted.

use std::time::Duration;

use serde_json::json;

use super::actions;
use super::ask::{Ask, Fields, Reply};
use super::labels;
use super::page;
use super::policy::{Command, Deletion, RepeatedDelete, Stock};
use super::primary_ips;
use super::problem::{self, Problem};
use super::views::{self, Glance};
use super::world::{Hold, Outcome, Power, Server, Status, World};

const NAME_CHARS_MAX: usize = 63;
const STATUSES: &[&str] = &[
    "running",
    "initializing",
    "starting",
    "stopping",
    "off",
    "deleting",
    "migrating",
    "rebuilding",
    "unknown",
];

pub(super) fn list(world: &World, ask: &Ask) -> Result<Reply, Problem> {
    let selector = ask.query.selector()?;
    if let Some(odd) = ask.query.all("status").find(|status| !STATUSES.contains(status)) {
        return Err(problem::invalid("status", format!("'{odd}' is not a status")));
    }
    let asked = |server: &&Server| {
        server.record.project == ask.project
            && server.record.is_listed(world.now, world.policy.servers)
            && ask.query.admits("name", &server.record.name)
            && selector.selects(&server.record.labels)
    };
    let found = world.servers.values().filter(asked);
    let views = found
        .map(|server| views::server(world, server, Glance::Listed))
        .filter(|view| ask.query.admits("status", view["status"].as_str().unwrap_or_default()));
    page::reply(ask, &world.policy, ("servers", &["id", "name", "created"]), views.collect())
}

fn found<'w>(world: &'w World, ask: &Ask, id: u64) -> Result<&'w Server, Problem> {
    world.found_server(&ask.project, id).ok_or_else(|| problem::not_found("server"))
}

pub(super) fn get(world: &World, ask: &Ask, id: u64) -> Result<Reply, Problem> {
    let server = found(world, ask, id)?;
    Ok(Reply::ok(json!({"server": views::server(world, server, Glance::Direct)})))
}

/// What is wrong with a server's name, if anything.
pub(super) fn name_fault(name: &str) -> Option<&'static str> {
    if name.len() > NAME_CHARS_MAX {
        return Some("is too long");
    }
    (!labels::is_dns_name(name)).then_some("must be a valid hostname")
}

pub(super) fn update(world: &mut World, ask: &Ask, id: u64) -> Result<Reply, Problem> {
    let mut server = found(world, ask, id)?.clone();
    let mut fields = Fields::parse(&ask.body)?;
    let (name, labels) = (fields.text("name"), fields.labels());
    if let Some(fault) = name.as_deref().and_then(name_fault) {
        fields.fault("name", fault);
    }
    fields.finish()?;
    if let Some(name) = name {
        if world.is_server_name_used(&ask.project, &name, Some(id)) {
            return Err(problem::server_name_used());
        }
        server.record.name = name;
    }
    if let Some(labels) = labels {
        server.record.labels = labels;
    }
    let view = views::server(world, &server, Glance::Direct);
    world.servers.insert(id, server);
    Ok(Reply::ok(json!({ "server": view })))
}

/// Switches a server on or off, as `command` says.
pub(super) fn switch(
    world: &mut World,
    ask: &Ask,
    id: u64,
    command: Command,
) -> Result<Reply, Problem> {
    let server = found(world, ask, id)?;
    if world.is_locked(server) || server.record.gone.is_some() {
        return Err(problem::locked());
    }
    let now = world.now;
    let (power, passing, final_status, takes) = if command == Command::StartServer {
        (Power::On, Status::Starting, Status::Running, world.policy.start_time)
    } else {
        (Power::Off, Status::Stopping, Status::Off, world.policy.stop_time)
    };
    if let Some(server) = world.servers.get_mut(&id) {
        server.power = power;
        server.turn(now, &[(now, passing), (now.saturating_add(takes), final_status)]);
    }
    let action = world.begin(id, command, takes);
    let body = json!({"action": actions::view_by_id(world, action)});
    Ok(Reply::created(body).touching(id))
}

pub(super) fn delete(world: &mut World, ask: &Ask, id: u64) -> Result<Reply, Problem> {
    let server = found(world, ask, id)?;
    if server.record.gone.is_some() {
        return repeat_delete(world, server.deletion);
    }
    if server.protection == Hold::Held {
        return Err(problem::protected("server"));
    }
    if world.is_locked(server) {
        return Err(problem::locked());
    }
    let takes = world.policy.delete_time;
    let action = world.begin(id, Command::DeleteServer, takes);
    match world.deletions.pop_front().unwrap_or(Deletion::Happens) {
        Deletion::Happens => end(world, id, action),
        Deletion::Fails => fail(world, id, action, takes),
    }
    let body = json!({"action": actions::view_by_id(world, action)});
    Ok(Reply::ok(body).touching(id))
}

fn repeat_delete(world: &World, deletion: Option<u64>) -> Result<Reply, Problem> {
    match world.policy.repeated_delete {
        RepeatedDelete::Locked => Err(problem::locked()),
        RepeatedDelete::NotFound => Err(problem::not_found("server")),
        RepeatedDelete::Accepted => {
            let action = actions::view_by_id(world, deletion.unwrap_or_default());
            Ok(Reply::ok(json!({ "action": action })))
        }
    }
}

fn end(world: &mut World, id: u64, action: u64) {
    let now = world.now;
    let Some(server) = world.servers.get_mut(&id) else { return };
    server.record.gone = Some(now);
    server.power = Power::Off;
    server.deletion = Some(action);
    let place = (server.kind.name.to_owned(), server.location.name.to_owned());
    if let Some(Stock::Left(left)) = world.stock.get_mut(&place) {
        *left = left.saturating_add(1);
    }
    primary_ips::release(world, id);
}

fn fail(world: &mut World, id: u64, action: u64, takes: Duration) {
    let now = world.now;
    if let Some(action) = world.actions.get_mut(&action) {
        action.outcome = Outcome::Error;
    }
    let Some(server) = world.servers.get_mut(&id) else { return };
    let before = server.status(now);
    server.deletion = Some(action);
    server.turn(now, &[(now, Status::Deleting), (now.saturating_add(takes), before)]);
}
