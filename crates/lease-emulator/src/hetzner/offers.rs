//! The read-only catalogue: server types, locations, images, prices.

use serde_json::{Value, json};

use super::ask::{Ask, Reply};
use super::catalog::{IMAGES, LOCATIONS, SERVER_TYPES};
use super::labels::Labels;
use super::page;
use super::problem::{self, Problem};
use super::views;
use super::world::World;

pub(super) fn server_types(world: &World, ask: &Ask) -> Result<Reply, Problem> {
    let asked = SERVER_TYPES.iter().filter(|kind| ask.query.admits("name", kind.name));
    let views = asked.map(|kind| views::server_type(world, kind)).collect();
    page::reply(ask, &world.policy, ("server_types", &["id", "name"]), views)
}

pub(super) fn server_type(world: &World, id: u64) -> Result<Reply, Problem> {
    let kind = SERVER_TYPES.iter().find(|kind| kind.id == id);
    let kind = kind.ok_or_else(|| problem::not_found("server type"))?;
    Ok(Reply::ok(json!({"server_type": views::server_type(world, kind)})))
}

pub(super) fn locations(world: &World, ask: &Ask) -> Result<Reply, Problem> {
    let asked = LOCATIONS.iter().filter(|location| ask.query.admits("name", location.name));
    let views = asked.map(views::location).collect();
    page::reply(ask, &world.policy, ("locations", &["id", "name"]), views)
}

pub(super) fn location(id: u64) -> Result<Reply, Problem> {
    let location = LOCATIONS.iter().find(|location| location.id == id);
    let location = location.ok_or_else(|| problem::not_found("location"))?;
    Ok(Reply::ok(json!({"location": views::location(location)})))
}

pub(super) fn images(world: &World, ask: &Ask) -> Result<Reply, Problem> {
    let selector = ask.query.selector()?;
    let asked = |image: &Value| {
        ["name", "architecture", "type", "status"]
            .iter()
            .all(|field| ask.query.admits(field, image[*field].as_str().unwrap_or_default()))
    };
    let mut found: Vec<_> = views::images(world).filter(asked).collect();
    // System images have no labels.
    found.retain(|_| selector.selects(&Labels::new()) && ask.query.first("bound_to").is_none());
    page::reply(ask, &world.policy, ("images", &["id", "name", "created"]), found)
}

pub(super) fn image(world: &World, id: u64) -> Result<Reply, Problem> {
    let image = IMAGES.iter().find(|image| image.id == id);
    let image = image.ok_or_else(|| problem::not_found("image"))?;
    Ok(Reply::ok(json!({"image": views::image(world, image)})))
}
