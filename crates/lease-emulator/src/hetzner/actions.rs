//! Actions: what was begun, how far it is, and how it ended.

use serde_json::{Value, json};

use super::ask::{Ask, Reply};
use super::page;
use super::problem::{self, Problem};
use super::views::time;
use super::world::{Action, Outcome, World};

const SORTABLE: &[&str] = &["id", "command", "status", "started", "finished"];

pub(super) fn view(world: &World, action: &Action) -> Value {
    let running = action.is_running(world.now);
    let status = match (running, action.outcome) {
        (true, _) => "running",
        (false, Outcome::Success) => "success",
        (false, Outcome::Error) => "error",
    };
    let failed = status == "error";
    let error = failed.then(|| json!({"code": "action_failed", "message": "Action failed"}));
    json!({
        "id": action.id,
        "command": action.command.as_str(),
        "status": status,
        "progress": progress(world, action),
        "started": time(world, action.started),
        "finished": (!running).then(|| time(world, action.ends)),
        "resources": [{"id": action.server, "type": "server"}],
        "error": error,
    })
}

fn progress(world: &World, action: &Action) -> u128 {
    let whole = action.ends.saturating_sub(action.started).as_millis();
    let done = world.now.saturating_sub(action.started).as_millis();
    (done * 100).checked_div(whole).unwrap_or(100).min(100)
}

pub(super) fn view_by_id(world: &World, id: u64) -> Value {
    world.actions.get(&id).map_or(Value::Null, |action| view(world, action))
}

pub(super) fn get(world: &World, ask: &Ask, id: u64) -> Result<Reply, Problem> {
    let action = world.actions.get(&id).filter(|action| action.project == ask.project);
    let action = action.ok_or_else(|| problem::not_found("action"))?;
    Ok(Reply::ok(json!({"action": view(world, action)})))
}

/// `GET /actions`, which must name the actions that it is about. An id that is unknown is left out; what the vendor does
/// with one is not known.
pub(super) fn by_ids(world: &World, ask: &Ask) -> Result<Reply, Problem> {
    let mut found = Vec::new();
    for id in ask.query.all("id") {
        let id: u64 = id.parse().map_err(|_| problem::invalid("id", "must be a number"))?;
        let action = world.actions.get(&id).filter(|action| action.project == ask.project);
        found.extend(action.map(|action| view(world, action)));
    }
    if ask.query.first("id").is_none() {
        return Err(problem::invalid("id", "is required"));
    }
    Ok(Reply::ok(json!({ "actions": found })))
}

/// The actions of one server that is still found, or of all servers that ever were.
pub(super) fn list(world: &World, ask: &Ask, server: Option<u64>) -> Result<Reply, Problem> {
    if let Some(id) = server {
        world.found_server(&ask.project, id).ok_or_else(|| problem::not_found("server"))?;
    }
    let asked = |action: &&Action| {
        action.project == ask.project
            && server.is_none_or(|id| action.server == id)
            && ask.query.admits("id", &action.id.to_string())
    };
    let views = world.actions.values().filter(asked).map(|action| view(world, action));
    let views = views
        .filter(|view| ask.query.admits("status", view["status"].as_str().unwrap_or_default()));
    page::reply(ask, &world.policy, ("actions", SORTABLE), views.collect())
}
